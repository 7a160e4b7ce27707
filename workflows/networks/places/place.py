"""What the gallery is made of: cities and motorway service areas."""

import math
import random
from dataclasses import dataclass

_KM_A_DEGREE = 111.32
_LETTERS = "ADEHNPRTWX"  # those that Dutch, British and Irish postal codes all use


@dataclass(frozen=True, slots=True)
class City:
    """A real city. Coordinates are degrees in WGS 84.

    `dry` is where sites may be put: a centre and a reach in km, clear of harbours, lakes and wide rivers and
    within 2 km of the centre. In `postal_codes` `#` stands for any digit and `?` for a letter.
    """

    name: str
    country: str
    latitude: float
    longitude: float
    zone: str
    postal_codes: tuple[str, ...]
    streets: tuple[str, ...]
    dry: tuple[float, float, float]
    also: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServiceArea:
    """A real motorway service area; `city` is the place it belongs to by its postal address."""

    name: str
    motorway: str
    country: str
    latitude: float
    longitude: float
    zone: str
    city: str
    postal_code: str


def city(
    name: str,
    country: str,
    centre: tuple[float, float],
    zone: str,
    postal_codes: str,
    streets: str,
    dry: tuple[float, float, float] | None = None,
    also: str = "",
) -> City:
    """A city from short notes: lists are separated by a comma and a space; *dry* defaults to the centre."""
    return City(
        name,
        country,
        *centre,
        zone,
        tuple(postal_codes.split(", ")),
        tuple(streets.split(", ")),
        dry or (*centre, 0.8),
        tuple(also.split(", ")) if also else (),
    )


def scatter(dice: random.Random, centre: tuple[float, float], reach: float) -> tuple[float, float]:
    """A point at most *reach* km from *centre*, each part of the disc equally likely."""
    distance, bearing = reach * math.sqrt(dice.random()), math.tau * dice.random()
    north, east = distance * math.cos(bearing), distance * math.sin(bearing)
    latitude, longitude = centre
    across = _KM_A_DEGREE * math.cos(math.radians(latitude))
    return latitude + north / _KM_A_DEGREE, longitude + east / across


def postal_code(dice: random.Random, pattern: str) -> str:
    """A postal code of *pattern*: `#` is any digit, `?` a letter."""
    drawn = {"#": "0123456789", "?": _LETTERS}
    return "".join(dice.choice(drawn[sign]) if sign in drawn else sign for sign in pattern)
