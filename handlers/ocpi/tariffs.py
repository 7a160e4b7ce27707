"""Tariffs, in both roles. Spec: 2.1.1 mod_tariffs."""

from typing import Unpack

from generated.ocpi_models import Tariff, TariffPatch
from handlers.dispatch.pagination import PageQuery, window
from handlers.dispatch.patch import change, require_same
from handlers.dispatch.responses import Ignored, Written, require_found, written
from storage import database, tariffs
from storage.access import Caller
from storage.objects import Document, Page
from workflows.permissions import (
    received_scope,
    require_own_party,
    require_readable,
    require_writable,
    writing,
)

# CPO interface


def list_tariffs(user: Caller, **query: Unpack[PageQuery]) -> Page:
    """Our tariffs."""
    with database.connect() as connection:
        return tariffs.page(connection, user.network_id, window(query), {})


def get_tariff(user: Caller, country_code: str, party_id: str, tariff_id: str) -> Document:
    """One of our tariffs."""
    party = require_own_party(user, country_code, party_id)
    with database.connect() as connection:
        return require_found(tariffs.get(connection, user.network_id, party, tariff_id))


def put_tariff(
    user: Caller, country_code: str, party_id: str, tariff_id: str, body: Tariff
) -> Written | Ignored:
    """Our back office stores a tariff, or a peer pushes one."""
    party = require_writable(user, country_code, party_id)
    require_same(tariff_id, body.id, "id")
    with writing(user, party) as transaction:
        return written(tariffs.put(transaction, user.network_id, party, body))


def delete_tariff(user: Caller, country_code: str, party_id: str, tariff_id: str) -> None:
    """Our back office, or a peer, deletes a tariff."""
    party = require_writable(user, country_code, party_id)
    with writing(user, party) as transaction:
        tariffs.delete(transaction, user.network_id, party, tariff_id)


# eMSP interface


def list_received_tariffs(user: Caller, **query: Unpack[PageQuery]) -> Page:
    """What peers pushed; a peer sees its own."""
    with database.connect() as connection:
        return tariffs.page(connection, user.network_id, window(query), received_scope(user))


def get_received_tariff(user: Caller, country_code: str, party_id: str, tariff_id: str) -> Document:
    """A tariff as it is stored here."""
    party = require_readable(user, country_code, party_id)
    with database.connect() as connection:
        return require_found(tariffs.get(connection, user.network_id, party, tariff_id))


def patch_received_tariff(
    user: Caller, country_code: str, party_id: str, tariff_id: str, body: TariffPatch
) -> Written | Ignored:
    """A peer changes a tariff."""
    party = require_writable(user, country_code, party_id)
    with writing(user, party) as transaction:
        return written(tariffs.update(transaction, user.network_id, party, tariff_id, change(body)))


put_received_tariff, delete_received_tariff = put_tariff, delete_tariff
