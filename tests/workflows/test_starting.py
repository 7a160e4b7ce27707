"""After a start that is killed, the next start succeeds and the database is complete."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import old_database
import pytest
import starting
from nodes import switch_to
from starting import BROKEN, ENGINE, OURS, WITH_JOBS, Kills, Site

from storage import database
from workflows import engine

EVERY_OF_OURS = 30
EVERY_OF_THE_ENGINE = 150
"""The distance between the statements that are kill points; scripts/killing_starts takes every statement."""

Sites = Callable[..., Site]


@pytest.fixture(scope="module")
def new_site(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    """A function that creates a site, empty or from a template; remaining sites are removed at the end."""
    folder: Path = tmp_path_factory.mktemp("starts")
    created: list[Site] = []

    def new(template: Site | None = None) -> Site:
        created.append(Site(database_url, folder, template))
        return created[-1]

    yield new
    for site in created:
        if site.folder.exists():
            site.remove()


@pytest.fixture(scope="module")
def with_engine(new_site: Sites) -> Site:
    """A site whose database holds only the tables of DBOS."""
    site = new_site()
    with switch_to(site.environment):
        engine.migrate()
        database.dispose()
    return site


@pytest.fixture(scope="module")
def old(new_site: Sites) -> Site:
    """A site of schema version 0001, with data."""
    site = new_site()
    old_database.fill(site)
    return site


def complete_start(site: Site, **more: str) -> tuple[starting.StartResult, dict[str, Any]]:
    """A start that is not killed, and the database that it leaves."""
    ended = site.start(**more)
    assert 0 == ended.code, ended.message
    return ended, site.described()


def test_a_start_succeeds_after_a_first_start_killed_at_a_statement_of_the_program(
    new_site: Sites, with_engine: Site
) -> None:
    ended, expected = complete_start(new_site(with_engine))
    numbers = ended.points(OURS)

    assert len(numbers) > 50
    kills = Kills(lambda: new_site(with_engine), expected)
    assert ([], []) == (kills.at(numbers[::EVERY_OF_OURS]), kills.unreached)


def test_a_start_succeeds_after_a_first_start_killed_at_a_statement_of_dbos(new_site: Sites) -> None:
    settings = {WITH_JOBS: "1"}
    ended, expected = complete_start(new_site(), **settings)
    numbers = ended.points(ENGINE)

    assert len(numbers) > 150
    kills = Kills(new_site, expected, settings=settings)
    assert [] == kills.at(numbers[::EVERY_OF_THE_ENGINE])
    assert len(kills.unreached) <= 1


def test_an_upgrade_killed_at_a_statement_of_the_program_loses_nothing(new_site: Sites, old: Site) -> None:
    ended, expected = complete_start(new_site(old))
    numbers = ended.points(OURS)
    kept = {table: rows for table, rows in old.rows().items() if rows}

    assert {"gw_keys", "gw_networks", "ocpi_access", "ocpi_connections"} <= kept.keys()
    assert len(numbers) >= 6
    kills = Kills(lambda: new_site(old), expected, kept)
    assert ([], []) == (kills.at(numbers[::EVERY_OF_OURS]), kills.unreached)


def test_migrations_that_commit_each_statement_are_caught(new_site: Sites, old: Site) -> None:
    """The control: an upgrade without transactions is killed before it records its version."""
    broken = {BROKEN: "1"}
    ended, expected = complete_start(new_site(old), **broken)
    number = ended.first("UPDATE alembic_version")

    wrong = Kills(lambda: new_site(old), expected, settings=broken).at([number])

    assert ["did not start again"] == [each.split(": ")[1] for each in wrong]
