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
from sqlalchemy import BigInteger, ColumnElement, Integer, Table, bindparam
from sqlmodel import Field, SQLModel

from storage import database, instants
from storage.database import Query

Party = tuple[str, str]
"""Country code and party id, both upper case."""

Body = dict[str, Any]
"""An OCPI object, decoded, in its canonical form."""

Change = Callable[[Body], Body | None]
"""From what is stored to what shall be stored; None leaves it as it is."""

Scope = Mapping[str, Any]
"""The value that a column must have, or a list of such values."""

Shape = tuple[tuple[str, int], ...]
"""The columns of a scope, each with how many values it has."""

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
        self,
        model: type[SQLModel],
        *,
        key: tuple[str, ...] = ("id",),
        kept: tuple[str, ...] = (),
        since: Mapping[str, str] | None = None,
    ) -> None:
        """*key*: what tells two objects of one party apart; *kept*: columns that a PUT leaves alone.

        *since*: columns that a PUT leaves alone as long as another column stays what it is.
        """
        self._since = since or {}
        self.table: Table = database.table(model)
        self._kept = kept
        self._unset: Body = dict.fromkeys(kept)
        self.key = ("network_id", "country_code", "party_id", *key)
        columns = self.table.c
        where = [columns[name] == bindparam(f"k_{name}") for name in self.key]
        self._where = where
        self._lock = Query(sqlalchemy.select(columns.seq, columns.document).where(*where).with_for_update())
        self._delete = Query(sqlalchemy.delete(self.table).where(*where))
        given: Body = {c.name: bindparam(c.name) for c in self.table.c if c.name != "seq"}
        inserts = {name: i.values(given) for name, i in database.insert_into(self.table).items()}
        self._upsert = Query({name: self._build_upsert(insert) for name, insert in inserts.items()})
        self._add = Query(
            {
                name: insert.on_conflict_do_nothing(index_elements=self.key).returning(columns.seq)
                for name, insert in inserts.items()
            }
        )

    def _build_upsert(self, insert: Any) -> Any:
        """Insert, or replace what is not newer; `revision` 1 tells that it was inserted."""
        kept = {"seq", "revision", *self.key, *self._kept}
        changed = {c.name: insert.excluded[c.name] for c in self.table.c if c.name not in kept}
        for name, other in self._since.items():
            same = insert.excluded[other] == self.table.c[other]
            changed[name] = sqlalchemy.case((same, self.table.c[name]), else_=insert.excluded[name])
        return insert.on_conflict_do_update(
            index_elements=self.key,
            set_={**changed, "revision": self.table.c.revision + 1},
            where=insert.excluded.last_updated >= self.table.c.last_updated,
        ).returning(self.table.c.revision)

    def _keyed(self, network_id: int, party: Party, *key: str) -> dict[str, Any]:
        return dict(zip((f"k_{n}" for n in self.key), (network_id, *party, *key), strict=True))

    def get(self, network_id: int, party: Party, *key: str, scope: Scope | None = None) -> Document | None:
        """The object, or None; *scope* as in `page`."""
        scope = scope or {}
        values = {**self._keyed(network_id, party, *key), **_named(scope)}
        row = self._get(_shape(scope)).first(values)
        return None if row is None else Document(row[0])

    @functools.cache  # noqa: B019  (a Shelf lives as long as the program)
    def _get(self, scope: Shape) -> Query:
        return Query(sqlalchemy.select(self.table.c.document).where(*self._where, *self._scoped(scope)))

    def _scoped(self, scope: Shape) -> list[ColumnElement[bool]]:
        """The conditions of a scope."""
        c = self.table.c
        made: list[ColumnElement[bool]] = []
        for name, count in scope:
            column = c.country_code + "/" + c.party_id if name == "owner" else c[name]
            made.append(column.in_([bindparam(f"s_{name}_{i}") for i in range(count)]))
        return made

    def put(self, network_id: int, party: Party, body: Body, columns: Mapping[str, Any]) -> Stored:
        """Store *body* over what is not newer, in one statement. *columns*: the key and the rest."""
        row = self._unset | self.row(network_id, party, body, columns)
        kept = self._upsert.first(row)
        if kept is None:
            return Stored.STALE
        return Stored.CREATED if kept[0] == 1 else Stored.UPDATED

    def add(self, network_id: int, party: Party, body: Body, columns: Mapping[str, Any]) -> bool:
        """Store *body* unless its key is taken; True if it was stored."""
        row = self._unset | self.row(network_id, party, body, columns)
        return self._add.first(row) is not None

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
        with database.transaction():
            row = self._lock.first(self._keyed(network_id, party, *key))
            if row is None:
                return False
            seq, document = row
            body = change(orjson.loads(document))
            if body is not None:
                values = {
                    "last_updated": instants.parse(body["last_updated"]),
                    "document": encode(body),
                    **(columns(body) if columns else {}),
                }
                self._update(tuple(values)).count({**values, "k_seq": seq})
        return True

    @functools.cache  # noqa: B019  (a Shelf lives as long as the program)
    def _update(self, names: tuple[str, ...]) -> Query:
        values: dict[str, Any] = {name: bindparam(name) for name in names}
        return Query(
            sqlalchemy.update(self.table)
            .where(self.table.c.seq == bindparam("k_seq"))
            .values(**values, revision=self.table.c.revision + 1)
        )

    def delete(self, network_id: int, party: Party, *key: str) -> bool:
        """Delete the object; False if there was none."""
        return self._delete.count(self._keyed(network_id, party, *key)) > 0

    def page(self, network_id: int, window: Window, scope: Scope | None = None) -> Page:
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
        rows = statement.rows({**values, **place})
        total = rows[0][2] if rows else count.rows(values)[0][0]
        here = rows[: window.limit]
        onward = str(here[-1][0]) if len(rows) > len(here) else None
        return Page([document for _, document, _ in here], total, onward)

    @functools.cache  # noqa: B019  (a Shelf lives as long as the program)
    def _page(
        self,
        scope: Shape,
        date_from: bool,  # noqa: FBT001  (the flags are the cache's key)
        date_to: bool,  # noqa: FBT001
        cursor: bool,  # noqa: FBT001
    ) -> tuple[Query, Query]:
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
        return Query(page if cursor else page.offset(bindparam("offset"))), Query(count)


def _shape(scope: Scope) -> Shape:
    """What of a scope decides the statement: the columns, and how many values each has."""
    return tuple((name, len(value) if isinstance(value, list) else 1) for name, value in scope.items())


def _named(scope: Scope) -> dict[str, Any]:
    """A scope's values by the names of their parameters."""
    named = {}
    for name, value in scope.items():
        for i, each in enumerate(value if isinstance(value, list) else [value]):
            named[f"s_{name}_{i}"] = each
    return named


def encode(body: Any) -> str:
    """The JSON text of *body*."""
    return orjson.dumps(body).decode()
