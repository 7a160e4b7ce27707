"""Prices of random sessions, computed by the program and by a walk through every second of the session.

In the end rules are taken out of the program, to see that the walk notices. Exit status 1 if a price differs
or a missing rule is not noticed.
"""

import argparse
import os
import platform
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from price_examples import tariff_of  # noqa: E402  (the path first)
from price_walk import Session, Walked, compared, draw_session, walk  # noqa: E402

from workflows.charging import cuts, pricing, restrictions  # noqa: E402
from workflows.charging.pricing import StepRule  # noqa: E402

CONTROL_SESSIONS = 500
HEAD = """\
# Prices

Command: `scripts/prices`. Random sessions of up to five slices and tariffs of up to four elements, around
midnight, changes of the clock and the limits of their own tariff. The program cuts a session into parts; the
second way walks through it second by second, with exact fractions, and shares no code with the program.
Compared are the billed quantity of each component and the total.

"""


def _price(session: Session) -> Walked:
    tariff = tariff_of(session.elements)
    return compared(pricing.bill(tariff, session.start, session.slices, session.zone))


def _differences(walked: Iterator[tuple[int, Session, Walked]]) -> list[int]:
    """The numbers of the sessions whose prices differ."""
    return [number for number, session, expected in walked if _price(session) != expected]


def _walked(seed: int, count: int) -> Iterator[tuple[int, Session, Walked]]:
    for number in range(count):
        session = draw_session(random.Random(f"{seed} {number}"))  # noqa: S311  (random sessions, no secrets)
        yield number, session, walk(session)


def _without(owner: object, name: str, replacement: object) -> Callable[[], AbstractContextManager[object]]:
    return lambda: patch.object(owner, name, replacement)


def _first_reading(*arguments: object) -> Iterator[datetime]:
    yield from list(INSTANTS(*arguments))[:1]


INSTANTS = cuts._instants  # noqa: SLF001  (a control replaces it)
PRICE = pricing.price
CONTROLS = {
    "energy is not cut at limits": _without(restrictions.Elements, "thresholds", []),
    "durations are not cut": _without(restrictions.Elements, "durations", set()),
    "changes of the clock are not cut": _without(cuts, "_offset_change", lambda start, *_: start),
    "a time that comes twice is cut once": _without(cuts, "_instants", _first_reading),
    "both kinds of time are rounded": _without(
        pricing, "price", lambda parts: PRICE(parts, StepRule.DIMENSION)
    ),
    "power is not rounded": _without(cuts, "_power", lambda _, seconds, tenths: tenths * 36 / seconds),
}


def _render(options: argparse.Namespace, differing: list[int], noticed: dict[str, int], took: float) -> str:
    lines = [f"| {name} | {count:,} |" for name, count in noticed.items()]
    return f"""{HEAD}{options.sessions:,} sessions, {len(differing)} of them with different prices.

The control: of the first {CONTROL_SESSIONS:,} sessions, so many have a wrong price once a rule is taken out.

| rule | wrong |
| --- | ---: |
{chr(10).join(lines)}

{datetime.now(UTC):%Y-%m-%d}, {took / 60:.0f} minutes, seed {options.seed}, \
Python {platform.python_version()}, {os.cpu_count()} cores.
"""


def main() -> int:
    """Compare, and write the page."""
    parser = argparse.ArgumentParser(prog="scripts/prices", description=__doc__)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=ROOT / "docs/measurements/prices.md")
    options = parser.parse_args()
    began = time.monotonic()
    differing = _differences(_walked(options.seed, options.sessions))
    controls = list(_walked(options.seed, CONTROL_SESSIONS))
    noticed = {}
    for name, without_rule in CONTROLS.items():
        with without_rule():
            noticed[name] = len(_differences(iter(controls)))
    page = _render(options, differing, noticed, time.monotonic() - began)
    options.out.write_text(page)
    print(page)
    if differing:
        print(f"Different prices: {differing[:20]}")
    return 1 if differing or not all(noticed.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
