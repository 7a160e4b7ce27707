"""Jobs that register at a peer, renew and unregister. docs/gateway.md "Connections"."""

import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from crashable_node import CrashableNode, environment, rows, until
from inspection import texts as stored_texts
from migrated import new_database
from nodes import Gateway, in_transaction, one_database, outcome, refusal
from peers import PeerServer, envelope

from storage import jobs

TOKEN_A = "token-a-of-the-peer"
CREDENTIALS = "/2.1.1/credentials"


@pytest.fixture
def url(gateway: Gateway) -> str:
    """The URL of the connections of a new network."""
    return f"{gateway.create()['destroy_url']}/connections"


def start(gateway: Gateway, url: str, peer: PeerServer, token: str = TOKEN_A) -> Any:
    """The response to the order of a registration."""
    return gateway.create(url, versions_url=peer.versions_url, token=token)


def ended(gateway: Gateway, accepted: Any) -> Any:
    """The job, once it has ended."""
    return gateway.wait_until_ready(accepted["status_url"])


def registered(gateway: Gateway, url: str, peer: PeerServer) -> str:
    """The URL of a new connection with *peer*."""
    job = ended(gateway, start(gateway, url, peer))
    assert "READY" == job["status"], job
    return f"{url}/{job['connection_id']}"


def steps_of(job: Any) -> list[str]:
    """The steps of a job."""
    return [step["text"] for step in job["steps"]]


def exchanges_of(gateway: Gateway, status_url: str, count: int) -> list[str]:
    """The requests of the exchanges that the steps of a job name, once *count* are stored."""
    deadline = time.monotonic() + 60
    while (
        len(ids := [s["exchange_id"] for s in gateway.data(status_url)["steps"] if "exchange_id" in s])
        < count
    ):
        assert time.monotonic() < deadline, ids
        time.sleep(0.05)
    network = status_url.partition("/jobs/")[0]
    shown = [gateway.data(f"{network}/exchanges/{each}")["summary"] for each in ids]
    return [f"{each['method']} {each['url']}" for each in shown]


@pytest.mark.ocpi(79)
def test_a_registration_is_a_job_with_its_steps(gateway: Gateway, url: str, peer: PeerServer) -> None:
    accepted = start(gateway, url, peer)
    job = ended(gateway, accepted)

    assert ("register", "READY", None) == (job["kind"], job["status"], job.get("error"))
    calls = [f"GET {peer.url}/versions", f"GET {peer.url}/2.1.1", f"POST {peer.url}{CREDENTIALS}"]
    assert calls == [text for text in steps_of(job) if text.startswith(("GET", "POST"))]
    assert "registered with NL/TNM" == steps_of(job)[-1]
    assert calls == exchanges_of(gateway, accepted["status_url"], len(calls))
    found = gateway.data(f"{url}/{job['connection_id']}")
    assert ("REGISTERED", "NETWORK") == (found["state"], found["initiated_by"])
    token_c = peer.requests("POST", CREDENTIALS)[0]["body"]["token"]
    assert (200, 1000) == outcome(gateway.node.client(token_c).get("locations"))
    everything = stored_texts() + str(job) + gateway.node.log
    assert set() == {token for token in (TOKEN_A, token_c, peer.token) if token in everything}


def test_a_refusal_of_the_peer_is_told_in_its_words(gateway: Gateway, url: str, peer: PeerServer) -> None:
    peer.answers[CREDENTIALS] = lambda _: (200, {**envelope(status_code=2001), "status_message": "No."})

    job = ended(gateway, start(gateway, url, peer))

    assert "FAILED" == job["status"]
    assert {"code": "peer_unusable", "message": "The peer answered 2001: No."}.items() <= job["error"].items()
    assert 0 == gateway.data(url)["total"]
    assert None is in_transaction(jobs.get, job["job_id"]).request


@one_database
def test_a_refused_address_is_told_with_the_setting_that_would_allow_it(gateway: Gateway, url: str) -> None:
    job = ended(gateway, gateway.create(url, versions_url="http://10.1.2.3/versions", token=TOKEN_A))

    assert "address_refused" == job["error"]["code"]
    assert "the entry 10.1.2.3:80-80 in PEER_ALLOW allows it" in job["error"]["message"]
    assert [] == job["steps"]


def test_a_rotation_renews_both_tokens(gateway: Gateway, url: str, peer: PeerServer) -> None:
    connection = registered(gateway, url, peer)
    peer.token = "c2"

    job = ended(gateway, gateway.create(f"{connection}/rotate"))

    assert ("rotate", "READY") == (job["kind"], job["status"])
    assert connection.endswith(f"/{job['connection_id']}")
    [put] = peer.requests("PUT", CREDENTIALS)
    assert (200, 1000) == outcome(gateway.node.client(put["body"]["token"]).get("locations"))


@pytest.mark.parametrize("answer", [(200, envelope()), (500, envelope(status_code=3000)), (200, b"no")])
def test_unregistering_ends_our_side_whatever_the_peer_answers(
    gateway: Gateway, url: str, peer: PeerServer, answer: Any
) -> None:
    connection = registered(gateway, url, peer)
    token_c = peer.requests("POST", CREDENTIALS)[0]["body"]["token"]
    peer.answers[CREDENTIALS] = lambda _: answer

    response = gateway.delete(connection)
    job = ended(gateway, response.json())

    assert 202 == response.status_code
    assert ("unregister", "READY") == (job["kind"], job["status"])
    assert f"DELETE {peer.url}{CREDENTIALS}" in steps_of(job)
    assert (answer != (200, envelope())) == any("did not confirm" in text for text in steps_of(job))
    assert "UNREGISTERED" == gateway.data(connection)["state"]
    assert (401, 2000) == outcome(gateway.node.client(token_c).get("locations"))


@one_database
def test_an_ended_connection_cannot_be_renewed_but_ended_again(
    gateway: Gateway, url: str, peer: PeerServer
) -> None:
    connection = registered(gateway, url, peer)
    ended(gateway, gateway.delete(connection).json())
    peer.seen.clear()

    assert (409, "NL/TNM is not registered.") == refusal(gateway.post(f"{connection}/rotate", None))
    job = ended(gateway, gateway.delete(connection).json())

    assert ["the connection has ended already"] == steps_of(job)
    assert [] == peer.seen


@one_database
def test_two_registrations_of_a_network_follow_each_other(
    gateway: Gateway, url: str, peer: PeerServer
) -> None:
    with PeerServer(("BE", "OTH")) as other:
        accepted = [start(gateway, url, each) for each in (peer, other)]

        assert ["READY", "READY"] == [ended(gateway, each)["status"] for each in accepted]
    assert 2 == gateway.data(url)["total"]


@one_database
def test_a_repeated_order_with_its_idempotency_key_registers_once(
    gateway: Gateway, url: str, peer: PeerServer
) -> None:
    key, body = str(uuid.uuid4()), {"versions_url": peer.versions_url, "token": TOKEN_A}

    first, second = (gateway.post(url, body, Idempotency_Key=key).json() for _ in range(2))

    assert first == second
    assert "READY" == ended(gateway, first)["status"]
    assert 1 == len(peer.requests("POST", CREDENTIALS))


@one_database
@pytest.mark.parametrize("name", ["versions_url", "token"])
def test_an_invalid_order_is_422_and_does_not_repeat_a_token(gateway: Gateway, url: str, name: str) -> None:
    body = {"versions_url": "http://127.0.0.1:9/versions", "token": TOKEN_A, name: "a b"}

    status, [problem] = refusal(gateway.post(url, body))

    assert (422, ["body", name]) == (status, problem["loc"])
    assert (name == "versions_url") == ("input" in problem)


@one_database
def test_the_jobs_that_create_locations_have_the_same_form(gateway: Gateway) -> None:
    accepted = gateway.ready()

    job = gateway.data(f"{accepted['destroy_url']}/jobs/{accepted['workflow_run_id']}")

    assert ("network", "READY", []) == (job["kind"], job["status"], job["steps"])
    assert 2 == job["progress"]["locations_done"]


@one_database
def test_a_registration_that_a_crash_interrupts_ends_with_what_the_peer_says(
    database_url: str, tmp_path: Path, peer: PeerServer
) -> None:
    """The peer has used up Token A when the first run is killed, so it refuses the second run."""
    settings = environment(new_database(database_url, tmp_path), str(tmp_path))
    node = CrashableNode({**settings, "OCPI_GATEWAY_PEER_TIMEOUT_SECONDS": "1"})
    node.start_with_failpoint("join.answered")
    network = {"template": "small-urban-ac", "country_code": "NL", "party_id": "ABC", "name_prefix": "x"}
    url = f"{node.order('/ocpi/cpos', network)['destroy_url']}/connections"
    accepted = node.order(url, {"versions_url": peer.versions_url, "token": TOKEN_A})
    node.wait_until_killed()
    peer.answers["/versions"] = lambda _: (401, envelope(status_code=2000))

    node.start()
    until(lambda: node.read(accepted["status_url"])["status"] in ("READY", "FAILED"))
    job = node.read(accepted["status_url"])
    total = node.read(url)["total"]
    node.kill()

    assert ("FAILED", "peer_unusable", 0) == (job["status"], job["error"]["code"], total)
    assert [[None]] == [list(row) for row in rows(node.database, "SELECT request FROM gw_jobs WHERE id = :id",
                                                  id=job["job_id"])]  # fmt: skip
