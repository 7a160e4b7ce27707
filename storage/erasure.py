"""The end of a network: every row of it goes, a tombstone stays. Design section 10."""

import sqlalchemy
from sqlalchemy import bindparam

from storage import database, jobs, networks
from storage.database import Query
from storage.schema import METADATA

_KEEP = frozenset({"gw_networks", "gw_tombstones", "gw_jobs"})
_DELETES = tuple(
    Query(sqlalchemy.delete(table).where(table.c.network_id == bindparam("k_network")))
    for table in reversed(METADATA.sorted_tables)
    if "network_id" in table.c and table.name not in _KEEP
)


def erase(network_id: int) -> None:
    """Delete every row of the network, also those that a late request stored after its end.

    Its jobs that were running stay for a while, FAILED as cancelled.
    """
    with database.transaction():
        networks.doom(network_id)
        for delete in _DELETES:
            delete.count({"k_network": network_id})
        for job in jobs.of_network(network_id):
            if job.failure == jobs.CANCELLED or jobs.end(job.id, jobs.FAILED, jobs.CANCELLED):
                jobs.forget_items(job.id)
            else:
                jobs.forget(job.id)
        networks.bury(network_id)
