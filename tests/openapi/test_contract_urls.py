"""The contract serves the URLs of the specification and of the API reference of ocpi-python.

A URL is served if it matches a path: shared segments have other names in the contract.
"""

import json
import re
from pathlib import Path
from typing import Any

import contracts
import pytest

DATA = Path(__file__).parents[1] / "data"
PATHS: dict[str, Any] = contracts.ocpi().document["paths"]
COMMANDS = ("RESERVE_NOW", "START_SESSION", "STOP_SESSION", "UNLOCK_CONNECTOR")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

# From the method tables of the specification.
OFFICIAL = """
    GET    /ocpi/cpo/versions
    GET    /ocpi/cpo/2.1.1
    GET    /ocpi/cpo/2.1.1/credentials
    POST   /ocpi/cpo/2.1.1/credentials
    PUT    /ocpi/cpo/2.1.1/credentials
    DELETE /ocpi/cpo/2.1.1/credentials
    GET    /ocpi/cpo/2.1.1/locations
    GET    /ocpi/cpo/2.1.1/locations/{location_id}
    GET    /ocpi/cpo/2.1.1/locations/{location_id}/{evse_uid}
    GET    /ocpi/cpo/2.1.1/locations/{location_id}/{evse_uid}/{connector_id}
    GET    /ocpi/cpo/2.1.1/sessions
    GET    /ocpi/cpo/2.1.1/cdrs
    GET    /ocpi/cpo/2.1.1/tariffs
    GET    /ocpi/cpo/2.1.1/tokens/{country_code}/{party_id}/{token_uid}
    PUT    /ocpi/cpo/2.1.1/tokens/{country_code}/{party_id}/{token_uid}
    PATCH  /ocpi/cpo/2.1.1/tokens/{country_code}/{party_id}/{token_uid}
    POST   /ocpi/cpo/2.1.1/commands/{command}
    GET    /ocpi/emsp/versions
    GET    /ocpi/emsp/2.1.1
    GET    /ocpi/emsp/2.1.1/credentials
    POST   /ocpi/emsp/2.1.1/credentials
    PUT    /ocpi/emsp/2.1.1/credentials
    DELETE /ocpi/emsp/2.1.1/credentials
    GET    /ocpi/emsp/2.1.1/locations/{country_code}/{party_id}/{location_id}
    PUT    /ocpi/emsp/2.1.1/locations/{country_code}/{party_id}/{location_id}
    PATCH  /ocpi/emsp/2.1.1/locations/{country_code}/{party_id}/{location_id}
    GET    /ocpi/emsp/2.1.1/locations/{country_code}/{party_id}/{location_id}/{evse_uid}
    PUT    /ocpi/emsp/2.1.1/locations/{country_code}/{party_id}/{location_id}/{evse_uid}
    PATCH  /ocpi/emsp/2.1.1/locations/{country_code}/{party_id}/{location_id}/{evse_uid}
    GET    /ocpi/emsp/2.1.1/locations/{country_code}/{party_id}/{location_id}/{evse_uid}/{connector_id}
    PUT    /ocpi/emsp/2.1.1/locations/{country_code}/{party_id}/{location_id}/{evse_uid}/{connector_id}
    PATCH  /ocpi/emsp/2.1.1/locations/{country_code}/{party_id}/{location_id}/{evse_uid}/{connector_id}
    GET    /ocpi/emsp/2.1.1/sessions/{country_code}/{party_id}/{session_id}
    PUT    /ocpi/emsp/2.1.1/sessions/{country_code}/{party_id}/{session_id}
    PATCH  /ocpi/emsp/2.1.1/sessions/{country_code}/{party_id}/{session_id}
    GET    /ocpi/emsp/2.1.1/cdrs/{country_code}/{party_id}/{cdr_id}
    POST   /ocpi/emsp/2.1.1/cdrs
    GET    /ocpi/emsp/2.1.1/tariffs/{country_code}/{party_id}/{tariff_id}
    PUT    /ocpi/emsp/2.1.1/tariffs/{country_code}/{party_id}/{tariff_id}
    PATCH  /ocpi/emsp/2.1.1/tariffs/{country_code}/{party_id}/{tariff_id}
    DELETE /ocpi/emsp/2.1.1/tariffs/{country_code}/{party_id}/{tariff_id}
    GET    /ocpi/emsp/2.1.1/tokens
    POST   /ocpi/emsp/2.1.1/tokens/{token_uid}/authorize
    POST   /ocpi/emsp/2.1.1/commands/{command}/{uid}
"""


def rows(reference: str) -> list[tuple[str, str]]:
    """Method and URL of each row."""
    return re.findall(rf"({'|'.join(METHODS)}) +(/ocpi\S*?)(?=[`\s])", reference)


def library_rows() -> list[tuple[str, str]]:
    """The rows of the API reference of the library ocpi-python."""
    return rows((DATA / "urls_of_ocpi_python.txt").read_text())


def serving(method: str, url: str) -> list[dict[str, Any]]:
    """The operations that serve a URL of a reference: for /commands/{command}, four operations."""
    if url.endswith("/cpo/2.1.1/commands/{command}"):
        return [found for name in COMMANDS for found in serving(method, url.replace("{command}", name))]
    concrete = re.sub(r"{\w+}", "x", url)
    return [
        item[method.lower()]
        for path, item in PATHS.items()
        if re.fullmatch("/ocpi" + re.sub(r"{\w+}", "[^/]+", path), concrete) and method.lower() in item
    ]


def interfaces() -> list[tuple[str, str, set[str]]]:
    """Role, module, and the methods that the specification's table offers to a peer."""
    table: dict[str, dict[str, list[str]]] = json.loads((DATA / "specification/methods.json").read_text())
    return [
        (role, module, set(methods)) for module, roles in table.items() for role, methods in roles.items()
    ]


def test_the_references_have_44_and_39_rows() -> None:
    assert (44, 44) == (len(rows(OFFICIAL)), len(set(rows(OFFICIAL))))
    assert (39, 39) == (len(library_rows()), len(set(library_rows())))


def test_a_peer_may_call_every_operation_of_the_specification() -> None:
    for method, url in rows(OFFICIAL):
        found = serving(method, url)
        caller = "registration" if (method, url[-11:]) == ("POST", "credentials") else "peer"

        assert (4 if url.endswith("/{command}") else 1) == len(found), (method, url)
        for operation in found:
            assert caller in operation["x-callers"], (method, url)


def test_every_operation_of_the_library_reference_is_served() -> None:
    for method, url in library_rows():
        assert (4 if url.endswith("/{command}") else 1) == len(serving(method, url)), (method, url)


@pytest.mark.ocpi(27)
@pytest.mark.parametrize(("role", "module", "methods"), interfaces())
def test_a_peer_has_the_methods_of_the_specifications_table_and_no_other(
    role: str, module: str, methods: set[str]
) -> None:
    """Methods that the table marks n/a are absent or for the operator only."""
    for_peers = {
        method
        for path, item in PATHS.items()
        if path.startswith(f"/{role}/2.1.1/{module}")
        for method in METHODS
        if {"peer", "registration"} & set(item.get(method.lower(), {}).get("x-callers", ()))
    }

    assert methods == for_peers


def test_the_specification_has_13_method_tables_that_offer_27_methods() -> None:
    assert (13, 27) == (len(interfaces()), sum(len(methods) for _, _, methods in interfaces()))
