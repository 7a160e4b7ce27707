"""Deletes every row of a network and leaves a tombstone. docs/gateway.md "Ending a network"."""

import sqlalchemy
from sqlalchemy import bindparam

from storage import jobs, networks
from storage.database import Transaction
from storage.schema import METADATA

_KEEP = frozenset({"gw_networks", "gw_tombstones", "gw_jobs"})
_DELETES = tuple(
    sqlalchemy.delete(table).where(table.c.network_id == bindparam("k_network"))
    for table in reversed(METADATA.sorted_tables)
    if "network_id" in table.c and table.name not in _KEEP
)


def erase(transaction: Transaction, network_id: int) -> None:
    """Delete every row of the network, including rows that a late request stored after its end.

    Unfinished jobs become FAILED as cancelled and stay for a day.
    """
    networks.mark_deleting(transaction, network_id)
    for delete in _DELETES:
        transaction.execute(delete, {"k_network": network_id})
    jobs.end_network(transaction, network_id)
    networks.tombstone(transaction, network_id)
