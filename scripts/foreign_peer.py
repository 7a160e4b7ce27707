"""Our node beside `extrawest-ocpi`, once as eMSP and once as CPO: does each change reach the other side?

Both are real servers on loopback. The other program runs in an environment of its own
(foreign_parts/peer.py). Its back office is the dictionary behind it, and it sends with its own push feature.
What it cannot do is tried as well, and has its reason here.
"""

import argparse
import copy
import os
import platform
import subprocess
import sys
import tempfile
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")  # the packaged PostgreSQL asks for it

import extrawest  # noqa: E402  (the path first)
import measurement  # noqa: E402
import requests  # noqa: E402
from crashable_node import until  # noqa: E402
from examples import example  # noqa: E402
from nodes import Network, Node, free_port, in_transaction, outcome, session, switch_to  # noqa: E402

from storage import networks  # noqa: E402

RESULTS = ROOT / "docs" / "measurements" / "foreign.md"
PARTS = ROOT / "scripts" / "foreign_parts"
OURS, THEIRS = ("NL", "DEM"), ("DE", "EXT")
LATER = "2030-01-01T00:00:0{}Z"
TOKEN_A = "token-a-of-extrawest"  # noqa: S105  (of servers that live for seconds on loopback)
HEX_TOKEN_A = "0123456789abcdef0123456789abcdef"  # noqa: S105
READS_BASE64 = "its versions read the token as Base64, its details as it is"
NEEDS_SLASH = "it appends the party to the endpoint without a slash"
NEVER_REMOVES = "its PATCH ignores null"
ONE_TYPE = "it ignores `type`, so tokens of one uid replace each other"
HEAD = """\
# extrawest-ocpi

Written by `scripts/foreign`; nothing here is edited by hand. Commit {commit}.

`extrawest-ocpi`, once as eMSP and once as CPO, is registered with networks of our node. Each change is made
at the back office of one side and looked for at the other. Our node chooses its requests by what changed;
the other program sends whole objects when its push feature is called. **Request**: what was sent, and the
HTTP status of the response. **Why not**: why the other program cannot do it; DECISIONS.md sums up.

| direction | module | change | request | arrived | why not |
| --- | --- | --- | --- | --- | --- |
"""


@dataclass(frozen=True)
class Row:
    """The outcome of one change. *cannot*: why extrawest cannot do it; empty if it can."""

    direction: str
    module: str
    change: str
    request: str
    arrived: bool
    cannot: str

    @property
    def is_expected(self) -> bool:
        """Whether it arrived, or did not arrive because extrawest cannot do it."""
        return self.arrived is not bool(self.cannot)

    def __str__(self) -> str:
        verdict = "yes" if self.arrived else "no"
        verdict = verdict if self.is_expected else f"**{verdict}**"
        cells = self.direction, self.module, self.change, self.request, verdict, self.cannot
        return f"| {' | '.join(cells)} |"


def includes(held: Any, sent: Any) -> bool:
    """Whether *held* has all that *sent* has; it may have more members."""
    if isinstance(sent, dict) and isinstance(held, dict):
        return all(key in held and includes(held[key], value) for key, value in sent.items())
    if isinstance(sent, list) and isinstance(held, list):
        return len(held) == len(sent) and all(map(includes, held, sent))
    return bool(held == sent)


class Extrawest:
    """extrawest-ocpi in one role while a context is open, with its back office."""

    def __init__(self, role: str, folder: str) -> None:
        port = free_port()
        self.role = role
        self.url = f"http://127.0.0.1:{port}"
        self._command = [
            str(extrawest.HOME / "bin" / "python"),
            "-m",
            "uvicorn",
            "peer:app",
            "--port",
            str(port),
        ]
        self._log = Path(folder) / f"{role}.log"
        self._environment = {
            "PATH": os.environ["PATH"],
            "FOREIGN_ROLE": role,
            "FOREIGN_TOKENS_A": f"{TOKEN_A} {HEX_TOKEN_A}",
            "OCPI_HOST": f"127.0.0.1:{port}",
            "PROTOCOL": "http",
            "COUNTRY_CODE": THEIRS[0],
            "PARTY_ID": THEIRS[1],
        }

    def __enter__(self) -> Self:
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                self._command, cwd=PARTS, env=self._environment, stdout=log, stderr=log
            )
        until(self._is_up)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)

    def _is_up(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"extrawest did not start:\n{self._log.read_text()[-3000:]}")
        with suppress(requests.ConnectionError):
            return bool(self.get("/requests") == [])
        return False

    def get(self, path: str) -> Any:
        """GET below its URL."""
        response = session().get(self.url + path, timeout=30)
        response.raise_for_status()
        return response.json()

    def hold(self, module: str, key: str, body: dict[str, Any]) -> None:
        """Store an object at its back office."""
        session().put(f"{self.url}/dictionary/{module}/{key}", json=body, timeout=30).raise_for_status()

    def push(self, module: str, key: str, endpoints_url: str) -> str:
        """Let its push feature send a stored object; returns the answer in words."""
        partner = self.get("/partner")
        receiver = {"endpoints_url": endpoints_url, "auth_token": partner["token"]}
        order = {"module_id": module, "object_id": key, "receivers": [receiver]}
        headers = {"Authorization": f"Token {partner['own_token']}"}
        response = session().post(f"{self.url}/push/2.1.1", json=order, headers=headers, timeout=30)
        body = response.json()
        if "receiver_responses" not in body:
            return f"its push feature: {response.status_code}, {body.get('status_message')}"
        [answer] = body["receiver_responses"]
        return f"{'POST' if module == 'cdrs' else 'PUT'} {module}: {answer['status_code']}"


class Pair:
    """A network of our node and extrawest in the other role. Each change adds a row."""

    def __init__(self, node: Node, role: str, partner: Extrawest, rows: list[Row]) -> None:
        self.gateway = node.gateway()
        owner = self.gateway.organization_id
        self.network = Network(node, in_transaction(networks.create, owner, role, OURS, "Beside extrawest"))
        self.office = self.network.operator()
        self.partner = partner
        self.there, self.back = f"to {partner.role}", f"from {partner.role}"
        self._rows = rows
        self._connections = f"/ocpi/cpos/{self.network.id}/connections"
        self._connection = ""

    def _add(
        self, direction: str, module: str, change: str, request: str, cannot: str, *, arrived: bool
    ) -> None:
        row = Row(direction, module, change, request, arrived, cannot)
        self._rows.append(row)
        print(row, flush=True)

    def _job(self, change: str, status_url: str, cannot: str = "") -> Any:
        job = self.gateway.wait_until_ready(status_url)
        seen, arrived = "; ".join(self.partner.get("/requests")), job["status"] == "READY"
        answer = seen if arrived else job["error"]["message"]
        self._add(self.there, "credentials", change, answer, cannot, arrived=arrived)
        return job

    def register(self, change: str, token_a: str, cannot: str = "") -> None:
        """Register our network at extrawest."""
        order = {"versions_url": f"{self.partner.url}/ocpi/versions", "token": token_a}
        job = self._job(change, self.gateway.create(self._connections, **order)["status_url"], cannot)
        self._connection = f"{self._connections}/{job.get('connection_id')}"

    def rotate(self) -> None:
        """Renew both tokens."""
        self._job("rotate", self.gateway.create(f"{self._connection}/rotate")["status_url"])

    def unregister(self) -> None:
        """End the registration."""
        response = self.gateway.delete(self._connection)
        self._job("unregister", response.json()["status_url"])

    def sends(
        self, module: str, key: str, change: str, response: Any, expected: Any, cannot: str = ""
    ) -> None:
        """After *response* of our back office: extrawest holds *expected*."""
        if outcome(response) not in {(200, 1000), (201, 1000)}:
            raise AssertionError(f"our node refuses: {response.text}")
        until(self._is_sent)
        held = self.partner.get(f"/dictionary/{module}/{key}")
        seen = "; ".join(self.partner.get("/requests"))
        self._add(self.there, module, change, seen, cannot, arrived=includes(held, expected))

    def _is_sent(self) -> bool:
        """Whether no object waits; a refused one does not."""
        entries = self.gateway.data(f"{self._connection}/behind", limit=100)["data"]
        return all(entry["parked"] or entry["tries"] > 1 for entry in entries)

    def receives(
        self,
        module: str,
        change: str,
        body: dict[str, Any],
        *,
        expected: dict[str, Any] | None = None,
        urls_end_with_slash: bool = True,
        cannot: str = "",
    ) -> None:
        """After extrawest has pushed *body*: our back office reads *expected*."""
        key = body.get("id") or body["uid"]
        self.partner.hold(module, key, body)
        slashed = f"{self.partner.url}/partner/endpoints"
        answer = self.partner.push(module, key, slashed if urls_end_with_slash else self.office.base)
        read = self.office.get(self.office.at(module, key, party=THEIRS))
        arrived = read.ok and includes(read.json()["data"], expected or body)
        self._add(self.back, module, change, answer, cannot, arrived=arrived)


def plain_location(key: str) -> dict[str, Any]:
    """A location without what extrawest cannot take, with one EVSE and one connector."""
    location = example("Location", id=key, opening_times={"twentyfourseven": True}, energy_mix=None)
    [evse] = location["evses"]
    del evse["status_schedule"], evse["connectors"][1:]
    return location


def plain_charging(name: str, key: str) -> dict[str, Any]:
    """A session or CDR without what extrawest cannot take."""
    return example(name, id=key, auth_id="A1", location=plain_location("L1"))


def plain_tariff(key: str) -> dict[str, Any]:
    """A tariff without what extrawest cannot take."""
    return example("Tariff", id=key, energy_mix=None)


def as_emsp(node: Node, partner: Extrawest, rows: list[Row]) -> None:
    """The other program as eMSP: its tokens come to us, our objects go to it."""
    pair = Pair(node, "CPO", partner, rows)
    pair.register("any Token A", TOKEN_A, READS_BASE64)
    pair.register("Token A of 32 hex digits", HEX_TOKEN_A)
    token = example("Token", uid="T1", auth_id="A1")
    pair.receives("tokens", "new", token, urls_end_with_slash=False, cannot=NEEDS_SLASH)
    pair.receives("tokens", "new, our endpoint with a slash added", token)
    pair.receives("tokens", "blocked", {**token, "valid": False, "last_updated": LATER.format(1)})
    push_locations(pair)
    push_more_locations(pair)
    push_tariffs(pair)
    push_sessions_and_cdrs(pair)
    pair.rotate()
    tariff = plain_tariff("T3")
    pair.sends("tariffs", "T3", "new, after that", pair.office.put("tariffs/NL/DEM/T3", tariff), tariff)
    pair.unregister()


def push_locations(pair: Pair) -> None:
    """A location of ours goes to the other program, whole and in parts."""
    office, path, location = pair.office, "locations/NL/DEM/L1", plain_location("L1")
    [evse] = location["evses"]
    pair.sends("locations", "L1", "new", office.put(path, location), location)
    name = {"name": "Another name", "last_updated": LATER.format(1)}
    pair.sends("locations", "L1", "another name", office.patch(path, name), {**location, **name})
    status = {"uid": evse["uid"], "status": "CHARGING", "last_updated": LATER.format(2)}
    change = {"evses": [status], "last_updated": LATER.format(2)}
    pair.sends("locations", "L1", "status of an EVSE", office.patch(path, change), {"evses": [status]})
    connector = {**evse["connectors"][0], "amperage": 63, "last_updated": LATER.format(3)}
    changed = {"uid": evse["uid"], "connectors": [connector], "last_updated": LATER.format(3)}
    change = {"evses": [changed], "last_updated": LATER.format(3)}
    held = {"evses": [{"connectors": [connector]}]}
    pair.sends("locations", "L1", "amperage of a connector", office.patch(path, change), held)
    gone = {"name": None, "last_updated": LATER.format(4)}
    pair.sends("locations", "L1", "no name any more", office.patch(path, gone), gone, NEVER_REMOVES)


def push_more_locations(pair: Pair) -> None:
    """Locations that the other program refuses."""
    weekly, scheduled, untariffed, zoneless = (plain_location(key) for key in ("L2", "L3", "L4", "L5"))
    full = example("Location")
    weekly["opening_times"] = full["opening_times"]
    scheduled["evses"][0]["status_schedule"] = full["evses"][0]["status_schedule"]
    del untariffed["evses"][0]["connectors"][0]["tariff_id"]
    del zoneless["time_zone"]
    for change, location, cannot in (
        ("new, with weekly hours", weekly, "it requires `twentyfourseven`"),
        (
            "new, with a status schedule",
            scheduled,
            "it reads one schedule where the specification has a list",
        ),
        ("new, a connector without a tariff", untariffed, "it requires `tariff_id`"),
        ("new, without a time zone", zoneless, "it requires `time_zone`"),
    ):
        key = location["id"]
        response = pair.office.put(f"locations/NL/DEM/{key}", location)
        pair.sends("locations", key, change, response, location, cannot)


def push_tariffs(pair: Pair) -> None:
    """Tariffs of ours go to the other program."""
    office, path, tariff = pair.office, "tariffs/NL/DEM/T1", plain_tariff("T1")
    pair.sends("tariffs", "T1", "new", office.put(path, tariff), tariff)
    changed = {**tariff, "currency": "CHF", "last_updated": LATER.format(1)}
    pair.sends("tariffs", "T1", "another currency", office.put(path, changed), changed)
    pair.sends("tariffs", "T1", "deleted", office.delete(path), None)
    mixed = example("Tariff", id="T2")
    response = office.put("tariffs/NL/DEM/T2", mixed)
    pair.sends("tariffs", "T2", "new, with an energy mix", response, mixed, "it requires `energy_sources`")


def push_sessions_and_cdrs(pair: Pair) -> None:
    """A session and CDRs of ours go to the other program."""
    office, path, charging = pair.office, "sessions/NL/DEM/S1", plain_charging("Session", "S1")
    pair.sends("sessions", "S1", "new", office.put(path, charging), charging)
    more = {"kwh": 30, "last_updated": LATER.format(1)}
    pair.sends("sessions", "S1", "more energy", office.patch(path, more), {**charging, **more})
    cdr = plain_charging("CDR", "CDR1")
    pair.sends(
        "cdrs", "cdr1", "new", office.post("cdrs", cdr), cdr, "it requires `end_date_time`, a name of 2.2"
    )
    ended = {**plain_charging("CDR", "CDR2"), "end_date_time": cdr["stop_date_time"]}
    response = office.post("cdrs", ended)
    expected = {**ended, "id": "cdr2"}
    del expected["stop_date_time"]
    pair.sends("cdrs", "cdr2", "new, with `end_date_time` as well", response, expected)


def as_cpo(node: Node, partner: Extrawest, rows: list[Row]) -> None:
    """The other program as CPO: our tokens go to it, its objects come to us."""
    pair = Pair(node, "EMSP", partner, rows)
    pair.register("Token A of 32 hex digits", HEX_TOKEN_A)
    office, path, token = pair.office, "tokens/NL/DEM/T1", example("Token", uid="T1", auth_id="A1")
    pair.sends("tokens", "T1", "new", office.put(path, token), token)
    blocked = {"valid": False, "last_updated": LATER.format(1)}
    pair.sends("tokens", "T1", "blocked", office.patch(path, blocked), {**token, **blocked})
    location, tariff, cdr = plain_location("L1"), plain_tariff("T1"), plain_charging("CDR", "cdr1")
    pair.receives("locations", "new", location, urls_end_with_slash=False, cannot=NEEDS_SLASH)
    pair.receives("locations", "new, our endpoint with a slash added", location)
    charging = copy.deepcopy(location)
    charging["evses"][0] |= {"status": "CHARGING", "last_updated": LATER.format(1)}
    pair.receives("locations", "status of an EVSE", {**charging, "last_updated": LATER.format(1)})
    pair.receives("tariffs", "new", tariff)
    pair.receives(
        "tariffs", "another currency", {**tariff, "currency": "CHF", "last_updated": LATER.format(1)}
    )
    session = plain_charging("Session", "S1")
    pair.receives("sessions", "new", session)
    pair.receives("sessions", "more energy", {**session, "kwh": 30, "last_updated": LATER.format(1)})
    ended = {**cdr, "end_date_time": cdr["stop_date_time"]}
    pair.receives("cdrs", "new", ended, expected=cdr)
    other = example("Token", uid="T1", type="OTHER", auth_id="A2")
    pair.sends(
        "tokens",
        "T1",
        "type OTHER, beside the RFID token of that uid",
        office.put(f"{path}?type=OTHER", other),
        {**token, **blocked},
        ONE_TYPE,
    )
    pair.rotate()
    pair.unregister()


def page(rows: list[Row]) -> str:
    """The page."""
    table = "\n".join(map(str, rows))
    versions = ", ".join(extrawest.PACKAGES[:2])
    head = HEAD.format(commit=measurement.commit())
    return f"{head}{table}\n\nPython {platform.python_version()}, {versions}.\n"


def main() -> int:
    """Run both; returns 1 if something did not go as the rows say."""
    argparse.ArgumentParser(prog="scripts/foreign", description=__doc__).parse_args()
    extrawest.install()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="ocpi-foreign-", ignore_cleanup_errors=True) as folder:
        environment = {
            "OCPI_GATEWAY_DATABASE_URL": f"sqlite:///{folder}/node.sqlite",
            "OCPI_GATEWAY_DATA_DIR": folder,
            "OCPI_GATEWAY_PORT": str(free_port()),
            "OCPI_GATEWAY_DEMO": "0",
        }
        with switch_to(environment), Node(environment) as node:
            for role, run in (("EMSP", as_emsp), ("CPO", as_cpo)):
                with Extrawest(role, folder) as partner:
                    run(node, partner, rows)
    RESULTS.write_text(page(rows))
    return int(not all(row.is_expected for row in rows))


if __name__ == "__main__":
    sys.exit(main())
