"""The gallery of real places at which templates put their sites.

`west`, `middle`, `north` and `south` hold the cities, `motorways` the service areas, `countries` what a
country has, `surroundings` what is found around a charge point there.
"""

from workflows.networks.identities import slug
from workflows.networks.places import central_europe, motorways, north, south, west
from workflows.networks.places.place import City, ServiceArea

CITIES: tuple[City, ...] = (*west.CITIES, *central_europe.CITIES, *north.CITIES, *south.CITIES)
SERVICE_AREAS: tuple[ServiceArea, ...] = motorways.SERVICE_AREAS

_BY_NAME = {slug(name): city for city in CITIES for name in (city.name, *city.also)}


def find(name: str, country: str | None = None) -> City | None:
    """The city of that name, in any spelling that the gallery knows; only in *country* (alpha-2) if given."""
    city = _BY_NAME.get(slug(name))
    return city if city is not None and country in {None, city.country} else None
