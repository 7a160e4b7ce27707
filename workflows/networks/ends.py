"""The end of a network, by a deletion or at its expiry. docs/gateway.md "Ending a network"."""

import logging

from storage import access, agenda, database, ended_tokens, network_deletion, networks
from storage.agenda import AgendaRow

log = logging.getLogger("ocpi_gateway")


def end(network_id: int, reason: str) -> None:
    """End a network: delete its tokens, then its rows. Its jobs end before their next step."""
    with database.transaction() as transaction:
        networks.mark_deleting(transaction, network_id)
        access.end_network(transaction, network_id, reason)
    with database.transaction() as transaction:
        network_deletion.erase(transaction, network_id)


def expire(entry: AgendaRow) -> None:
    """End a network that has expired, or whose deletion was interrupted."""
    network_id = int(entry.key)
    with database.connect() as connection:
        has_ended = networks.has_ended(connection, network_id)
    if has_ended:
        log.info("network_ends", extra={"network": network_id})
        end(network_id, ended_tokens.NETWORK_EXPIRED)
    _finish(entry)


def erase_late_rows(entry: AgendaRow) -> None:
    """Delete what was stored after the end of a network."""
    with database.transaction() as transaction:
        network_deletion.erase(transaction, int(entry.key))
    _finish(entry)


def _finish(entry: AgendaRow) -> None:
    with database.transaction() as transaction:
        agenda.finish(transaction, entry)
