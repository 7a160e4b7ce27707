"""Bulk jobs of locations, ordered over HTTP, and checks of their results.

The rule: every location of the request occurs exactly once in the results of the job, in both
lists and in every table, with the requested name. The checks read the tables directly, not through
the program.
"""

import contextlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from crashable_node import CrashableNode, is_sqlite, read_only, rows, snapshot, until

ENDED = ("READY", "FAILED")
_PLUGS = 2
_OPEN, _CREATED = 0, 1


@dataclass(frozen=True)
class Job:
    """A bulk job and the names of its locations."""

    id: str
    network_id: int
    operator_token: str
    status_url: str
    names: list[str]


def order_job(node: CrashableNode, number: int) -> Job:
    """Create a network and order *number* locations with two EVSEs each."""
    network = node.order(
        "/ocpi/cpos",
        {
            "template": "small-urban-ac",
            "country_code": "NL",
            "party_id": "KIL",
            "name_prefix": "kill",
            "ttl_seconds": None,
            "overrides": {"locations": 1, "chargers_per_location": 1},
        },
    )
    until(lambda: node.read(network["status_url"])["status"] in ENDED)
    names = [f"Site {index:05} of {network['cpo_id']}" for index in range(number)]
    items = [_location(index, name) for index, name in enumerate(names)]
    job = node.order(f"/ocpi/cpos/{network['cpo_id']}/locations", {"locations": items})
    return Job(job["job_id"], int(network["cpo_id"]), network["operator_token"], job["status_url"], names)


def _location(index: int, name: str) -> dict[str, Any]:
    template = {
        "brand_slug": "schneider",
        "model_slug": "evlink-pro-ac-22kw",
        "connector_type": "Type2",
        "ocpp_version": "OCPP1.6",
        "ws_url": "wss://csms.example/ws",
        "identity_prefix": f"K{index}_",
    }
    return {
        "name": name,
        "address": f"Street {index}",
        "city": "Paris",
        "country": "FR",
        "coordinates": {"latitude": 48.85, "longitude": 2.35},
        "charges": [{"template": template, "charger_ids": [str(n) for n in range(_PLUGS)]}],
    }


def count_settled(node: CrashableNode, job: Job) -> int:
    """The number of settled items."""
    query = "SELECT count(*) FROM gw_job_items WHERE job_id = :job AND state <> :open"
    return int(rows(node.database, query, job=job.id, open=_OPEN)[0][0])


def executor(node: CrashableNode, job: Job) -> tuple[str, int]:
    """The executor of the job, and how often it was started."""
    schema = "" if is_sqlite(node.database) else "dbos."
    query = f"SELECT executor_id, recovery_attempts FROM {schema}workflow_status WHERE workflow_uuid = :job"  # noqa: S608  (ours)
    name, attempts = rows(node.database, query, job=job.id)[0]
    return str(name), int(attempts or 0)


_EQUIPMENT = (
    "SELECT location_id FROM gw_sites WHERE network_id = :network",
    "SELECT location_id FROM gw_charge_points WHERE network_id = :network",
    (
        "SELECT p.location_id FROM gw_routing r LEFT JOIN gw_charge_points p ON p.id = r.charge_point_id"
        " WHERE r.network_id = :network"
    ),
)


def inspect(node: CrashableNode, job: Job) -> list[str]:
    """The errors in the tables, even before the job has ended. Each begins with its kind.

    An item that is recorded as created has every row of its location. Any other item has none.
    """
    complaints = _integrity_errors(node.database)
    with snapshot(node.database) as query:
        recorded = query(
            "SELECT position, state, location_id, name, error FROM gw_job_items WHERE job_id = :job",
            job=job.id,
        )
        items = {row.position: row for row in recorded}
        documents = query(
            "SELECT id, document FROM ocpi_locations WHERE network_id = :network", network=job.network_id
        )
        sites, posts, plugs = (
            Counter(row[0] for row in query(text, network=job.network_id)) for text in _EQUIPMENT
        )
    names = {row.id: orjson.loads(row.document)["name"] for row in documents}
    complaints += [f"double: {n} rows" for n in [len(documents) - len(names)] if n]
    complaints += [f"half: {key} has no document" for key in {*sites, *posts, *plugs} - names.keys()]
    keys_by_name: dict[str, list[str]] = {}
    for key, name in names.items():
        keys_by_name.setdefault(name, []).append(key)
    for index, name in enumerate(job.names):
        item, found = items.get(index), keys_by_name.pop(name, [])
        if item is None:
            complaints.append(f"loss: item {index} is not in the job")
            continue
        complaints += _item_errors(index, item, name, found)
        complaints += [
            f"half: {key} has {sites[key]} sites, {posts[key]} charge points, {plugs[key]} plugs"
            for key in found
            if (sites[key], posts[key], plugs[key]) != (1, _PLUGS, _PLUGS)
        ]
    unexpected = [key for keys in keys_by_name.values() for key in keys if key != "MAGIC"]
    return complaints + (
        [f"phantom: {unexpected}"] if len(unexpected) > 1 else []
    )  # the template creates one


def _item_errors(index: int, item: Any, name: str, found: list[str]) -> Iterator[str]:
    """The errors of one item and the locations with its name."""
    if len(found) > 1:
        yield f"duplicate: {name} is stored {len(found)} times"
    if item.state == _CREATED:
        if item.location_id not in found:
            yield f"loss: item {index} is recorded as {item.location_id} and is not stored"
        if item.name != name:
            yield f"name: item {index} is {item.name}, not {name}"
    elif item.state != _OPEN:
        yield f"refused: item {index}: {item.error}"
    elif found:
        yield f"ahead: item {index} is stored and is not recorded"


def _integrity_errors(database: str) -> list[str]:
    """The errors that SQLite finds in its file. PostgreSQL itself is not killed and needs no check."""
    if not is_sqlite(database):
        return []
    with contextlib.closing(read_only(database)) as connection:
        found = connection.execute("PRAGMA integrity_check").fetchall()
    return [] if found == [("ok",)] else [f"integrity: {found[:3]}"]


def check_results(node: CrashableNode, job: Job) -> list[str]:
    """The errors of a job that has ended."""
    status = node.read(job.status_url)
    created = (status.get("results") or {}).get("created", [])
    failed = (status.get("results") or {}).get("failed", [])
    complaints = [] if status["status"] == "READY" else [f"status: {status['status']} {status.get('error')}"]
    complaints += _once("results", (each["index"] for each in created), range(len(job.names)))
    complaints += [f"refused: {each}" for each in failed]
    complaints += [
        f"name: {each} for {job.names[each['index']]}"
        for each in created
        if each["name"] != job.names[each["index"]]
    ]
    counted = (status.get("results") or {}).get("created_count")
    complaints += [] if counted == len(created) else [f"count: {counted} of {len(created)}"]
    wanted = [(each["id"], each["name"]) for each in created]
    for view, listed in (("OCPI list", _peers_list(node, job)), ("gateway list", _gateway_list(node, job))):
        named = [(key, name) for key, name in listed if name in set(job.names)]
        complaints += _once(view, named, wanted)
        complaints += _once(view, (name for _, name in named), job.names)
    return complaints + inspect(node, job)


def _once(view: str, found: Iterable[Any], wanted: Iterable[Any]) -> list[str]:
    """The errors about values that do not occur exactly once."""
    counted, expected = Counter(found), set(wanted)
    return (
        [f"loss: {each} is not in the {view}" for each in sorted(expected - counted.keys())]
        + [f"phantom: {each} is in the {view}" for each in sorted(counted.keys() - expected)]
        + [f"duplicate: {each} is {n} times in the {view}" for each, n in counted.items() if n > 1]
    )


def _peers_list(node: CrashableNode, job: Job) -> list[tuple[str, str]]:
    client = node.client(job.operator_token)
    return _all(lambda page: client.data("locations", offset=100 * page, limit=100))


def _gateway_list(node: CrashableNode, job: Job) -> list[tuple[str, str]]:
    base = f"/ocpi/cpos/{job.network_id}/locations?limit=100&page="
    return _all(lambda page: node.read(f"{base}{page + 1}")["data"])


def _all(read: Callable[[int], list[Any]]) -> list[tuple[str, str]]:
    """Read all pages until an empty one."""
    pages = itertools.takewhile(bool, map(read, itertools.count()))
    return [(each["id"], each["name"]) for page in pages for each in page]


def kinds(complaints: Iterable[str]) -> set[str]:
    """The kinds of the complaints."""
    return {each.partition(":")[0] for each in complaints}
