"""Starts that find something amiss: each goes on by itself, or ends with a sentence that says what to do."""

import contextlib
import resource
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import old_database
import pytest
import sqlalchemy
from nodes import ROOT, Node, clean_environment, in_transaction, switch_to
from starting import BROKEN, WITH_JOBS, Site

from storage import database, installation, keys, secrets
from workflows import cli, running_server

Sites = Callable[[], Site]
OTHER_KEY = {"OCPI_GATEWAY_SECRET_KEY": "another secret key"}


@pytest.fixture
def new_site(database_url: str, tmp_path: Path) -> Iterator[Sites]:
    """Makes sites with an empty database and removes them."""
    with contextlib.ExitStack() as made:

        def new() -> Site:
            site = Site(database_url, tmp_path)
            made.callback(site.remove)
            return site

        yield new


@pytest.fixture
def site(new_site: Sites) -> Site:
    """A site that was started once."""
    made = new_site()
    ended = made.start()
    assert 0 == ended.code, ended.message
    return made


def query(site: Site, text: str) -> list[Any]:
    """What the site's database answers."""
    database_engine = sqlalchemy.create_engine(
        site.url, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool
    )
    with database_engine.connect() as connection:
        result = connection.exec_driver_sql(text)
        return list(map(tuple, result.all())) if result.returns_rows else []


def refused(site: Site, **more: str) -> str:
    """Why the site does not start: the last line, after the log's."""
    ended = site.start(**more)
    assert 1 == ended.code
    return sentence(ended.message)


def sentence(said: str) -> str:
    """What a person is told; the lines before are the log's."""
    *logged, last = said.splitlines()
    assert all(line.startswith("{") for line in logged), said
    return last


@pytest.mark.parametrize(
    "statement", ["CREATE INDEX ix_gw_job", "CREATE TABLE ocpi_cdrs", "INSERT INTO alem"]
)
def test_a_first_start_that_an_older_version_left_unfinished_begins_anew(
    new_site: Sites, statement: str
) -> None:
    whole, half = new_site(), new_site()
    ended = whole.start(**{BROKEN: "1"})
    half.start(ended.first(statement), **{BROKEN: "1"})
    assert any("gw_charge_points" in table for table in half.described())

    again = half.start()

    assert 0 == again.code, again.message
    assert whole.described() == half.described()


def test_data_without_a_schema_version_is_not_touched(site: Site) -> None:
    query(site, "DELETE FROM alembic_version")
    before = site.rows()

    assert "Restore a backup" in refused(site)
    assert before == site.rows()


def test_a_database_of_a_newer_version_is_not_touched(site: Site) -> None:
    query(site, "UPDATE alembic_version SET version_num = '9999'")

    assert "schema version 9999" in refused(site)


def test_a_lost_secret_key_is_not_replaced(site: Site) -> None:
    key = site.folder / "secret.key"
    kept = key.read_bytes()
    key.unlink()

    message = refused(site)

    assert "missing" in message
    assert f"Restore {key}, or set OCPI_GATEWAY_SECRET_KEY" in message
    assert not key.exists()
    key.write_bytes(kept)
    assert 0 == site.start().code


def test_another_secret_key_is_refused(site: Site) -> None:
    assert "is not the one of this database" in refused(site, **OTHER_KEY)
    (site.folder / "secret.key").write_text("no key")
    assert "holds no secret key" in refused(site)


def test_a_second_data_folder_on_one_database_changes_nothing(site: Site, tmp_path: Path) -> None:
    second = {"OCPI_GATEWAY_DATA_DIR": str(tmp_path / "second")}
    before = site.rows()

    assert "missing" in refused(site, **second)
    assert "is not the one of this database" in refused(site, **second, **OTHER_KEY)
    assert before == site.rows()
    assert not (tmp_path / "second" / "secret.key").exists()

    shared = {**second, "OCPI_GATEWAY_SECRET_KEY": ""}
    (tmp_path / "second").mkdir(exist_ok=True)
    (tmp_path / "second" / "secret.key").write_bytes((site.folder / "secret.key").read_bytes())
    assert 0 == site.start(**shared).code
    assert before == site.rows()
    assert not (tmp_path / "second" / "admin.token").exists()


def test_an_older_database_takes_the_key_that_opens_what_it_holds(new_site: Sites) -> None:
    old = new_site()
    old_database.fill(old)

    assert "is not the one of this database" in refused(old, **OTHER_KEY)
    assert [] == query(old, "SELECT * FROM gw_installation")  # migrated by now, but not set up
    assert 0 == old.start().code
    with switch_to(old.environment):
        check = in_transaction(installation.key_check)
        assert check
        assert secrets.opens(check)
        database.dispose()


def test_an_older_database_without_ciphertext_takes_the_present_key(new_site: Sites) -> None:
    old = new_site()
    old_database.fill(old, with_peer=False)

    assert 0 == old.start(**OTHER_KEY).code
    assert 0 == old.start(**OTHER_KEY).code
    assert "missing" in refused(old)
    assert 1 == len(query(old, "SELECT * FROM gw_keys"))  # its administrator stays


def test_a_later_admin_token_changes_nothing_and_is_said(site: Site) -> None:
    before = site.rows()

    ended = site.start(OCPI_GATEWAY_ADMIN_TOKEN="a-token-that-is-not-stored")

    assert 0 == ended.code
    assert 1 == ended.message.count("ADMIN_TOKEN is ignored")
    assert "scripts/keys mint" in ended.message
    assert before == site.rows()
    assert "ignored" not in site.start().message


def test_a_revoked_admin_key_stays_revoked_and_scripts_make_a_new_one(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_server, "adopt", lambda _: None)  # the settings are in force already
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

    ended = site.start()

    assert "admin.token is ignored" in ended.message
    with switch_to(site.environment):
        assert not in_transaction(keys.is_admin, old_token)
        database.dispose()
    assert "ignored" not in site.start(OCPI_GATEWAY_ADMIN_TOKEN=new_token).message


def versions_of_rows(site: Site) -> dict[str, list[Any]]:
    """Every row of every table with the marks that a write changes; on SQLite the file is watched instead."""
    if site.url.startswith("sqlite"):
        return {}
    names = [name for name in site.described() if name.startswith(("public.", "dbos."))]
    return {
        name: query(site, f"SELECT xmin::text, ctid::text FROM {name} ORDER BY ctid")  # noqa: S608
        for name in names
        if not name.endswith("*")
    }


@pytest.mark.parametrize("demo", ["0", "1"])
def test_a_second_start_writes_nothing(new_site: Sites, demo: str) -> None:
    site = new_site()
    more = {"OCPI_GATEWAY_DEMO": demo, WITH_JOBS: "1"}
    assert 0 == site.start(**more).code
    with contextlib.ExitStack() as open_until_then:
        watch = None
        if site.url.startswith("sqlite"):
            watch = sqlite3.connect(site.folder / "node.sqlite")
            open_until_then.callback(watch.close)
        version = watch and watch.execute("PRAGMA data_version").fetchone()
        before = versions_of_rows(site), site.described()

        assert 0 == site.start(**more).code

        assert before == (versions_of_rows(site), site.described())
        assert version == (watch and watch.execute("PRAGMA data_version").fetchone())


# What lies on a disk: SQLite only.


@pytest.fixture
def here(tmp_path: Path) -> Site:
    """A site with a SQLite file that was started once."""
    made = Site("sqlite:///", tmp_path)
    assert 0 == made.start(**{WITH_JOBS: "1"}).code
    return made


def checkpoint(site: Site) -> None:
    """Move what the WAL holds into the file."""
    with contextlib.closing(sqlite3.connect(site.folder / "node.sqlite")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def overwrite(path: Path, offset: int) -> None:
    """Damage a page of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\x5a" * 4096)


@pytest.mark.parametrize("offset", [0, 4096])
def test_a_damaged_file_is_said(here: Site, offset: int) -> None:
    checkpoint(here)
    for page in range(1 if offset == 0 else 12):
        overwrite(here.folder / "node.sqlite", offset + page * 4096)

    assert "Restore a backup of the file" in refused(here)


def started_with_room_for(site: Site, size: int) -> subprocess.CompletedProcess[str]:
    """A start during which no file can be longer than *size* bytes."""
    return subprocess.run(
        [sys.executable, "-m", "starting"],
        cwd=ROOT,
        env={
            **clean_environment(),
            **site.environment,
            WITH_JOBS: "1",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'support'}",
        },
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )


@pytest.mark.parametrize("kib", [0, 8, 48, 200])
def test_a_first_start_on_a_full_disk_says_so_and_succeeds_once_there_is_room(
    tmp_path: Path, kib: int
) -> None:
    site = Site("sqlite:///", tmp_path)

    ended = started_with_room_for(site, kib * 1024)

    assert 1 == ended.returncode, ended
    assert sentence(ended.stderr).startswith("The program cannot start: ")
    assert 0 == site.start().code


def test_a_later_start_on_a_full_disk_needs_room_for_the_index_of_the_wal_alone(here: Site) -> None:
    checkpoint(here)
    assert 0 == started_with_room_for(here, 32 * 1024).returncode

    ended = started_with_room_for(here, 0)

    assert (1, True) == (ended.returncode, "disk" in sentence(ended.stderr))


def test_a_data_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    site = Site("sqlite:///", tmp_path)
    nowhere = tmp_path / "file" / "data"

    message = refused(
        site,
        OCPI_GATEWAY_DATA_DIR=str(nowhere),
        OCPI_GATEWAY_DATABASE_URL=f"sqlite:///{nowhere / 'node.sqlite'}",
    )

    assert str(nowhere) in message


def test_every_file_of_an_open_folder_is_private_from_the_start(
    another_node: Callable[..., Node], tmp_path: Path
) -> None:
    folder = tmp_path / "node0"
    folder.mkdir()
    folder.chmod(0o755)

    another_node()

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    assert {"node.sqlite", "node.sqlite-wal", "node.lock", "secret.key", "admin.token"} <= modes.keys()
    assert {} == {
        name: oct(mode) for name, mode in modes.items() if mode & 0o077 and not name.startswith("std")
    }
