"""Networks end: deleted, expired, while they are being made.

docs/gateway.md "Ending a network". Conformance 213, 217.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy
from gateway_orders import example
from inspection import rows
from nodes import Gateway, Network, Node, at_once, outcome, refusal, switch_to
from peers import PeerServer
from seeded_network import furnish

from storage import access, database, ended_tokens, jobs, networks, timestamps
from storage.schema import METADATA

NOBODYS = {"gw_organizations", "gw_keys", "gw_job_items", "gw_installation", "ocpi_ended_tokens"}
"""Tables of ours without a network; the items of a job are looked for by the job."""
KEPT = {"gw_tombstones", "gw_jobs"}
LONG = {"locations": 100, "chargers_per_location": 50}
"""An order that takes seconds."""
GONE = 60.0
"""Seconds after which the rows of a network that has expired are gone on any machine."""


def schema() -> sqlalchemy.MetaData:
    """Every table of the database, the engine's too."""
    found = sqlalchemy.MetaData()
    with database.connect() as connection:
        names = sqlalchemy.inspect(connection).get_schema_names()
        for name in [None, *({"dbos"} & set(names))]:
            found.reflect(connection, schema=name)
    return found


def rows_of(cpo_id: str) -> dict[str, int]:
    """How many rows each table has of a network."""
    counted = {}
    with database.connect() as connection:
        for table in schema().tables.values():
            if "network_id" in table.c:
                of = table.c.network_id == int(cpo_id)
                counted[table.name] = connection.execute(
                    sqlalchemy.select(sqlalchemy.func.count()).select_from(table).where(of)
                ).scalar_one()
    counted["gw_networks"] = sum(row["id"] == int(cpo_id) for row in rows("gw_networks"))
    mine = {row["id"] for row in rows("gw_jobs") if row["network_id"] == int(cpo_id)}
    counted["gw_job_items"] = sum(row["job_id"] in mine for row in rows("gw_job_items"))
    return counted


def remains(cpo_id: str) -> set[str]:
    """The tables that have rows of a network."""
    return {name for name, count in rows_of(cpo_id).items() if count}


def unfinished_runs(*job_ids: str) -> list[Any]:
    """What the engine would still work at."""
    [table] = [table for table in schema().tables.values() if table.name == "workflow_status"]
    with database.connect() as connection:
        found = connection.execute(
            sqlalchemy.select(table.c.status).where(table.c.workflow_uuid.in_(job_ids))
        ).scalars()
        return [status for status in found if status in {"PENDING", "ENQUEUED", "DELAYED"}]


def ended_meanwhile(gateway: Gateway, end: Callable[[Any], None], **order: Any) -> Any:
    """The answer to the order of a network that *end* ended while its job ran.

    A job that was over before leaves with its network; then another network is ordered.
    """
    for _ in range(20):
        accepted = gateway.create(overrides=LONG, **order)
        end(accepted)
        if at_once(jobs.get, accepted["workflow_run_id"]) is not None:
            return accepted
    raise AssertionError("every job was over before its network")


def furnished(gateway: Gateway, **order: Any) -> tuple[Any, Network]:
    """A READY network with rows in as many tables as one can have, and its answer."""
    accepted = gateway.ready(country_code="NL", party_id="DEM", **order)
    found = at_once(networks.get, int(accepted["cpo_id"]))
    assert found is not None
    network = Network(gateway.node, found)
    furnish(network)
    return accepted, network


def expire(cpo_id: str) -> None:
    """Let the time of a network be over."""
    with database.transaction() as connection:
        connection.execute(
            sqlalchemy.text("UPDATE gw_networks SET expires_at = :then WHERE id = :id"),
            {"then": timestamps.now_ms() - 1, "id": int(cpo_id)},
        )


def everything(accepted: Any) -> list[tuple[str, str, Any]]:
    """Every call on a network."""
    url = accepted["destroy_url"]
    place = {"locations": [example("OcpiCreateLocationRequest")]}
    return [
        ("GET", url, None),
        ("GET", f"{url}/status", None),
        ("GET", f"{url}/report", None),
        ("GET", f"{url}/locations", None),
        ("POST", f"{url}/locations", place),
        ("GET", f"{url}/locations/jobs/{accepted['workflow_run_id']}", None),
        ("GET", f"{url}/locations/x", None),
        ("PATCH", f"{url}/locations/x", {}),
        ("DELETE", f"{url}/locations/x", None),
    ]


def assert_dead(gateway: Gateway, accepted: Any, *tokens: str | None) -> None:
    """Nothing of the network answers any more."""
    for method, path, body in everything(accepted):
        assert 404 == gateway.request(method, path, json=body).status_code, (method, path)
    assert accepted["cpo_id"] not in {each["cpo_id"] for each in gateway.data("/ocpi/cpos")["data"]}
    role = accepted["party"]["role"].lower()
    for token in (accepted["token_a"], accepted["operator_token"], *tokens):
        for path in ("", "locations", "credentials", "/ocpi/cpo/versions", "/ocpi/versions"):
            assert 401 == gateway.node.client(token, role).get(path).status_code, path


# Deleted


@pytest.mark.ocpi(213)
@pytest.mark.parametrize("role", ["cpo", "emsp"])
def test_a_deleted_network_is_dead_at_once_and_leaves_no_row_but_its_tombstone(
    gateway: Gateway, role: str
) -> None:
    template = {"cpo": "small-urban-ac", "emsp": "emsp-drivers"}[role]
    accepted, network = furnished(gateway, role=role, template=template)
    peer, spare = network.peer(("BE", "TWO")), network.token_a()
    if role == "cpo":
        url = f"{accepted['destroy_url']}/locations"
        order = {"locations": [example("OcpiCreateLocationRequest")]}
        made = gateway.wait_until_ready(gateway.post(url, order, Idempotency_Key="k").json()["status_url"])
        gateway.delete(f"{url}/{made['results']['created'][0]['id']}")
    assert {"gw_networks", "gw_jobs", "gw_job_items", "ocpi_access", "ocpi_connections"} <= remains(
        accepted["cpo_id"]
    )

    response = gateway.delete(accepted["destroy_url"])

    assert (204, b"") == (response.status_code, response.content)
    assert_dead(gateway, accepted, peer.token, spare)
    assert {"gw_tombstones"} == remains(accepted["cpo_id"])
    assert 1 == rows_of(accepted["cpo_id"])["gw_tombstones"]
    assert {row["job_id"] for row in rows("gw_job_items")} <= {row["id"] for row in rows("gw_jobs")}


def test_the_tables_without_a_network_are_known() -> None:
    """A new table has a network_id, or somebody thinks about its end."""
    assert NOBODYS == {table.name for table in METADATA.tables.values() if "network_id" not in table.c} - {
        "gw_networks"
    }


@pytest.mark.ocpi(213)
def test_to_delete_again_is_204_and_what_was_never_there_is_404(gateway: Gateway, stranger: Gateway) -> None:
    accepted = gateway.create()
    url = accepted["destroy_url"]
    foreign = stranger.create()["destroy_url"]

    assert 404 == refusal(stranger.delete(url))[0]
    assert 200 == gateway.get(url).status_code
    assert [204, 204, 204] == [gateway.delete(url).status_code for _ in range(3)]
    assert 404 == refusal(stranger.delete(url))[0]
    assert 404 == refusal(gateway.delete(foreign))[0]
    assert 200 == stranger.get(foreign).status_code
    assert 404 == refusal(gateway.delete("/ocpi/cpos/999999999999"))[0]


@pytest.mark.ocpi(213)
def test_an_id_is_never_used_again(gateway: Gateway) -> None:
    seen: list[int] = []
    for _ in range(4):
        accepted = gateway.create()
        seen.append(int(accepted["cpo_id"]))
        gateway.delete(accepted["destroy_url"])

    assert sorted(set(seen)) == seen
    assert 404 == gateway.get(f"/ocpi/cpos/{seen[0]}").status_code


@pytest.mark.ocpi(213)
@pytest.mark.parametrize("began", [False, True], ids=["at once", "after it began"])
def test_the_job_of_a_network_that_is_deleted_meanwhile_is_cancelled(gateway: Gateway, began: bool) -> None:  # noqa: FBT001  (a case)
    def delete(accepted: Any) -> None:
        while began and not gateway.data(accepted["destroy_url"])["topology"]["locations"]:
            time.sleep(0.05)
        assert 204 == gateway.delete(accepted["destroy_url"]).status_code

    accepted = ended_meanwhile(gateway, delete)
    cpo_id, job_id = accepted["cpo_id"], accepted["workflow_run_id"]

    assert_dead(gateway, accepted)
    job = at_once(jobs.get, job_id)
    assert job is not None
    assert job.failure is not None
    assert ("FAILED", "cancelled", False) == (job.status, job.failure.code, job.failure.retryable)
    assert KEPT == remains(cpo_id)
    deadline = time.monotonic() + GONE
    while unfinished_runs(job_id) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [] == unfinished_runs(job_id)
    time.sleep(0.5)
    assert KEPT == remains(cpo_id)
    assert job == at_once(jobs.get, job_id)


@pytest.mark.ocpi(213)
def test_a_bulk_job_of_a_network_that_is_deleted_meanwhile_is_cancelled(gateway: Gateway) -> None:
    accepted = gateway.ready()
    bulk = gateway.create(
        f"{accepted['destroy_url']}/locations", locations=[{"template": "urban-ac-hub"}] * 2000
    )

    assert 204 == gateway.delete(accepted["destroy_url"]).status_code

    job = at_once(jobs.get, bulk["job_id"])
    assert job is not None
    assert ("FAILED", "cancelled") == (job.status, job.failure and job.failure.code)
    assert None is at_once(jobs.get, accepted["workflow_run_id"])
    assert KEPT == remains(accepted["cpo_id"])
    assert 404 == refusal(gateway.get(bulk["status_url"]))[0]


def test_deletions_at_the_same_time_are_all_204(gateway: Gateway) -> None:
    accepted = gateway.create(overrides={"locations": 30})
    others = [Gateway(gateway.node, gateway.key, gateway.organization_id) for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(lambda each: each.delete(accepted["destroy_url"]).status_code, others))

    assert [204] * 4 == statuses
    assert {"gw_tombstones", "gw_jobs"} >= remains(accepted["cpo_id"])
    assert 1 == rows_of(accepted["cpo_id"])["gw_tombstones"]


# Expired


@pytest.mark.ocpi(217)
def test_an_expired_network_is_dead_at_once_and_its_rows_go(gateway: Gateway) -> None:
    accepted, network = furnished(gateway, ttl_seconds=60)
    peer = network.peer(("BE", "TWO"))
    assert (200, 1000) == outcome(gateway.operator(accepted).get("locations"))

    expire(accepted["cpo_id"])
    over = time.monotonic()

    assert_dead(gateway, accepted, peer.token)
    while remains(accepted["cpo_id"]) != {"gw_tombstones"}:
        assert time.monotonic() - over < GONE, rows_of(accepted["cpo_id"])
        time.sleep(0.1)
    assert_dead(gateway, accepted, peer.token)
    assert 204 == gateway.delete(accepted["destroy_url"]).status_code


@pytest.mark.ocpi(217)
def test_a_network_that_expires_while_it_is_being_made_ends_likewise(gateway: Gateway) -> None:
    def let_expire(accepted: Any) -> None:
        expire(accepted["cpo_id"])
        over = time.monotonic()
        assert 404 == gateway.get(accepted["status_url"]).status_code
        while "gw_tombstones" not in remains(accepted["cpo_id"]):
            assert time.monotonic() - over < GONE, rows_of(accepted["cpo_id"])
            time.sleep(0.1)

    accepted = ended_meanwhile(gateway, let_expire, ttl_seconds=60)

    assert KEPT == remains(accepted["cpo_id"])
    job = at_once(jobs.get, accepted["workflow_run_id"])
    assert job is not None
    assert ("FAILED", "cancelled") == (job.status, job.failure and job.failure.code)


@pytest.mark.ocpi(217)
def test_a_network_that_lives_on_is_left_alone(gateway: Gateway) -> None:
    forever, long = gateway.ready(ttl_seconds=None), gateway.ready(ttl_seconds=604800)
    over = gateway.create()
    expire(over["cpo_id"])
    while "gw_networks" in remains(over["cpo_id"]):
        time.sleep(0.1)

    for accepted in (forever, long):
        assert 200 == gateway.get(accepted["destroy_url"]).status_code
        assert (200, 1000) == outcome(gateway.operator(accepted).get("locations"))


def test_a_registration_that_was_under_way_leaves_nothing(gateway: Gateway, peer: PeerServer) -> None:
    """The network ends while its peer is being asked for its versions."""
    accepted = gateway.ready()

    def end(_: Any) -> tuple[int, Any]:
        gateway.delete(accepted["destroy_url"])
        return 200, {"status_code": 1000, "timestamp": "2026-11-20T12:00:00Z", "data": []}

    peer.answers["/versions"] = end
    answer = gateway.node.client(accepted["token_a"], "cpo").post("credentials", peer.credentials())

    assert answer.status_code < 500, answer.text
    assert (200, 1000) != (answer.status_code, answer.json()["status_code"])
    assert {"gw_tombstones"} == remains(accepted["cpo_id"])


@pytest.mark.ocpi(213)
def test_half_a_deletion_is_finished_at_the_next_start(another_node: Callable[..., Node]) -> None:
    other = another_node()
    with switch_to(other.environment):
        gateway = other.gateway()
        accepted = gateway.ready()
        other.kill()
        with database.transaction() as transaction:
            networks.mark_deleting(transaction, int(accepted["cpo_id"]))
            access.end_network(transaction, int(accepted["cpo_id"]), ended_tokens.NETWORK_DELETED)
        assert {"gw_networks", "ocpi_locations", "gw_sites"} <= remains(accepted["cpo_id"])
        other.start()
        over = time.monotonic()
        while remains(accepted["cpo_id"]) != {"gw_tombstones"}:
            assert time.monotonic() - over < GONE, rows_of(accepted["cpo_id"])
            time.sleep(0.1)
