"""Charge detail records, in both roles. Spec: 2.1.1 mod_cdrs."""

from typing import Unpack
from urllib.parse import quote

from generated.ocpi_models import CDR
from handlers.dispatch.pagination import PageQuery, window
from handlers.dispatch.responses import Written, require_found
from settings import settings
from storage import cdrs, database
from storage.access import Caller
from storage.objects import Document, Page, Party, Stored
from workflows.permissions import (
    addressed_scope,
    owner_of_cdr,
    received_scope,
    require_own_party,
    require_readable,
    writing,
)

# CPO interface


def list_cdrs(user: Caller, **query: Unpack[PageQuery]) -> Page:
    """Our CDRs; a peer sees those of its own drivers."""
    with database.connect() as connection:
        return cdrs.page(connection, user.network_id, window(query), addressed_scope(user))


def get_cdr(user: Caller, country_code: str, party_id: str, cdr_id: str) -> Document:
    """One of our CDRs."""
    party = require_own_party(user, country_code, party_id)
    with database.connect() as connection:
        return require_found(
            cdrs.get(connection, user.network_id, party, cdr_id, scope=addressed_scope(user))
        )


def post_cdr(user: Caller, body: CDR) -> Written:
    """The back office stores a new CDR."""
    return _post(user, user.party, "cpo", body)


# eMSP interface


def list_received_cdrs(user: Caller, **query: Unpack[PageQuery]) -> Page:
    """What peers sent; a peer sees its own."""
    with database.connect() as connection:
        return cdrs.page(connection, user.network_id, window(query), received_scope(user))


def get_received_cdr(user: Caller, country_code: str, party_id: str, cdr_id: str) -> Document:
    """A CDR as it is stored here."""
    party = require_readable(user, country_code, party_id)
    with database.connect() as connection:
        return require_found(cdrs.get(connection, user.network_id, party, cdr_id))


def post_received_cdr(user: Caller, body: CDR) -> Written:
    """A peer sends a new CDR."""
    return _post(user, owner_of_cdr(user, body), "emsp", body)


def _post(user: Caller, party: Party, role: str, body: CDR) -> Written:
    with writing(user, party) as transaction:
        outcome, kept_id = cdrs.post(transaction, user.network_id, party, body)
    url = f"{settings().base_url}/ocpi/{role}/2.1.1/cdrs/{party[0]}/{party[1]}/{quote(kept_id, safe='')}"
    return Written(is_new=outcome is Stored.CREATED, location=url)
