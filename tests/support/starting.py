"""Starts that are killed at one of their SQL statements. Run as a program, this module is such a start.

The statements are counted on the driver, so those of Alembic and of the engine of jobs count too.
The count is that of the main thread: the engine's other threads work on a clock.
"""

import itertools
import os
import resource
import secrets
import shutil
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fork_server
import psycopg
import sqlalchemy
from sqlalchemy import event

KILL_AT = "STARTING_KILL_AT"
"""The number of the statement before which the start is killed; 0 for none."""

BROKEN = "STARTING_BROKEN"
"""Set: migrations commit each statement."""

READS = ("SELECT", "PRAGMA", "SHOW", "SET", "COMPOSED([SQL('SELECT\\N")
"""The first words of read-only statements."""

KILLED = -signal.SIGKILL
WITH_JOBS = "STARTING_WITH_JOBS"
"""Set: the start includes that of the engine of jobs."""

ROOM = "STARTING_ROOM"
"""Set: no file can be longer than so many bytes, as on a full disk."""

OURS, ENGINE = "ours", "engine"

_numbers = itertools.count(1)


class Statements:
    """Counts the statements, writes each with its owner to stdout, and kills before the chosen one."""

    def __init__(self, kill_at: int) -> None:
        self.kill_at = kill_at
        self.owner = OURS

    def note(self, statement: object) -> None:
        """Note a statement that is about to run."""
        if threading.current_thread() is not threading.main_thread():
            return
        number = next(_numbers)
        if number == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if not self.kill_at:
            os.write(1, f"{number}\t{self.owner}\t{' '.join(str(statement).split())[:200]}\n".encode())

    def watch(self) -> None:
        """Observe every statement of both drivers from now on."""

        def look(connection: Any, _record: object) -> None:
            if isinstance(connection, sqlite3.Connection):
                connection.set_trace_callback(self.note)

        event.listen(sqlalchemy.pool.Pool, "connect", look)
        self._wrap(psycopg.Cursor, "execute")
        self._wrap(psycopg.Connection, "commit")

    def of_engine(self, function: Callable[..., None]) -> Callable[..., None]:
        """Attribute the statements of *function* to the engine."""

        def counted() -> None:
            self.owner = ENGINE
            function()
            self.owner = OURS

        return counted

    def _wrap(self, owner: type, name: str) -> None:
        real = getattr(owner, name)

        def noted(this: Any, *arguments: Any, **options: Any) -> Any:
            self.note(arguments[0] if arguments else name.upper())
            return real(this, *arguments, **options)

        setattr(owner, name, noted)


@dataclass(frozen=True)
class StartResult:
    """The end of a start and its output."""

    code: int
    out: str
    message: str

    def points(self, owner: str) -> list[int]:
        """The statements of *owner* before which a kill leaves a different database than the kill before it.

        That is, without those that follow a statement that only reads.
        """
        fields = [line.split("\t") for line in self.out.splitlines()]
        words = ["", *(statement.split()[0].upper() for _, _, statement in fields)]
        return [
            int(number)
            for (number, whose, _), before in zip(fields, words, strict=False)
            if whose == owner and before not in READS
        ]

    @property
    def statements(self) -> int:
        """The number of statements."""
        return len(self.out.splitlines())

    def first(self, beginning: str) -> int:
        """The number of the first statement with that beginning."""
        return next(
            int(number)
            for number, _, statement in (line.split("\t") for line in self.out.splitlines())
            if statement.startswith(beginning)
        )


class Site:
    """A folder with a data folder and a new database; *url* is any database of the same kind."""

    def __init__(self, url: str, folder: Path, template: "Site | None" = None) -> None:
        self.name = f"start_{secrets.token_hex(6)}"
        self.folder = folder / self.name
        if template is None:
            self.folder.mkdir()
        else:
            shutil.copytree(template.folder, self.folder)
        if url.startswith("sqlite"):
            self.url = f"sqlite:///{self.folder / 'node.sqlite'}"
            return
        whole = sqlalchemy.make_url(url)
        self._server = sqlalchemy.create_engine(
            whole, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool
        )
        source = f'TEMPLATE "{template.name}"' if template else ""
        self._execute(f'CREATE DATABASE "{self.name}" {source}')
        self.url = whole.set(database=self.name).render_as_string(hide_password=False)

    @property
    def environment(self) -> dict[str, str]:
        """The settings of a start on this site."""
        return {
            "OCPI_GATEWAY_DATABASE_URL": self.url,
            "OCPI_GATEWAY_DATA_DIR": str(self.folder),
            "OCPI_GATEWAY_DEMO": "0",
        }

    def start(self, kill_at: int = 0, **more: str) -> StartResult:
        """Start and wait for the end."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("OCPI_GATEWAY_")}
        environment = {**clean, **self.environment, KILL_AT: str(kill_at), **more}
        out, error = (self.folder.with_suffix(suffix) for suffix in (".out", ".err"))
        for file in (out, error):
            file.write_text("")
        code = fork_server.FORK_SERVER.fork(environment, out, error, "starting").wait(120)
        return StartResult(code, out.read_text(), error.read_text())

    def remove(self) -> None:
        """Remove the folder and the database."""
        shutil.rmtree(self.folder)
        if not self.url.startswith("sqlite"):
            self._execute(f'DROP DATABASE "{self.name}" WITH (FORCE)')

    def _execute(self, text: str) -> None:
        with self._server.connect() as connection:
            connection.exec_driver_sql(text)

    def described(self) -> dict[str, Any]:
        """The schema, the versions and the number of rows of each table."""
        engine = sqlalchemy.create_engine(self.url, poolclass=sqlalchemy.NullPool)
        queries = SCHEMA[engine.dialect.name]
        with engine.connect() as connection:
            found: dict[str, Any] = {
                text: sorted(map(str, connection.exec_driver_sql(text).all())) for text in queries
            }
            for name in connection.exec_driver_sql(TABLES[engine.dialect.name]).scalars().all():
                found[name] = connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar()  # noqa: S608
                if "version" in name or "migrations" in name:
                    column = "version_num" if "alembic" in name else "*"
                    found[f"{name}*"] = (
                        []
                        if "application" in name
                        else list(
                            map(tuple, connection.exec_driver_sql(f"SELECT {column} FROM {name}").all())  # noqa: S608
                        )
                    )
        return found

    def state(self) -> tuple[Any, ...]:
        """Everything that a start may have changed."""
        secret_files = {
            file.name: file.read_bytes()
            for file in self.folder.iterdir()
            if not file.name.startswith("node.")
        }
        return self.described(), self.rows(), secret_files

    def rows(self) -> dict[str, list[str]]:
        """Every row of our tables, without the columns that an upgrade adds and null or false ones."""
        engine = sqlalchemy.create_engine(self.url, poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            names = [
                n for n in sqlalchemy.inspect(connection).get_table_names() if n.startswith(("gw", "ocpi"))
            ]
            found = {name: connection.execute(sqlalchemy.text(f"SELECT * FROM {name}")) for name in names}  # noqa: S608
            rows = {name: result.mappings().all() for name, result in found.items()}
        return {
            name: sorted(str({k: v for k, v in row.items() if v and k not in ADDED}) for row in whole)
            for name, whole in rows.items()
        }


ADDED = {"push", "writes_for", "invitation_id"}
"""Columns with a value that an upgrade adds to stored rows."""

SCHEMA = {
    "sqlite": ["SELECT type, name, tbl_name, sql FROM sqlite_master"],
    "postgresql": [
        """
        SELECT table_schema, table_name, column_name, data_type, is_nullable, column_default,
        character_maximum_length, ordinal_position
        FROM information_schema.columns WHERE table_schema IN ('public', 'dbos')
        """,
        """
        SELECT indexrelid::regclass, indisvalid, indisready, pg_get_indexdef(indexrelid) FROM pg_index
        WHERE indrelid::regclass::text NOT LIKE 'pg_%%'
        """,
        """
        SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace::regnamespace::text IN ('public', 'dbos')
        """,
        "SELECT proname, prosrc FROM pg_proc WHERE pronamespace::regnamespace::text IN ('public', 'dbos')",
        "SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE NOT tgisinternal",
    ],
}
"""The queries that describe the schema."""

TABLES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
    "postgresql": "SELECT schemaname || '.' || tablename FROM pg_tables"
    " WHERE schemaname IN ('public', 'dbos')",
}


@dataclass(frozen=True)
class Kills:
    """Killed starts on sites from *new*, and checks of the start that follows."""

    new: Callable[[], Site]
    expected: dict[str, Any]
    kept: dict[str, list[str]] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    always: bool = False
    """Start again even if the kill has changed nothing."""

    unreached: list[int] = field(default_factory=list)
    """Where a start had ended before: that of the engine has a few statements more or fewer each time."""

    def at(self, numbers: list[int]) -> list[str]:
        """Kill a start at each statement of *numbers* and start again; returns the errors."""
        wrong: list[str] = []
        site: Site | None = None
        before: Any = None
        for number in numbers:
            if site is None:
                site = self.new()
                before = None if self.always else site.state()
            killed = site.start(number, **self.settings)
            if killed.code == 0:
                self.unreached.append(number)
            elif killed.code != KILLED:
                wrong.append(f"{number}: was not killed: {killed.code} {killed.message}")
            if not self.always and site.state() == before:
                continue  # the next start is that of an undisturbed site, which succeeds
            wrong += [f"{number}: {what}" for what in self._again(site)]
            site.remove()
            site = None
        if site is not None:
            wrong += self._again(site)
        return wrong

    def _again(self, site: Site) -> list[str]:
        again = site.start(**self.settings)
        if again.code:
            return [f"did not start again: {again.message}"]
        found, rows = site.described(), site.rows()
        return [
            f"{what}: {found.get(what)}, not {self.expected.get(what)}"
            for what in sorted({*found, *self.expected})
            if found.get(what) != self.expected.get(what)
        ] + [f"{table}: lost rows" for table in self.kept if self.kept[table] != rows[table]]


def commit_each_statement() -> None:
    """Break the migrations: a kill during one leaves half of it."""
    from storage import schema  # noqa: PLC0415  (as in main)

    whole = schema.config

    def broken() -> Any:
        config = whole()
        versions = Path(config.get_main_option("script_location") or "") / "versions"
        config.set_main_option("version_locations", str(versions))
        config.set_main_option("script_location", str(Path(__file__).parent / "broken" / "migrations"))
        return config

    schema.config = broken


def limit_files(size: int | None) -> None:
    """Let every write beyond *size* bytes of a file fail; None ends that."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard if size is None else size, hard))


def main() -> None:
    """Start like scripts/serve, until just before it listens."""
    import errors  # noqa: PLC0415  (the parent has imported the program; a fork finds it there)
    from handlers.dispatch import logs  # noqa: PLC0415
    from workflows import engine, startup  # noqa: PLC0415

    logs.configure()
    if os.environ.get(BROKEN):
        commit_each_statement()
    statements = Statements(int(os.environ.get(KILL_AT, "0")))
    if ROOM in os.environ:
        limit_files(int(os.environ[ROOM]))
    else:
        statements.watch()
    engine.migrate = statements.of_engine(engine.migrate)
    try:
        startup.prepare()
        if os.environ.get(WITH_JOBS):
            statements.of_engine(engine.start)()
    except errors.CannotStart as refusal:
        limit_files(None)
        os.write(2, f"{refusal.message}\n".encode())
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
