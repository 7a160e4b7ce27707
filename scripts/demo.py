"""The journey of a charging session: two networks, a registration, a command, a session, a CDR, its price.

It is a client of the gateway API only. Without --url it starts a server of its own in a temporary folder.
"""

import argparse
import contextlib
import itertools
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).parent.parent
_BLOCKS = " ▁▂▃▄▅▆▇█"
_FULL_KW, _FULL_EUR = 150, 27
"""What a full block means."""

_STEPS, _STEP_SECONDS = 8, 180
_SEED = 27
"""The car of this seed has 4.8 of 40 kWh; it is full after 20 minutes and 29 seconds."""

_START = "2026-06-02T08:00:00Z"
_PATIENCE_SECONDS = 60
_POLL_SECONDS = 0.1
_RECORDED_SECONDS = 0.7
"""After that long an exchange can be read."""

_ENDED = ("READY", "FAILED")
_LONGEST_PATH = 70


def main() -> None:
    """Run the demo; exit 1 with a sentence if the server refuses something."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--url", help="URL of a running server; without it, the demo starts one")
    parser.add_argument("--key", help="key of the gateway API; without it, that in data/admin.token")
    options = parser.parse_args()
    try:
        if options.url:
            Demo(options.url.rstrip("/"), options.key or _stored_key()).run()
        else:
            with _own_server() as (url, key):
                Demo(url, key).run()
    except (OSError, DemoFailed) as failure:
        sys.exit(f"failed: {failure}")


def _stored_key() -> str:
    """The administrator's key of the server that keeps its data in this folder."""
    try:
        return (ROOT / "data" / "admin.token").read_text().strip()
    except FileNotFoundError:
        raise DemoFailed("there is no data/admin.token; start scripts/serve here, or give --key") from None


@contextlib.contextmanager
def _own_server() -> Iterator[tuple[str, str]]:
    """Start a server in a temporary folder; yields its URL and the administrator's key."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url, key = f"http://127.0.0.1:{port}", secrets.token_urlsafe(32)
    _say(f"A server starts at {url}. It keeps its data in a temporary folder and ends with the demo.")
    with tempfile.TemporaryDirectory() as place, (Path(place) / "log").open("w+") as log:
        settings = {"DATA_DIR": place, "PORT": str(port), "ADMIN_TOKEN": key, "DEMO": "0"}
        outer = {name: value for name, value in os.environ.items() if not name.startswith("OCPI_GATEWAY_")}
        environment = outer | {f"OCPI_GATEWAY_{name}": value for name, value in settings.items()}
        command = [sys.executable, "-m", "handlers.dispatch.serve"]
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            _until(lambda: server.poll() is not None or _is_ready(url))
            if server.poll() is not None:
                log.seek(0)
                raise DemoFailed(f"the server ended:\n{log.read()[-2000:]}")
            yield url, key
        finally:
            server.terminate()
            server.wait()


def _is_ready(url: str) -> bool:
    with contextlib.suppress(requests.RequestException):
        return requests.get(f"{url}/ready", timeout=5).ok
    return False


class DemoFailed(Exception):
    """The server refused a request, or something did not happen; the message says what."""


def _kind(exchange: Any) -> tuple[Any, ...]:
    """What exchanges that share a line have in common."""
    return tuple(exchange.get(name) for name in ("direction", "method", "module", "status", "status_code"))


class Network:
    """A network of the demo, and the exchanges that it has shown already."""

    def __init__(self, name: str, accepted: Any) -> None:
        self.name = name
        self.accepted = accepted
        self.url = accepted["destroy_url"]
        self.cursor = "0"
        party = accepted["party"]
        self.party = f"{party['country_code']}/{party['party_id']}"


class Demo:
    """The steps of the demo, in their order."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {key}"
        self.number = 0

    def run(self) -> None:
        """Run every step."""
        self.create_networks()
        self.register()
        self.exchange_objects()
        self.start_session()
        self.watch_session()
        self.stop_session()
        self.explain_cdr()

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Call the gateway API; returns the body of the response.

        Raises:
            DemoFailed: it refuses the request, or does not respond.
        """
        try:
            response = self.session.request(method, self.url + path, json=body, timeout=60)
        except requests.RequestException as error:
            raise DemoFailed(f"{self.url} does not respond: {error}") from None
        if not response.ok:
            raise DemoFailed(f"{method} {path}: {response.status_code} {response.text}")
        return response.json()

    def finish(self, accepted: Any) -> Any:
        """Wait for a job of the server; returns its last state.

        Raises:
            DemoFailed: the job failed.
        """
        job = _until(lambda: (job := self.call("GET", accepted["status_url"]))["status"] in _ENDED and job)
        if job["status"] == "FAILED":
            raise DemoFailed(f"{accepted['status_url']}: {job['error']['message']}")
        return job

    def step(self, title: str, *text: str) -> None:
        """Print the heading of the next step, and what happens in it."""
        self.number += 1
        _say("\n   ".join([f"\n{self.number}. {title}", *text]))

    def show_messages(self) -> None:
        """Print what each network has sent and received since the last step; like messages share a line."""
        time.sleep(_RECORDED_SECONDS)
        for network in (self.emsp, self.cpo):
            page = self.call("GET", f"{network.url}/exchanges?since={network.cursor}&limit=100")
            network.cursor = page["cursor"]
            for kind, group in itertools.groupby(page["data"], _kind):
                direction, method, _, status, code = kind
                exchanges = list(group)
                path = exchanges[0]["url"].removeprefix(self.url)
                path = path if len(path) <= _LONGEST_PATH else f"{path[:_LONGEST_PATH]}…"
                verb = "sends   " if direction == "out" else "receives"
                count = f"  ({len(exchanges)} times)" if len(exchanges) > 1 else ""
                outcome = f"HTTP {status}" + (f", OCPI {code}" if code else "")
                _say(f"     {network.name:4} {verb} {method:5} {path}  →  {outcome}{count}")

    def create_networks(self) -> None:
        """Create a CPO and an eMSP."""
        self.step(
            "Two networks",
            "A CPO operates charge points. An eMSP has drivers with tokens.",
            "Each is created by one call: POST /ocpi/cpos.",
        )
        order = {"country_code": "NL", "name_prefix": "demo", "seed": 1}
        size = {"locations": 1, "chargers_per_location": 1}
        self.cpo, self.emsp = (
            Network(name, self.call("POST", "/ocpi/cpos", order | more))
            for name, more in (
                ("CPO", {"party_id": "DMC", "template": "highway-dc", "overrides": size}),
                ("eMSP", {"party_id": "DME", "template": "emsp-drivers", "role": "emsp"}),
            )
        )
        for network in (self.cpo, self.emsp):
            self.finish(network.accepted)
        clock = {"virtual_now": _START, "paused": True, "seed": _SEED}
        self.call("PUT", f"{self.cpo.url}/simulation", clock)
        self.location = self.call("GET", f"{self.cpo.url}/locations")["data"][0]
        [self.token] = self.call("GET", f"{self.emsp.url}/tokens?limit=1")["data"]
        _say(f"     CPO  {self.cpo.party} has the location {self.location['name']}, {self.location['city']}")
        _say(f"     eMSP {self.emsp.party} has the driver {self.token['object']['auth_id']}")

    def register(self) -> None:
        """Let the eMSP register at the CPO with an invitation."""
        self.step(
            "Registration",
            "The CPO invites the eMSP: with a versions URL and a Token A the eMSP finds the CPO's modules.",
            "The two exchange the tokens that all later messages carry.",
        )
        invitation = self.call("POST", f"{self.cpo.url}/invitations", {})
        body = {"versions_url": invitation["ocpi_peer_url"], "token": invitation["token_a"]}
        self.finish(self.call("POST", f"{self.emsp.url}/connections", body))
        self.show_messages()

    def exchange_objects(self) -> None:
        """Let each side send the other what it needs."""
        self.step(
            "Locations, tariffs and tokens",
            "The CPO sends its locations and prices to the eMSP, for its app.",
            "The eMSP sends its tokens to the CPO, so that the charge points know the drivers.",
        )
        for network, modules in ((self.cpo, ("locations", "tariffs")), (self.emsp, ("tokens",))):
            url = f"{network.url}/connections/{self.connection_id(network)}"
            for module in modules:
                self.finish(self.call("POST", f"{url}/push", {"module": module}))
            _until(lambda: self.call("GET", url)["behind"] == 0)  # noqa: B023  (called at once)
        self.show_messages()

    def connection_id(self, network: Network) -> str:
        """The id of the only connection of a network."""
        [connection] = self.call("GET", f"{network.url}/connections")["data"]
        return str(connection["connection_id"])

    def command(self, name: str, **body: str) -> Any:
        """Let the eMSP send a command; returns its record once the charge point has carried it out.

        Raises:
            DemoFailed: the CPO or the charge point refuses it.
        """
        body["connection_id"] = self.connection_id(self.emsp)
        uid = self.call("POST", f"{self.emsp.url}/commands/{name}", body)["uid"]
        path = f"{self.emsp.url}/commands/{uid}"
        record = _until(lambda: (record := self.call("GET", path))["status"] != "PENDING" and record)
        if record.get("result") != "ACCEPTED":
            raise DemoFailed(f"{name}: {record['status']} {record.get('result') or record.get('reason')}")
        _say(f"     {name}: the CPO answers {record['response']}, its charge point {record['result']}.")
        return record

    def start_session(self) -> None:
        """Let the eMSP start a session at the CPO's charge point."""
        [charger] = self.location["chargers"]
        evse_uid = charger["evses"][0]["evse_uid"]
        self.step(
            "START_SESSION",
            f"The driver taps Start in the app of the eMSP, at the EVSE {evse_uid}.",
            "The CPO answers at once that it asks the charge point, and later what that has done.",
        )
        token = self.token["object"]
        record = self.command(
            "START_SESSION",
            location_id=self.location["id"],
            evse_uid=evse_uid,
            token_uid=token["uid"],
            token_type=token["type"],
        )
        path = f"{self.emsp.url}/commands/{record['uid']}"
        self.session_id = _until(lambda: self.call("GET", path).get("session_id"))
        self.show_messages()

    def session_at(self, network: Network) -> Any:
        """The session as a network has it."""
        return self.call("GET", f"{network.url}/sessions/{self.session_id}")["object"]

    def watch_session(self) -> None:
        """Move the clock of the CPO, and show what the eMSP learns of the session."""
        self.step(
            "The session grows",
            f"The clock of the CPO is paused; the demo moves it by {_STEP_SECONDS // 60} minutes at a time.",
            "The CPO sends each state to the eMSP. The battery fills, the power falls, the car only parks.",
        )
        power = cost = ""
        before = 0.0
        for number in range(1, _STEPS + 1):
            path = f"{self.cpo.url}/clock/advance"
            self.finish(self.call("POST", path, {"seconds": _STEP_SECONDS}))
            state = self.session_at(self.cpo)
            _until(lambda: _volumes(self.session_at(self.emsp)) == _volumes(state))  # noqa: B023  (called at once)
            power += _block((state["kwh"] - before) * 3600 / _STEP_SECONDS / _FULL_KW)
            cost += _block(state["total_cost"] / _FULL_EUR)
            before = state["kwh"]
            minutes = number * _STEP_SECONDS // 60
            line = (
                f"     power {power:{_STEPS}}  cost {cost:{_STEPS}}  {minutes:2} min  "
                f"{state['kwh']:6.2f} kWh  {state['total_cost']:7.4f} {state['currency']}"
            )
            print(line, end="\r" if sys.stdout.isatty() and number < _STEPS else "\n", flush=True)
        self.show_messages()

    def stop_session(self) -> None:
        """Let the eMSP stop the session."""
        self.step(
            "STOP_SESSION", "The driver taps Stop. The session is COMPLETED, and the EVSE is free again."
        )
        self.command("STOP_SESSION", session_id=self.session_id)
        _until(lambda: self.session_at(self.emsp)["status"] == "COMPLETED")
        self.show_messages()

    def explain_cdr(self) -> None:
        """Show the CDR at the eMSP, and why it costs what it costs."""
        self.step(
            "The CDR and its price",
            "The CPO sends a charge detail record, from which the eMSP bills its driver.",
            "The eMSP checks the price against the tariff: GET .../cdrs/{cdr_id}/explanation.",
        )
        path = f"{self.emsp.url}/cdrs"
        [entry] = _until(lambda: self.call("GET", path)["data"])
        cdr = entry["object"]
        explanation = self.call("GET", f"{path}/{cdr['id']}/explanation")
        _say(
            f"     CDR {cdr['id']}: {cdr['total_energy']} kWh, {cdr['total_cost']} {cdr['currency']}, "
            f"from {cdr['start_date_time']} to {cdr['stop_date_time']}"
        )
        for line in explanation["lines"]:
            _say(f"       {line['text']}")
        _say(f"     {explanation['text']}")
        _say(
            f"     Total {explanation['total']} {explanation['currency']}: {explanation['check']['verdict']}"
        )
        self.show_messages()


def _volumes(session: Any) -> tuple[float, float]:
    return session["kwh"], session["total_cost"]


def _block(part: float) -> str:
    """The block character for a part of the whole."""
    return _BLOCKS[max(0, min(round(part * (len(_BLOCKS) - 1)), len(_BLOCKS) - 1))]


def _until(condition: Callable[[], Any]) -> Any:
    """The first true result of a condition.

    Raises:
        DemoFailed: it does not become true.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise DemoFailed(f"something did not happen within {_PATIENCE_SECONDS} s")
        time.sleep(_POLL_SECONDS)
    return result


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
