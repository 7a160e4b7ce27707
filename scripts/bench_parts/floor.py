"""The floor: a minimal Flask program with the same responses from the same database.

It looks up the token and does the same job, without validation and logging: waitress with the program's
settings, Flask, the same SQL through statements that are built once, the same pragmas. The network ids are
in the environment.
"""

import functools
import hashlib
import os
import secrets
import sys
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import flask
import orjson
import sqlalchemy
import waitress
from sqlalchemy import Engine, MetaData, Select, Table, bindparam, event
from sqlalchemy.dialects import postgresql, sqlite

KEY = ("network_id", "country_code", "party_id", "id")
PRAGMAS = ("busy_timeout=15000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")


class Database:
    """The engines, and every statement."""

    def __init__(self, url: str) -> None:
        pool = {"pool_size": 20, "max_overflow": 20}
        self.engine: Engine = sqlalchemy.create_engine(url, **pool)
        self.is_sqlite = url.startswith("sqlite")
        if self.is_sqlite:
            event.listen(self.engine, "connect", _prepare)
            self.single = self.engine
        else:
            self.single = sqlalchemy.create_engine(
                url, **pool, isolation_level="AUTOCOMMIT", pool_reset_on_return=None
            )
        self.table = Table("ocpi_locations", MetaData(), autoload_with=self.engine)
        access = Table("ocpi_access", MetaData(), autoload_with=self.engine, resolve_fks=False)
        self.token = sqlalchemy.select(access.c.kind).where(access.c.digest == bindparam("digest"))
        c = self.table.c
        where = [c[name] == bindparam(f"k_{name}") for name in KEY]
        self.get = sqlalchemy.select(c.document).where(*where, c.published == bindparam("published"))
        self.lock = sqlalchemy.select(c.seq, c.document).where(*where).with_for_update()
        self.update = (
            sqlalchemy.update(self.table)
            .where(c.seq == bindparam("k_seq"))
            .values(
                document=bindparam("document"),
                last_updated=bindparam("last_updated"),
                document_updated=bindparam("document_updated"),
                document_bytes=bindparam("document_bytes"),
                revision=c.revision + 1,
            )
        )
        insert: Any = (sqlite if self.is_sqlite else postgresql).insert(self.table)
        changed = ("last_updated", "document_updated", "document_bytes", "document")
        self.upsert = insert.on_conflict_do_update(
            index_elements=KEY,
            set_={**{name: insert.excluded[name] for name in changed}, "revision": c.revision + 1},
            where=insert.excluded.last_updated >= c.last_updated,
        ).returning(c.revision)

    @functools.cache  # noqa: B019  (there is one)
    def page(self, filters: frozenset[str]) -> Select[Any]:
        """A page and the number of all objects, for the parameters."""
        c = self.table.c
        where = [c.network_id == bindparam("network_id"), c.published == bindparam("published")]
        if "date_from" in filters:
            where.append(c.last_updated >= bindparam("date_from"))
        if "date_to" in filters:
            where.append(c.last_updated < bindparam("date_to"))
        count = sqlalchemy.select(sqlalchemy.func.count()).select_from(self.table).where(*where)
        page = sqlalchemy.select(c.seq, c.document, count.scalar_subquery().label("total")).where(*where)
        if "cursor" in filters:
            page = page.where(c.seq > bindparam("cursor"))
        else:
            page = page.offset(bindparam("offset"))
        return page.order_by(c.seq).limit(bindparam("limit"))


def _prepare(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def create_app() -> flask.Flask:
    """The four operations."""
    app = flask.Flask("floor", static_folder=None)
    database = Database(os.environ["BENCH_DATABASE_URL"])
    base_url = f"http://127.0.0.1:{os.environ['BENCH_PORT']}"
    cpo, emsp = (int(os.environ[f"BENCH_{role}_NETWORK"]) for role in ("CPO", "EMSP"))

    @app.before_request
    def look_up_token() -> None:
        token = flask.request.headers["Authorization"].removeprefix("Token ")
        with database.single.connect() as connection:
            digest = hashlib.sha256(token.encode()).hexdigest()
            connection.execute(database.token, {"digest": digest}).scalar_one()

    @app.get("/ocpi/cpo/2.1.1/locations")
    def page() -> flask.Response:
        args = flask.request.args
        offset, limit = int(args.get("offset", 0)), int(args.get("limit", 100))
        values: dict[str, Any] = {"network_id": cpo, "published": True, "offset": offset, "limit": limit}
        dates = {name: args[name] for name in ("date_from", "date_to") if name in args}
        values |= {name: _milliseconds(value) for name, value in dates.items()}
        if "cursor" in args:
            values["cursor"] = int(args["cursor"])
        statement = database.page(frozenset(values.keys() & {"date_from", "date_to", "cursor"}))
        with database.single.connect() as connection:
            rows = connection.execute(statement, values).all()
        total = rows[0].total if rows else 0
        headers = {"X-Total-Count": str(total), "X-Limit": str(limit)}
        if offset + len(rows) < total:
            onward = {"offset": offset + len(rows), "limit": limit, **dates, "cursor": rows[-1].seq}
            headers["Link"] = f'<{base_url}{flask.request.path}?{urlencode(onward)}>; rel="next"'
        return _answer(f'"data":[{",".join([row.document for row in rows])}],', headers=headers)

    @app.get("/ocpi/cpo/2.1.1/locations/<location_id>")
    def get(location_id: str) -> flask.Response:
        values = {**_key(cpo, "NL", "DEM", location_id), "published": True}
        with database.single.connect() as connection:
            return _answer(f'"data":{connection.execute(database.get, values).scalar_one()},')

    @app.put("/ocpi/emsp/2.1.1/locations/<country_code>/<party_id>/<location_id>")
    def put(country_code: str, party_id: str, location_id: str) -> flask.Response:
        text = flask.request.get_data().decode()
        row = {
            **dict(zip(KEY, (emsp, country_code, party_id, location_id), strict=True)),
            **_columns(text, orjson.loads(text)["last_updated"]),
            "revision": 1,
            "published": True,
        }
        with database.single.connect() as connection:
            revision = connection.execute(database.upsert, row).scalar()
        return _answer(status=201 if revision == 1 else 200)

    @app.patch("/ocpi/emsp/2.1.1/locations/<country_code>/<party_id>/<location_id>/<evse_uid>")
    def patch(country_code: str, party_id: str, location_id: str, evse_uid: str) -> flask.Response:
        change = orjson.loads(flask.request.get_data())
        with database.engine.connect() as connection, connection.begin():
            if database.is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            row = connection.execute(database.lock, _key(emsp, country_code, party_id, location_id)).one()
            location = orjson.loads(row.document)
            next(evse for evse in location["evses"] if evse["uid"] == evse_uid).update(change)
            location["last_updated"] = max(change["last_updated"], location["last_updated"])
            columns = _columns(orjson.dumps(location).decode(), location["last_updated"])
            connection.execute(database.update, {**columns, "k_seq": row.seq})
        return _answer()

    return app


def _key(*values: object) -> dict[str, object]:
    return dict(zip((f"k_{name}" for name in KEY), values, strict=True))


def _columns(document: str, last_updated: str) -> dict[str, Any]:
    """The columns that change with the document."""
    updated = _milliseconds(last_updated)
    return {
        "last_updated": updated,
        "document_updated": updated,
        "document_bytes": len(document.encode()),
        "document": document,
    }


def _milliseconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def _answer(data: str = "", status: int = 200, headers: dict[str, str] | None = None) -> flask.Response:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    text = f'{{{data}"status_code":1000,"status_message":"Success","timestamp":"{now}"}}'
    response = flask.Response(text.encode(), status, headers, content_type="application/json")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Request-ID"] = secrets.token_hex(8)
    return response


if __name__ == "__main__":
    port, threads = map(int, sys.argv[1:])
    waitress.serve(
        create_app(),
        host="127.0.0.1",
        port=port,
        threads=threads,
        connection_limit=4000,
        asyncore_use_poll=True,
        clear_untrusted_proxy_headers=False,
        ident="",
    )
