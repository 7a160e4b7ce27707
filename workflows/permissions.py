"""Which parties' objects a caller of the peer API may read and write.

A peer reads and writes under the parties of its connection. The back office writes under our own party
and reads what all peers pushed. Spec: 2.1.1 transport_and_format, Client owned object push; conformance 99
to 107.
"""

import contextlib
import re
from collections.abc import Iterator

import errors
from generated.ocpi_models import CDR
from storage import database, parties
from storage.access import Caller
from storage.connections import ANY_PARTY, OWN_PARTY
from storage.database import Transaction
from storage.objects import Party, Scope

_EVSE_ID = re.compile(r"([A-Z]{2})\*?([A-Z0-9]{3})\*?E", re.IGNORECASE)
"""The beginning of an EVSE id: country and operator. Spec: 2.1.1 mod_locations 3.3."""

_PARTY = re.compile(r"[A-Z]{2}/[A-Z0-9]{3}", re.ASCII)


def require_own_party(caller: Caller, country_code: str, party_id: str) -> Party:
    """The party of a URL, which must be our own.

    Raises:
        errors.NotFound: it is another party.
    """
    if (country_code, party_id) != caller.party:
        raise errors.NotFound(errors.NOTHING_HERE)
    return caller.party


def require_writable(caller: Caller, country_code: str, party_id: str) -> Party:
    """The party of a URL, under which *caller* must be allowed to write.

    Raises:
        errors.NotFound: the caller may not write there.
    """
    party = country_code, party_id
    if not _may_write(caller, party):
        raise errors.NotFound(errors.NOTHING_HERE)
    return party


def require_readable(caller: Caller, country_code: str, party_id: str) -> Party:
    """The party of a URL, whose pushed objects *caller* must be allowed to read.

    Raises:
        errors.NotFound: the caller may not read there.
    """
    party = country_code, party_id
    if not caller.is_operator and party != caller.peer and not _holds(caller, party):
        raise errors.NotFound(errors.NOTHING_HERE)
    return party


def _may_write(caller: Caller, party: Party) -> bool:
    if caller.is_operator:
        return party == caller.party
    if party == caller.peer:
        return True
    if caller.writes_for == ANY_PARTY and party != caller.party:
        return _holder(caller, party) in (None, caller.connection_id)
    return _holds(caller, party)


def _holds(caller: Caller, party: Party) -> bool:
    """Whether an owner other than the peer's own party belongs to the caller's connection."""
    return caller.writes_for != OWN_PARTY and _holder(caller, party) == caller.connection_id


def _holder(caller: Caller, party: Party) -> int | None:
    """The connection that an owner belongs to, or None."""
    with database.connect() as connection:
        return parties.connection_of(connection, caller.network_id, party)


@contextlib.contextmanager
def writing(caller: Caller, party: Party) -> Iterator[Transaction]:
    """A transaction in which *caller* writes under *party*, which `require_writable` has allowed.

    The first connection for any party that writes for an owner keeps it.

    Raises:
        errors.NotFound: the owner belongs to another connection since.
    """
    with database.transaction() as transaction:
        if caller.writes_for == ANY_PARTY and party != caller.peer:
            parties.claim(transaction, caller.network_id, party, caller.connection_id or 0)
        yield transaction


def received_scope(caller: Caller) -> Scope:
    """The scope of a list of pushed objects: all of them for the back office, its own for a peer."""
    if caller.is_operator:
        return {}
    if caller.peer is not None and caller.writes_for == OWN_PARTY:
        return {"country_code": caller.peer[0], "party_id": caller.peer[1]}
    return {"owner_of": caller.connection_id}


def addressed_scope(caller: Caller) -> Scope:
    """The scope of a list of our objects of which each peer sees only those addressed to it."""
    if caller.is_operator:
        return {}
    if caller.peer is not None and caller.writes_for == OWN_PARTY:
        return {"reader": "/".join(caller.peer)}
    return {"reader_of": caller.connection_id}


def owner_of_cdr(caller: Caller, cdr: CDR) -> Party:
    """The owner of a CDR that a peer sends: its URL has no party, unlike those of other objects.

    A peer that writes for other parties may name the owner as OCPI 2.2 does, in the members `country_code`
    and `party_id`. Without them it is the operator in the EVSE id, if that party belongs to the connection.
    Otherwise it is the peer's own party.

    Raises:
        errors.RuleBroken: the peer may not write for the party that the CDR names.
    """
    own = caller.peer or caller.party
    if caller.writes_for == OWN_PARTY:
        return own
    extra = cdr.model_extra or {}
    if "country_code" in extra and "party_id" in extra:
        named = str(extra["country_code"]).upper(), str(extra["party_id"]).upper()
        if not _PARTY.fullmatch("/".join(named)) or not _may_write(caller, named):
            raise errors.RuleBroken("party_id: this connection may not write for the party of the CDR")
        return named
    found = (_EVSE_ID.match(evse.evse_id) for evse in cdr.location.evses or () if evse.evse_id)
    operators = [(each[1].upper(), each[2].upper()) for each in found if each]
    return next((party for party in operators if _holds(caller, party)), own)
