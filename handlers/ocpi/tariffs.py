"""Tariffs, in both roles. Spec: 2.1.1 mod_tariffs."""

from typing import Unpack

from generated.ocpi_models import Tariff, TariffPatch
from handlers.dispatch.pagination import PageQuery, window
from handlers.dispatch.patch import change, require_same
from handlers.dispatch.responses import Ignored, Written, found, written
from storage import database, tariffs
from storage.access import Caller
from storage.objects import Document, Page

# CPO interface


def list_tariffs(user: Caller, **query: Unpack[PageQuery]) -> Page:
    """Our tariffs."""
    with database.connect() as connection:
        return tariffs.page(connection, user.network_id, window(query), {})


def get_tariff(user: Caller, country_code: str, party_id: str, tariff_id: str) -> Document:
    """One of our tariffs."""
    with database.connect() as connection:
        return found(tariffs.get(connection, user.network_id, user.own(country_code, party_id), tariff_id))


def put_tariff(
    user: Caller, country_code: str, party_id: str, tariff_id: str, body: Tariff
) -> Written | Ignored:
    """Our back office stores a tariff, or a peer pushes one."""
    party = user.owner(country_code, party_id)
    require_same(tariff_id, body.id, "id")
    with database.transaction() as transaction:
        return written(tariffs.put(transaction, user.network_id, party, body))


def delete_tariff(user: Caller, country_code: str, party_id: str, tariff_id: str) -> None:
    """Our back office, or a peer, deletes a tariff."""
    with database.transaction() as transaction:
        tariffs.delete(transaction, user.network_id, user.owner(country_code, party_id), tariff_id)


# eMSP interface


def list_received_tariffs(user: Caller, **query: Unpack[PageQuery]) -> Page:
    """What peers pushed; a peer sees its own."""
    with database.connect() as connection:
        return tariffs.page(connection, user.network_id, window(query), user.pushed())


def get_received_tariff(user: Caller, country_code: str, party_id: str, tariff_id: str) -> Document:
    """A tariff as it is stored here."""
    with database.connect() as connection:
        return found(
            tariffs.get(connection, user.network_id, user.readable(country_code, party_id), tariff_id)
        )


def patch_received_tariff(
    user: Caller, country_code: str, party_id: str, tariff_id: str, body: TariffPatch
) -> Written | Ignored:
    """A peer changes a tariff."""
    party = user.owner(country_code, party_id)
    with database.transaction() as transaction:
        return written(tariffs.update(transaction, user.network_id, party, tariff_id, change(body)))


put_received_tariff, delete_received_tariff = put_tariff, delete_tariff
