"""Waiting writers: a foreign lock stops neither readers nor the program."""

import contextlib
import functools
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg
import pytest
import requests
import sqlalchemy
from examples import example
from nodes import Client, Network, Node, in_transaction, outcome

import errors
from storage import database, idempotency, keys

WRITERS = 16


@contextlib.contextmanager
def write_lock(url: str) -> Iterator[None]:
    """Hold the lock that a write of a location needs and a read does not."""
    if url.startswith("sqlite"):
        with contextlib.closing(
            sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        ) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")
        return
    plain = sqlalchemy.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as other:
        other.execute("LOCK TABLE ocpi_locations IN EXCLUSIVE MODE")
        yield
        other.rollback()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads of a test."""
    with ThreadPoolExecutor(WRITERS) as threads:
        yield threads


def start_writes(writer: Client, pool: ThreadPoolExecutor, count: int) -> list[Future[requests.Response]]:
    """Start writing *count* new locations."""
    body = example("Location")
    return [
        pool.submit(writer.put, writer.at("locations", name), {**body, "id": name})
        for name in (f"W{number}" for number in range(count))
    ]


def test_readers_are_answered_while_more_writers_wait_than_there_are_threads(
    node: Node, emsp: Network, pool: ThreadPoolExecutor
) -> None:
    writer, reader = emsp.peer(), emsp.operator()
    assert writer.get("locations").ok  # the first use of a token writes

    with write_lock(node.environment["OCPI_GATEWAY_DATABASE_URL"]):
        waiting = start_writes(writer, pool, WRITERS)
        for _ in range(5):
            start = time.monotonic()
            assert 200 == reader.get("locations").status_code
            assert node.client(None).get("/health").ok
            assert time.monotonic() - start < 8  # if each waiting writer held a thread: 15 s
        responses = [each.result() for each in waiting]

    assert {(503, 3000)} == set(map(outcome, responses))
    assert {"1"} == {response.headers["Retry-After"] for response in responses}
    assert [] == reader.data("locations")
    assert 201 == start_writes(writer, pool, 1)[0].result().status_code


def slot_is_refused(writers: database._Writers) -> bool:
    """Whether another writer gets no slot."""
    try:
        with writers.slot():
            return False
    except errors.Unavailable:
        return True


@pytest.fixture
def hold() -> Iterator[Callable[[database._Writers], None]]:
    """A function that takes a slot in a new thread; the end of the test releases it."""
    release = threading.Event()
    threads = []

    def take(writers: database._Writers) -> None:
        taken = threading.Event()

        def keep() -> None:
            with writers.slot():
                taken.set()
                release.wait()

        threads.append(threading.Thread(target=keep))
        threads[-1].start()
        assert taken.wait(30)

    yield take
    release.set()
    for thread in threads:
        thread.join()


def test_the_number_of_waiting_writers_is_bounded(hold: Callable[[database._Writers], None]) -> None:
    writers = database._Writers(2)
    hold(writers)
    assert not slot_is_refused(writers)
    hold(writers)

    assert slot_is_refused(writers)


def test_a_transaction_takes_a_slot_and_a_read_connection_does_not(
    node: Node, hold: Callable[[database._Writers], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    writers = database._Writers(2)
    monkeypatch.setattr(database, "_writers", functools.cache(lambda: writers))
    hold(writers)
    hold(writers)

    with pytest.raises(errors.Unavailable):
        in_transaction(idempotency.purge)
    with database.connect() as connection:
        assert [] != keys.listed(connection)
    assert node.client(None).get("/health").ok


def test_a_read_connection_refuses_a_write(node: Node) -> None:
    in_transaction(keys.mint, "readers", keys.USER)
    refusals = (errors.Unavailable, sqlalchemy.exc.InternalError)

    with database.connect() as connection, pytest.raises(refusals) as error:
        connection.execute(sqlalchemy.text("UPDATE gw_keys SET role = 'admin'"))

    assert re.search("read-?only", str(error.value.__cause__))
    assert node.client(None).get("/health").ok


def test_a_writer_is_refused_at_once_if_the_others_have_waited_long(
    hold: Callable[[database._Writers], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    writers = database._Writers(1)
    hold(writers)
    monkeypatch.setattr(database, "_SLOT_WAIT_SECONDS", 3600)
    writers._began = {who: start - 3601 for who, start in writers._began.items()}

    assert slot_is_refused(writers)  # otherwise it would wait for an hour
    writers._began = dict.fromkeys(writers._began, time.monotonic())
