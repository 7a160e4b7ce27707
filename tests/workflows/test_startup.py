"""Starts after a failure: each recovers by itself, or ends with a message that says what to do."""

import contextlib
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import old_database
import pytest
import sqlalchemy
from nodes import Node, free_port, in_transaction, switch_to
from starting import BROKEN, ROOM, WITH_JOBS, Site

from storage import database, installation, keys, secrets
from workflows import cli, running_server

NewSite = Callable[[], Site]
OTHER_KEY = {"OCPI_GATEWAY_SECRET_KEY": "another secret key"}


@pytest.fixture
def new_site(database_url: str, tmp_path: Path) -> Iterator[NewSite]:
    """A function that creates a site with an empty database; the sites are removed at the end."""
    with contextlib.ExitStack() as stack:

        def create() -> Site:
            site = Site(database_url, tmp_path)
            stack.callback(site.remove)
            return site

        yield create


@pytest.fixture(scope="module")
def started(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that was started once. Tests use copies of it."""
    new = Site(database_url, tmp_path_factory.mktemp("started"))
    result = new.start()
    assert 0 == result.code, result.message
    yield new
    new.remove()


@pytest.fixture
def site(database_url: str, started: Site, tmp_path: Path) -> Iterator[Site]:
    """A site that was started once."""
    copied = Site(database_url, tmp_path, started)
    yield copied
    copied.remove()


def query(site: Site, text: str) -> list[Any]:
    """The rows that a statement returns from the site's database."""
    database_engine = sqlalchemy.create_engine(
        site.url, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool
    )
    with database_engine.connect() as connection:
        result = connection.exec_driver_sql(text)
        return list(map(tuple, result.all())) if result.returns_rows else []


def refusal(site: Site, **more: str) -> str:
    """The message of a start that is refused."""
    result = site.start(**more)
    assert 1 == result.code
    return last_line(result.message)


def last_line(output: str) -> str:
    """The message to the operator; the lines before it are the log."""
    *logged, last = output.splitlines()
    assert all(line.startswith("{") for line in logged), output
    return last


def test_a_first_start_that_an_older_version_left_unfinished_starts_over(new_site: NewSite) -> None:
    whole = new_site()
    result = whole.start(**{BROKEN: "1"})
    expected = whole.described()

    for statement in ("CREATE INDEX ix_gw_job", "CREATE TABLE ocpi_cdrs", "INSERT INTO alem"):
        half = new_site()
        half.start(result.first(statement), **{BROKEN: "1"})
        assert any("gw_charge_points" in table for table in half.described())

        again = half.start()

        assert 0 == again.code, again.message
        assert expected == half.described(), statement


def test_data_without_a_schema_version_is_not_touched(site: Site) -> None:
    query(site, "DELETE FROM alembic_version")
    before = site.rows()

    assert "Restore a backup" in refusal(site)
    assert before == site.rows()


def test_a_database_of_a_newer_version_is_not_touched(site: Site) -> None:
    query(site, "UPDATE alembic_version SET version_num = '9999'")

    assert "schema version 9999" in refusal(site)


def test_a_lost_secret_key_is_not_replaced(site: Site) -> None:
    key = site.folder / "secret.key"
    content = key.read_bytes()
    key.unlink()

    message = refusal(site)

    assert "missing" in message
    assert f"Restore {key}, or set OCPI_GATEWAY_SECRET_KEY" in message
    assert not key.exists()
    key.write_bytes(content)
    assert 0 == site.start().code


def test_another_secret_key_is_refused(site: Site) -> None:
    assert "is not the one of this database" in refusal(site, **OTHER_KEY)
    (site.folder / "secret.key").write_text("no key")
    assert "holds no secret key" in refusal(site)


def test_a_second_data_folder_on_one_database_changes_nothing(site: Site, tmp_path: Path) -> None:
    second = {"OCPI_GATEWAY_DATA_DIR": str(tmp_path / "second")}
    before = site.rows()

    assert "missing" in refusal(site, **second)
    assert "is not the one of this database" in refusal(site, **second, **OTHER_KEY)
    assert before == site.rows()
    assert not (tmp_path / "second" / "secret.key").exists()

    shared = {**second, "OCPI_GATEWAY_SECRET_KEY": ""}
    (tmp_path / "second").mkdir(exist_ok=True)
    (tmp_path / "second" / "secret.key").write_bytes((site.folder / "secret.key").read_bytes())
    assert 0 == site.start(**shared).code
    assert before == site.rows()
    assert not (tmp_path / "second" / "admin.token").exists()


def test_an_older_database_accepts_only_the_key_that_decrypts_its_data(new_site: NewSite) -> None:
    old = new_site()
    old_database.fill(old)

    assert "is not the one of this database" in refusal(old, **OTHER_KEY)
    assert [] == query(old, "SELECT * FROM gw_installation")  # migrated, but not set up
    assert 0 == old.start().code
    with switch_to(old.environment):
        check = in_transaction(installation.key_check)
        assert check
        assert secrets.opens(check)
        database.dispose()


def test_an_older_database_without_ciphertext_accepts_the_current_key(new_site: NewSite) -> None:
    old = new_site()
    old_database.fill(old, with_peer=False)

    assert 0 == old.start(**OTHER_KEY).code
    assert 0 == old.start(**OTHER_KEY).code
    assert "missing" in refusal(old)
    assert 1 == len(query(old, "SELECT * FROM gw_keys"))  # that of its administrator


def test_a_later_admin_token_changes_nothing_and_is_reported(site: Site) -> None:
    before = site.rows()

    result = site.start(OCPI_GATEWAY_ADMIN_TOKEN="a-token-that-is-not-stored")

    assert 0 == result.code
    assert 1 == result.message.count("ADMIN_TOKEN is ignored")
    assert "scripts/keys mint" in result.message
    assert before == site.rows()
    assert "ignored" not in site.start().message


def test_a_revoked_admin_key_stays_revoked_and_scripts_create_a_new_one(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_server, "adopt", lambda _: None)  # the settings already apply
    old_token = (site.folder / "admin.token").read_text()
    with switch_to(site.environment):
        cli.main(["keys", "revoke", "admin"])
        cli.main(["keys", "list"])
        assert not in_transaction(keys.is_admin, old_token)
        assert "admin" not in capsys.readouterr().out
        cli.main(["keys", "mint", "--organization", "demo", "--role", "admin"])
        new_token = capsys.readouterr().out.partition("key           ")[2].split()[0]
        assert in_transaction(keys.is_admin, new_token)
        database.dispose()

    result = site.start()

    assert "admin.token is ignored" in result.message
    with switch_to(site.environment):
        assert not in_transaction(keys.is_admin, old_token)
        database.dispose()
    assert "ignored" not in site.start(OCPI_GATEWAY_ADMIN_TOKEN=new_token).message


def versions_of_rows(site: Site) -> dict[str, list[Any]]:
    """The row versions of every table; empty on SQLite, where PRAGMA data_version shows a write."""
    if site.url.startswith("sqlite"):
        return {}
    names = [name for name in site.described() if name.startswith(("public.", "dbos."))]
    return {
        name: query(site, f"SELECT xmin::text, ctid::text FROM {name} ORDER BY ctid")  # noqa: S608
        for name in names
        if not name.endswith("*")
    }


@pytest.mark.parametrize("demo", ["0", "1"])
def test_a_second_start_writes_nothing(new_site: NewSite, demo: str) -> None:
    site = new_site()
    more = {"OCPI_GATEWAY_DEMO": demo, WITH_JOBS: "1"}
    assert 0 == site.start(**more).code
    with contextlib.ExitStack() as stack:
        watch = None
        if site.url.startswith("sqlite"):
            watch = sqlite3.connect(site.folder / "node.sqlite")
            stack.callback(watch.close)
        version = watch and watch.execute("PRAGMA data_version").fetchone()
        before = versions_of_rows(site), site.described()

        assert 0 == site.start(**more).code

        assert before == (versions_of_rows(site), site.described())
        assert version == (watch and watch.execute("PRAGMA data_version").fetchone())


# Failures of the disk, on SQLite only


@pytest.fixture
def sqlite_site(tmp_path: Path) -> Site:
    """A site with a SQLite file that was started once."""
    new = Site("sqlite:///", tmp_path)
    assert 0 == new.start(**{WITH_JOBS: "1"}).code
    return new


def checkpoint(site: Site) -> None:
    """Move the content of the WAL into the database file."""
    with contextlib.closing(sqlite3.connect(site.folder / "node.sqlite")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def overwrite(path: Path, offset: int) -> None:
    """Overwrite a page of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\x5a" * 4096)


@pytest.mark.parametrize("offset", [0, 4096])
def test_a_damaged_file_is_reported(sqlite_site: Site, offset: int) -> None:
    checkpoint(sqlite_site)
    for page in range(1 if offset == 0 else 12):
        overwrite(sqlite_site.folder / "node.sqlite", offset + page * 4096)

    assert "Restore a backup of the file" in refusal(sqlite_site)


@pytest.mark.parametrize("kib", [0, 8, 48, 200])
def test_a_first_start_on_a_full_disk_is_refused_and_succeeds_once_there_is_room(
    tmp_path: Path, kib: int
) -> None:
    site = Site("sqlite:///", tmp_path)

    message = refusal(site, **{ROOM: str(kib * 1024), WITH_JOBS: "1"})

    assert message.startswith("The program cannot start: ")
    assert 0 == site.start().code


def test_a_later_start_on_a_full_disk_needs_room_only_for_the_index_of_the_wal(sqlite_site: Site) -> None:
    checkpoint(sqlite_site)
    assert 0 == sqlite_site.start(**{ROOM: str(32 * 1024), WITH_JOBS: "1"}).code

    assert "disk" in refusal(sqlite_site, **{ROOM: "0", WITH_JOBS: "1"})


def test_a_data_folder_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    site = Site("sqlite:///", tmp_path)
    folder = tmp_path / "file" / "data"

    message = refusal(
        site,
        OCPI_GATEWAY_DATA_DIR=str(folder),
        OCPI_GATEWAY_DATABASE_URL=f"sqlite:///{folder / 'node.sqlite'}",
    )

    assert str(folder) in message


def test_every_file_in_a_readable_folder_is_private_from_the_start(tmp_path: Path) -> None:
    site = Site("sqlite:///", tmp_path)
    site.folder.chmod(0o755)

    with Node({**site.environment, "OCPI_GATEWAY_PORT": str(free_port())}):
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in site.folder.iterdir()}

    assert {"node.sqlite", "node.sqlite-wal", "node.lock", "secret.key", "admin.token"} <= modes.keys()
    assert {} == {
        name: oct(mode) for name, mode in modes.items() if mode & 0o077 and not name.startswith("std")
    }
