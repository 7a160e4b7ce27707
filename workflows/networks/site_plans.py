"""How a site comes together: its gateway members, its charge points and what surrounds it make a plan."""

import hashlib
import random

from generated.gateway_models import OcpiCreateLocationRequest
from generated.ocpi_models import (
    AdditionalGeoLocation,
    BusinessDetails,
    EnergyMix,
    EnergySource,
    EnergySourceCategory,
    Location,
)
from storage.sites import SitePlan
from workflows.networks import charge_points, identities, price_book, projection
from workflows.networks.charge_points import Post
from workflows.networks.identities import Party
from workflows.networks.places import countries, place, surroundings
from workflows.networks.places.surroundings import Surroundings

_ENTRANCE_KM = 0.06
_EDGES = (89.0, 179.9)  # degrees north and east; beyond them a step aside may leave the map
_SUPPLIERS = ("Aurora Energy", "Clearwater Power", "Nordlys Energi", "Zephyr Energie")
_PRODUCTS = ("100% Renewable", "Green Power", "Wind, Sun and Water")
_SLUG = 200  # characters; a single sign may become several Latin letters


def names(of: str, name: str) -> tuple[str, str]:
    """The id and slug of the site that *of* names for ever; *name* is for people.

    docs/gateway.md "Identities".
    """
    digest = hashlib.sha256(of.encode()).hexdigest()
    return f"loc-{digest[:12]}", f"{identities.slug(name)[:_SLUG].rstrip('-')}-{digest[:8]}"


def bare(of: str, source: OcpiCreateLocationRequest, posts: list[Post], party: Party) -> SitePlan:
    """The plan of a site of which nothing is known but what *source* says.

    Its id and slug follow from *of*.
    """
    location_id, slug = names(of, source.name)
    location = projection.new_location(location_id, source)
    return _plan(source, slug, location, posts, party)


def furnished(
    of: str, source: OcpiCreateLocationRequest, posts: list[Post], party: Party, kind: str
) -> SitePlan:
    """The plan of a site with surroundings of *kind*, drawn from *of* like its id and slug."""
    dice = random.Random(f"{of} surroundings")  # noqa: S311  (scenery, and the same for the same seed)
    around = surroundings.KINDS[kind]
    language = countries.language(source.country)
    location_id, slug = names(of, source.name)
    location = projection.new_location(location_id, source)
    location.related_locations = _entrance(source, around, language, dice) or None
    location.directions = surroundings.directions(around, language) or None
    location.operator = _operator(source)
    location.facilities = list(surroundings.facilities(around, dice)) or None
    location.opening_times = surroundings.opening_times(around)
    location.charging_when_closed = around.hours is not None or None
    location.energy_mix = _energy_mix(of, dice)
    floor = dice.choice(around.floors) if around.floors else ""
    return _plan(source, slug, location, posts, party, floor, around.restrictions)


def _plan(
    source: OcpiCreateLocationRequest,
    slug: str,
    location: Location,
    posts: list[Post],
    party: Party,
    floor: str = "",
    restrictions: tuple[str, ...] = (),
) -> SitePlan:
    plans = tuple(charge_points.plan(post, party) for post in posts)
    evses = [
        evse
        for post, plan in zip(posts, plans, strict=True)
        for evse in charge_points.evses(post, plan, source.country, floor, restrictions)
    ]
    location.evses = evses or None
    tariff_ids = dict.fromkeys(evse.connectors[0].tariff_id for evse in evses)
    return SitePlan(
        id=location.id,
        slug=slug,
        public=source.public,
        document=location,
        tariffs=tuple(price_book.tariff(str(tariff_id)) for tariff_id in tariff_ids),
        charge_points=plans,
    )


def _entrance(
    source: OcpiCreateLocationRequest, around: Surroundings, language: str, dice: random.Random
) -> list[AdditionalGeoLocation]:
    """Where one drives in, if that is a place of its own."""
    latitude, longitude = source.coordinates.latitude, source.coordinates.longitude
    at_an_edge = abs(latitude) > _EDGES[0] or abs(longitude) > _EDGES[1]
    if around.directions not in {"garage", "motorway"} or at_an_edge:
        return []
    latitude, longitude = place.scatter(dice, (latitude, longitude), _ENTRANCE_KM)
    entrance = AdditionalGeoLocation(
        latitude=projection.degrees(latitude),
        longitude=projection.degrees(longitude),
        name=surroundings.entrance(language),
    )
    return [entrance]


def _operator(source: OcpiCreateLocationRequest) -> BusinessDetails | None:
    name = source.owner_name
    if name is None:
        return None
    website = f"https://{identities.slug(name)[:63].rstrip('-')}.example.com"
    return BusinessDetails(name=name, website=website)


def _energy_mix(of: str, dice: random.Random) -> EnergyMix:
    """Supplier and product, which some peers require, have dice of their own, seeded by *of*."""
    wind, sun = dice.randrange(40, 66, 5), dice.randrange(10, 26, 5)
    shares = {
        EnergySourceCategory.WIND: wind,
        EnergySourceCategory.SOLAR: sun,
        EnergySourceCategory.WATER: 100 - wind - sun,
    }
    supply = random.Random(f"{of} supplier")  # noqa: S311  (scenery, and the same for the same seed)
    return EnergyMix(
        is_green_energy=True,
        energy_sources=[EnergySource(source=source, percentage=share) for source, share in shares.items()],
        supplier_name=supply.choice(_SUPPLIERS),
        energy_product_name=supply.choice(_PRODUCTS),
    )
