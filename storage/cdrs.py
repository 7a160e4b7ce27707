"""Charge detail records, which are immutable. Spec: 2.1.1 mod_cdrs."""

import orjson
import sqlalchemy
from sqlalchemy import Index, UniqueConstraint, bindparam
from sqlmodel import Field

import errors
from generated.ocpi_models import CDR
from storage import tokens
from storage.database import Connection, Transaction
from storage.objects import Document, ObjectColumns, Party, Scope, Stored
from storage.outbox import PushedTable


class CDRRow(ObjectColumns, table=True):
    """A CDR of ours or of a peer. Its id is case-insensitive."""

    __tablename__ = "ocpi_cdrs"
    __table_args__ = (
        UniqueConstraint("network_id", "country_code", "party_id", "folded_id"),
        Index("ix_ocpi_cdrs_network_seq", "network_id", "seq"),
        Index("ix_ocpi_cdrs_network_updated", "network_id", "last_updated"),
        Index("ix_ocpi_cdrs_network_reader", "network_id", "reader", "seq"),
    )

    folded_id: str = Field(max_length=36)
    reader: str | None = Field(default=None, max_length=6)
    pushed_url: str | None = Field(default=None, max_length=255)


_DOCUMENTS = PushedTable(CDRRow, "cdrs", key=("folded_id",), preserved=("pushed_url",))

page = _DOCUMENTS.page
send_again = _DOCUMENTS.send_again

_c = _DOCUMENTS.table.c
_KEEP_PUSHED_URL = (
    sqlalchemy.update(_DOCUMENTS.table)
    .where(_c.network_id == bindparam("k_network_id"), _c.folded_id == bindparam("k_folded_id"))
    .where(_c.country_code == bindparam("k_country_code"), _c.party_id == bindparam("k_party_id"))
    .values(pushed_url=bindparam("url"))
)


def get(
    connection: Connection, network_id: int, party: Party, cdr_id: str, *, scope: Scope | None = None
) -> Document | None:
    """The CDR, or None if it does not exist or is not in *scope*."""
    return _DOCUMENTS.get(connection, network_id, party, cdr_id.lower(), scope=scope)


def post(transaction: Transaction, network_id: int, party: Party, cdr: CDR) -> tuple[Stored, str]:
    """Store a new CDR; repeating the same CDR changes nothing. Returns the outcome and the stored id.

    Raises:
        errors.RuleBroken: the id is taken by another CDR. Spec: 2.1.1 mod_cdrs 1.
    """
    columns = {
        "id": cdr.id,
        "folded_id": cdr.id.lower(),
        "reader": tokens.issuer(transaction, network_id, cdr.auth_id),
    }
    if _DOCUMENTS.add(transaction, network_id, party, cdr, columns):
        return Stored.CREATED, cdr.id
    stored = orjson.loads(_DOCUMENTS.lock(transaction, network_id, party, cdr.id.lower()).document)
    if {**stored, "id": cdr.id} != orjson.loads(cdr.json_text()):
        raise errors.RuleBroken(
            f"id: a CDR {stored['id']} with other content is stored already; a CDR is immutable"
        )
    return Stored.UPDATED, stored["id"]


def keep_pushed_url(transaction: Transaction, network_id: int, party: Party, cdr_id: str, url: str) -> None:
    """Keep the URL under which a peer stores one of our CDRs."""
    values = {
        "k_network_id": network_id,
        "k_country_code": party[0],
        "k_party_id": party[1],
        "k_folded_id": cdr_id.lower(),
        "url": url,
    }
    transaction.execute(_KEEP_PUSHED_URL, values)
