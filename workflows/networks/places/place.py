"""Cities and motorway service areas: their types, and random points and postal codes in them."""

import math
import random
from dataclasses import dataclass

_KM_PER_DEGREE = 111.32
_LETTERS = "ADEHNPRTWX"  # those that Dutch, British and Irish postal codes all use


@dataclass(frozen=True, slots=True)
class City:
    """A real city. Coordinates are degrees in WGS 84.

    `site_area` is where sites may be: latitude, longitude and a radius in km. It is clear of harbors, lakes
    and wide rivers, and within 2 km of the city's center. In `postal_codes`, `#` is any digit and `?` any
    letter.
    """

    name: str
    country: str
    latitude: float
    longitude: float
    zone: str
    postal_codes: tuple[str, ...]
    streets: tuple[str, ...]
    site_area: tuple[float, float, float]
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServiceArea:
    """A real motorway service area; `city` is the place in its postal address."""

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
    center: tuple[float, float],
    zone: str,
    postal_codes: str,
    streets: str,
    site_area: tuple[float, float, float] | None = None,
    aliases: str = "",
) -> City:
    """A city. Lists are separated by comma and space; *site_area* defaults to 0.8 km around the center."""
    return City(
        name,
        country,
        *center,
        zone,
        tuple(postal_codes.split(", ")),
        tuple(streets.split(", ")),
        site_area or (*center, 0.8),
        tuple(aliases.split(", ")) if aliases else (),
    )


def scatter(rng: random.Random, center: tuple[float, float], radius: float) -> tuple[float, float]:
    """A random point at most *radius* km from *center*, uniformly distributed over the disk."""
    distance, bearing = radius * math.sqrt(rng.random()), math.tau * rng.random()
    north, east = distance * math.cos(bearing), distance * math.sin(bearing)
    latitude, longitude = center
    across = _KM_PER_DEGREE * math.cos(math.radians(latitude))
    return latitude + north / _KM_PER_DEGREE, longitude + east / across


def postal_code(rng: random.Random, pattern: str) -> str:
    """A random postal code of *pattern*: `#` is any digit, `?` any letter."""
    pools = {"#": "0123456789", "?": _LETTERS}
    return "".join(rng.choice(pools[char]) if char in pools else char for char in pattern)
