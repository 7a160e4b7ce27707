"""One object by its id, whoever owns it, and lists of objects with their owners."""

from typing import Any

import pytest
from examples import example, model
from nodes import Network, in_transaction, outcome

import errors
from storage import owned, sessions
from storage.owned import Filter, Kind

TNM, OTH = ("NL", "TNM"), ("NL", "OTH")


def find(network: Network, kind: Kind, *arguments: Any, **more: Any) -> tuple[Any, ...]:
    """Whether an object is ours, its owner, and its connection."""
    found = in_transaction(owned.find, network.network, kind, *arguments, **more)
    return found.is_own, found.owner, found.connection_id


def owners(network: Network, kind: Kind, **wanted: Any) -> list[tuple[Any, ...]]:
    """The same of each object of a list."""
    listed, total = in_transaction(owned.page, network.network, kind, Filter(**wanted), 0, 10)
    assert len(listed) == total
    return [(each.is_own, each.owner, each.connection_id) for each in listed]


def test_a_pushed_object_needs_an_owner_if_several_parties_have_one_with_its_id(emsp: Network) -> None:
    first, second = emsp.peer(TNM), emsp.peer(OTH)
    with pytest.raises(errors.NotFound):
        find(emsp, Kind.SESSIONS, "101")

    assert (201, 1000) == outcome(first.put(first.at("sessions", "101"), example("Session")))
    assert (False, TNM, first.connection_id) == find(emsp, Kind.SESSIONS, "101")

    assert (201, 1000) == outcome(second.put(second.at("sessions", "101"), example("Session")))
    with pytest.raises(errors.Conflict, match="NL/OTH, NL/TNM all have sessions with the id 101"):
        find(emsp, Kind.SESSIONS, "101")
    assert (False, OTH, second.connection_id) == find(emsp, Kind.SESSIONS, "101", *OTH)
    with pytest.raises(errors.NotFound):
        find(emsp, Kind.SESSIONS, "101", "NL", "DEM")

    both = [(False, TNM, first.connection_id), (False, OTH, second.connection_id)]
    assert both == owners(emsp, Kind.SESSIONS) == owners(emsp, Kind.SESSIONS, is_own=False)
    assert both[1:] == owners(emsp, Kind.SESSIONS, connection_id=second.connection_id)
    assert [] == owners(emsp, Kind.SESSIONS, is_own=True)


def test_our_own_object_has_the_connection_of_the_driver(cpo: Network) -> None:
    peer, operator = cpo.peer(TNM), cpo.operator()
    assert (201, 1000) == outcome(peer.put(peer.at("tokens", "012345678"), example("Token")))
    assert (201, 1000) == outcome(operator.put("sessions/NL/DEM/S-1", example("Session", id="S-1")))
    assert (201, 1000) == outcome(operator.post("cdrs", example("CDR", id="C-1")))
    assert (201, 1000) == outcome(operator.put("tariffs/NL/DEM/12", example("Tariff", id="12")))

    own = (True, ("NL", "DEM"), peer.connection_id)
    assert own == find(cpo, Kind.SESSIONS, "S-1") == find(cpo, Kind.CDRS, "c-1")
    assert [own] == owners(cpo, Kind.SESSIONS, is_own=True, connection_id=peer.connection_id)
    assert [(True, ("NL", "DEM"), None)] == owners(cpo, Kind.TARIFFS)
    assert [] == owners(cpo, Kind.TARIFFS, connection_id=peer.connection_id)
    assert [] == owners(cpo, Kind.TARIFFS, is_own=False)


def test_a_token_without_a_type_is_the_only_one_of_its_owner_or_the_rfid_token(cpo: Network) -> None:
    peer = cpo.peer(TNM)

    def push(type_: str) -> None:
        token = example("Token", type=type_)
        assert (201, 1000) == outcome(peer.put(peer.at("tokens", "012345678"), token))

    def found(**more: str) -> str:
        token = in_transaction(owned.find, cpo.network, Kind.TOKENS, "012345678", **more)
        return next(word for word in ("OTHER", "RFID") if f'"type":"{word}"' in token.document)

    push("OTHER")
    assert "OTHER" == found()
    push("RFID")
    assert ["RFID", "RFID", "OTHER"] == [found(), found(type_="RFID"), found(type_="OTHER")]


def test_our_own_object_is_meant_if_a_peer_has_one_with_the_same_id(emsp: Network) -> None:
    peer = emsp.peer(TNM)
    assert (201, 1000) == outcome(peer.put(peer.at("sessions", "101"), example("Session")))
    in_transaction(sessions.put, emsp.id, ("NL", "DEP"), model("Session", example("Session")))

    assert (True, ("NL", "DEP"), None) == find(emsp, Kind.SESSIONS, "101", "NL", "DEP")
    assert (False, TNM, peer.connection_id) == find(emsp, Kind.SESSIONS, "101", *TNM)
    assert find(emsp, Kind.SESSIONS, "101") == find(emsp, Kind.SESSIONS, "101", "NL", "DEP")
