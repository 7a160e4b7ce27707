"""Timestamps: every accepted form becomes one canonical text of the same instant."""

import re
import time
from datetime import datetime, timedelta
from typing import Any

import contracts
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import errors
from storage import timestamps

SCHEMAS: dict[str, Any] = contracts.ocpi().document["components"]["schemas"]
STRICT = re.compile(SCHEMAS["DateTime"]["pattern"])
LAX = re.compile(SCHEMAS["DateTime"]["x-accept"]["pattern"])
FORM = re.compile(r"(.{10}T.{8})(?:\.(\d+))?(?:Z|([+-])(\d\d):(\d\d))?")
FIRST, LAST = -30_610_224_000_000, 253_402_300_799_999  # 1000-01-01 and 9999-12-31

digits = st.text("0123456789", min_size=1, max_size=9)
zone = st.builds("{}{:02}:{:02}".format, st.sampled_from("+-"), st.integers(0, 23), st.integers(0, 59))
accepted = st.builds(
    "{}{}{}".format,
    st.datetimes(datetime(1000, 1, 2), datetime(9999, 12, 30)).map(lambda moment: moment.isoformat()[:19]),  # noqa: DTZ001
    st.just("") | digits.map(".{}".format),
    st.sampled_from(["", "Z"]) | zone,
)
repeatably = settings(deadline=None, derandomize=True, max_examples=200)


def instant(text: str) -> int:
    """Milliseconds since 1970, computed independently of the program."""
    head, fraction, sign, hours, minutes = FORM.fullmatch(text).groups("0")  # type: ignore[union-attr]
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    seconds = (datetime.fromisoformat(head) - datetime(1970, 1, 1)) // timedelta(seconds=1)  # noqa: DTZ001
    seconds -= (1 if sign == "+" else -1) * int(offset.total_seconds())
    return seconds * 1000 + int(fraction.ljust(3, "0")[:3])


@pytest.mark.ocpi(32, 33, 34, 35)
@repeatably
@given(accepted)
@example("2015-06-29T20:39:09")
@example("2015-06-29T22:39:09+02:00")
@example("2016-02-29T23:30:00.9999-23:59")
@example("1969-12-31T23:59:59.999Z")
@example("9999-12-31T23:59:59.123456789Z")
def test_a_canonical_time_keeps_the_instant(text: str) -> None:
    canonical = timestamps.canonical(text)

    assert LAX.fullmatch(text)
    assert STRICT.fullmatch(canonical)
    assert instant(text) == timestamps.parse(text) == timestamps.parse(canonical) == instant(canonical)
    assert canonical == timestamps.canonical(canonical)


@pytest.mark.ocpi(32)
@repeatably
@given(st.lists(accepted, min_size=2, max_size=5))
def test_times_sort_by_their_instants(texts: list[str]) -> None:
    assert sorted(texts, key=instant) == sorted(texts, key=timestamps.parse)


@repeatably
@given(st.integers(FIRST, LAST))
def test_milliseconds_survive_a_round_trip_through_text(milliseconds: int) -> None:
    text = timestamps.text(milliseconds)

    assert STRICT.fullmatch(text)
    assert milliseconds == timestamps.parse(text)
    assert text == timestamps.canonical(text)


@pytest.mark.ocpi(34)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2015-06-29T20:39:09Z", "2015-06-29T20:39:09Z"),
        ("2015-06-29T20:39:09", "2015-06-29T20:39:09Z"),
        ("2015-06-29T20:39:09+00:00", "2015-06-29T20:39:09Z"),
        ("2015-06-29T20:39:09-00:00", "2015-06-29T20:39:09Z"),
        ("2015-06-29T22:39:09+02:00", "2015-06-29T20:39:09Z"),
        ("2015-12-31T23:30:00-05:30", "2016-01-01T05:00:00Z"),
        ("2016-02-29T00:00:00Z", "2016-02-29T00:00:00Z"),
        ("2015-06-29T20:39:09.1Z", "2015-06-29T20:39:09.100Z"),
        ("2015-06-29T20:39:09.123", "2015-06-29T20:39:09.123Z"),
        ("2015-06-29T20:39:09.123456789+02:00", "2015-06-29T18:39:09.123Z"),
        ("2015-06-29T20:39:09.9999Z", "2015-06-29T20:39:09.999Z"),
        ("2015-06-29T20:39:09.000Z", "2015-06-29T20:39:09Z"),
        ("2015-06-29T20:39:09.0004Z", "2015-06-29T20:39:09Z"),
    ],
)
def test_an_accepted_form_has_one_canonical_text(text: str, expected: str) -> None:
    assert expected == timestamps.canonical(text)


@pytest.mark.ocpi(34)
def test_a_space_in_place_of_a_plus_is_read_as_a_plus() -> None:
    assert timestamps.parse("2015-06-29T20:39:09Z") == timestamps.parse("2015-06-29T22:39:09 02:00")


@pytest.mark.parametrize(
    "text",
    ["2015-02-29T00:00:00Z", "1900-02-29T12:00:00", "9999-12-31T23:59:59-00:01", "9999-12-31T12:00:00-23:59"],
)
def test_an_instant_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(errors.RuleBroken, match="is not an instant that exists"):
        timestamps.canonical(text)


def test_an_instant_before_the_year_1000_is_refused() -> None:
    """The contract has no text for it, so no document may contain it."""
    token = {**SCHEMAS["Token"]["example"], "last_updated": "1000-01-01T00:00:00+00:01"}
    with pytest.raises(errors.RuleBroken, match="last_updated"):
        contracts.ocpi().normalize("Token", token)


def test_text_order_is_not_time_order() -> None:
    """This is why comparisons use milliseconds."""
    earlier, later = "2015-06-29T20:39:09Z", "2015-06-29T20:39:09.001Z"

    assert earlier > later
    assert timestamps.parse(earlier) < timestamps.parse(later)


def test_now_is_the_current_second() -> None:
    before = int(time.time()) * 1000
    assert before <= timestamps.parse(timestamps.now()) <= time.time() * 1000
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", timestamps.now())


def test_a_stamp_is_the_current_time_unless_a_stored_one_is_later() -> None:
    future = "2999-01-01T00:00:00.123Z"

    assert timestamps.now() <= timestamps.stamp("2021-01-01T00:00:00Z") <= timestamps.now()
    assert future == timestamps.stamp("2021-01-01T00:00:00Z", future)
