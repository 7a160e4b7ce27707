"""Access to the gateway: keys, roles, organizations.

docs/gateway.md "Keys and organizations". Conformance 212, 218.

The cases are derived from the contract: every operation, and every id in its path.
"""

import itertools
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from examples import example as ocpi_example
from gateway_orders import CONTRACT, example
from inspection import contents, moved
from jwts import AUDIENCE, ISSUER, OTHER_RSA_KEY, SECRET, forged, signed
from nodes import Client, Gateway, Network, Node, in_transaction, one_database, outcome, refusal, switch_to

from storage import keys, networks

METHODS = ("get", "post", "patch", "put", "delete")
BODIES = {
    "create_network": example("CpoCreateRequest"),
    "create_locations": {"locations": [example("OcpiCreateLocationRequest")]},
    "update_location": {"name": "Mine now"},
    "update_connection": {"push": False},
    "create_connection": {"versions_url": "http://127.0.0.1:9/versions", "token": "token-a"},
    "push_again": {"module": "locations"},
    "put_simulation": {"speed": 2},
    "advance_clock": {"seconds": 1},
    "put_scenario": {"next": "no_cdr"},
    "start_driver_session": {"location_id": "LOC1", "evse_uid": "1", "token_uid": "1"},
    "send_reserve_now": example("SendReserveNowRequest"),
    "send_start_session": example("SendStartSessionRequest"),
    "send_stop_session": example("SendStopSessionRequest"),
    "send_unlock_connector": example("SendUnlockConnectorRequest"),
    "put_token": {"valid": False},
    "put_evse_status": {"status": "BLOCKED"},
    "create_invitation": {"party": {"country_code": "NL", "party_id": "TNM"}},
}
CREATES = "put_token"
"""The operation that creates what an unknown id in its path names."""
OBJECT_IDS = ("session_id", "cdr_id", "tariff_id", "token_uid")
NOISY = {"gw_jobs", "gw_job_items"}
"""Tables that jobs of other tests may still change."""
UNKNOWN = "4f6b5e0e-7d1a-4b0a-9c2e-abc123456789"


@dataclass(frozen=True)
class Operation:
    """One operation of the contract."""

    method: str
    path: str
    id: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def names(self) -> list[str]:
        """The names of the ids in its path."""
        return re.findall(r"{(\w+)}", self.path)

    def send(self, gateway: Gateway, ids: dict[str, str], **headers: str) -> requests.Response:
        """Send it with a valid body."""
        url = self.path.format(**ids)
        return gateway.request(self.method, url, json=BODIES.get(self.id), headers=headers)


OPERATIONS = [
    Operation(method.upper(), path, item[method]["operationId"])
    for path, item in CONTRACT.document["paths"].items()
    for method in METHODS
    if method in item
]
OF_NETWORKS = [o for o in OPERATIONS if "cpo_id" in o.names]
OF_TENANTS = [o for o in OPERATIONS if o.path.startswith("/ocpi/cpos") and "templates" not in o.path]


class SeededNetwork:
    """A network with a location and a job, and the values of the ids in URLs."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        accepted = gateway.ready(overrides={"locations": 1, "chargers_per_location": 1})
        self.url = accepted["destroy_url"]
        self.accepted = accepted
        bulk = gateway.create(f"{self.url}/locations", locations=[self._location()])
        job = gateway.finish(bulk)
        peer = network_of(self).peer()
        self.ids = {
            "cpo_id": accepted["cpo_id"],
            "location_id": job["results"]["created"][0]["id"],
            "evse_uid": self._evse_uid(),
            "job_id": bulk["job_id"],
            "exchange_id": self._exchange_id(),
            "connection_id": str(peer.connection_id),
            "uid": self._command_uid(peer),
            **self._object_ids(peer),
            "invitation_id": gateway.data(f"{self.url}/invitations")["data"][0]["invitation_id"],
            "brand_slug": "wallbox",
            "model_slug": "wallbox-pulsar-plus",
        }
        private = ("location_id", "evse_uid", "job_id", "invitation_id", "uid", *OBJECT_IDS)
        self.private_texts = {*(self.ids[name] for name in private), *self._texts()}

    def _evse_uid(self) -> str:
        """The uid of the only EVSE at the location, which no other network has."""
        return f"N{self.accepted['cpo_id']}_001"

    def _location(self) -> Any:
        """The order of a location with one EVSE."""
        prefix = self._evse_uid().removesuffix("001")
        template = {**example("OcpiChargerTemplate"), "identity_prefix": prefix}
        charges = [{"template": template, "charger_ids": ["001"]}]
        return {**example("OcpiCreateLocationRequest"), "charges": charges}

    def _exchange_id(self) -> str:
        """The id of an exchange with the back office."""
        assert self.gateway.operator(self.accepted).get("locations").ok
        deadline = time.monotonic() + 60
        while not (found := self.gateway.data(f"{self.url}/exchanges")["data"]):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return str(found[0]["exchange_id"])

    def _command_uid(self, peer: Client) -> str:
        """The uid of a command that the network received."""
        response_url = "http://127.0.0.1:9999/result"
        assert peer.post("commands/STOP_SESSION", {"response_url": response_url, "session_id": "1"}).ok
        return str(self.gateway.data(f"{self.url}/commands")["data"][0]["uid"])

    def _session_id(self, peer: Client) -> str:
        """The id of a running session."""
        network = network_of(self)
        assert peer.put(peer.at("tokens", "012345678"), ocpi_example("Token", whitelist="ALWAYS")).ok
        place = network.operator().data("locations")[0]
        body = {"location_id": place["id"], "evse_uid": place["evses"][0]["uid"], "token_uid": "012345678"}
        seed = {"seed": int(self.accepted["cpo_id"]), "paused": True}
        assert self.gateway.request("PUT", f"{self.url}/simulation", json=seed).ok
        response = self.gateway.post(f"{self.url}/sessions", body)
        assert 201 == response.status_code, response.text
        return str(response.json()["session_id"])

    def _object_ids(self, peer: Client) -> dict[str, str]:
        """The ids of an object of each kind, which no other network has."""
        operator = self.gateway.operator(self.accepted)
        ids = {name: f"{name[0]}-{self.accepted['cpo_id']}" for name in OBJECT_IDS}
        ids["session_id"] = self._session_id(peer)
        tariff = ocpi_example("Tariff", id=ids["tariff_id"])
        assert operator.put(operator.at("tariffs", tariff["id"]), tariff).ok
        assert operator.post("cdrs", ocpi_example("CDR", id=ids["cdr_id"])).ok
        token = ocpi_example("Token", uid=ids["token_uid"])
        assert peer.put(peer.at("tokens", token["uid"]), token).ok
        return ids

    def _texts(self) -> Iterator[str]:
        for site in self.gateway.data(f"{self.url}/locations")["data"]:
            yield from (site["slug"], site["id"])
            yield from (charger["identity"] for charger in site["chargers"])


@pytest.fixture(scope="module")
def seeded(node: Node) -> tuple[SeededNetwork, SeededNetwork, SeededNetwork]:
    """Two networks of one organization, and one of another organization."""
    gateway = node.gateway()
    return SeededNetwork(gateway), SeededNetwork(gateway), SeededNetwork(node.gateway())


# Invalid credentials


def network_of(own_network: SeededNetwork) -> Network:
    """The network as an object that can create tokens of every kind."""
    found = in_transaction(networks.get, int(own_network.accepted["cpo_id"]))
    assert found is not None
    return Network(own_network.gateway.node, found)


INVALID_CREDENTIALS: dict[str, Callable[[SeededNetwork], str | None]] = {
    "nothing": lambda _: None,
    "empty": lambda _: "",
    "Bearer alone": lambda _: "Bearer",
    "Bearer and a blank": lambda _: "Bearer ",
    "two blanks": lambda own_network: f"Bearer  {own_network.gateway.key}",
    "two words": lambda own_network: f"Bearer {own_network.gateway.key} more",
    "no scheme": lambda own_network: str(own_network.gateway.key),
    "Basic": lambda own_network: f"Basic {own_network.gateway.key}",
    "Token": lambda own_network: f"Token {own_network.gateway.key}",
    "an unknown key": lambda _: "Bearer ogk_" + "x" * 43,
    "a key cut short": lambda own_network: f"Bearer {str(own_network.gateway.key)[:-1]}",
    "a key with its case swapped": lambda own_network: f"Bearer {str(own_network.gateway.key).swapcase()}",
    "a revoked key": lambda own_network: f"Bearer {revoked_key(own_network)}",
    "a digest": lambda _: "Bearer " + "0" * 64,
    "a JWT without an issuer": lambda own_network: (
        f"Bearer {signed(org_id=own_network.gateway.organization_id)}"
    ),
    "a JWT of none": lambda _: f"Bearer {forged({'alg': 'none'}, {'role': 'admin'})}",
    "very long": lambda _: "Bearer " + "x" * 5000,
    "OCPI Token A": lambda own_network: f"Bearer {network_of(own_network).token_a()}",
    "OCPI Token A as Token": lambda own_network: f"Token {own_network.accepted['token_a']}",
    "OCPI Token C": lambda own_network: f"Bearer {network_of(own_network).peer().token}",
    "OCPI operator": lambda own_network: f"Bearer {own_network.accepted['operator_token']}",
    "OCPI operator as Token": lambda own_network: f"Token {own_network.accepted['operator_token']}",
}


def revoked_key(own_network: SeededNetwork) -> str:
    """A revoked key of the organization."""
    name = next(
        k.organization
        for k in in_transaction(keys.listed)
        if k.organization_id == own_network.gateway.organization_id
    )
    minted = in_transaction(keys.mint, name, "user")
    assert in_transaction(keys.revoke, minted.id)
    return minted.key


@one_database
@pytest.mark.ocpi(218)
def test_every_operation_is_401_without_a_valid_key(
    seeded: tuple[SeededNetwork, SeededNetwork, SeededNetwork],
) -> None:
    own_network = seeded[0]
    headers = {name: header(own_network) for name, header in INVALID_CREDENTIALS.items()}
    before = contents()

    for (name, header), operation in itertools.product(headers.items(), OPERATIONS):
        sent = {} if header is None else {"Authorization": header}
        response = operation.send(Gateway(own_network.gateway.node, None), own_network.ids, **sent)
        assert 401 == refusal(response)[0], (name, operation, response.text)
        assert "Bearer" == response.headers["WWW-Authenticate"]
        assert not any(text in response.text for text in own_network.private_texts)

    assert [] == [row for table, row in moved(before, contents()) if table not in NOISY]


@one_database
@pytest.mark.ocpi(218)
@pytest.mark.parametrize("raw", [b"{", b"x" * 2_000_000], ids=["broken", "huge"])
def test_a_body_is_not_read_without_a_valid_key(node: Node, raw: bytes) -> None:
    anonymous = Gateway(node, None)

    for path in ("/ocpi/cpos", "/ocpi/cpos/1/locations", "/ocpi/cpos/1/locations/x"):
        method = "PATCH" if path.endswith("x") else "POST"
        response = anonymous.request(method, path, data=raw, headers={"Content-Type": "text/plain"})
        assert 401 == refusal(response)[0]


@one_database
@pytest.mark.ocpi(218)
@pytest.mark.parametrize("scheme", ["Token", "Bearer"])
@pytest.mark.parametrize("role", ["user", "admin"])
def test_a_key_of_the_gateway_is_401_in_the_peer_api(node: Node, scheme: str, role: str) -> None:
    key = node.gateway(role).key

    for side in ("cpo", "emsp"):
        client = node.client(None, side)
        for path in ("/ocpi/versions", f"/ocpi/{side}/versions", "", "credentials", "locations", "nothing"):
            response = client.request("GET", path, headers={"Authorization": f"{scheme} {key}"})
            assert (401, "Token") == (outcome(response)[0], response.headers["WWW-Authenticate"])


# Ids of another organization


@pytest.mark.ocpi(212)
def test_an_id_of_another_organization_is_404_like_an_unknown_id(
    seeded: tuple[SeededNetwork, SeededNetwork, SeededNetwork],
) -> None:
    """Every combination of ids in the path that belong to another organization, also with an admin's key."""
    own_network, _, other_network = seeded
    admin = own_network.gateway.node.gateway("admin")
    nowhere = {
        "cpo_id": "999999999999",
        "location_id": "nowhere",
        "job_id": UNKNOWN,
        "invitation_id": UNKNOWN,
        "uid": UNKNOWN,
        **dict.fromkeys(("evse_uid", *OBJECT_IDS), "nowhere"),
        "connection_id": "999999999999",
        "exchange_id": "9" * 12,
    }
    before = contents()

    for operation, client in itertools.product(OF_NETWORKS, (own_network.gateway, admin)):
        unknown = refusal(operation.send(client, nowhere))
        assert 404 == unknown[0], operation
        for names in combinations(operation.names):
            if operation.id == CREATES and "cpo_id" not in names:
                continue
            ids = {
                name: (other_network if name in names else own_network).ids[name] for name in operation.names
            }
            assert unknown == refusal(operation.send(client, ids)), (operation, names)
            ids |= {name: nowhere[name] for name in operation.names if name not in names}
            assert unknown == refusal(operation.send(client, ids)), (operation, names)
    assert [] == [row for table, row in moved(before, contents()) if table not in NOISY]


def combinations(names: list[str]) -> Iterator[list[str]]:
    """Every non-empty subset of *names*."""
    for mask in range(1, 2 ** len(names)):
        yield [name for n, name in enumerate(names) if mask >> n & 1]


@pytest.mark.ocpi(212)
def test_an_id_of_one_network_is_404_in_another_network(
    seeded: tuple[SeededNetwork, SeededNetwork, SeededNetwork],
) -> None:
    first, second, _ = seeded
    before = contents()

    for operation in (o for o in OF_NETWORKS if len(o.names) > 1 and o.id != CREATES):
        response = operation.send(first.gateway, {**first.ids, "cpo_id": second.ids["cpo_id"]})
        assert 404 == refusal(response)[0], operation
    assert [] == [row for table, row in moved(before, contents()) if table not in NOISY]


@pytest.mark.ocpi(212)
def test_the_provisioning_job_of_a_network_is_not_a_bulk_job(
    seeded: tuple[SeededNetwork, SeededNetwork, SeededNetwork],
) -> None:
    job = seeded[0].accepted["workflow_run_id"]

    assert 404 == refusal(seeded[0].gateway.get(f"{seeded[0].url}/locations/jobs/{job}"))[0]


# Organizations


@one_database
@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.method == "GET"], ids=str)
@pytest.mark.parametrize("role", ["user", "admin"])
def test_both_roles_may_read_everything_of_their_organization(
    seeded: tuple[SeededNetwork, SeededNetwork, SeededNetwork], operation: Operation, role: str
) -> None:
    own_network = seeded[0]
    organization_id = own_network.gateway.organization_id
    name = next(k.organization for k in in_transaction(keys.listed) if k.organization_id == organization_id)
    colleague = own_network.gateway.node.gateway(role, name)
    admin = own_network.gateway.node.gateway("admin")

    assert 200 == operation.send(colleague, own_network.ids).status_code
    assert (
        200
        == operation.send(colleague, own_network.ids, **{"X-Organization-Id": organization_id}).status_code
    )
    assert 200 == operation.send(admin, own_network.ids, **{"X-Organization-Id": organization_id}).status_code


@one_database
@pytest.mark.ocpi(218)
@pytest.mark.parametrize("role", ["user", "admin"])
def test_an_unknown_organization_is_403(
    seeded: tuple[SeededNetwork, SeededNetwork, SeededNetwork], role: str
) -> None:
    own_network, other_network = seeded[0], seeded[2]
    name = next(
        k.organization
        for k in in_transaction(keys.listed)
        if k.organization_id == own_network.gateway.organization_id
    )
    colleague = own_network.gateway.node.gateway(role, name)
    organizations = [UNKNOWN, "x", "x" * 64, "x" * 5000, "", name, f"{UNKNOWN}, {UNKNOWN}", "' OR 1=1"]
    if role == "user":
        organizations.append(other_network.gateway.organization_id)
    before = contents()

    for operation, organization in itertools.product(OF_TENANTS, organizations):
        response = operation.send(colleague, own_network.ids, **{"X-Organization-Id": organization})
        assert 403 == refusal(response)[0], (operation, organization, response.text)
        assert not any(
            text in response.text for text in own_network.private_texts | other_network.private_texts
        )
    assert [] == [row for table, row in moved(before, contents()) if table not in NOISY]


def test_an_admin_acts_in_its_own_or_in_the_named_organization(admin: Gateway, gateway: Gateway) -> None:
    headers = {"X-Organization-Id": gateway.organization_id}
    order = example("CpoCreateRequest")

    in_other = admin.request("POST", "/ocpi/cpos", json=order, headers=headers).json()
    in_own = admin.create(**order)

    assert [in_own["cpo_id"]] == [each["cpo_id"] for each in admin.data("/ocpi/cpos")["data"]]
    assert [in_other["cpo_id"]] == [each["cpo_id"] for each in gateway.data("/ocpi/cpos")["data"]]
    assert in_other["party"] == in_own["party"]
    assert 404 == refusal(admin.get(in_other["destroy_url"]))[0]
    assert 200 == admin.request("GET", in_other["destroy_url"], headers=headers).status_code
    gateway.finish(in_other)
    sites = gateway.data(f"{in_other['destroy_url']}/locations")["data"]
    assert {gateway.organization_id} == {site["organization_id"] for site in sites}
    assert 404 == refusal(admin.delete(in_other["destroy_url"]))[0]
    assert 204 == admin.request("DELETE", in_other["destroy_url"], headers=headers).status_code


def test_a_revoked_key_is_401_at_once(node: Node) -> None:
    minted = in_transaction(keys.mint, "revoked-soon", "user")
    gateway = Gateway(node, minted.key)
    assert 200 == gateway.get("/ocpi/cpos").status_code

    assert in_transaction(keys.revoke, minted.id)

    assert 401 == refusal(gateway.get("/ocpi/cpos"))[0]


# Unknown URLs and methods


@one_database
@pytest.mark.parametrize(
    "path",
    ["/ocpi/cpos/1/nothing", "/ocpi/cpos/1/locations/jobs/x/y", "/ocpi/templates", "/ocpp", "/ocpp/chargers"],
)
def test_an_unknown_url_is_401_without_a_key_and_404_with_one(gateway: Gateway, path: str) -> None:
    assert 401 == refusal(Gateway(gateway.node, None).get(path))[0]
    assert 404 == refusal(gateway.get(path))[0]


@one_database
@pytest.mark.parametrize("path", sorted({o.path for o in OPERATIONS}))
def test_an_undeclared_method_is_405_and_allow_lists_the_declared_ones(
    seeded: tuple[SeededNetwork, SeededNetwork, SeededNetwork], path: str
) -> None:
    declared = {o.method for o in OPERATIONS if o.path == path}
    url = path.format(**seeded[0].ids)

    for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - declared:
        response = seeded[0].gateway.request(method, url, json={})
        assert 405 == refusal(response)[0]
        assert declared == {word.strip() for word in response.headers["Allow"].split(",")} - {
            "HEAD",
            "OPTIONS",
        }


# JWT


@pytest.mark.ocpi(218)
def test_a_jwt_works_like_a_key_if_the_server_is_configured_for_it(another_node: Callable[..., Node]) -> None:
    other = another_node(jwt_secret=SECRET, jwt_issuer=ISSUER, jwt_audience=AUDIENCE, demo="0")
    with switch_to(other.environment):
        gateway, other_gateway = other.gateway(), other.gateway()
        own_id, other_id = gateway.organization_id, other_gateway.organization_id
        accepted = other_gateway.ready()

        def status(token: str, path: str = "/ocpi/cpos", **headers: str) -> int:
            return Gateway(other, token).request("GET", path, headers=headers).status_code

        user, admin = signed(org_id=own_id), signed(org_id=own_id, role="admin")
        there = {"X-Organization-Id": other_id}
        assert [200, 200] == [status(user), status(admin)]
        assert [404, 404] == [status(user, accepted["destroy_url"]), status(admin, accepted["destroy_url"])]
        assert [403, 200] == [status(t, accepted["destroy_url"], **there) for t in (user, admin)]
        assert 202 == Gateway(other, user).post("/ocpi/cpos", example("CpoCreateRequest")).status_code
        assert [1, 1] == [gateway.data("/ocpi/cpos")["total"], other_gateway.data("/ocpi/cpos")["total"]]
        for defect in ({"role": ...}, {"role": "root"}, {"org_id": ...}, {"org_id": UNKNOWN}, {"org_id": 1}):
            assert 403 == status(signed(**{"org_id": own_id, **defect}))
        for invalid in ({"exp": int(time.time()) - 5}, {"exp": ...}, {"iss": "else"}, {"aud": "else"}):
            assert 401 == status(signed(**{"org_id": own_id, **invalid}))
        assert 401 == status(signed("t" * 32, org_id=own_id))
        assert 401 == status(signed(OTHER_RSA_KEY, "RS256", org_id=own_id))
        assert 401 == status(forged({"alg": "none"}, {"org_id": own_id, "role": "admin"}))
        assert 401 == other.client(user).get("versions").status_code
        assert user not in other.log
