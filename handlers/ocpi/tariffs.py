"""Tariffs, in both roles. Spec: 2.1.1 mod_tariffs."""

from typing import Any, Unpack

from handlers.envelope import Answer, found, stored
from handlers.listing import Asked, window
from handlers.patch import over, same
from storage import database, tariffs
from storage.access import Caller
from storage.objects import Document, Page

# CPO interface


def list_tariffs(user: Caller, **asked: Unpack[Asked]) -> Page:
    """Our tariffs."""
    with database.connect() as connection:
        return tariffs.page(connection, user.network_id, window(asked), {})


def get_tariff(user: Caller, country_code: str, party_id: str, tariff_id: str) -> Document:
    """One of our tariffs."""
    with database.connect() as connection:
        return found(tariffs.get(connection, user.network_id, user.own(country_code, party_id), tariff_id))


def put_tariff(
    user: Caller, country_code: str, party_id: str, tariff_id: str, body: dict[str, Any]
) -> Answer | None:
    """The back office stores one of its tariffs."""
    return _put(user, country_code, party_id, tariff_id, body)


def delete_tariff(user: Caller, country_code: str, party_id: str, tariff_id: str) -> None:
    """The back office deletes one of its tariffs."""
    with database.transaction() as transaction:
        tariffs.delete(transaction, user.network_id, user.owner(country_code, party_id), tariff_id)


# eMSP interface


def list_received_tariffs(user: Caller, **asked: Unpack[Asked]) -> Page:
    """What peers pushed; a peer sees its own."""
    with database.connect() as connection:
        return tariffs.page(connection, user.network_id, window(asked), user.pushed())


def get_received_tariff(user: Caller, country_code: str, party_id: str, tariff_id: str) -> Document:
    """A tariff as it is stored here."""
    with database.connect() as connection:
        return found(
            tariffs.get(connection, user.network_id, user.readable(country_code, party_id), tariff_id)
        )


def put_received_tariff(
    user: Caller, country_code: str, party_id: str, tariff_id: str, body: dict[str, Any]
) -> Answer | None:
    """A peer pushes a tariff."""
    return _put(user, country_code, party_id, tariff_id, body)


def patch_received_tariff(
    user: Caller, country_code: str, party_id: str, tariff_id: str, body: dict[str, Any]
) -> None:
    """A peer changes a tariff."""
    party = user.owner(country_code, party_id)
    with database.transaction() as transaction:
        tariffs.revise(transaction, user.network_id, party, tariff_id, over(body, "Tariff"))


def delete_received_tariff(user: Caller, country_code: str, party_id: str, tariff_id: str) -> None:
    """A peer deletes a tariff."""
    with database.transaction() as transaction:
        tariffs.delete(transaction, user.network_id, user.owner(country_code, party_id), tariff_id)


def _put(
    user: Caller, country_code: str, party_id: str, tariff_id: str, body: dict[str, Any]
) -> Answer | None:
    party = user.owner(country_code, party_id)
    same(tariff_id, body["id"], "id")
    with database.transaction() as transaction:
        return stored(tariffs.put(transaction, user.network_id, party, body))
