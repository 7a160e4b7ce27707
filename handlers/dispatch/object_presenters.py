"""The gateway's responses for OCPI objects with their owners. docs/gateway.md "Objects"."""

from generated.gateway_models import CdrCheck, CdrEntry, ObjectEntry, ObjectOwner, OcpiDocument
from handlers.dispatch import presenters
from storage.owned import Filter, Listed


def wanted(owner: ObjectOwner | None, connection_id: str | None) -> Filter:
    """The filter of a list."""
    return Filter(
        is_own=None if owner is None else owner is ObjectOwner.own,
        connection_id=None if connection_id is None else int(connection_id),
    )


def entry(found: Listed) -> ObjectEntry:
    """An object with its owner."""
    return ObjectEntry(
        owner=ObjectOwner.own if found.is_own else ObjectOwner.received,
        party=presenters.party(found.owner),
        connection_id=None if found.connection_id is None else str(found.connection_id),
        object=None if found.document is None else OcpiDocument.model_validate_json(found.document),
    )


def cdr(found: Listed, check: CdrCheck | None) -> CdrEntry:
    """A CDR with its owner and its check."""
    return CdrEntry(**dict(entry(found)), check=check)
