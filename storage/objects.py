"""Storage of OCPI objects: the validated JSON text as it is sent, and typed key columns.

Every kind of object has its table (locations.py, sessions.py, ...) and one `DocumentTable` that reads and
writes it. Statements are built once. Lists return stored texts without decoding them.
"""

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

import orjson
import sqlalchemy
from sqlalchemy import BigInteger, ColumnElement, Integer, Row, Select, Table, bindparam, func, select
from sqlmodel import Field, SQLModel

import errors
from settings import settings
from storage import database, parties, timestamps
from storage.database import Connection, Transaction

Party = parties.Party
"""Country code and party id, both upper case."""


class OcpiObject(Protocol):
    """An object to store: a generated model, or anything else with a JSON text and `last_updated`."""

    @property
    def last_updated(self) -> str | None:
        """When it was last changed. A tariff in a request may lack it, but a stored object never does."""

    def json_text(self) -> str:
        """Its JSON text."""


T = TypeVar("T")

Scope = Mapping[str, Any]
"""A filter: by column, the required value or a list of allowed values.

`owner_of` and `reader_of` have the id of a connection: the owner or the reader of the object belongs to it.
"""

_OF_CONNECTION = {"owner_of": parties.owner_of, "reader_of": parties.reader_of}

AutoIncrement = BigInteger().with_variant(Integer(), "sqlite")


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """The effect of a PATCH.

    *apply*: computes the new object from the stored one; None means no change. *is_stamped*: the new
    `last_updated` comes from us.
    """

    apply: Callable[[T], T | None]
    is_stamped: bool


@dataclass(frozen=True, slots=True)
class Document:
    """One object as the JSON text that is sent. Code outside storage does not parse it."""

    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """Objects in creation order, the number of all objects, and the start of the next page."""

    documents: list[str]
    total: int
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Window:
    """The requested part of a list; instants in milliseconds, `date_to` exclusive."""

    offset: int = 0
    limit: int = 50
    date_from: int | None = None
    date_to: int | None = None
    cursor: int | None = None


class Stored(Enum):
    """The outcome of a PUT or PATCH."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"  # a PATCH that changes nothing
    STALE = "stale"  # older than what is stored: nothing changed


class ObjectColumns(SQLModel):
    """The columns that every kind of object has.

    `last_updated`: milliseconds, the filter of lists. `document_updated`: the instant of the document's own
    `last_updated`, which has whole seconds where we stamped it. docs/architecture.md "Timestamps".
    `document_bytes`: the size of the document in UTF-8.
    """

    seq: int | None = Field(default=None, primary_key=True, sa_type=AutoIncrement)
    network_id: int = Field(sa_type=BigInteger)
    country_code: str = Field(max_length=2)
    party_id: str = Field(max_length=3)
    id: str = Field(max_length=39)
    last_updated: int = Field(sa_type=BigInteger)
    document_updated: int = Field(sa_type=BigInteger)
    document_bytes: int
    revision: int = 1
    document: str


@dataclass(frozen=True, slots=True)
class Locked:
    """An object that is locked until the transaction ends.

    *is_published*: peers see it. *is_ours*: it belongs to the party of its network.
    """

    seq: int
    network_id: int
    party: Party
    key: tuple[str, ...]
    document: str
    is_published: bool
    is_ours: bool = False


class DocumentTable:
    """Reads and writes one table of objects."""

    def __init__(
        self,
        model: type[SQLModel],
        *,
        key: tuple[str, ...] = ("id",),
        preserved: tuple[str, ...] = (),
        since: Mapping[str, str] | None = None,
        published: str | None = None,
    ) -> None:
        """*key*: the columns that identify an object of a party. *preserved*: columns that a PUT keeps.

        *since*: columns that a PUT keeps while the column that they depend on is unchanged. *published*: the
        column that says whether peers see the object.
        """
        self.table = database.table(model)
        self.key = ("network_id", "country_code", "party_id", *key)
        self._defaults: dict[str, Any] = {**dict.fromkeys(preserved), "revision": 1}
        c = self.table.c
        where_key = [c[name] == bindparam(f"k_{name}") for name in self.key]
        self._get = select(c.document).where(*where_key)
        is_published = c[published] if published else sqlalchemy.true()
        self._lock = (
            select(c.seq, c.document, is_published.label("is_published")).where(*where_key).with_for_update()
        )
        self._long = select(c.seq, c.document).where(c.seq.in_(bindparam("seqs", expanding=True)))
        self._delete = sqlalchemy.delete(self.table).where(*where_key)
        self._update = (
            sqlalchemy.update(self.table).where(c.seq == bindparam("k_seq")).values(revision=c.revision + 1)
        )
        inserts = database.dialect_inserts(self.table)
        self._add = {
            name: insert.on_conflict_do_nothing(index_elements=self.key).returning(c.seq)
            for name, insert in inserts.items()
        }
        self._put = {name: self._upsert(insert, preserved, since or {}) for name, insert in inserts.items()}

    def _upsert(self, insert: Any, preserved: tuple[str, ...], since: Mapping[str, str]) -> Any:
        """Insert, or replace a document that is not newer. Returns the revision: 1 after an insert."""
        c, new = self.table.c, insert.excluded
        unchanged = {"seq", "revision", *self.key, *preserved}
        changed = {column.name: new[column.name] for column in c if column.name not in unchanged}
        for name, other in since.items():
            changed[name] = sqlalchemy.case((new[other] == c[other], c[name]), else_=new[name])
        return insert.on_conflict_do_update(
            index_elements=self.key,
            set_={**changed, "revision": c.revision + 1},
            where=new.document_updated >= c.document_updated,
        ).returning(c.revision)

    def _key_values(self, network_id: int, party: Party, *key: str) -> dict[str, Any]:
        return dict(zip((f"k_{name}" for name in self.key), (network_id, *party, *key), strict=True))

    def get(
        self, connection: Connection, network_id: int, party: Party, *key: str, scope: Scope | None = None
    ) -> Document | None:
        """The object, or None if it does not exist or is not in *scope*."""
        statement, values = self._get, self._key_values(network_id, party, *key)
        if scope:
            statement, values = _narrowed(statement, self.table, _shape(scope)), {**values, **scope}
        text = connection.execute(statement, values).scalar()
        return None if text is None else Document(text)

    def page(self, connection: Connection, network_id: int, window: Window, scope: Scope) -> Page:
        """The objects of *window*, oldest first.

        The page ends before PAGE_BYTES, but holds at least one object.
        """
        scope = {"network_id": network_id, **scope}
        bounds = {"date_from": window.date_from, "date_to": window.date_to, "cursor": window.cursor}
        used_bounds = {name: value for name, value in bounds.items() if value is not None}
        page, count = _page(self.table, _shape(scope), frozenset(used_bounds))
        short = settings().page_bytes // (window.limit + 1)
        values = {
            **scope,
            **used_bounds,
            "offset": window.offset,
            "limit": window.limit + 1,
            "short": short,
        }
        rows = connection.execute(page, values).all()
        total = rows[0].total if rows else connection.execute(count, values).scalar_one()
        page_rows = _within_page_bytes(rows[: window.limit])
        next_cursor = str(page_rows[-1].seq) if len(rows) > len(page_rows) else None
        return Page(self._documents(connection, page_rows), total, next_cursor)

    def _documents(self, connection: Connection, rows: Sequence[Row[Any]]) -> list[str]:
        """The documents of *rows*, which contain only the short ones. Deleted ones are left out."""
        absent = [row.seq for row in rows if row.document is None]
        if not absent:
            return [row.document for row in rows]
        long = {row.seq: row.document for row in connection.execute(self._long, {"seqs": absent})}
        documents = (row.document or long.get(row.seq) for row in rows)
        return [document for document in documents if document is not None]

    def put(
        self,
        transaction: Transaction,
        network_id: int,
        party: Party,
        new: OcpiObject,
        columns: Mapping[str, Any],
        *,
        is_stamped: bool = False,
    ) -> Stored:
        """Store *new* unless the stored document is newer.

        *columns*: the rest of the key and of the row. *is_stamped*: `last_updated` of *new* comes from us.
        """
        row = self._defaults | self.row(network_id, party, new, columns, is_stamped=is_stamped)
        revision = transaction.execute(self._put[transaction.dialect.name], row).scalar()
        if revision is None:
            return Stored.STALE
        return Stored.CREATED if revision == 1 else Stored.UPDATED

    def add(
        self,
        transaction: Transaction,
        network_id: int,
        party: Party,
        new: OcpiObject,
        columns: Mapping[str, Any],
        *,
        is_stamped: bool = False,
    ) -> bool:
        """Store *new* unless its key is taken; True if it was stored. Arguments: as in `put`."""
        row = self._defaults | self.row(network_id, party, new, columns, is_stamped=is_stamped)
        return transaction.execute(self._add[transaction.dialect.name], row).scalar() is not None

    @staticmethod
    def row(
        network_id: int, party: Party, new: OcpiObject, columns: Mapping[str, Any], *, is_stamped: bool
    ) -> dict[str, Any]:
        """The row of *new*."""
        return {
            "network_id": network_id,
            "country_code": party[0],
            "party_id": party[1],
            **_document_columns(new, is_stamped=is_stamped),
            **columns,
        }

    def lock(self, transaction: Transaction, network_id: int, party: Party, *key: str) -> Locked:
        """Lock the object until the transaction ends.

        Raises:
            errors.NotFound: there is none.
        """
        locked = self.find(transaction, network_id, party, *key)
        if locked is None:
            raise errors.NotFound(errors.NOTHING_HERE)
        return locked

    def find(self, transaction: Transaction, network_id: int, party: Party, *key: str) -> Locked | None:
        """Like `lock`, but None if there is no such object."""
        row = transaction.execute(self._lock, self._key_values(network_id, party, *key)).first()
        if row is None:
            return None
        return Locked(row.seq, network_id, party, key, row.document, bool(row.is_published))

    def update(
        self, transaction: Transaction, locked: Locked, new: OcpiObject, *, is_stamped: bool, **columns: Any
    ) -> None:
        """Replace a locked object by *new*. *is_stamped*: as in `put`."""
        values = {**_document_columns(new, is_stamped=is_stamped), **columns, "k_seq": locked.seq}
        transaction.execute(self._update, values)

    def delete(self, transaction: Transaction, network_id: int, party: Party, *key: str) -> bool:
        """Delete the object; False if there was none."""
        return transaction.execute(self._delete, self._key_values(network_id, party, *key)).rowcount > 0


def _document_columns(new: OcpiObject, *, is_stamped: bool) -> dict[str, Any]:
    """The columns that change with the document.

    A document that we stamped has the exact instant in `last_updated`, although its text has whole seconds.

    Raises:
        errors.RuleBroken: the document is longer than BODY_LIMIT.
    """
    document = new.json_text()
    size, limit = len(document.encode()), settings().body_limit
    if size > limit:
        raise errors.RuleBroken(f"The object would have {size} bytes; at most {limit} bytes are stored.")
    document_time = timestamps.parse(str(new.last_updated))
    updated = max(document_time, timestamps.now_ms()) if is_stamped else document_time
    return {
        "last_updated": updated,
        "document_updated": document_time,
        "document": document,
        "document_bytes": size,
    }


Shape = tuple[tuple[str, bool], ...]
"""The columns of a scope, and whether each has a list of values. One statement serves each shape."""


def _shape(scope: Scope) -> Shape:
    return tuple((name, isinstance(value, list)) for name, value in scope.items())


def _conditions(table: Table, shape: Shape) -> list[ColumnElement[bool]]:
    conditions = []
    for name, is_list in shape:
        if name in _OF_CONNECTION:
            conditions.append(_OF_CONNECTION[name](table))
        elif is_list:
            conditions.append(table.c[name].in_(bindparam(name, expanding=True)))
        else:
            conditions.append(table.c[name] == bindparam(name))
    return conditions


@functools.cache
def _narrowed(statement: Select[Any], table: Table, shape: Shape) -> Select[Any]:
    return statement.where(*_conditions(table, shape))


@functools.cache
def _page(table: Table, shape: Shape, bounds: frozenset[str]) -> tuple[Select[Any], Select[Any]]:
    """The statement of a page and of its count, for one combination of filters.

    The page contains only documents so short that all of them fit into PAGE_BYTES.
    """
    c = table.c
    where = _conditions(table, shape)
    if "date_from" in bounds:
        where.append(c.last_updated >= bindparam("date_from"))
    if "date_to" in bounds:
        where.append(c.last_updated < bindparam("date_to"))
    count = select(func.count()).select_from(table).where(*where)
    short = sqlalchemy.case((c.document_bytes <= bindparam("short"), c.document)).label("document")
    total = count.scalar_subquery().label("total")
    page = select(c.seq, c.document_bytes, short, total).where(*where).order_by(c.seq)
    start = (
        page.where(c.seq > bindparam("cursor")) if "cursor" in bounds else page.offset(bindparam("offset"))
    )
    return start.limit(bindparam("limit")), count


def _within_page_bytes(rows: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    """As many of the first *rows* as PAGE_BYTES allows, but at least one."""
    sizes = itertools.accumulate(row.document_bytes for row in rows)
    limit = settings().page_bytes
    return rows[: max(1, sum(size <= limit for size in sizes))]


def encode(value: Any) -> str:
    """The JSON text of *value*."""
    return orjson.dumps(value).decode()
