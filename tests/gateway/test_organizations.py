"""Who may see what in the gateway: keys, roles, organizations.

docs/gateway.md "Keys and organizations". Conformance 212, 218.

The cases come from the contract: every operation, and every id that a path has.
"""

import itertools
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import requests
from gateway_orders import BOOK, example
from inspection import contents, moved
from jwts import AUDIENCE, ISSUER, OTHER_RSA_KEY, SECRET, forged, signed
from nodes import Gateway, Network, Node, at_once, one_database, outcome, refusal, switch_to

from storage import keys, networks

METHODS = ("get", "post", "patch", "put", "delete")
BODIES = {
    "create_network": example("CpoCreateRequest"),
    "create_locations": {"locations": [example("OcpiCreateLocationRequest")]},
    "update_location": {"name": "Mine now"},
}
NOISY = {"gw_jobs", "gw_job_items"}
"""Tables that jobs of other tests may still move."""
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
        """The ids in its path."""
        return re.findall(r"{(\w+)}", self.path)

    def send(self, by: Gateway, ids: dict[str, str], **headers: str) -> requests.Response:
        """Send it, with a body that is right."""
        url = self.path.format(**ids)
        return by.request(self.method, url, json=BODIES.get(self.id), headers=headers)


OPERATIONS = [
    Operation(method.upper(), path, item[method]["operationId"])
    for path, item in BOOK.document["paths"].items()
    for method in METHODS
    if method in item
]
OF_NETWORKS = [o for o in OPERATIONS if "cpo_id" in o.names]
OF_TENANTS = [o for o in OPERATIONS if o.path.startswith("/ocpi/cpos") and "templates" not in o.path]


class Home:
    """A network with a location and a job, and the ids that a URL may have."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        accepted = gateway.ready(overrides={"locations": 1, "chargers_per_location": 1})
        self.url = accepted["destroy_url"]
        self.accepted = accepted
        order = {"locations": [example("OcpiCreateLocationRequest")]}
        bulk = gateway.create(f"{self.url}/locations", **order)
        job = gateway.wait_until_ready(bulk["status_url"])
        self.ids = {
            "cpo_id": accepted["cpo_id"],
            "location_id": job["results"]["created"][0]["id"],
            "job_id": bulk["job_id"],
            "brand_slug": "wallbox",
            "model_slug": "wallbox-pulsar-plus",
        }
        self.marks = {self.ids["location_id"], self.ids["job_id"], *self._texts()}

    def _texts(self) -> Iterator[str]:
        for site in self.gateway.data(f"{self.url}/locations")["data"]:
            yield from (site["slug"], site["id"])
            yield from (charger["identity"] for charger in site["chargers"])


@pytest.fixture(scope="module")
def homes(node: Node) -> tuple[Home, Home, Home]:
    """Two networks of one organization, and one of another."""
    mine = node.gateway()
    return Home(mine), Home(mine), Home(node.gateway())


# Nobody


def network_of(home: Home) -> Network:
    """The network, with tokens of every kind to be had."""
    found = at_once(networks.get, int(home.ids["cpo_id"]))
    assert found is not None
    return Network(home.gateway.node, found)


NOBODIES: dict[str, Callable[[Home], str | None]] = {
    "nothing": lambda _: None,
    "empty": lambda _: "",
    "Bearer alone": lambda _: "Bearer",
    "Bearer and a blank": lambda _: "Bearer ",
    "two blanks": lambda home: f"Bearer  {home.gateway.key}",
    "two words": lambda home: f"Bearer {home.gateway.key} more",
    "no scheme": lambda home: str(home.gateway.key),
    "Basic": lambda home: f"Basic {home.gateway.key}",
    "Token": lambda home: f"Token {home.gateway.key}",
    "an unknown key": lambda _: "Bearer ogk_" + "x" * 43,
    "a key cut short": lambda home: f"Bearer {str(home.gateway.key)[:-1]}",
    "a key in other letters": lambda home: f"Bearer {str(home.gateway.key).swapcase()}",
    "a key that was revoked": lambda home: f"Bearer {revoked(home)}",
    "a digest": lambda _: "Bearer " + "0" * 64,
    "a JWT without an issuer": lambda home: f"Bearer {signed(org_id=home.gateway.organization_id)}",
    "a JWT of none": lambda _: f"Bearer {forged({'alg': 'none'}, {'role': 'admin'})}",
    "very long": lambda _: "Bearer " + "x" * 5000,
    "OCPI Token A": lambda home: f"Bearer {network_of(home).token_a()}",
    "OCPI Token A as Token": lambda home: f"Token {home.accepted['token_a']}",
    "OCPI Token C": lambda home: f"Bearer {network_of(home).peer().token}",
    "OCPI operator": lambda home: f"Bearer {home.accepted['operator_token']}",
    "OCPI operator as Token": lambda home: f"Token {home.accepted['operator_token']}",
}


def revoked(home: Home) -> str:
    """A key of the organization that is no more."""
    name = next(
        k.organization for k in at_once(keys.listed) if k.organization_id == home.gateway.organization_id
    )
    minted = at_once(keys.mint, name, "user")
    assert at_once(keys.revoke, minted.id)
    return minted.key


@one_database
@pytest.mark.ocpi(218)
def test_nobody_gets_401_from_every_operation(homes: tuple[Home, Home, Home]) -> None:
    home = homes[0]
    headers = {who: header(home) for who, header in NOBODIES.items()}
    before = contents()

    for (who, header), operation in itertools.product(headers.items(), OPERATIONS):
        sent = {} if header is None else {"Authorization": header}
        response = operation.send(Gateway(home.gateway.node, None), home.ids, **sent)
        assert 401 == refusal(response)[0], (who, operation, response.text)
        assert "Bearer" == response.headers["WWW-Authenticate"]
        assert not any(mark in response.text for mark in home.marks)

    assert [] == [row for table, row in moved(before, contents()) if table not in NOISY]


@one_database
@pytest.mark.ocpi(218)
@pytest.mark.parametrize("raw", [b"{", b"x" * 2_000_000], ids=["broken", "huge"])
def test_nobody_learns_nothing_of_a_body(node: Node, raw: bytes) -> None:
    nobody = Gateway(node, None)

    for path in ("/ocpi/cpos", "/ocpi/cpos/1/locations", "/ocpi/cpos/1/locations/x"):
        method = "PATCH" if path.endswith("x") else "POST"
        response = nobody.request(method, path, data=raw, headers={"Content-Type": "text/plain"})
        assert 401 == refusal(response)[0]


@one_database
@pytest.mark.ocpi(218)
@pytest.mark.parametrize("scheme", ["Token", "Bearer"])
@pytest.mark.parametrize("role", ["user", "admin"])
def test_a_key_of_the_gateway_opens_no_ocpi(node: Node, scheme: str, role: str) -> None:
    key = node.gateway(role).key

    for side in ("cpo", "emsp"):
        client = node.client(None, side)
        for path in ("/ocpi/versions", f"/ocpi/{side}/versions", "", "credentials", "locations", "nothing"):
            response = client.request("GET", path, headers={"Authorization": f"{scheme} {key}"})
            assert (401, "Token") == (outcome(response)[0], response.headers["WWW-Authenticate"])


# Foreign ids


@pytest.mark.ocpi(212)
def test_a_foreign_id_is_404_like_one_that_is_not_there(homes: tuple[Home, Home, Home]) -> None:
    """Every id of the path that is another organization's, in every combination, and an admin's key too."""
    mine, _, foreign = homes
    boss = mine.gateway.node.gateway("admin")
    nowhere = {"cpo_id": "999999999999", "location_id": "nowhere", "job_id": UNKNOWN}
    before = contents()

    for operation, who in itertools.product(OF_NETWORKS, (mine.gateway, boss)):
        unknown = refusal(operation.send(who, nowhere))
        assert 404 == unknown[0], operation
        for names in combinations(operation.names):
            ids = {name: (foreign if name in names else mine).ids[name] for name in operation.names}
            assert unknown == refusal(operation.send(who, ids)), (operation, names)
            ids |= {name: nowhere[name] for name in operation.names if name not in names}
            assert unknown == refusal(operation.send(who, ids)), (operation, names)
    assert [] == [row for table, row in moved(before, contents()) if table not in NOISY]


def combinations(names: list[str]) -> Iterator[list[str]]:
    """Every choice of some of them."""
    for mask in range(1, 2 ** len(names)):
        yield [name for n, name in enumerate(names) if mask >> n & 1]


@pytest.mark.ocpi(212)
def test_what_is_in_a_network_is_404_in_the_other_one(homes: tuple[Home, Home, Home]) -> None:
    one, other, _ = homes
    before = contents()

    for operation in (o for o in OF_NETWORKS if {"location_id", "job_id"} & {*o.names}):
        response = operation.send(one.gateway, {**one.ids, "cpo_id": other.ids["cpo_id"]})
        assert 404 == refusal(response)[0], operation
    assert [] == [row for table, row in moved(before, contents()) if table not in NOISY]


@pytest.mark.ocpi(212)
def test_the_job_that_made_a_network_is_no_bulk_job(homes: tuple[Home, Home, Home]) -> None:
    job = homes[0].accepted["workflow_run_id"]

    assert 404 == refusal(homes[0].gateway.get(f"{homes[0].url}/locations/jobs/{job}"))[0]


# Organizations


@one_database
@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.method == "GET"], ids=str)
@pytest.mark.parametrize("role", ["user", "admin"])
def test_both_roles_may_read_all_that_is_theirs(
    homes: tuple[Home, Home, Home], operation: Operation, role: str
) -> None:
    home = homes[0]
    own = home.gateway.organization_id
    name = next(k.organization for k in at_once(keys.listed) if k.organization_id == own)
    colleague = home.gateway.node.gateway(role, name)
    boss = home.gateway.node.gateway("admin")

    assert 200 == operation.send(colleague, home.ids).status_code
    assert 200 == operation.send(colleague, home.ids, **{"X-Organization-Id": own}).status_code
    assert 200 == operation.send(boss, home.ids, **{"X-Organization-Id": own}).status_code


@pytest.mark.ocpi(218)
@pytest.mark.parametrize("role", ["user", "admin"])
def test_an_organization_that_is_not_there_is_403(homes: tuple[Home, Home, Home], role: str) -> None:
    home, foreign = homes[0], homes[2]
    name = next(
        k.organization for k in at_once(keys.listed) if k.organization_id == home.gateway.organization_id
    )
    colleague = home.gateway.node.gateway(role, name)
    wrong = [UNKNOWN, "x", "x" * 64, "x" * 5000, "", name, f"{UNKNOWN}, {UNKNOWN}", "' OR 1=1"]
    if role == "user":
        wrong.append(foreign.gateway.organization_id)
    before = contents()

    for operation, organization in itertools.product(OF_TENANTS, wrong):
        response = operation.send(colleague, home.ids, **{"X-Organization-Id": organization})
        assert 403 == refusal(response)[0], (operation, organization, response.text)
        assert not any(mark in response.text for mark in home.marks | foreign.marks)
    assert [] == [row for table, row in moved(before, contents()) if table not in NOISY]


def test_an_admin_acts_at_home_or_where_it_says(admin: Gateway, gateway: Gateway) -> None:
    there = {"X-Organization-Id": gateway.organization_id}
    order = example("CpoCreateRequest")

    made_there = admin.request("POST", "/ocpi/cpos", json=order, headers=there).json()
    made_here = admin.create(**order)

    assert [made_here["cpo_id"]] == [each["cpo_id"] for each in admin.data("/ocpi/cpos")["data"]]
    assert [made_there["cpo_id"]] == [each["cpo_id"] for each in gateway.data("/ocpi/cpos")["data"]]
    assert made_there["party"] == made_here["party"]
    assert 404 == refusal(admin.get(made_there["destroy_url"]))[0]
    assert 200 == admin.request("GET", made_there["destroy_url"], headers=there).status_code
    gateway.wait_until_ready(made_there["status_url"])
    sites = gateway.data(f"{made_there['destroy_url']}/locations")["data"]
    assert {gateway.organization_id} == {site["organization_id"] for site in sites}
    assert 404 == refusal(admin.delete(made_there["destroy_url"]))[0]
    assert 204 == admin.request("DELETE", made_there["destroy_url"], headers=there).status_code


def test_a_revoked_key_is_nobody_at_once(node: Node) -> None:
    minted = at_once(keys.mint, "revoked-soon", "user")
    gateway = Gateway(node, minted.key)
    assert 200 == gateway.get("/ocpi/cpos").status_code

    assert at_once(keys.revoke, minted.id)

    assert 401 == refusal(gateway.get("/ocpi/cpos"))[0]


# Unknown URLs and methods


@one_database
@pytest.mark.parametrize(
    "path",
    ["/ocpi/cpos/1/nothing", "/ocpi/cpos/1/locations/jobs/x/y", "/ocpi/templates", "/ocpp", "/ocpp/chargers"],
)
def test_an_unknown_url_is_401_for_nobody_and_404_else(gateway: Gateway, path: str) -> None:
    assert 401 == refusal(Gateway(gateway.node, None).get(path))[0]
    assert 404 == refusal(gateway.get(path))[0]


@one_database
@pytest.mark.parametrize("path", sorted({o.path for o in OPERATIONS}))
def test_another_method_is_405_with_those_that_there_are(homes: tuple[Home, Home, Home], path: str) -> None:
    known = {o.method for o in OPERATIONS if o.path == path}
    url = path.format(**homes[0].ids)

    for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - known:
        response = homes[0].gateway.request(method, url, json={})
        assert 405 == refusal(response)[0]
        assert known == {word.strip() for word in response.headers["Allow"].split(",")} - {"HEAD", "OPTIONS"}


# JWT


@pytest.mark.ocpi(218)
def test_a_jwt_serves_as_a_key_where_the_server_is_set_up_for_it(another_node: Callable[..., Node]) -> None:
    other = another_node(jwt_secret=SECRET, jwt_issuer=ISSUER, jwt_audience=AUDIENCE, demo="0")
    with switch_to(other.environment):
        home, foreign = other.gateway(), other.gateway()
        mine, theirs = home.organization_id, foreign.organization_id
        accepted = foreign.ready()

        def status(token: str, path: str = "/ocpi/cpos", **headers: str) -> int:
            return Gateway(other, token).request("GET", path, headers=headers).status_code

        user, boss = signed(org_id=mine), signed(org_id=mine, role="admin")
        there = {"X-Organization-Id": theirs}
        assert [200, 200] == [status(user), status(boss)]
        assert [404, 404] == [status(user, accepted["destroy_url"]), status(boss, accepted["destroy_url"])]
        assert [403, 200] == [status(t, accepted["destroy_url"], **there) for t in (user, boss)]
        assert 202 == Gateway(other, user).post("/ocpi/cpos", example("CpoCreateRequest")).status_code
        assert [1, 1] == [home.data("/ocpi/cpos")["total"], foreign.data("/ocpi/cpos")["total"]]
        for lacking in ({"role": ...}, {"role": "root"}, {"org_id": ...}, {"org_id": UNKNOWN}, {"org_id": 1}):
            assert 403 == status(signed(**{"org_id": mine, **lacking}))
        for wrong in ({"exp": int(time.time()) - 5}, {"exp": ...}, {"iss": "else"}, {"aud": "else"}):
            assert 401 == status(signed(**{"org_id": mine, **wrong}))
        assert 401 == status(signed("t" * 32, org_id=mine))
        assert 401 == status(signed(OTHER_RSA_KEY, "RS256", org_id=mine))
        assert 401 == status(forged({"alg": "none"}, {"org_id": mine, "role": "admin"}))
        assert 401 == other.client(user).get("versions").status_code
        assert user not in other.log
