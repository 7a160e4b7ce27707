"""scripts/exchanges on the command line."""

import contextlib
import random
import signal
import string
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from command_line import Done, run, run_script
from nodes import ROOT, Network, Node, one_database

pytestmark = one_database


@pytest.fixture
def network(node: Node) -> Network:
    """A network with a unique party."""
    party = "".join(random.choices(string.ascii_uppercase + string.digits, k=3))
    return node.network("CPO", ("XX", party))


def run_while_calling(network: Network, *arguments: str) -> Done:
    """Run the script while the back office reads tariffs again and again."""
    operator = network.operator()
    with ThreadPoolExecutor(1) as pool:
        party = "/".join(network.network.party)
        running = pool.submit(run, network.node, "exchanges", "--as", party, *arguments)
        while not running.done():
            assert operator.get("tariffs").ok
            time.sleep(0.1)
        return running.result()


def test_wait_ends_with_0_when_a_matching_exchange_arrives(network: Network) -> None:
    done = run_while_calling(network, "--wait", "module=tariffs method=get status=1000 url=/tariffs")

    assert 0 == done.returncode, done.stderr
    [line] = done.stdout.splitlines()
    assert ["in", "GET", "tariffs", "-", "200", "1000"] == line.split()[1:7]


def test_wait_ends_with_9_and_the_nearest_misses(network: Network) -> None:
    wanted = "direction=in module=tariffs status=401"
    done = run_while_calling(network, "--wait", wanted, "--timeout", "2")

    assert 9 == done.returncode, done.stderr
    assert done.stdout.startswith("No exchange matched within 2 s. Nearest:\n")
    assert "    status is 200 1000" in done.stdout.splitlines()


def test_follow_prints_older_and_new_exchanges_until_it_is_interrupted(network: Network) -> None:
    operator = network.operator()
    assert operator.get("locations").ok
    party = "/".join(network.network.party)
    deadline = time.monotonic() + 60
    while "locations" not in (listed := run(network.node, "exchanges", "--as", party)).stdout:
        assert time.monotonic() < deadline, listed.stderr
    assert 0 == listed.returncode

    command = [sys.executable, "-m", "workflows.cli", "exchanges", "--as", party, "--follow"]
    with (
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=network.node.surroundings({}),
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  (a shell ignores it for background jobs)
        ) as process,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(process.kill)
        assert process.stdout is not None
        older = process.stdout.readline()
        assert operator.get("locations/nowhere").status_code == 404
        newer = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert 0 == process.wait(60)

    assert (listed.stdout, True) == (older, "404" in newer)


def test_a_wrong_filter_is_explained_and_help_names_the_keys(network: Network) -> None:
    wrong = run(network.node, "exchanges", "--as", "NL/DEM", "--wait", "modul=tariffs")
    helped = run_script(network.node, "exchanges", "--help")

    assert 2 == wrong.returncode
    assert "the keys are direction, peer, module, method, status, url" in wrong.stderr
    assert 0 == helped.returncode
    assert "FILTER is key=value" in helped.stdout
