"""Tariffs. Spec: 2.1.1 mod_tariffs."""

from sqlalchemy import Index, UniqueConstraint

import errors
from storage.objects import (
    Body,
    Change,
    Document,
    ObjectColumns,
    Page,
    Party,
    Shelf,
    Stored,
    Window,
)


class TariffRow(ObjectColumns, table=True):
    """A tariff, our own or one that a peer pushed."""

    __tablename__ = "ocpi_tariffs"
    __table_args__ = (
        UniqueConstraint("network_id", "country_code", "party_id", "id"),
        Index("ix_ocpi_tariffs_network_seq", "network_id", "seq"),
        Index("ix_ocpi_tariffs_network_updated", "network_id", "last_updated"),
    )


_SHELF = Shelf(TariffRow)


def get(network_id: int, party: Party, tariff_id: str) -> Document | None:
    """The tariff, or None."""
    return _SHELF.get(network_id, party, tariff_id)


def page(network_id: int, window: Window, scope: dict[str, list[str]]) -> Page:
    """Tariffs of the network, oldest first."""
    return _SHELF.page(network_id, window, scope)


def put(network_id: int, party: Party, body: Body) -> Stored:
    """Store a tariff over what is not newer."""
    return _SHELF.put(network_id, party, body, {"id": body["id"]})


def add(network_id: int, party: Party, body: Body) -> bool:
    """Store a tariff of ours unless its id is taken; True if it was stored."""
    return _SHELF.add(network_id, party, body, {"id": body["id"]})


def revise(network_id: int, party: Party, tariff_id: str, change: Change) -> None:
    """Replace a tariff by `change` of it.

    Raises:
        errors.NotFound: there is no such tariff.
    """
    if not _SHELF.revise(network_id, party, tariff_id, change=change):
        raise errors.NotFound(errors.NOTHING_HERE)


def delete(network_id: int, party: Party, tariff_id: str) -> None:
    """Delete a tariff. Spec: 2.1.1 mod_tariffs 2.2.4.

    Raises:
        errors.NotFound: there is no such tariff.
    """
    if not _SHELF.delete(network_id, party, tariff_id):
        raise errors.NotFound(errors.NOTHING_HERE)
