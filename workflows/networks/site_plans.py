"""Plans of sites, from a location in the gateway's form, its charge points and its surroundings."""

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
from workflows.networks.charge_points import ChargePointSpec
from workflows.networks.identities import Party
from workflows.networks.places import countries, place, surroundings
from workflows.networks.places.surroundings import Surroundings

_ENTRANCE_KM = 0.06
_EDGES = (89.0, 179.9)  # latitude and longitude beyond which a point nearby may be out of range
_SUPPLIERS = ("Aurora Energy", "Clearwater Power", "Nordlys Energi", "Zephyr Energie")
_PRODUCTS = ("100% Renewable", "Green Power", "Wind, Sun and Water")
_SLUG_LENGTH = 200  # a single character of a name may become several Latin letters


def names(seed_text: str, name: str) -> tuple[str, str]:
    """The id and slug of a site, from *name* and a hash of *seed_text*. docs/gateway.md "Identities"."""
    digest = hashlib.sha256(seed_text.encode()).hexdigest()
    return f"loc-{digest[:12]}", f"{identities.slug(name)[:_SLUG_LENGTH].rstrip('-')}-{digest[:8]}"


def from_request(
    seed_text: str, source: OcpiCreateLocationRequest, specs: list[ChargePointSpec], party: Party
) -> SitePlan:
    """The plan of a site with only what *source* says. Its id and slug follow from *seed_text*."""
    location_id, slug = names(seed_text, source.name)
    location = projection.new_location(location_id, source)
    return _plan(source, slug, location, specs, party)


def from_template(
    seed_text: str, source: OcpiCreateLocationRequest, specs: list[ChargePointSpec], party: Party, kind: str
) -> SitePlan:
    """The plan of a site with generated surroundings of *kind*.

    Its id, slug and surroundings follow from *seed_text*.
    """
    rng = random.Random(f"{seed_text} surroundings")  # noqa: S311  (reproducible test data)
    features = surroundings.KINDS[kind]
    language = countries.language(source.country)
    location_id, slug = names(seed_text, source.name)
    location = projection.new_location(location_id, source)
    location.related_locations = _entrance(source, features, language, rng) or None
    location.directions = surroundings.directions(features, language) or None
    location.operator = _operator(source)
    location.facilities = list(surroundings.facilities(features, rng)) or None
    location.opening_times = surroundings.opening_times(features)
    location.charging_when_closed = features.hours is not None or None
    location.energy_mix = _energy_mix(seed_text, rng)
    floor = rng.choice(features.floors) if features.floors else ""
    return _plan(source, slug, location, specs, party, floor, features.restrictions)


def _plan(
    source: OcpiCreateLocationRequest,
    slug: str,
    location: Location,
    specs: list[ChargePointSpec],
    party: Party,
    floor: str = "",
    restrictions: tuple[str, ...] = (),
) -> SitePlan:
    plans = tuple(charge_points.plan(spec, party) for spec in specs)
    evses = [
        evse
        for spec, plan in zip(specs, plans, strict=True)
        for evse in charge_points.evses(spec, plan, source.country, floor, restrictions)
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
    source: OcpiCreateLocationRequest, features: Surroundings, language: str, rng: random.Random
) -> list[AdditionalGeoLocation]:
    """The entrance for cars, if it is apart from the site."""
    latitude, longitude = source.coordinates.latitude, source.coordinates.longitude
    at_an_edge = abs(latitude) > _EDGES[0] or abs(longitude) > _EDGES[1]
    if features.directions not in {"garage", "motorway"} or at_an_edge:
        return []
    latitude, longitude = place.scatter(rng, (latitude, longitude), _ENTRANCE_KM)
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


def _energy_mix(seed_text: str, rng: random.Random) -> EnergyMix:
    """A green energy mix. It names a supplier and a product, because some peers require them."""
    wind, sun = rng.randrange(40, 66, 5), rng.randrange(10, 26, 5)
    shares = {
        EnergySourceCategory.WIND: wind,
        EnergySourceCategory.SOLAR: sun,
        EnergySourceCategory.WATER: 100 - wind - sun,
    }
    supply = random.Random(f"{seed_text} supplier")  # noqa: S311  (reproducible test data)
    return EnergyMix(
        is_green_energy=True,
        energy_sources=[EnergySource(source=source, percentage=share) for source, share in shares.items()],
        supplier_name=supply.choice(_SUPPLIERS),
        energy_product_name=supply.choice(_PRODUCTS),
    )
