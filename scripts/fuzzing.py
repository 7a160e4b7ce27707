"""Long fuzzing: Schemathesis against a real server on a fresh database, once with each kind of token.

No hooks and no configuration but the shipped schemathesis.toml; every phase. What counts beside the
failures is how much of what was sent reached the program: the share of 2xx among the answers to
data that the contract allows, and the share of 401 (a token that died early makes a run worthless).
"""

import argparse
import contextlib
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")  # the packaged PostgreSQL asks for it

from nodes import Client, Network, Node, free_port, in_transaction, postgres, switch_to  # noqa: E402
from seeded_network import CREDENTIALS, PARTIES, fill_network, paths  # noqa: E402  (the path first)

from storage import keys  # noqa: E402

ORGANIZATION = "fuzz"

WHAT = """\
Schemathesis against the running program: all phases, no hooks, only the shipped `schemathesis.toml`.
The program checks its answers against the contract as well (`VALIDATE_RESPONSES`). Peers and operators
call every URL of their role but credentials, in networks in which an object of each kind is stored.
Token A stays unspent, because a made-up peer cannot be reached. The gateway API is called with
a user's and an admin's key, its bulk jobs really run.
"""
HOW_TO_READ = """\
2xx: share of the answers to data that the contract allows, those aside that are 405 because the
method is for the other kind of token; the rest is mostly objects that do not exist. 401: share of all
answers; checks leave the token out or change it on purpose, and after a DELETE of credentials there is
nothing else.
"""
RESULTS = ROOT / "docs" / "measurements" / "fuzz.md"
NAMES = {"cpo": "CPO", "emsp": "eMSP", "gateway": "Gateway"}
KEYS = ("user key", "admin key")
ANOTHER = {False: ("NL", "TNC"), True: ("NL", "TND")}
"""Peers whose Token C fuzzes credentials; the second's unregister."""
LAST_LINES = 120
_TICK = 15.0
_UNAUTHORIZED = 401
_NOT_FOR_THIS_TOKEN = 405


@dataclass(frozen=True)
class Run:
    """One run of `st`: which URLs, with which token."""

    role: str
    token: str
    credentials: bool = False
    delete: bool = False

    @property
    def name(self) -> str:
        """The name in the table."""
        if not self.credentials:
            return f"{NAMES[self.role]}, {self.token}"
        which = "DELETE credentials" if self.delete else "credentials"
        return f"{NAMES[self.role]} {which}, {self.token}"

    @property
    def label(self) -> str:
        """The name as a file name."""
        return "".join(c if c.isalnum() else "-" for c in self.name.lower())

    @property
    def document(self) -> str:
        """The contract."""
        return "gateway" if self.role == "gateway" else "ocpi"

    @property
    def selection(self) -> list[str]:
        """The options of `st` that pick the operations."""
        if self.role == "gateway":
            return []
        if not self.credentials:
            return ["--include-path-regex", paths(self.role), "--exclude-path-regex", CREDENTIALS]
        chosen = ["--include-path-regex", f"^/{self.role}/2.1.1{CREDENTIALS}"]
        if self.token == "Token C":  # noqa: S105  (its kind)  a DELETE ends it, and the run with it
            chosen += ["--include-method" if self.delete else "--exclude-method", "DELETE"]
        return chosen


RUNS = [
    *(Run(role, token) for role in PARTIES for token in ("peer", "operator")),
    *(Run(role, token, credentials=True) for role in PARTIES for token in ("Token A", "Token C")),
    *(Run(role, "Token C", credentials=True, delete=True) for role in PARTIES),
    *(Run("gateway", key) for key in KEYS),
]


@dataclass
class Outcome:
    """The content of a run's report."""

    cases: int = 0
    positive: int = 0
    accepted: int = 0
    unauthorized: int = 0
    errors: int = 0
    failures: set[tuple[str, str]] = field(default_factory=set)
    seconds: float = 0.0
    exit_code: int = 0

    @property
    def failed(self) -> bool:
        """Whether there are failures, or the run itself failed."""
        return bool(self.failures or self.errors or self.exit_code)

    def row(self, run: Run) -> str:
        """The line of the table."""
        failures = str(len(self.failures) + self.errors or ("run failed" if self.exit_code else 0))
        return (
            f"| {run.name} | {self.cases} | {failures} | {_share(self.accepted, self.positive)} "
            f"| {_share(self.unauthorized, self.cases)} | {self.seconds:.0f} s |"
        )

    def count(self, event: dict[str, Any]) -> None:
        """Process one line of the report."""
        if "NonFatalError" in event or "FatalError" in event:
            self.errors += 1
        recorder = event.get("ScenarioFinished", {}).get("recorder") or {}
        cases = recorder.get("cases", {})
        for case_id, interaction in recorder.get("interactions", {}).items():
            response = interaction.get("response")
            if response is None:
                continue
            status = response["status_code"]
            self.cases += 1
            self.unauthorized += status == _UNAUTHORIZED
            value = cases.get(case_id, {}).get("value", {})
            mode = ((value.get("meta") or {}).get("generation") or {}).get("mode")
            if mode == "positive" and status != _NOT_FOR_THIS_TOKEN:
                self.positive += 1
                self.accepted += 200 <= status < 300  # noqa: PLR2004  (2xx)
        for checks in recorder.get("checks", {}).values():
            broken = (check["name"] for check in checks if check.get("status") == "failure")
            self.failures.update((recorder.get("label", ""), name) for name in broken)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


# The server


@contextlib.contextmanager
def server(place: Path, *, on_postgresql: bool) -> Iterator[Node]:
    """The program on a fresh database; storage in this process uses the same one."""
    with contextlib.ExitStack() as stack:
        url = f"sqlite:///{place / 'node.sqlite'}"
        if on_postgresql:
            url = stack.enter_context(postgres())
        environment = {
            "OCPI_GATEWAY_DATABASE_URL": url,
            "OCPI_GATEWAY_DATA_DIR": str(place / "data"),
            "OCPI_GATEWAY_PORT": str(free_port()),
            "OCPI_GATEWAY_DEMO": "0",
            "OCPI_GATEWAY_VALIDATE_RESPONSES": "1",
            "OCPI_GATEWAY_PEER_TIMEOUT_SECONDS": "1",
            "OCPI_GATEWAY_LOG_LEVEL": "WARNING",
        }
        stack.enter_context(switch_to(environment))
        yield stack.enter_context(Node(environment))


# The runs


def fuzz(run: Run, node: Node, token: str, place: Path, options: argparse.Namespace) -> Outcome:
    """Run `st` and read its report."""
    report, log = place / f"{run.label}.ndjson", place / f"{run.label}.log"
    command = [
        *(str(Path(sys.executable).with_name("st")), "--config-file", str(ROOT / "schemathesis.toml")),
        *("run", f"{node.url}/openapi/{run.document}.json", "-H", f"Authorization: {token}"),
        *("-n", str(options.examples), "--seed", str(options.seed), "--generation-database", "none"),
        *("--report", "ndjson", "--report-ndjson-path", str(report), "--no-color", *run.selection),
    ]
    began = time.monotonic()
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, start_new_session=True)
        try:
            _watch(process, report, began)
        finally:
            _end(process)
    outcome = Outcome(seconds=time.monotonic() - began, exit_code=process.returncode)
    if report.exists():
        with report.open("rb") as lines:
            for line in lines:
                outcome.count(orjson.loads(line))
    if outcome.failed:
        print("\n".join(log.read_text().splitlines()[-LAST_LINES:]))
    return outcome


def _watch(process: "subprocess.Popen[bytes]", report: Path, began: float) -> None:
    """Print progress until the process ends."""
    while True:
        try:
            process.wait(_TICK)
        except subprocess.TimeoutExpired:
            megabytes = report.stat().st_size / 1e6 if report.exists() else 0.0
            print(f"  {time.monotonic() - began:4.0f} s, {megabytes:.0f} MB of report", flush=True)
        else:
            return


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


def _authorization(run: Run, networks: dict[str, Network], clients: dict[str, dict[str, Client]]) -> str:
    """The header of a run's token."""
    if run.role == "gateway":
        return f"Bearer {in_transaction(keys.mint, ORGANIZATION, run.token.partition(' ')[0]).key}"
    network = networks[run.role]
    if run.token == "Token A":  # noqa: S105  (its kind)
        return f"Token {network.registrant().token}"
    client = clients[run.role].get(run.token) or network.peer(ANOTHER[run.delete])
    return f"Token {client.token}"


# The report


def render(outcomes: dict[Run, Outcome], options: argparse.Namespace, database: str) -> str:
    """The page in docs/measurements."""
    packages = [f"{name} {version(name)}" for name in ("schemathesis", "hypothesis", "waitress", "connexion")]
    return "\n".join(
        [
            "# Fuzzing",
            "",
            f"Made by `{_command(options)}` on {datetime.now(UTC):%Y-%m-%d}.",
            "",
            WHAT,
            table(outcomes),
            "",
            HOW_TO_READ,
            f"{database}; {', '.join(packages)}; Python {platform.python_version()}, {os.cpu_count()} cores.",
            "",
        ]
    )


def table(outcomes: dict[Run, Outcome]) -> str:
    """The list of runs."""
    head = "| run | cases | failures | 2xx of positive | 401 | duration |\n|---|---:|---:|---:|---:|---:|"
    return "\n".join([head, *(outcome.row(run) for run, outcome in outcomes.items())])


def _command(options: argparse.Namespace) -> str:
    words = ["scripts/fuzz", f"-n {options.examples}", f"--seed {options.seed}"]
    return " ".join(words + ["--postgresql"] * options.postgresql)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/fuzz",
        description="Run Schemathesis against a new server, once with each kind of token. The table of"
        " results goes to docs/measurements/fuzz.md. Exit code 1: something failed.",
    )
    parser.add_argument(
        "-n", "--examples", type=int, default=20, help="examples per operation and phase (20)"
    )
    parser.add_argument("--seed", type=int, default=1, help="random seed (1)")
    parser.add_argument("--postgresql", action="store_true", help="on PostgreSQL rather than SQLite")
    parser.add_argument(
        "--only",
        metavar="TEXT",
        default="",
        help="only the runs whose name contains TEXT; the table is printed and docs are not changed: "
        + "; ".join(run.name for run in RUNS),
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep logs and reports there")
    return parser.parse_args()


def main() -> int:
    """Run all; returns 1 if anything failed."""
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for background jobs
    chosen = [run for run in RUNS if options.only.lower() in run.name.lower()]
    database = "PostgreSQL" if options.postgresql else "SQLite"
    outcomes: dict[Run, Outcome] = {}
    with tempfile.TemporaryDirectory(prefix="ocpi-fuzz-", ignore_cleanup_errors=True) as folder:
        place = options.keep or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        try:
            with server(Path(folder), on_postgresql=options.postgresql) as node:
                print(f"{database}, {node.url}", flush=True)
                networks = {role: node.network(role.upper(), party) for role, party in PARTIES.items()}
                clients = {role: fill_network(network) for role, network in networks.items()}
                for run in chosen:
                    print(f"{run.name} ...", flush=True)
                    outcomes[run] = fuzz(run, node, _authorization(run, networks, clients), place, options)
                    print(outcomes[run].row(run), flush=True)
        except KeyboardInterrupt:
            print("\nInterrupted; the server and the run have been ended.\n" + table(outcomes))
            return 130
    print("\n" + table(outcomes))
    if not options.only:
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(render(outcomes, options, database))
        print(f"\n{RESULTS.relative_to(ROOT)} is written.")
    return int(any(outcome.failed for outcome in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
