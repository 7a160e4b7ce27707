"""Drivers' tokens in both roles. test_authorization.py tests real-time authorization."""

from typing import Any

import pytest
from examples import example
from nodes import Client, Network, outcome

STORED, NEW = "2026-06-01T00:00:00Z", "2027-01-01T00:00:00Z"


def token(**changes: Any) -> dict[str, Any]:
    """RFID token 1."""
    return example("Token", **{"uid": "1", "last_updated": STORED, **changes})


def push(peer: Client, body: dict[str, Any]) -> str:
    """Push a token and return its URL."""
    url = peer.at("tokens", body["uid"])
    assert (201, 1000) == outcome(peer.put(url, body))
    return url


@pytest.mark.ocpi(166)
def test_a_peer_gets_puts_and_patches_its_tokens(cpo: Network) -> None:
    peer = cpo.peer()
    url = push(peer, token())

    assert token() == peer.data(url)
    assert (200, 1000) == outcome(peer.put(url, token(issuer="Somebody")))
    assert (200, 1000) == outcome(peer.patch(url, {"whitelist": "NEVER", "last_updated": NEW}))
    assert token(issuer="Somebody", whitelist="NEVER", last_updated=NEW) == peer.data(url)


@pytest.mark.ocpi(166)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_pushed_token_can_neither_be_posted_nor_deleted(cpo: Network, method: str) -> None:
    peer = cpo.peer()
    url = push(peer, token())
    response = peer.request(method, url, json=token())

    assert (405, 2000) == outcome(response)
    assert {"GET", "PUT", "PATCH"} == set(response.headers["Allow"].split(", "))
    assert token() == peer.data(url)


@pytest.mark.ocpi(167)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_an_invalidated_token_stays_readable(cpo: Network, method: str) -> None:
    peer = cpo.peer()
    url = push(peer, token())
    change = {"valid": False, "last_updated": NEW}
    body = change if method == "PATCH" else token(**change)

    assert (200, 1000) == outcome(peer.request(method, url, json=body))
    assert token(**change) == peer.data(url)
    assert [token(**change)] == peer.data("tokens")


@pytest.mark.ocpi(168)
def test_the_same_uid_as_rfid_and_as_other_is_two_tokens(cpo: Network) -> None:
    peer = cpo.peer()
    rfid, other = token(), token(type="OTHER", issuer="App")
    url = push(peer, rfid)

    assert (201, 1000) == outcome(peer.put(url, other))
    assert rfid == peer.data(url, type="RFID")
    assert other == peer.data(url, type="OTHER")
    assert [rfid, other] == peer.data("tokens")
    assert (200, 1000) == outcome(peer.put(url, token(type="OTHER", issuer="New")))
    assert rfid == peer.data(url, type="RFID")


@pytest.mark.ocpi(168)
def test_a_request_without_a_type_means_the_rfid_token(cpo: Network) -> None:
    peer = cpo.peer()
    url = push(peer, token(type="OTHER"))
    peer.put(url, token())

    assert token() == peer.data(url)
    assert (200, 1000) == outcome(peer.patch(url, {"valid": False, "last_updated": NEW}))
    assert token(type="OTHER") == peer.data(url, type="OTHER")
    assert token(valid=False, last_updated=NEW) == peer.data(url, type="RFID")


@pytest.mark.ocpi(168)
def test_a_request_without_a_type_means_the_only_token_of_its_uid(cpo: Network) -> None:
    peer = cpo.peer()
    url = push(peer, token(type="OTHER"))

    assert token(type="OTHER") == peer.data(url)
    assert (200, 1000) == outcome(peer.patch(url, {"valid": False, "last_updated": NEW}))
    assert token(type="OTHER", valid=False, last_updated=NEW) == peer.data(url)
    assert (404, 2000) == outcome(peer.get(url, type="RFID"))
    assert (404, 2000) == outcome(peer.patch(url, {"valid": True}, type="RFID"))


@pytest.mark.ocpi(168)
def test_the_type_selects_what_a_patch_changes(cpo: Network) -> None:
    peer = cpo.peer()
    url = push(peer, token())
    peer.put(url, token(type="OTHER"))

    assert (200, 1000) == outcome(peer.patch(url, {"valid": False, "last_updated": NEW}, type="OTHER"))
    assert [True, False] == [peer.data(url, type=kind)["valid"] for kind in ("RFID", "OTHER")]
    assert (400, 2001) == outcome(peer.get(url, type="rfid"))


@pytest.mark.ocpi(114, 168)
def test_a_patch_cannot_change_the_type_of_a_token(cpo: Network) -> None:
    peer = cpo.peer()
    url = push(peer, token())

    assert (200, 2001) == outcome(peer.patch(url, {"type": "OTHER", "last_updated": NEW}))
    assert [token()] == peer.data("tokens")


@pytest.mark.ocpi(169)
def test_a_peer_pages_through_our_tokens(emsp: Network) -> None:
    operator, peer = emsp.operator(), emsp.peer()
    for number in range(5):
        operator.put(f"tokens/NL/DEP/{number}", token(uid=str(number)))
    found, url = [], f"{peer.base}/tokens?limit=2"
    while url:
        response = peer.get(url)
        assert "5" == response.headers["X-Total-Count"]
        assert "2" == response.headers["X-Limit"]
        found += [each["uid"] for each in response.json()["data"]]
        url = response.links.get("next", {}).get("url", "")

    assert ["0", "1", "2", "3", "4"] == found


@pytest.mark.ocpi(169)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["tokens", "tokens/NL/DEP/1"])
def test_a_peer_cannot_change_our_tokens(emsp: Network, method: str, path: str) -> None:
    emsp.operator().put("tokens/NL/DEP/1", token())
    peer = emsp.peer()
    response = peer.request(method, path, json=token(valid=False))

    assert ((405, 2000), "GET") == (outcome(response), response.headers["Allow"])
    assert [token()] == peer.data("tokens")


@pytest.mark.ocpi(182)
@pytest.mark.parametrize("sent", [{}, {"language": None, "visual_number": None}], ids=["absent", "null"])
def test_language_and_visual_number_are_optional(cpo: Network, sent: dict[str, Any]) -> None:
    peer = cpo.peer()
    bare = token(language=None, visual_number=None)

    assert bare == peer.data(push(peer, {**bare, **sent}))
