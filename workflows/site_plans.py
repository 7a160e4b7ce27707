"""How a site comes together: its gateway members, its charge points and what surrounds it make a plan."""

import hashlib
import random
from typing import Any

from storage.sites import SitePlan
from workflows import charge_points, identities, price_book, projection
from workflows.charge_points import Post
from workflows.gallery import countries, place, surroundings
from workflows.gallery.surroundings import Surroundings
from workflows.identities import Party

Body = dict[str, Any]

_ENTRANCE_KM = 0.06
_EDGES = (89.0, 179.9)  # degrees north and east; beyond them a step aside may leave the map
_SUPPLIERS = ("Aurora Energy", "Clearwater Power", "Nordlys Energi", "Zephyr Energie")
_PRODUCTS = ("100% Renewable", "Green Power", "Wind, Sun and Water")
_SLUG = 200  # characters; a single sign may become several Latin letters


def names(of: str, name: str) -> tuple[str, str]:
    """The id and slug of the site that *of* names for ever; *name* is for people. Design section 10."""
    digest = hashlib.sha256(of.encode()).hexdigest()
    return f"loc-{digest[:12]}", f"{identities.slug(name)[:_SLUG].rstrip('-')}-{digest[:8]}"


def bare(of: str, location: Body, posts: list[Post], party: Party) -> SitePlan:
    """The plan of a site of which nothing is known but what *location* says, in the gateway's members.

    Its id and slug follow from *of*.
    """
    return _plan(of, location, posts, party, {})


def furnished(of: str, location: Body, posts: list[Post], party: Party, kind: str) -> SitePlan:
    """The plan of a site with surroundings of *kind*, drawn from *of* like its id and slug."""
    dice = random.Random(f"{of} surroundings")  # noqa: S311  (scenery, and the same for the same seed)
    around = surroundings.KINDS[kind]
    language = countries.language(location["country"])
    more = {
        "related_locations": _entrance(location, around, language, dice),
        "directions": surroundings.directions(around, language),
        "operator": _operator(location),
        "facilities": surroundings.facilities(around, dice),
        "opening_times": surroundings.opening_times(around),
        "charging_when_closed": around.hours is not None,
        "energy_mix": {**_energy_mix(dice), **_supply(of)},
    }
    floor = dice.choice(around.floors) if around.floors else ""
    return _plan(of, location, posts, party, more, floor, around.restrictions)


def _plan(
    of: str,
    location: Body,
    posts: list[Post],
    party: Party,
    more: Body,
    floor: str = "",
    restrictions: tuple[str, ...] = (),
) -> SitePlan:
    location_id, slug = names(of, location["name"])
    plans = tuple(charge_points.plan(post, party) for post in posts)
    evses = [
        evse
        for post, plan in zip(posts, plans, strict=True)
        for evse in charge_points.evses(post, plan, location["country"], floor, restrictions)
    ]
    tariff_ids = dict.fromkeys(evse["connectors"][0]["tariff_id"] for evse in evses)
    return SitePlan(
        id=location_id,
        slug=slug,
        public=location.get("public") is not False,
        document=projection.new_document(location_id, location, evses=evses, **more),
        tariffs=tuple(price_book.tariff(tariff_id) for tariff_id in tariff_ids),
        charge_points=plans,
    )


def _entrance(location: Body, around: Surroundings, language: str, dice: random.Random) -> list[Body]:
    """Where one drives in, if that is a place of its own."""
    latitude, longitude = (float(location["coordinates"][axis]) for axis in ("latitude", "longitude"))
    at_an_edge = abs(latitude) > _EDGES[0] or abs(longitude) > _EDGES[1]
    if around.directions not in {"garage", "motorway"} or at_an_edge:
        return []
    latitude, longitude = place.scatter(dice, (latitude, longitude), _ENTRANCE_KM)
    point = {"latitude": projection.degrees(latitude), "longitude": projection.degrees(longitude)}
    return [{**point, "name": surroundings.entrance(language)}]


def _operator(location: Body) -> Body:
    name = location.get("owner_name")
    if name is None:
        return {}
    return {"name": name, "website": f"https://{identities.slug(name)[:63].rstrip('-')}.example.com"}


def _supply(of: str) -> Body:
    """Supplier and product, which some peers require; other draws do not depend on these dice."""
    dice = random.Random(f"{of} supplier")  # noqa: S311  (scenery, and the same for the same seed)
    return {"supplier_name": dice.choice(_SUPPLIERS), "energy_product_name": dice.choice(_PRODUCTS)}


def _energy_mix(dice: random.Random) -> Body:
    wind, sun = dice.randrange(40, 66, 5), dice.randrange(10, 26, 5)
    shares = (("WIND", wind), ("SOLAR", sun), ("WATER", 100 - wind - sun))
    sources = [{"source": source, "percentage": percentage} for source, percentage in shares]
    return {"is_green_energy": True, "energy_sources": sources}
