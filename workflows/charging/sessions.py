"""Sessions of virtual cars, on the clock of their network. docs/charging.md "A session".

A session follows from the plan of its car: its state at an instant is computed from the plan alone, so that a
late look at it changes nothing. It is stored once per minute of the clock. Its end stores a CDR.
"""

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

import errors
from generated.ocpi_models import (
    CDR,
    AuthMethod,
    Connector,
    Location,
    Session,
    SessionStatus,
    Status,
    Tariff,
)
from storage import cars, cdrs, reservations, sessions, tariffs, timestamps
from storage.cars import CarRow
from storage.objects import Change
from workflows.charging import evses, periods, power, pricing, scenarios
from workflows.charging.locked_network import LockedNetwork, whole_second
from workflows.charging.pricing import Bill, Kind, Slice
from workflows.charging.restrictions import TENTHS_PER_KWH
from workflows.networks.places import countries

TICK, LATE_CDR, REPAIR = "tick", "late_cdr", "repair"
"""The kinds of entries of the agenda: store the state of a session, store a CDR, repair an EVSE."""

_MINUTE_MS = 60_000
_LATE_MS = 10 * _MINUTE_MS
"""How late the CDR of the scenario `cdr_late` is, and how long an EVSE is out of order, on the clock."""

_NO_TARIFF = "no tariff"


def begin(locked: LockedNetwork, car: CarRow, at: int) -> Session:
    """Plug in a car at an instant of the clock: its session begins and its EVSE is CHARGING.

    Raises:
        errors.NotFound: the back office has removed the EVSE or the connector.
    """
    place = evses.location(locked.transaction, locked.network, car.location_id)
    connector = None if place is None else evses.connector(place, car.evse_uid, car.connector_id)
    if place is None or connector is None:
        raise errors.NotFound(f"{car.location_id}: there is no EVSE {car.evse_uid} any more.")
    number = _free_number(locked)
    locked.change(counter=number)
    seed = locked.simulation.seed
    slices = power.plan(connector, random.Random(f"{seed}:{number}"), car.energy_wh, car.minutes)  # noqa: S311
    tariff = _tariff(locked, connector)
    started = whole_second(at)
    session = Session(
        id=f"S{seed}-{number}",
        start_datetime=timestamps.authored(started),
        kwh=0,
        auth_id=car.auth_id,
        auth_method=AuthMethod(car.auth_method),
        location=_narrowed(place, car.evse_uid, connector),
        currency=tariff.currency if tariff else countries.currency(countries.alpha2(place.country)),
        status=SessionStatus.ACTIVE,
        last_updated=timestamps.now(),
    )
    plugged = car.model_copy(
        update={
            "session_id": session.id,
            "started_at": started,
            "ends_at": started + 1000 * sum(each.seconds for each in slices),
            "slices": orjson.dumps([[each.kind, each.seconds, each.tenths] for each in slices]).decode(),
            "tariff": None if tariff is None else tariff.json_text(),
            "zone": place.time_zone or "UTC",
        }
    )
    cars.start(locked.transaction, plugged)
    reservations.delete(locked.transaction, locked.id, car.evse_uid)
    evses.set_status(locked, car.location_id, car.evse_uid, Status.CHARGING)
    first = _state(session, _bill(plugged, []), [])
    sessions.put(locked.transaction, locked.id, locked.party, first)
    _schedule_tick(locked, plugged, started)
    return first


def _free_number(locked: LockedNetwork) -> int:
    """The next number whose session id the back office has not used."""
    number = locked.simulation.counter + 1
    seed = locked.simulation.seed
    while sessions.get(locked.transaction, locked.id, locked.party, f"S{seed}-{number}"):
        number += 1
    return number


def _narrowed(place: Location, evse_uid: str, connector: Connector) -> Location:
    """The location with only one EVSE and connector. Conformance 140."""
    evse = next(each for each in place.evses or () if each.uid == evse_uid)
    narrow = evse.model_copy(update={"connectors": [connector], "status": Status.CHARGING})
    return place.model_copy(update={"evses": [narrow]})


def _tariff(locked: LockedNetwork, connector: Connector) -> Tariff | None:
    """The tariff that prices the session to its end, whatever happens to it. docs/pricing.md P17, P19."""
    if connector.tariff_id is None:
        return None
    document = tariffs.get(locked.transaction, locked.id, locked.party, connector.tariff_id)
    return None if document is None else Tariff.model_validate_json(document.text)


def _schedule_tick(locked: LockedNetwork, car: CarRow, at: int) -> None:
    due = min(at + _MINUTE_MS, car.ends_at or at)
    locked.schedule(TICK, str(car.session_id), due)


def tick(locked: LockedNetwork, entry: Any) -> None:
    """Store the state of a session at its last whole minute, or end it."""
    car = cars.of_session(locked.transaction, locked.id, entry.key)
    if car is None or car.started_at is None or car.ends_at is None:
        return
    minutes = (locked.now() - car.started_at) // _MINUTE_MS
    at = min(max(entry.virtual_at, car.started_at + minutes * _MINUTE_MS), car.ends_at)
    if car.scenario == scenarios.SESSION_INVALID:
        end(locked, car, at, SessionStatus.INVALID)
    elif car.scenario == scenarios.EVSE_OUT_OF_ORDER:
        end(locked, car, at)
        evses.set_status(locked, car.location_id, car.evse_uid, Status.OUTOFORDER)
        locked.schedule(REPAIR, car.evse_uid, at + _LATE_MS, car.location_id)
    elif at >= car.ends_at:
        end(locked, car, at)
    else:
        slices = _until(car, at)
        bill = _bill(car, slices)
        if _update(locked, car, lambda session: _state(session, bill, slices)):
            _schedule_tick(locked, car, at)


def end(locked: LockedNetwork, car: CarRow, at: int, status: SessionStatus = SessionStatus.COMPLETED) -> None:
    """Unplug a car at an instant of the clock, one second after its start or later.

    A COMPLETED session gets its CDR. An INVALID one costs nothing.
    """
    started = car.started_at or 0
    ended = min(max(whole_second(at), started + 1000), car.ends_at or at)
    slices = _until(car, ended)
    bill = _bill(car, slices)
    is_billed = status is SessionStatus.COMPLETED

    def ending(session: Session) -> Session:
        last = _state(session, bill, slices)
        last.status, last.end_datetime = status, timestamps.authored(ended)
        if not is_billed:
            last.total_cost = 0
        return last

    session = _update(locked, car, ending)
    if session is None:
        return
    _leave(locked, car)
    if is_billed:
        for cdr in scenarios.cdrs(car.scenario, _cdr(car, session, bill)):
            if car.scenario == scenarios.CDR_LATE:
                locked.schedule(LATE_CDR, cdr.id, ended + _LATE_MS, cdr.json_text())
            else:
                cdrs.post(locked.transaction, locked.id, locked.party, cdr)


def _leave(locked: LockedNetwork, car: CarRow) -> None:
    cars.delete(locked.transaction, locked.id, car.evse_uid)
    locked.cancel(TICK, str(car.session_id))
    evses.release(locked, car.location_id, car.evse_uid, after=Status.CHARGING)


def store_late_cdr(locked: LockedNetwork, entry: Any) -> None:
    """Store a CDR that the scenario `cdr_late` has held back."""
    cdr = CDR.model_validate_json(entry.payload).model_copy(update={"last_updated": timestamps.now()})
    cdrs.post(locked.transaction, locked.id, locked.party, cdr)


def repair(locked: LockedNetwork, entry: Any) -> None:
    """End the outage of an EVSE."""
    evses.release(locked, entry.payload, entry.key, after=Status.OUTOFORDER)


def _until(car: CarRow, at: int) -> list[Slice]:
    """What the car has done until an instant of the clock."""
    plan = [Slice(Kind(kind), *volumes) for kind, *volumes in orjson.loads(car.slices)]
    return power.until(plan, (at - (car.started_at or 0)) // 1000)


def _bill(car: CarRow, slices: Sequence[Slice]) -> Bill:
    tariff = None if car.tariff is None else Tariff.model_validate_json(car.tariff)
    start = datetime.fromtimestamp((car.started_at or 0) / 1000, UTC)
    return pricing.bill(tariff, start, slices, car.zone)


def _update(locked: LockedNetwork, car: CarRow, change: Callable[[Session], Session]) -> Session | None:
    """Change the session of a car; returns the new session.

    If the back office has ended the session by OCPI, the car leaves without a CDR.
    """
    states: list[Session] = []

    def apply(session: Session) -> Session | None:
        if session.status in sessions.FINAL:
            return None
        states.append(change(session))
        return states[-1]

    key = locked.id, locked.party, str(car.session_id)
    sessions.update(locked.transaction, *key, Change(apply, is_stamped=True))
    if not states:
        _leave(locked, car)
        return None
    return states[-1]


def _state(session: Session, bill: Bill, slices: Sequence[Slice]) -> Session:
    """The session with what its car has done so far. docs/pricing.md P16, P20."""
    return session.model_copy(
        update={
            "kwh": _number(Decimal(sum(each.tenths for each in slices)) / TENTHS_PER_KWH),
            "charging_periods": periods.charging_periods(bill.parts) or None,
            "total_cost": None if bill.total is None else _number(bill.total),
            "last_updated": timestamps.stamp(session.last_updated),
        }
    )


def _cdr(car: CarRow, session: Session, bill: Bill) -> CDR:
    totals = periods.totals(bill.parts)
    return CDR(
        id=f"C{session.id[1:]}",
        start_date_time=session.start_datetime,
        stop_date_time=str(session.end_datetime),
        auth_id=session.auth_id,
        auth_method=session.auth_method,
        location=session.location,
        currency=session.currency,
        tariffs=None if car.tariff is None else [Tariff.model_validate_json(car.tariff)],
        charging_periods=periods.charging_periods(bill.parts),
        total_cost=0 if bill.total is None else _number(bill.total),
        total_energy=totals.total_energy,
        total_time=totals.total_time,
        total_parking_time=totals.total_parking_time,
        remark=_NO_TARIFF if bill.total is None else None,
        last_updated=session.last_updated,
    )


def _number(value: Decimal) -> float:
    """A JSON number without superfluous decimals."""
    return int(value) if value == value.to_integral_value() else float(value)
