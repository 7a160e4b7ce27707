"""Interleaved exchanges with a peer: no ended token works, and neither side is locked out.

This is the short form of scripts/interleavings.
"""

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from interleavings import OPERATIONS, Model, Operation, pairs, unchecked_exchanges
from nodes import switch_to

from handlers.dispatch.app import create_app
from storage import agenda, schema
from storage.networks import CPO, EMSP

STEP = 6
"""The second operation of a pair runs at every sixth point here. The script runs it at every point."""
TRIPLES = 60
MEMORY = Path("/dev/shm")  # noqa: S108  (the test creates a folder in it)


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    """The application in this process, on a database in memory if the machine has such a folder."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        environment = {"OCPI_GATEWAY_DATA_DIR": folder, "OCPI_GATEWAY_SECRET_KEY": "model"}
        with switch_to(environment):
            schema.upgrade(None)
            model = Model(create_app())
            with model.installed():
                yield model


def test_every_pair_of_operations_is_safe(model: Model) -> None:
    outcomes = list(pairs(model, STEP))

    assert [] == [(outcome.history, outcome.complaints) for outcome in outcomes if outcome.complaints]
    assert len(outcomes) > 200


def test_triples_of_operations_are_safe(model: Model) -> None:
    draw = random.Random(7)
    faults = []
    for _ in range(TRIPLES):
        first, second, third = draw.choices(OPERATIONS, k=3)
        points = sorted(draw.sample(range(20), 2))
        outcome = model.run(first, (points[0], second), (points[1], third))
        faults += [(outcome.history, outcome.complaints)] if outcome.complaints else []

    assert [] == faults


@pytest.mark.parametrize(
    ("first", "second", "third"),
    [
        (("join", EMSP), (9, ("push", CPO)), (10, ("leave", CPO))),
        (("join", CPO), (9, ("push", EMSP)), (11, ("leave", EMSP))),
        (("rotate", CPO), (9, ("push", EMSP)), (10, ("join", CPO))),
    ],
)
def test_a_push_is_not_repeated_with_a_former_token_that_has_ended(
    model: Model, first: Operation, second: tuple[int, Operation], third: tuple[int, Operation]
) -> None:
    assert [] == model.run(first, second, third).complaints


@pytest.mark.parametrize(
    ("first", "point", "second", "complaint"),
    [
        (("join", CPO), 9, ("rotate", EMSP), "CPO is locked out"),
        (("rotate", EMSP), 9, ("rotate", CPO), "EMSP is locked out"),
        (("rotate", EMSP), 8, ("leave", CPO), "CPO left and is registered again"),
    ],
)
def test_the_model_finds_the_faults_of_the_old_code(
    model: Model, first: Operation, point: int, second: Operation, complaint: str
) -> None:
    """The control: without the second check, an ended registration returns, and a side is locked out."""
    with unchecked_exchanges():
        outcome = model.run(first, (point, second))

    assert complaint in outcome.complaints


def test_the_model_finds_pushes_that_outlive_their_registration(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the end of a registration leaves what its peer is behind."""
    monkeypatch.setattr(agenda, "clear_lane", lambda *_: None)

    outcome = model.run(("push", CPO), (0, ("leave", EMSP)))

    assert "pushes to a peer that is not registered are waiting" in outcome.complaints
