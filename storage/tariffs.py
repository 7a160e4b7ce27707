"""Tariffs. Spec: 2.1.1 mod_tariffs."""

from sqlalchemy import Index, UniqueConstraint

import errors
from generated.ocpi_models import Tariff
from storage.database import Transaction
from storage.objects import (
    Change,
    ObjectColumns,
    Party,
    Stored,
)
from storage.outbox import PushedTable


class TariffRow(ObjectColumns, table=True):
    """A tariff of ours or of a peer."""

    __tablename__ = "ocpi_tariffs"
    __table_args__ = (
        UniqueConstraint("network_id", "country_code", "party_id", "id"),
        Index("ix_ocpi_tariffs_network_seq", "network_id", "seq"),
        Index("ix_ocpi_tariffs_network_updated", "network_id", "last_updated"),
    )


_DOCUMENTS = PushedTable(TariffRow, "tariffs")

get = _DOCUMENTS.get
page = _DOCUMENTS.page
send_again = _DOCUMENTS.send_again


def put(transaction: Transaction, network_id: int, party: Party, tariff: Tariff) -> Stored:
    """Store a tariff unless the stored one is newer."""
    is_stamped = "last_updated" not in tariff.model_fields_set
    return _DOCUMENTS.put(transaction, network_id, party, tariff, {"id": tariff.id}, is_stamped=is_stamped)


def add(transaction: Transaction, network_id: int, party: Party, tariff: Tariff) -> bool:
    """Store a generated tariff unless its id is taken; True if it was stored."""
    return _DOCUMENTS.add(transaction, network_id, party, tariff, {"id": tariff.id}, is_stamped=True)


def update(
    transaction: Transaction,
    network_id: int,
    party: Party,
    tariff_id: str,
    change: Change[Tariff],
) -> Stored:
    """Apply *change* to a tariff.

    Raises:
        errors.NotFound: there is no such tariff.
    """
    locked = _DOCUMENTS.lock(transaction, network_id, party, tariff_id)
    new = change.apply(Tariff.model_validate_json(locked.document))
    if new is None:
        return Stored.UNCHANGED
    _DOCUMENTS.update(transaction, locked, new, is_stamped=change.is_stamped)
    return Stored.UPDATED


def delete(transaction: Transaction, network_id: int, party: Party, tariff_id: str) -> None:
    """Delete a tariff. Spec: 2.1.1 mod_tariffs 2.2.4.

    Raises:
        errors.NotFound: there is no such tariff.
    """
    if not _DOCUMENTS.delete(transaction, network_id, party, tariff_id):
        raise errors.NotFound(errors.NOTHING_HERE)
