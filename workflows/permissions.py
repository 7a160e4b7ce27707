"""Which parties' objects a caller of the peer API may read and write.

A peer reads and writes under the parties of its connection. The back office writes under our own party
and reads what all peers pushed. Spec: 2.1.1 transport_and_format, Client owned object push; conformance 99
to 107.
"""

import errors
from storage.access import Caller
from storage.objects import Party, Scope


def writable_parties(caller: Caller) -> list[Party]:
    """The parties under which *caller* may write."""
    if caller.is_operator:
        return [caller.party]
    return [caller.peer, *caller.further_parties] if caller.peer else []


def require_own_party(caller: Caller, country_code: str, party_id: str) -> Party:
    """The party of a URL, which must be our own.

    Raises:
        errors.NotFound: it is another party.
    """
    return _require([caller.party], (country_code, party_id))


def require_writable(caller: Caller, country_code: str, party_id: str) -> Party:
    """The party of a URL, under which *caller* must be allowed to write.

    Raises:
        errors.NotFound: the caller may not write there.
    """
    return _require(writable_parties(caller), (country_code, party_id))


def require_readable(caller: Caller, country_code: str, party_id: str) -> Party:
    """The party of a URL, whose pushed objects *caller* must be allowed to read.

    Raises:
        errors.NotFound: the caller may not read there.
    """
    party = country_code, party_id
    return party if caller.is_operator else _require(writable_parties(caller), party)


def _require(allowed: list[Party], party: Party) -> Party:
    if party not in allowed:
        raise errors.NotFound(errors.NOTHING_HERE)
    return party


def received_scope(caller: Caller) -> Scope:
    """The scope of a list of pushed objects: all of them for the back office, a peer's own for a peer."""
    if caller.is_operator:
        return {}
    if caller.peer is not None and not caller.further_parties:
        return {"country_code": [caller.peer[0]], "party_id": [caller.peer[1]]}
    return {"owner": _names(caller)}


def addressed_scope(caller: Caller) -> Scope:
    """The scope of a list of our objects of which each peer sees only those addressed to it."""
    return {} if caller.is_operator else {"reader": _names(caller)}


def _names(caller: Caller) -> list[str]:
    return ["/".join(party) for party in writable_parties(caller)]
