"""Measures the speed and memory of bulk jobs, and the latency of an order meanwhile.

Real servers with the shipped settings, one database after the other; orders come over HTTP. A rate is
the number of locations by the time from the answer 202 to READY, seen by polling.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
import warnings
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")  # the packaged PostgreSQL asks for it

import measurement  # noqa: E402  (the path first)
from nodes import Node, free_port, in_transaction, postgres, switch_to  # noqa: E402  (the path first)

from storage import keys  # noqa: E402  (likewise)

RESULTS = ROOT / "docs" / "measurements" / "provisioning.md"
DATABASES = ("SQLite", "PostgreSQL")
_MANY, _POLL_SECONDS, _PAUSE_SECONDS = 10_000, 0.25, 0.1
ORDER = {"template": "small-urban-ac", "country_code": "FR", "party_id": "BLK", "name_prefix": "bulk"}
CHARGER = {
    "brand_slug": "schneider",
    "model_slug": "evlink-pro-ac-22kw",
    "connector_type": "Type2",
    "ocpp_version": "OCPP1.6",
    "ws_url": "wss://csms.example/ws",
}


@dataclass
class Server:
    """A running node with a key."""

    node: Node
    session: requests.Session
    database: str

    def call(self, method: str, path: str, **more: Any) -> Any:
        """The decoded response of a successful call."""
        answer = self.session.request(method, self.node.url + path, timeout=120, **more)
        if not answer.ok:
            sys.exit(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json() if answer.content else None

    def network(self) -> str:
        """A provisioned network without expiry."""
        accepted = self.call("POST", "/ocpi/cpos", json={**ORDER, "ttl_seconds": None})
        while self.call("GET", accepted["status_url"])["status"] != "READY":
            time.sleep(_POLL_SECONDS)
        return str(accepted["cpo_id"])

    def order(self, cpo_id: str, count: int, mark: str) -> str:
        """Order *count* locations with two EVSEs each; returns the URL of the job."""
        items = [_location(f"{mark}{number}") for number in range(count)]
        return str(
            self.call("POST", f"/ocpi/cpos/{cpo_id}/locations", json={"locations": items})["status_url"]
        )

    def finish(self, url: str, count: int) -> None:
        """Wait for the job."""
        while (job := self.call("GET", url))["status"] == "PROVISIONING":
            time.sleep(_POLL_SECONDS)
        if job["status"] != "READY" or job["results"]["created_count"] != count:
            sys.exit(f"the job ended {job['status']}: {job.get('error') or job['results']['failed'][:1]}")

    def rate(self, cpo_id: str, count: int, mark: str) -> float:
        """Locations per second of one job."""
        url = self.order(cpo_id, count, mark)
        began = time.monotonic()
        self.finish(url, count)
        return count / (time.monotonic() - began)

    def latencies(self, cpo_id: str, count: int, mark: str) -> list[float]:
        """The latency of orders in milliseconds while a job of *count* locations runs."""
        url = self.order(cpo_id, count, mark)
        seen = []
        while self.call("GET", url)["status"] == "PROVISIONING":
            began = time.monotonic()
            accepted = self.call("POST", "/ocpi/cpos", json={**ORDER, "party_id": "LAT"})
            seen.append((time.monotonic() - began) * 1000)
            self.call("DELETE", accepted["destroy_url"])
            time.sleep(_PAUSE_SECONDS)
        return sorted(seen)

    def memory(self) -> float:
        """The resident memory of the node's processes in MiB."""
        group = os.getpgid(self.node.pid)
        held = 0
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                if os.getpgid(int(status.parent.name)) == group:
                    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
                    held += int(fields.get("VmRSS", "0").split()[0])
            except (ProcessLookupError, FileNotFoundError):
                continue
        return held / 1024


def _location(mark: str) -> dict[str, Any]:
    return {
        "name": f"Hub {mark}",
        "address": "14 Rue de la Paix",
        "city": "Paris",
        "country": "FR",
        "coordinates": {"latitude": 48.8566, "longitude": 2.3522},
        "timezone": "Europe/Paris",
        "charges": [{"template": {**CHARGER, "identity_prefix": f"{mark}_"}, "charger_ids": ["001", "002"]}],
    }


def measure(server: Server, rounds: int) -> str:
    """The line of one database."""

    def say(text: str) -> None:
        print(f"[{datetime.now(UTC):%H:%M:%S}] {server.database}: {text}", flush=True)

    cpo_id = server.network()
    rates = []
    for each in range(rounds):
        rates.append(server.rate(cpo_id, 1000, f"R{each}-"))
        say(f"1,000 locations, {rates[-1]:.0f}/s")
    waits = server.latencies(cpo_id, 1000, "L-")
    say(f"{len(waits)} orders during a job, median {statistics.median(waits):.0f} ms")
    before = server.memory()
    many = server.rate(cpo_id, _MANY, "M-")
    grown = server.memory() - before
    say(f"{_MANY:,} locations, {many:.0f}/s, {grown:+.0f} MiB")
    return (
        f"| {server.database} | **{statistics.median(rates):.0f}** ({min(rates):.0f} to {max(rates):.0f}) "
        f"| {statistics.median(waits):.0f} | {waits[int(len(waits) * 0.95)]:.0f} | {waits[-1]:.0f} "
        f"| {len(waits)} | {many:.0f} | {grown:+.0f} |"
    )


def served(stack: ExitStack, database: str) -> Server:
    """A node on a fresh database."""
    place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ocpi-provision-")))
    url = f"sqlite:///{place / 'node.sqlite'}"
    if database == "PostgreSQL":
        url = stack.enter_context(postgres())
    environment = {
        "OCPI_GATEWAY_DATABASE_URL": url,
        "OCPI_GATEWAY_DATA_DIR": str(place / "data"),
        "OCPI_GATEWAY_PORT": str(free_port()),
        "OCPI_GATEWAY_DEMO": "0",
        "OCPI_GATEWAY_LOG_LEVEL": "WARNING",
    }
    stack.enter_context(switch_to(environment))
    node = stack.enter_context(Node(environment))
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {in_transaction(keys.mint, 'measured', keys.USER).key}"
    return Server(node, session, database)


def render(lines: list[str], rounds: int, load: str) -> str:
    """The page in docs/measurements."""
    after = measurement.load()
    packages = ", ".join(f"{name} {version(name)}" for name in ("dbos", "sqlalchemy", "psycopg", "waitress"))
    return f"""# Provisioning

Written by `scripts/provision --rounds {rounds}` on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC; nothing
here is edited by hand.

A bulk job creates locations with two EVSEs each, up to 50 of them in one transaction.
**Rate**: locations a second of a job of 1,000, the median of {rounds} rounds, least and greatest in
brackets. **Order**: what `POST /ocpi/cpos` takes while such a job runs, in milliseconds. **Memory**: what
the server's processes hold more after a job of {_MANY:,} than before it.

| database | rate | order, median | 95 % | longest | orders | rate of {_MANY:,} | memory, MiB |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
{chr(10).join(lines)}

{packages}; Python {platform.python_version()}, {os.cpu_count()} cores; load average
{load} before, {after} after.
"""


def main() -> int:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(
        prog="scripts/provision",
        description="Measure bulk jobs on SQLite and PostgreSQL: locations per second, memory, and how long "
        "orders of networks take meanwhile. About ten minutes; wants two quiet cores.",
    )
    parser.add_argument("--rounds", type=int, default=5, help="jobs of 1,000 locations (5)")
    parser.add_argument(
        "--only", choices=DATABASES, help="one database; the line is printed and docs are not changed"
    )
    options = parser.parse_args()
    load = measurement.load()
    lines: list[str] = []
    try:
        for database in [options.only] if options.only else DATABASES:
            with ExitStack() as stack:
                lines.append(measure(served(stack, database), options.rounds))
    except KeyboardInterrupt:
        print("\nInterrupted; the servers have been ended.\n" + "\n".join(lines))
        return 130
    print("\n".join(lines))
    if not options.only:
        RESULTS.write_text(render(lines, options.rounds, load))
        print(f"{RESULTS.relative_to(ROOT)} is written.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
