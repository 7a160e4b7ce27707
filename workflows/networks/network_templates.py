"""Network templates: what a network is generated from. docs/gateway.md "Templates".

A plan is a pure function of seed, template and version, overrides, name prefix, role and party. Each site
has its own random generator, so a site can be generated alone, in any order, and again on a retry.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import orjson

from generated.gateway_models import (
    BundleRole,
    Coordinates,
    Country,
    OcpiCreateLocationRequest,
    ParkingType,
    TemplateSummary,
    Timezone,
)
from generated.ocpi_models import Tariff
from storage.sites import MAGIC_EVSES, MAGIC_LOCATION, SitePlan
from workflows.networks import catalog, driver_tokens, identities, places, site_plans
from workflows.networks.catalog import OCPP_1_6, OCPP_2_0_1
from workflows.networks.charge_points import ChargePointSpec
from workflows.networks.driver_tokens import TokenPlan
from workflows.networks.identities import Party
from workflows.networks.places import countries, place, surroundings
from workflows.networks.places.place import City, ServiceArea

CPO, EMSP = "cpo", "emsp"
OVERRIDES = ("locations", "chargers_per_location")
"""The sizes of the template that a request may override; other keys have no effect."""

_CITIES, _MOTORWAYS = "cities", "motorways"
_BAYS_KM = 0.05  # the most from the center of a service area to its charging bays
_MAX_HOUSE_NUMBER = 120


class Choice(NamedTuple):
    """A charge point that a template may install. `kw` is the rating of one connector."""

    brand_slug: str
    model_slug: str
    connector_type: str
    ocpp_version: str
    kw: float


@dataclass(frozen=True, slots=True)
class NetworkTemplate:
    """A preset. `dc_count(index, count)` is how many of the *count* charge points of site *index* are DC."""

    slug: str
    version: int
    description: str
    role: str
    locations: int = 0
    chargers_per_location: int = 0
    where: str = _CITIES
    kinds: tuple[str, ...] = ()
    ac: tuple[Choice, ...] = ()
    dc: tuple[Choice, ...] = ()
    dc_count: Callable[[int, int], int] = lambda _index, _count: 0

    @property
    def chargers(self) -> int:
        """Charge points of the whole network."""
        return self.locations * self.chargers_per_location

    def summary(self) -> TemplateSummary:
        """Its entry in the gallery."""
        return TemplateSummary(
            slug=self.slug,
            version=self.version,
            description=self.description,
            locations=self.locations,
            chargers=self.chargers,
            role=BundleRole(self.role),
        )


_STREET_AC = (
    Choice("schneider", "evlink-pro-ac-22kw", catalog.TYPE_2, OCPP_1_6, 22.0),
    Choice("alfen", "eve-single-pro-line", catalog.TYPE_2, OCPP_1_6, 22.0),
    Choice("zaptec", "zaptec-pro", catalog.TYPE_2, OCPP_1_6, 22.0),
)
_MAGIC = _STREET_AC[0]
_TWIN_AC = Choice("alfen", "eve-double-pro-line", catalog.TYPE_2, OCPP_2_0_1, 22.0)
_FAST = (
    Choice("abb", "terra-184", catalog.CCS_2, OCPP_1_6, 180.0),
    Choice("alpitronic", "hyc300", catalog.CCS_2, OCPP_1_6, 300.0),
    Choice("kempower", "satellite-double", catalog.CCS_2, OCPP_1_6, 200.0),
)
_DEPOT_DC = (
    Choice("alpitronic", "hyc150", catalog.CCS_2, OCPP_2_0_1, 150.0),
    Choice("schneider", "evlink-pro-dc-180kw", catalog.CCS_2, OCPP_2_0_1, 120.0),
)
_IN_TOWN = (
    surroundings.ON_STREET,
    surroundings.ON_STREET,
    surroundings.PARKING_LOT,
    surroundings.PARKING_GARAGE,
    surroundings.UNDERGROUND_GARAGE,
)
_EVERY_FIFTH = 5

_TEMPLATES = (
    NetworkTemplate(
        "small-urban-ac", 1, "Two urban locations with three AC chargers each, OCPP 1.6.", CPO,
        locations=2, chargers_per_location=3, kinds=_IN_TOWN, ac=_STREET_AC,
    ),
    NetworkTemplate(
        "highway-dc", 1, "Three highway sites with two DC fast chargers each, OCPP 1.6.", CPO,
        locations=3, chargers_per_location=2, where=_MOTORWAYS, kinds=(surroundings.ALONG_MOTORWAY,),
        dc=_FAST, dc_count=lambda _index, count: count,
    ),
    NetworkTemplate(
        "mixed-depot", 1, "One depot with four AC and two DC chargers, mixed OCPP versions.", CPO,
        locations=1, chargers_per_location=6, kinds=(surroundings.DEPOT,),
        ac=_STREET_AC, dc=_DEPOT_DC, dc_count=lambda _index, count: count // 3,
    ),
    NetworkTemplate(
        "city-network", 1, "Fifty city locations with four chargers each; every fifth one is a DC hub.", CPO,
        locations=50, chargers_per_location=4, kinds=_IN_TOWN, ac=(*_STREET_AC, _TWIN_AC),
        dc=(*_FAST, *_DEPOT_DC), dc_count=lambda index, count: 0 if (index + 1) % _EVERY_FIFTH else count,
    ),
    NetworkTemplate(
        "emsp-drivers", 1,
        f"An eMSP with {driver_tokens.COUNT} tokens: "
        "valid, blocked, expired, without credit, restricted, magic.",
        EMSP,
    ),
)  # fmt: skip


def network_templates() -> list[TemplateSummary]:
    """The gallery's entries."""
    return [template.summary() for template in _TEMPLATES]


def network_template(slug: str, role: str) -> NetworkTemplate | None:
    """The template, or None if there is none of that name for *role* (`cpo` or `emsp`, in either case)."""
    return next((t for t in _TEMPLATES if (t.slug, t.role) == (slug, role.lower())), None)


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """What a network will contain: sites with charge points (CPO), or tokens (eMSP)."""

    template: NetworkTemplate
    locations: int
    chargers_per_location: int
    name_prefix: str
    role: str
    party: Party
    seed: int

    @property
    def chargers(self) -> int:
        """Charge points of the whole network."""
        return self.locations * self.chargers_per_location

    def site(self, index: int) -> SitePlan:
        """The site with that index, from 0; IndexError past the end."""
        if not 0 <= index < self.locations:
            raise IndexError(index)
        seed_text = self._seed_text("site", index)
        rng = _rng(seed_text)
        kind = rng.choice(self.template.kinds)
        stop, visit = self._stop(index)
        location = self._location(stop, visit, rng)
        location.parking_type = ParkingType(surroundings.PARKING_LOT if kind == surroundings.DEPOT else kind)
        return site_plans.from_template(
            seed_text, location, self._charge_points(index, location, rng), self.party, kind
        )

    def magic_site(self) -> SitePlan:
        """The site MAGIC, in the town or at the motorway of the first site. docs/magic.md."""
        seed_text = self._seed_text("magic")
        location = self._location(*self._stop(0), _rng(seed_text))
        location.name = MAGIC_LOCATION
        location.parking_type = ParkingType(surroundings.PARKING_LOT)
        specs = [_charge_point(uid, _MAGIC, str(n)) for n, uid in enumerate(MAGIC_EVSES, 1)]
        plan = site_plans.from_template(seed_text, location, specs, self.party, surroundings.PARKING_LOT)
        document = plan.document.model_copy(update={"id": MAGIC_LOCATION})
        return replace(plan, id=MAGIC_LOCATION, document=document)

    def tariffs(self) -> tuple[Tariff, ...]:
        """The distinct tariffs of the network's connectors."""
        sites = (self.site(index) for index in range(self.locations))
        return tuple({tariff.id: tariff for site in sites for tariff in site.tariffs}.values())

    def tokens(self) -> list[TokenPlan]:
        """The tokens of an eMSP network; none for a CPO."""
        if self.role != EMSP:
            return []
        return driver_tokens.tokens(_rng(self._seed_text("tokens")), self.party, self.name_prefix)

    def _seed_text(self, *what: object) -> str:
        """A text unique to this seed, template, size, name, role, party and *what*."""
        template = (self.seed, self.template.slug, self.template.version)
        size = (self.locations, self.chargers_per_location)
        return orjson.dumps([*template, *size, self.name_prefix, self.role, self.party, *what]).decode()

    def _stop(self, index: int) -> tuple[City | ServiceArea, int]:
        """The place of site *index*, and how many earlier sites of the network are there.

        Places in the party's country come first.
        """
        stops: tuple[City | ServiceArea, ...] = places.CITIES
        if self.template.where == _MOTORWAYS:
            stops = places.SERVICE_AREAS
        shuffled = _rng(self._seed_text("route")).sample(stops, len(stops))
        route = sorted(shuffled, key=lambda stop: stop.country != self.party[0])
        return route[index % len(route)], index // len(route)

    def _location(
        self, stop: City | ServiceArea, visit: int, rng: random.Random
    ) -> OcpiCreateLocationRequest:
        location = self._in_town(stop, visit, rng) if isinstance(stop, City) else _bays(stop, visit, rng)
        location.owner_name = self.name_prefix
        return location

    def _in_town(self, city: City, visit: int, rng: random.Random) -> OcpiCreateLocationRequest:
        streets = _rng(self._seed_text("streets", city.name)).sample(city.streets, len(city.streets))
        street = streets[visit % len(streets)]
        *center, radius = city.site_area
        latitude, longitude = place.scatter(rng, (center[0], center[1]), radius)
        return OcpiCreateLocationRequest(
            name=f"{city.name} {street.removeprefix('ul. ')}",
            address=countries.address(city.country, street, rng.randint(1, _MAX_HOUSE_NUMBER)),
            city=city.name,
            postal_code=place.postal_code(rng, rng.choice(city.postal_codes)),
            country=Country(city.country),
            coordinates=Coordinates(latitude=latitude, longitude=longitude),
            timezone=Timezone(city.zone),
        )

    def _charge_points(
        self, index: int, location: OcpiCreateLocationRequest, rng: random.Random
    ) -> list[ChargePointSpec]:
        """The site's charge points, AC first. All AC ones are of one model, and so are all DC ones."""
        count = self.chargers_per_location
        dc_count = self.template.dc_count(index, count)
        choices = [rng.choice(pool) if pool else None for pool in (self.template.ac, self.template.dc)]
        town = identities.slug(location.city).replace("-", "")[:3].upper()
        start = f"{identities.generated_prefix(self.name_prefix)}{town}{index + 1:03d}"
        return [
            _charge_point(f"{start}-{n:02d}", choices[n > count - dc_count], str(n))
            for n in range(1, count + 1)
        ]


def plan_network(
    template: NetworkTemplate,
    seed: int,
    overrides: Mapping[str, int | None] | None,
    name_prefix: str,
    role: str,
    party: Party,
) -> NetworkPlan:
    """The plan of a network; absent and null overrides leave the template's value.

    *role* is the template's, in either case. *party* is the party that the network really has. An eMSP
    template has no locations and ignores overrides.
    """
    sizes = overrides or {} if role.lower() == CPO else {}
    locations, chargers = (sizes.get(name) for name in OVERRIDES)
    return NetworkPlan(
        template,
        template.locations if locations is None else locations,
        template.chargers_per_location if chargers is None else chargers,
        name_prefix,
        role.lower(),
        party,
        seed,
    )


def _rng(seed_text: str) -> random.Random:
    return random.Random(seed_text)  # noqa: S311  (reproducible on purpose)


def _bays(area: ServiceArea, visit: int, rng: random.Random) -> OcpiCreateLocationRequest:
    latitude, longitude = place.scatter(rng, (area.latitude, area.longitude), _BAYS_KM)
    again = f", {visit + 1}" if visit else ""
    return OcpiCreateLocationRequest(
        name=f"{area.name} ({area.motorway}){again}",
        address=f"{area.motorway}, {area.name}",
        city=area.city,
        postal_code=area.postal_code,
        country=Country(area.country),
        coordinates=Coordinates(latitude=latitude, longitude=longitude),
        timezone=Timezone(area.zone),
    )


def _charge_point(identity: str, choice: Choice | None, reference: str) -> ChargePointSpec:
    if choice is None:
        raise LookupError("The template has no charge point of the current type that the site needs.")
    model = catalog.model(choice.brand_slug, choice.model_slug)
    if model is None:
        raise LookupError(f"The catalog has no {choice.brand_slug}/{choice.model_slug}.")
    name = f"{model.name} {reference}"
    return ChargePointSpec(
        identity, model, choice.connector_type, choice.ocpp_version, choice.kw, reference, name
    )
