"""Cut a session into parts with one price each: at every instant at which a restriction may change.

A part is judged once, at its start. Neighbors with the same prices are merged again.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from workflows.charging.restrictions import Component, Dimension, Elements, Kind, Moment

_SECOND, _HOUR, _DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
_HUNDREDTHS_OF_A_KW = 36  # per tenth of a Wh in a second


@dataclass(frozen=True)
class Slice:
    """A stretch of constant power: *seconds* long, with an energy of *tenths* of a Wh."""

    kind: Kind
    seconds: int
    tenths: int


@dataclass(frozen=True)
class Piece:
    """A slice at its place in the session.

    Args:
        start: an instant in UTC.
        elapsed: seconds since the session started.
        before: energy of the session before the piece, in tenths of a Wh.
    """

    kind: Kind
    start: datetime
    elapsed: int
    seconds: int
    before: int
    tenths: int


@dataclass(frozen=True)
class Part:
    """A part of a session, from *start* (UTC) on, with the component that prices each dimension.

    A dimension that is missing in *chosen* is free. *moment* is what the restrictions were compared with.
    """

    kind: Kind
    start: datetime
    seconds: int
    tenths: int
    moment: Moment
    chosen: dict[Dimension, Component]


def parts(elements: Elements, start: datetime, slices: Sequence[Slice], zone: ZoneInfo) -> list[Part]:
    """The parts of a session that begins at *start* (UTC) and consists of *slices*, one after another."""
    pieces = cut(elements, start, pieces_of(start, slices), zone)
    return list(_merged(judge(elements, pieces, zone), by_power=bool(elements.power_limits)))


def pieces_of(start: datetime, slices: Iterable[Slice]) -> Iterator[Piece]:
    """Slices at their places, without a gap between them."""
    elapsed = tenths = 0
    for each in slices:
        yield Piece(each.kind, start + elapsed * _SECOND, elapsed, each.seconds, tenths, each.tenths)
        elapsed += each.seconds
        tenths += each.tenths


def cut(
    elements: Elements, session_start: datetime, pieces: Iterable[Piece], zone: ZoneInfo | None
) -> Iterator[Piece]:
    """The same session in pieces within which no restriction changes; without a zone, no times are cut."""
    whole = list(pieces)
    if not whole:
        return
    end = max(piece.start + piece.seconds * _SECOND for piece in whole)
    instants = (
        set(_clock_changes(elements.times, session_start, end, zone)) if elements.times and zone else set()
    )
    instants |= {session_start + limit * _SECOND for limit in elements.durations}
    ordered = sorted(instants)
    for piece in whole:
        yield from _cut_piece(piece, ordered, elements.thresholds)


def _cut_piece(piece: Piece, instants: list[datetime], thresholds: list[int]) -> Iterator[Piece]:
    """Time is cut at whole seconds, energy in proportion, or exactly at a threshold that it reaches."""
    ends: dict[int, int] = {}
    for instant in instants[bisect_left(instants, piece.start) :]:
        second = -((piece.start - instant) // _SECOND)
        if second >= piece.seconds:
            break
        if second > 0:
            ends[second] = round(piece.before + Fraction(piece.tenths * second, piece.seconds))
    for threshold in thresholds:  # of several in one second, the highest gives the energy
        missing = threshold - piece.before
        if 0 < missing < piece.tenths and piece.seconds > 1:
            reached = -(-missing * piece.seconds // piece.tenths)
            ends[min(reached, piece.seconds - 1)] = threshold
    ends[piece.seconds] = piece.before + piece.tenths
    second, energy = 0, piece.before
    for end, total in sorted(ends.items()):
        start, elapsed = piece.start + second * _SECOND, piece.elapsed + second
        yield Piece(piece.kind, start, elapsed, end - second, energy, total - energy)
        second, energy = end, total


def _clock_changes(
    times: Iterable[str], start: datetime, end: datetime, zone: ZoneInfo
) -> Iterator[datetime]:
    """The instants between *start* and *end* at which the clock shows a time of *times* or is changed."""
    day, last = start.astimezone(zone).date(), end.astimezone(zone).date()
    clock_times = [time.fromisoformat(each) for each in times]
    while day <= last:
        for each in clock_times:
            yield from _instants(day, each, zone)
        day += _DAY
    while start < end:
        until = min(start + _HOUR, end)
        if start.astimezone(zone).utcoffset() != until.astimezone(zone).utcoffset():
            yield _offset_change(start, until, zone)
        start = until


def _instants(day: date, clock_time: time, zone: ZoneInfo) -> Iterator[datetime]:
    """When the clock shows this time of that day: once, twice or never."""
    naive = datetime.combine(day, clock_time)
    for fold in (0, 1):
        instant = naive.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        if instant.astimezone(zone).replace(tzinfo=None) == naive:
            yield instant


def _offset_change(start: datetime, end: datetime, zone: ZoneInfo) -> datetime:
    """The first second after *start* with the offset of *end*."""
    offset = end.astimezone(zone).utcoffset()
    while end - start > _SECOND:
        middle = start + (end - start) // _SECOND // 2 * _SECOND
        if middle.astimezone(zone).utcoffset() == offset:
            end = middle
        else:
            start = middle
    return end


def judge(elements: Elements, pieces: Iterable[Piece], zone: ZoneInfo | None) -> Iterator[Part]:
    """Choose the components of each piece at its start."""
    has_times = bool(elements.times) and zone is not None
    for piece in pieces:
        wall = piece.start.astimezone(zone).replace(tzinfo=None) if has_times else None
        moment = Moment(wall, piece.elapsed, piece.before, _power(piece.kind, piece.seconds, piece.tenths))
        chosen = elements.choose(moment, piece.kind)
        yield Part(piece.kind, piece.start, piece.seconds, piece.tenths, moment, chosen)


def _power(kind: Kind, seconds: int, tenths: int) -> int | None:
    """The average power in hundredths of a kW, rounded half-even; that of parking is 0."""
    if kind is Kind.PARKING:
        return 0
    return round(Fraction(tenths * _HUNDREDTHS_OF_A_KW, seconds)) if seconds else None


def _merged(judged: Iterable[Part], *, by_power: bool) -> Iterator[Part]:
    """Join neighbors of one kind with the same components; with the same power if the tariff restricts it."""
    last: Part | None = None
    for part in judged:
        if last is None:
            last = part
        elif (
            last.kind is part.kind
            and last.chosen == part.chosen
            and (not by_power or last.moment.power == part.moment.power)
        ):
            last = _joined(last, part)
        else:
            yield last
            last = part
    if last is not None:
        yield last


def _joined(first: Part, second: Part) -> Part:
    seconds, tenths = first.seconds + second.seconds, first.tenths + second.tenths
    moment = replace(first.moment, power=_power(first.kind, seconds, tenths))
    return replace(first, seconds=seconds, tenths=tenths, moment=moment)
