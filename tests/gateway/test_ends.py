"""The end of a network: deletion and expiry, of a finished network and during provisioning.

docs/gateway.md "Ending a network". Conformance 213, 217.
"""

import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy
from gateway_orders import example
from inspection import expire, rows
from nodes import Gateway, Network, Node, in_transaction, outcome, refusal, switch_to
from peers import PeerServer
from seeded_network import fill_network

from settings import settings
from storage import access, database, ended_tokens, jobs, networks
from storage.schema import METADATA

WITHOUT_NETWORK = {
    "gw_organizations", "gw_keys", "gw_job_items", "gw_job_steps", "gw_installation", "ocpi_ended_tokens",
}  # fmt: skip
"""Our tables without a network_id; the items and steps of a job refer to the job."""
KEPT = {"gw_tombstones", "gw_jobs"}
LONG = {"locations": 100, "chargers_per_location": 50}
"""Overrides that take seconds to provision."""
DEADLINE_SECONDS = 60.0
"""The longest time until the rows of an expired network are deleted, on any machine."""


@functools.cache
def schema(_database_url: str) -> sqlalchemy.MetaData:
    """Every table of the database, including those of DBOS."""
    found = sqlalchemy.MetaData()
    with database.connect() as connection:
        names = sqlalchemy.inspect(connection).get_schema_names()
        for name in [None, *({"dbos"} & set(names))]:
            found.reflect(connection, schema=name)
    return found


def rows_of(cpo_id: str) -> dict[str, int]:
    """The number of rows of a network in each table."""
    counts = {}
    with database.connect() as connection:
        for table in schema(settings().database).tables.values():
            if "network_id" in table.c:
                in_network = table.c.network_id == int(cpo_id)
                counts[table.name] = connection.execute(
                    sqlalchemy.select(sqlalchemy.func.count()).select_from(table).where(in_network)
                ).scalar_one()
    counts["gw_networks"] = len(rows("gw_networks", f"id = {cpo_id}"))
    jobs_of_network = f"SELECT id FROM gw_jobs WHERE network_id = {cpo_id}"  # noqa: S608
    for table in ("gw_job_items", "gw_job_steps"):
        counts[table] = len(rows(table, f"job_id IN ({jobs_of_network})"))
    return counts


def remaining_tables(cpo_id: str) -> set[str]:
    """The tables that still have rows of a network."""
    return {name for name, count in rows_of(cpo_id).items() if count}


def unfinished_runs(*job_ids: str) -> list[Any]:
    """The statuses of workflows that DBOS still has to run."""
    [table] = [
        table for table in schema(settings().database).tables.values() if table.name == "workflow_status"
    ]
    with database.connect() as connection:
        found = connection.execute(
            sqlalchemy.select(table.c.status).where(table.c.workflow_uuid.in_(job_ids))
        ).scalars()
        return [status for status in found if status in {"PENDING", "ENQUEUED", "DELAYED"}]


def end_during_provisioning(gateway: Gateway, end: Callable[[Any], None], **order: Any) -> Any:
    """Create a network, call *end* while its job runs, and return the response to the creation.

    A job that finishes earlier is deleted with its network; then another network is created.
    """
    for _ in range(20):
        accepted = gateway.create(overrides=LONG, **order)
        end(accepted)
        if in_transaction(jobs.get, accepted["workflow_run_id"]) is not None:
            return accepted
    raise AssertionError("every job finished before its network ended")


def network_with_rows(gateway: Gateway, **order: Any) -> tuple[Any, Network]:
    """A READY network with rows in as many tables as possible, and the response to its creation."""
    accepted = gateway.ready(country_code="NL", party_id="DEM", **order)
    found = in_transaction(networks.get, int(accepted["cpo_id"]))
    assert found is not None
    network = Network(gateway.node, found)
    fill_network(network)
    return accepted, network


def all_calls(accepted: Any) -> list[tuple[str, str, Any]]:
    """Method, URL and body of every operation on a network."""
    url = accepted["destroy_url"]
    order = {"locations": [example("OcpiCreateLocationRequest")]}
    return [
        ("GET", url, None),
        ("GET", f"{url}/status", None),
        ("GET", f"{url}/report", None),
        ("GET", f"{url}/locations", None),
        ("POST", f"{url}/locations", order),
        ("GET", f"{url}/locations/jobs/{accepted['workflow_run_id']}", None),
        ("GET", f"{url}/locations/x", None),
        ("PATCH", f"{url}/locations/x", {}),
        ("DELETE", f"{url}/locations/x", None),
    ]


def assert_ended(gateway: Gateway, accepted: Any, *tokens: str | None) -> None:
    """Assert that every URL of the network is 404 and that every token of it is 401."""
    for method, path, body in all_calls(accepted):
        assert 404 == gateway.request(method, path, json=body).status_code, (method, path)
    assert accepted["cpo_id"] not in {each["cpo_id"] for each in gateway.data("/ocpi/cpos")["data"]}
    role = accepted["party"]["role"].lower()
    for token in (accepted["token_a"], accepted["operator_token"], *tokens):
        for path in ("", "locations", "credentials", "/ocpi/cpo/versions", "/ocpi/versions"):
            assert 401 == gateway.node.client(token, role).get(path).status_code, path


# Deletion


@pytest.mark.ocpi(213)
@pytest.mark.parametrize("role", ["cpo", "emsp"])
def test_a_deleted_network_ends_at_once_and_leaves_only_its_tombstone(gateway: Gateway, role: str) -> None:
    template = {"cpo": "small-urban-ac", "emsp": "emsp-drivers"}[role]
    accepted, network = network_with_rows(gateway, role=role, template=template)
    peer, spare = network.peer(("BE", "TWO")), network.token_a()
    if role == "cpo":
        url = f"{accepted['destroy_url']}/locations"
        order = {"locations": [example("OcpiCreateLocationRequest")]}
        job = gateway.finish(gateway.post(url, order, Idempotency_Key="k").json())
        gateway.delete(f"{url}/{job['results']['created'][0]['id']}")
    assert {"gw_networks", "gw_jobs", "gw_job_items", "ocpi_access", "ocpi_connections"} <= remaining_tables(
        accepted["cpo_id"]
    )

    response = gateway.delete(accepted["destroy_url"])

    assert (204, b"") == (response.status_code, response.content)
    assert_ended(gateway, accepted, peer.token, spare)
    assert {"gw_tombstones"} == remaining_tables(accepted["cpo_id"])
    assert 1 == rows_of(accepted["cpo_id"])["gw_tombstones"]
    assert {row["job_id"] for row in rows("gw_job_items")} <= {row["id"] for row in rows("gw_jobs")}


def test_every_other_table_has_a_network_id() -> None:
    """A new table has a network_id, or its author decides when its rows are deleted."""
    assert WITHOUT_NETWORK == {
        table.name for table in METADATA.tables.values() if "network_id" not in table.c
    } - {"gw_networks"}


@pytest.mark.ocpi(213)
def test_a_second_deletion_is_204_and_an_unknown_network_is_404(gateway: Gateway, stranger: Gateway) -> None:
    accepted = gateway.create()
    url = accepted["destroy_url"]
    other_url = stranger.create()["destroy_url"]

    assert 404 == refusal(stranger.delete(url))[0]
    assert 200 == gateway.get(url).status_code
    assert [204, 204, 204] == [gateway.delete(url).status_code for _ in range(3)]
    assert 404 == refusal(stranger.delete(url))[0]
    assert 404 == refusal(gateway.delete(other_url))[0]
    assert 200 == stranger.get(other_url).status_code
    assert 404 == refusal(gateway.delete("/ocpi/cpos/999999999999"))[0]


@pytest.mark.ocpi(213)
def test_an_id_is_never_used_again(gateway: Gateway) -> None:
    ids: list[int] = []
    for _ in range(4):
        accepted = gateway.create()
        ids.append(int(accepted["cpo_id"]))
        gateway.delete(accepted["destroy_url"])

    assert sorted(set(ids)) == ids
    assert 404 == gateway.get(f"/ocpi/cpos/{ids[0]}").status_code


@pytest.mark.ocpi(213)
@pytest.mark.parametrize("started", [False, True], ids=["at once", "after its start"])
def test_deleting_a_network_cancels_its_provisioning_job(gateway: Gateway, started: bool) -> None:  # noqa: FBT001  (a case)
    def delete(accepted: Any) -> None:
        while started and not gateway.data(accepted["destroy_url"])["topology"]["locations"]:
            time.sleep(0.05)
        assert 204 == gateway.delete(accepted["destroy_url"]).status_code

    accepted = end_during_provisioning(gateway, delete)
    cpo_id, job_id = accepted["cpo_id"], accepted["workflow_run_id"]

    assert_ended(gateway, accepted)
    job = in_transaction(jobs.get, job_id)
    assert job is not None
    assert job.failure is not None
    assert ("FAILED", "cancelled", False) == (job.status, job.failure.code, job.failure.retryable)
    assert KEPT == remaining_tables(cpo_id)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while unfinished_runs(job_id) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [] == unfinished_runs(job_id)
    time.sleep(0.5)
    assert KEPT == remaining_tables(cpo_id)
    assert job == in_transaction(jobs.get, job_id)


@pytest.mark.ocpi(213)
def test_deleting_a_network_cancels_its_bulk_job(gateway: Gateway) -> None:
    accepted = gateway.ready()
    bulk = gateway.create(
        f"{accepted['destroy_url']}/locations", locations=[{"template": "urban-ac-hub"}] * 2000
    )

    assert 204 == gateway.delete(accepted["destroy_url"]).status_code

    job = in_transaction(jobs.get, bulk["job_id"])
    assert job is not None
    assert ("FAILED", "cancelled") == (job.status, job.failure and job.failure.code)
    assert None is in_transaction(jobs.get, accepted["workflow_run_id"])
    assert KEPT == remaining_tables(accepted["cpo_id"])
    assert 404 == refusal(gateway.get(bulk["status_url"]))[0]


def test_concurrent_deletions_all_return_204(gateway: Gateway) -> None:
    accepted = gateway.create(overrides={"locations": 30})
    others = [Gateway(gateway.node, gateway.key, gateway.organization_id) for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(lambda each: each.delete(accepted["destroy_url"]).status_code, others))

    assert [204] * 4 == statuses
    assert {"gw_tombstones", "gw_jobs"} >= remaining_tables(accepted["cpo_id"])
    assert 1 == rows_of(accepted["cpo_id"])["gw_tombstones"]


# Expiry


@pytest.mark.ocpi(217)
def test_an_expired_network_ends_at_once_and_its_rows_are_deleted(gateway: Gateway) -> None:
    accepted, network = network_with_rows(gateway, ttl_seconds=60)
    peer = network.peer(("BE", "TWO"))
    assert (200, 1000) == outcome(gateway.operator(accepted).get("locations"))

    expire(accepted["cpo_id"])
    start = time.monotonic()

    assert_ended(gateway, accepted, peer.token)
    while remaining_tables(accepted["cpo_id"]) != {"gw_tombstones"}:
        assert time.monotonic() - start < DEADLINE_SECONDS, rows_of(accepted["cpo_id"])
        time.sleep(0.1)
    assert_ended(gateway, accepted, peer.token)
    assert 204 == gateway.delete(accepted["destroy_url"]).status_code


@pytest.mark.ocpi(217)
def test_a_network_that_expires_during_provisioning_ends_too(gateway: Gateway) -> None:
    def let_expire(accepted: Any) -> None:
        expire(accepted["cpo_id"])
        start = time.monotonic()
        assert 404 == gateway.get(accepted["status_url"]).status_code
        while "gw_tombstones" not in remaining_tables(accepted["cpo_id"]):
            assert time.monotonic() - start < DEADLINE_SECONDS, rows_of(accepted["cpo_id"])
            time.sleep(0.1)

    accepted = end_during_provisioning(gateway, let_expire, ttl_seconds=60)

    assert KEPT == remaining_tables(accepted["cpo_id"])
    job = in_transaction(jobs.get, accepted["workflow_run_id"])
    assert job is not None
    assert ("FAILED", "cancelled") == (job.status, job.failure and job.failure.code)


@pytest.mark.ocpi(217)
def test_the_expiry_of_one_network_leaves_the_others_alone(gateway: Gateway) -> None:
    permanent, long_lived = gateway.ready(ttl_seconds=None), gateway.ready(ttl_seconds=604800)
    expired = gateway.create()
    expire(expired["cpo_id"])
    while "gw_networks" in remaining_tables(expired["cpo_id"]):
        time.sleep(0.1)

    for accepted in (permanent, long_lived):
        assert 200 == gateway.get(accepted["destroy_url"]).status_code
        assert (200, 1000) == outcome(gateway.operator(accepted).get("locations"))


def test_a_registration_that_is_in_progress_leaves_nothing(gateway: Gateway, peer: PeerServer) -> None:
    """The network ends while the program fetches the peer's versions."""
    accepted = gateway.ready()

    def end(_: Any) -> tuple[int, Any]:
        gateway.delete(accepted["destroy_url"])
        return 200, {"status_code": 1000, "timestamp": "2026-11-20T12:00:00Z", "data": []}

    peer.answers["/versions"] = end
    response = gateway.node.client(accepted["token_a"], "cpo").post("credentials", peer.credentials())

    assert response.status_code < 500, response.text
    assert (200, 1000) != (response.status_code, response.json()["status_code"])
    assert {"gw_tombstones"} == remaining_tables(accepted["cpo_id"])


@pytest.mark.ocpi(213)
def test_the_next_start_finishes_an_interrupted_deletion(another_node: Callable[..., Node]) -> None:
    other = another_node()
    with switch_to(other.environment):
        gateway = other.gateway()
        accepted = gateway.ready()
        other.kill()
        with database.transaction() as transaction:
            networks.mark_deleting(transaction, int(accepted["cpo_id"]))
            access.end_network(transaction, int(accepted["cpo_id"]), ended_tokens.NETWORK_DELETED)
        assert {"gw_networks", "ocpi_locations", "gw_sites"} <= remaining_tables(accepted["cpo_id"])
        other.start()
        start = time.monotonic()
        while remaining_tables(accepted["cpo_id"]) != {"gw_tombstones"}:
            assert time.monotonic() - start < DEADLINE_SECONDS, rows_of(accepted["cpo_id"])
            time.sleep(0.1)
