"""How an OCPI object is kept: the validated JSON text as it is sent, beside typed key columns.

Every kind of object has a table of its own (locations.py, sessions.py, ...) and one `Shelf` that
reads and writes it. Statements are built once and kept. Lists give out stored texts undecoded.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import orjson
import sqlalchemy
from sqlalchemy import BigInteger, ColumnElement, Integer, Select, Table, Update, bindparam
from sqlmodel import Field, SQLModel

from storage import database, instants

Party = tuple[str, str]
"""Country code and party id, both upper case."""

Body = dict[str, Any]
"""An OCPI object, decoded, in its canonical form."""

Change = Callable[[Body], Body | None]
"""From what is stored to what shall be stored; None leaves it as it is."""

Shape = tuple[tuple[str, bool], ...]
"""The columns of a scope, each with whether it has several values."""

Sequence = BigInteger().with_variant(Integer(), "sqlite")


@dataclass(frozen=True, slots=True)
class Document:
    """One object as the JSON text that is sent. Opaque: nobody outside storage looks inside."""

    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """Objects in creation order, how many there are in all, and where the next page begins."""

    documents: list[str]
    total: int
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a list is asked for; instants in milliseconds, `date_to` exclusive."""

    offset: int = 0
    limit: int = 50
    date_from: int | None = None
    date_to: int | None = None
    cursor: int | None = None


class Stored(Enum):
    """What became of a PUT or PATCH."""

    CREATED = "created"
    UPDATED = "updated"
    STALE = "stale"  # older than what is stored: nothing changed


class ObjectColumns(SQLModel):
    """The columns that every kind of object has."""

    seq: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    network_id: int = Field(sa_type=BigInteger)
    country_code: str = Field(max_length=2)
    party_id: str = Field(max_length=3)
    id: str = Field(max_length=39)
    last_updated: int = Field(sa_type=BigInteger)
    revision: int = 1
    document: str


class Shelf:
    """Reads and writes one table of objects."""

    def __init__(
        self, model: type[SQLModel], *, key: tuple[str, ...] = ("id",), kept: tuple[str, ...] = ()
    ) -> None:
        """*key*: what tells two objects of one party apart; *kept*: columns that a PUT leaves alone."""
        self.table: Table = database.table(model)
        self._kept = kept
        self.key = ("network_id", "country_code", "party_id", *key)
        columns = self.table.c
        where = [columns[name] == bindparam(f"k_{name}") for name in self.key]
        self._where = where
        self._lock = sqlalchemy.select(columns.seq, columns.document).where(*where).with_for_update()
        self._delete = sqlalchemy.delete(self.table).where(*where)
        self._upsert = {name: self._build_upsert(i) for name, i in database.insert_into(self.table).items()}
        self._add = {
            name: insert.on_conflict_do_nothing(index_elements=self.key).returning(columns.seq)
            for name, insert in database.insert_into(self.table).items()
        }

    def _build_upsert(self, insert: Any) -> Any:
        """Insert, or replace what is not newer; `revision` 1 tells that it was inserted."""
        kept = {"seq", "revision", *self.key, *self._kept}
        changed = {c.name: insert.excluded[c.name] for c in self.table.c if c.name not in kept}
        return insert.on_conflict_do_update(
            index_elements=self.key,
            set_={**changed, "revision": self.table.c.revision + 1},
            where=insert.excluded.last_updated >= self.table.c.last_updated,
        ).returning(self.table.c.revision)

    def _keyed(self, network_id: int, party: Party, *key: str) -> dict[str, Any]:
        return dict(zip((f"k_{n}" for n in self.key), (network_id, *party, *key), strict=True))

    def get(
        self, network_id: int, party: Party, *key: str, scope: Mapping[str, Any] | None = None
    ) -> Document | None:
        """The object, or None; *scope* as in `page`."""
        scope = scope or {}
        values = {**self._keyed(network_id, party, *key), **_named(scope)}
        with database.statement() as connection:
            text = connection.execute(self._get(_shape(scope)), values).scalar()
        return None if text is None else Document(text)

    @functools.cache  # noqa: B019  (a Shelf lives as long as the program)
    def _get(self, scope: Shape) -> Select[Any]:
        return sqlalchemy.select(self.table.c.document).where(*self._where, *self._scoped(scope))

    def _scoped(self, scope: Shape) -> list[ColumnElement[bool]]:
        """The conditions of a scope."""
        c, made = self.table.c, []
        for name, several in scope:
            column = c.country_code + "/" + c.party_id if name == "owner" else c[name]
            value: Any = bindparam(f"s_{name}", expanding=several)
            made.append(column.in_(value) if several else column == value)
        return made

    def put(self, network_id: int, party: Party, body: Body, columns: Mapping[str, Any]) -> Stored:
        """Store *body* over what is not newer, in one statement. *columns*: the key and the rest."""
        row = self.row(network_id, party, body, columns)
        with database.statement() as connection:
            revision = connection.execute(self._upsert[connection.dialect.name], row).scalar()
        if revision is None:
            return Stored.STALE
        return Stored.CREATED if revision == 1 else Stored.UPDATED

    def add(self, network_id: int, party: Party, body: Body, columns: Mapping[str, Any]) -> bool:
        """Store *body* unless its key is taken; True if it was stored."""
        row = self.row(network_id, party, body, columns)
        with database.statement() as connection:
            return connection.execute(self._add[connection.dialect.name], row).scalar() is not None

    @staticmethod
    def row(network_id: int, party: Party, body: Body, columns: Mapping[str, Any]) -> dict[str, Any]:
        """The row that keeps *body*."""
        return {
            "network_id": network_id,
            "country_code": party[0],
            "party_id": party[1],
            "last_updated": instants.parse(body["last_updated"]),
            "revision": 1,
            "document": encode(body),
            **columns,
        }

    def revise(
        self,
        network_id: int,
        party: Party,
        *key: str,
        change: Change,
        columns: Callable[[Body], Mapping[str, Any]] | None = None,
    ) -> bool:
        """Replace the object by `change(object)`, nobody else writing meanwhile; False if there is none."""
        with database.transaction() as connection:
            row = connection.execute(self._lock, self._keyed(network_id, party, *key)).first()
            if row is None:
                return False
            body = change(orjson.loads(row.document))
            if body is not None:
                values = {
                    "last_updated": instants.parse(body["last_updated"]),
                    "document": encode(body),
                    **(columns(body) if columns else {}),
                }
                connection.execute(self._update(tuple(values)), {**values, "k_seq": row.seq})
        return True

    @functools.cache  # noqa: B019  (a Shelf lives as long as the program)
    def _update(self, names: tuple[str, ...]) -> Update:
        values: dict[str, Any] = {name: bindparam(name) for name in names}
        return (
            sqlalchemy.update(self.table)
            .where(self.table.c.seq == bindparam("k_seq"))
            .values(**values, revision=self.table.c.revision + 1)
        )

    def delete(self, network_id: int, party: Party, *key: str) -> bool:
        """Delete the object; False if there was none."""
        with database.statement() as connection:
            return connection.execute(self._delete, self._keyed(network_id, party, *key)).rowcount > 0

    def page(self, network_id: int, window: Window, scope: Mapping[str, Any] | None = None) -> Page:
        """The objects of *window*, oldest first.

        *scope*: the value that a column must have, or a list of such values; `owner` stands for
        country code and party id together, as in `NL/TNM`.
        """
        scope = scope or {}
        statement, count = self._page(
            _shape(scope),
            window.date_from is not None,
            window.date_to is not None,
            window.cursor is not None,
        )
        values = {
            "network_id": network_id,
            **_named(scope),
            "date_from": window.date_from,
            "date_to": window.date_to,
        }
        place = {"cursor": window.cursor, "offset": window.offset, "limit": window.limit + 1}
        with database.statement() as connection:
            rows = connection.execute(statement, {**values, **place}).all()
            total = rows[0].total if rows else connection.execute(count, values).scalar_one()
        here = rows[: window.limit]
        onward = str(here[-1].seq) if len(rows) > len(here) else None
        return Page([row.document for row in here], total, onward)

    @functools.cache  # noqa: B019  (a Shelf lives as long as the program)
    def _page(
        self,
        scope: Shape,
        date_from: bool,  # noqa: FBT001  (the flags are the cache's key)
        date_to: bool,  # noqa: FBT001
        cursor: bool,  # noqa: FBT001
    ) -> tuple[Select[Any], Select[Any]]:
        """The statement of a page and of its count, for one combination of filters."""
        c = self.table.c
        where: list[ColumnElement[bool]] = [c.network_id == bindparam("network_id")]
        where += self._scoped(scope)
        if date_from:
            where.append(c.last_updated >= bindparam("date_from"))
        if date_to:
            where.append(c.last_updated < bindparam("date_to"))
        count = sqlalchemy.select(sqlalchemy.func.count().label("total")).select_from(self.table)
        count = count.where(*where)
        after = [c.seq > bindparam("cursor")] if cursor else []
        page = (
            sqlalchemy.select(c.seq, c.document, count.scalar_subquery().label("total"))
            .where(*where, *after)
            .order_by(c.seq)
            .limit(bindparam("limit"))
        )
        return (page if cursor else page.offset(bindparam("offset"))), count


def _shape(scope: Mapping[str, Any]) -> Shape:
    """What of a scope decides the statement: the columns, and which have several values."""
    return tuple((name, isinstance(value, list)) for name, value in scope.items())


def _named(scope: Mapping[str, Any]) -> dict[str, Any]:
    """A scope's values by the names of their parameters."""
    return {f"s_{name}": value for name, value in scope.items()}


def encode(body: Any) -> str:
    """The JSON text of *body*."""
    return orjson.dumps(body).decode()
