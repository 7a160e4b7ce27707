"""Time zones by their names, and of countries."""

import functools
from importlib import resources
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from workflows.networks.places import countries

UTC = ZoneInfo("UTC")

_COUNTRY, _NAME = 0, 2  # columns of zone.tab


def named(name: str | None) -> ZoneInfo | None:
    """The zone with this name of the IANA database; None if there is none."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):  # such as a path, or the name of a folder
        return None


def of_country(alpha3: str) -> ZoneInfo | None:
    """The zone of a country that has only one."""
    names = _zones().get(countries.alpha2(alpha3), [])
    return named(names[0]) if len(names) == 1 else None


@functools.cache
def _zones() -> dict[str, list[str]]:
    """The names of the zones of each country, by alpha-2 code."""
    zones: dict[str, list[str]] = {}
    for line in (resources.files("tzdata.zoneinfo") / "zone.tab").read_text().splitlines():
        if not line.startswith("#"):
            columns = line.split("\t")
            zones.setdefault(columns[_COUNTRY], []).append(columns[_NAME])
    return zones
