"""The power of a charging session: a car, its battery, and what the connector delivers.

A plan is a list of slices of constant power. Direct current falls as the battery fills; alternating current
does not, because it is slow for every battery.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import replace

from generated.ocpi_models import Connector, PowerType
from workflows.charging.pricing import Kind, Slice

_BATTERIES_WH = (40_000, 52_000, 64_000, 77_000)
_CHARGE_AT_ARRIVAL = (10, 60)
"""The least and the highest state of charge of a car that arrives, in percent."""

_AC_WATTS, _DC_WATTS = 11_000, 150_000
"""What a car can take."""

_FULL = 100
_AC_CURVE = ((_FULL, 100),)
_DC_CURVE = ((80, 100), (90, 50), (_FULL, 25))
"""Up to which state of charge the car takes which part of the power, both in percent."""

_PHASES = {PowerType.AC_1_PHASE: 1, PowerType.AC_3_PHASE: 3, PowerType.DC: 1}
_PARKING_SECONDS = 600
"""How long a car stays after charging, unless its driver says otherwise."""


def plan(
    connector: Connector, randomness: random.Random, energy_wh: int | None, minutes: int | None
) -> list[Slice]:
    """The slices of a session, from the plug to the unplug.

    *energy_wh*: when charging stops, a full battery if None. *minutes*: when the car is unplugged, ten
    minutes after charging if None.
    """
    slices = _charging(connector, randomness, energy_wh)
    charging = sum(each.seconds for each in slices)
    whole = charging + _PARKING_SECONDS if minutes is None else minutes * 60
    if whole > charging:
        slices.append(Slice(Kind.PARKING, whole - charging, 0))
    return until(slices, whole)


def _charging(connector: Connector, randomness: random.Random, energy_wh: int | None) -> list[Slice]:
    battery = randomness.choice(_BATTERIES_WH)
    charge = battery * randomness.randint(*_CHARGE_AT_ARRIVAL) // _FULL
    is_dc = connector.power_type is PowerType.DC
    watts = min(_watts(connector), _DC_WATTS if is_dc else _AC_WATTS)
    left = battery - charge if energy_wh is None else energy_wh
    slices = []
    for limit, part in _DC_CURVE if is_dc else _AC_CURVE:
        room = battery * limit // _FULL - charge
        energy = left if limit == _FULL else min(left, max(0, room))
        if energy > 0:
            seconds = math.ceil(energy * 3600 * _FULL / (watts * part))
            slices.append(Slice(Kind.CHARGING, seconds, energy * 10))
        charge, left = charge + energy, left - energy
    return slices


def _watts(connector: Connector) -> int:
    return max(1, int(connector.voltage) * int(connector.amperage) * _PHASES[connector.power_type])


def until(slices: Sequence[Slice], seconds: int) -> list[Slice]:
    """The first *seconds* of a plan."""
    first = []
    for each in slices:
        if seconds <= 0:
            break
        part = min(each.seconds, seconds)
        first.append(replace(each, seconds=part, tenths=round(each.tenths * part / each.seconds)))
        seconds -= part
    return first
