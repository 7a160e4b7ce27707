"""Tokens that are shown once appear in no other response, report, log, row or file.

docs/security-cases.md "Tokens". Conformance 209.
"""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from gateway_orders import example
from nodes import Gateway, Node, outcome
from peers import PeerServer

from storage import database

SHOWN_ONCE = ("token_a", "operator_token")


def all_rows() -> str:
    """The values of every row of every table as text, including the tables of DBOS."""
    found = sqlalchemy.MetaData()
    texts = []
    with database.connect() as connection:
        names = set(sqlalchemy.inspect(connection).get_schema_names())
        for schema in (None, *({"dbos"} & names)):
            found.reflect(connection, schema=schema)
        assert {"gw_jobs", "workflow_status"} <= {table.name for table in found.tables.values()}
        for table in found.tables.values():
            for row in connection.execute(sqlalchemy.text(f"SELECT * FROM {table.fullname}")):  # noqa: S608  (table names)
                texts += [str(value) for value in row]
    return "\n".join(texts)


def files(node: Node) -> str:
    """The content of the database file and of its journals."""
    url = node.environment["OCPI_GATEWAY_DATABASE_URL"]
    if not url.startswith("sqlite"):
        return ""
    path = Path(url.removeprefix("sqlite:///"))
    return "".join(each.read_bytes().decode("latin-1") for each in path.parent.glob(f"{path.name}*"))


def assert_nowhere(secrets: set[str], places: dict[str, str]) -> None:
    """None of the secrets is in any of the places."""
    for place, text in places.items():
        assert set() == {secret for secret in secrets if secret in text}, place


@pytest.mark.ocpi(209)
def test_token_a_is_in_the_202_and_in_no_other_response(gateway: Gateway, peer: PeerServer) -> None:
    accepted = gateway.create()
    url = accepted["destroy_url"]
    operator = gateway.operator(accepted)

    def responses() -> dict[str, str]:
        paths = ("/ocpi/cpos", url, f"{url}/status", f"{url}/report", f"{url}/locations")
        of_gateway = {path: gateway.get(path).text for path in paths}
        of_operator = {path: operator.get(path).text for path in ("", "locations", "tariffs")}
        return of_gateway | of_operator

    gateway.data(url)
    assert_nowhere({accepted[name] for name in SHOWN_ONCE}, responses())
    gateway.wait_until_ready(accepted["status_url"])
    assert None is gateway.data(url).get("token_a")
    assert None is gateway.data(url).get("roam_helper")
    registered = gateway.node.client(accepted["token_a"], "cpo").post("credentials", peer.credentials())
    token_c = registered.json()["data"]["token"]
    assert_nowhere({token_c, peer.token, *(accepted[name] for name in SHOWN_ONCE)}, responses())
    assert 204 == gateway.delete(url).status_code


@pytest.mark.ocpi(209)
def test_the_report_shows_the_last_four_characters_of_token_a_and_whether_it_is_used(
    gateway: Gateway, peer: PeerServer
) -> None:
    accepted = gateway.ready(name_prefix="demo")
    url = f"{accepted['destroy_url']}/report"
    sites = gateway.data(f"{accepted['destroy_url']}/locations")["data"]

    report = gateway.data(url)
    page = report["markdown"]
    assert accepted["cpo_id"] == report["cpo_id"]
    assert page.startswith(f"# CPO {accepted['cpo_id']} — demo (small-urban-ac)\n")
    assert "\n## Party\nFR / ABC / CPO\n" in page
    assert "\n## Locations (3)\n" in page
    for site in sites:
        count = len(site["chargers"])
        assert f"\n- {site['id']} · {site['name']} · {site['city']} ({count} chargers)\n" in page
    assert f"…{accepted['token_a'][-4:]}`" in page.partition("## Token A\n")[2]
    assert accepted["token_a"][2:-4] not in page

    gateway.node.client(accepted["token_a"], "cpo").post("credentials", peer.credentials())

    assert "used" == gateway.data(url)["markdown"].partition("## Token A\n")[2].strip()


def use_network(gateway: Gateway, peer: PeerServer) -> set[str]:
    """Send valid and invalid requests of every kind to a new network, and return their secrets."""
    key = "a-key-to-ask-again-" + "k" * 12
    order = {**example("CpoCreateRequest"), "seed": None}
    accepted = gateway.post("/ocpi/cpos", order, Idempotency_Key=key).json()
    gateway.finish(accepted)
    secrets = {str(gateway.key), *(accepted[name] for name in SHOWN_ONCE)}
    gateway.post("/ocpi/cpos", order, Idempotency_Key=key)
    gateway.post("/ocpi/cpos", {**order, "seed": 1}, Idempotency_Key=key)
    for token in sorted(secrets):  # each secret in the places of another one
        Gateway(gateway.node, token).get(accepted["destroy_url"])
        Gateway(gateway.node, token).post("/ocpi/cpos", {"template": token})
        gateway.node.client(token, "cpo").get("locations")
        gateway.get(f"/ocpi/cpos/{token}")
        gateway.get("/ocpi/cpos", page=token)
        gateway.post("/ocpi/cpos", order, X_Organization_Id=token)
    url = f"{accepted['destroy_url']}/locations"
    bulk = {"locations": [example("OcpiCreateLocationRequest")]}
    job = gateway.post(url, bulk, Idempotency_Key=key).json()
    gateway.finish(job)
    registrant = gateway.node.client(accepted["token_a"], "cpo")
    registered = registrant.post("credentials", peer.credentials())
    assert (200, 1000) == outcome(registered)
    gateway.post("/ocpi/cpos", order, Idempotency_Key=key)
    return {*secrets, registered.json()["data"]["token"], peer.token}


@pytest.mark.ocpi(209)
def test_no_secret_is_in_the_log_the_rows_or_the_files(verbose_node: Node, peer: PeerServer) -> None:
    """The log level is DEBUG, and the second check follows the deletion of the network."""
    gateway = verbose_node.gateway()
    admin = verbose_node.gateway("admin")
    admin.get("/ocpi/cpos")

    secrets = use_network(gateway, peer) | {str(admin.key)}

    def places() -> dict[str, Any]:
        return {
            "log": log_without_paths(verbose_node),
            "console": verbose_node.banner,
            "rows": all_rows(),
            "files": files(verbose_node),
        }

    assert 6 == len(secrets)
    assert_nowhere(secrets, places())
    for network in gateway.data("/ocpi/cpos")["data"]:
        gateway.delete(network["destroy_url"])
    assert_nowhere(secrets, places())
    key = Path(verbose_node.environment["OCPI_GATEWAY_DATA_DIR"]) / "secret.key"
    assert key.read_text() not in verbose_node.log
    for word in ("authorization", "bearer "):
        assert word not in verbose_node.log.lower()


def log_without_paths(node: Node) -> str:
    """The log without the paths of requests, into which this test writes secrets."""
    return "\n".join(
        line.partition('"path":')[0] + line.partition('"http_status":')[2] for line in node.log.splitlines()
    )
