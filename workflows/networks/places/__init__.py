"""The real places at which templates put their sites.

`west`, `central_europe`, `north` and `south` hold the cities, `motorways` the service areas, `countries` the
languages, currencies and address forms, `surroundings` what is around a charge point.
"""

from workflows.networks.identities import slug
from workflows.networks.places import central_europe, motorways, north, south, west
from workflows.networks.places.place import City, ServiceArea

CITIES: tuple[City, ...] = (*west.CITIES, *central_europe.CITIES, *north.CITIES, *south.CITIES)
SERVICE_AREAS: tuple[ServiceArea, ...] = motorways.SERVICE_AREAS

_BY_NAME = {slug(name): city for city in CITIES for name in (city.name, *city.aliases)}


def find(name: str, country: str | None = None) -> City | None:
    """The city with that name or alias, or None. *country* (alpha-2) restricts the search to one country."""
    city = _BY_NAME.get(slug(name))
    return city if city is not None and country in {None, city.country} else None
