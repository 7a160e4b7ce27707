"""Location templates: single sites that a bulk request can create. docs/gateway.md "Templates"."""

from dataclasses import dataclass

from generated import gateway_models
from generated.gateway_models import (
    ConnectorType,
    Coordinates,
    Country,
    CurrentType,
    LocationTemplateChargerGroup,
    OcpiCreateLocationRequest,
    OcppVersion,
    ParkingType,
    Timezone,
)
from workflows.networks import catalog
from workflows.networks.catalog import CCS_2, CHADEMO, OCPP_1_6, OCPP_2_0_1, TYPE_2
from workflows.networks.places import surroundings

_TYPES = {frozenset({"ac"}): "AC", frozenset({"dc"}): "DC", frozenset({"ac", "dc"}): "AC-DC"}


@dataclass(frozen=True, slots=True)
class ChargerGroup:
    """Equal charge points; `kw` is the rating of each of their connectors."""

    brand_slug: str
    model_slug: str
    connector_type: str
    ocpp_version: str
    count: int
    kw: float

    @property
    def model(self) -> catalog.Model:
        """The model; LookupError if the catalog no longer has it."""
        found = catalog.model(self.brand_slug, self.model_slug)
        if found is None:
            raise LookupError(f"The catalog has no {self.brand_slug}/{self.model_slug}.")
        return found

    def summary(self) -> LocationTemplateChargerGroup:
        """Its entry in the gallery."""
        names = {brand.slug: brand.name for brand in catalog.brands()}
        return LocationTemplateChargerGroup(
            brand_slug=self.brand_slug,
            brand_name=names[self.brand_slug],
            model_slug=self.model_slug,
            model_name=self.model.name,
            connector_type=ConnectorType(self.connector_type),
            ocpp_version=OcppVersion(self.ocpp_version),
            count=self.count,
            nominal_kw=self.kw,
        )


@dataclass(frozen=True, slots=True)
class LocationTemplate:
    """A preset. `kind` is a key of `surroundings.KINDS`."""

    slug: str
    version: int
    description: str
    location: OcpiCreateLocationRequest
    kind: str
    groups: tuple[ChargerGroup, ...]

    @property
    def type(self) -> str:
        """AC, DC or AC-DC."""
        return _TYPES[frozenset(group.model.current_type for group in self.groups)]

    @property
    def chargers(self) -> int:
        """The number of charge points."""
        return sum(group.count for group in self.groups)

    def summary(self) -> gateway_models.LocationTemplate:
        """Its entry in the gallery."""
        location = self.location
        return gateway_models.LocationTemplate(
            slug=self.slug,
            version=self.version,
            name=location.name,
            description=self.description,
            type=CurrentType(self.type),
            address=location.address,
            city=location.city,
            postal_code=location.postal_code,
            country=location.country,
            coordinates=location.coordinates,
            timezone=location.timezone,
            public=location.public,
            parking_type=location.parking_type,
            chargers=self.chargers,
            charger_groups=[group.summary() for group in self.groups],
        )


def _location(
    name: str, address: str, city: str, postal_code: str, country: str, zone: str,
    latitude: float, longitude: float, parking_type: str,
) -> OcpiCreateLocationRequest:  # fmt: skip
    return OcpiCreateLocationRequest(
        name=name,
        address=address,
        city=city,
        postal_code=postal_code,
        country=Country(country),
        coordinates=Coordinates(latitude=latitude, longitude=longitude),
        timezone=Timezone(zone),
        public=True,
        parking_type=ParkingType(parking_type),
    )


_ALL = (
    LocationTemplate(
        "urban-ac-hub", 1, "A curbside hub in town: six AC chargers, two of them with two sockets, OCPP 1.6.",
        _location(
            "Hub Magenta", "12 Boulevard de Magenta", "Paris", "75010", "FR", "Europe/Paris",
            48.8691, 2.3602, surroundings.ON_STREET,
        ),
        surroundings.ON_STREET,
        (
            ChargerGroup("schneider", "evlink-pro-ac-22kw", TYPE_2, OCPP_1_6, 4, 22.0),
            ChargerGroup("alfen", "eve-double-pro-line", TYPE_2, OCPP_1_6, 2, 22.0),
        ),
    ),
    LocationTemplate(
        "highway-dc-station", 1, "A motorway station: four fast chargers and one with CHAdeMO, OCPP 1.6.",
        _location(
            "Rasthof Geiselwind (A3)", "Scheinfelder Straße 15", "Geiselwind", "96160", "DE", "Europe/Berlin",
            49.7696, 10.4702, surroundings.ALONG_MOTORWAY,
        ),
        surroundings.ALONG_MOTORWAY,
        (
            ChargerGroup("abb", "terra-184", CCS_2, OCPP_1_6, 4, 180.0),
            ChargerGroup("kempower", "satellite-double", CHADEMO, OCPP_1_6, 1, 50.0),
        ),
    ),
    LocationTemplate(
        "residential-ac-single", 1, "One wall box on a driveway, OCPP 1.6.",
        _location(
            "Nachtegaalstraat", "Nachtegaalstraat 48", "Utrecht", "3581 AN", "NL", "Europe/Amsterdam",
            52.0893, 5.1302, surroundings.ON_DRIVEWAY,
        ),
        surroundings.ON_DRIVEWAY,
        (ChargerGroup("wallbox", "wallbox-pulsar-plus", TYPE_2, OCPP_1_6, 1, 7.4),),
    ),
    LocationTemplate(
        "retail-park-mixed", 1, "A retail park: four AC chargers with OCPP 1.6 and two DC ones with 2.0.1.",
        _location(
            "Parcheggio Buenos Aires", "Corso Buenos Aires 36", "Milano", "20124", "IT", "Europe/Rome",
            45.4790, 9.2086, surroundings.PARKING_LOT,
        ),
        surroundings.PARKING_LOT,
        (
            ChargerGroup("wallbox", "wallbox-copper-sb", TYPE_2, OCPP_1_6, 4, 22.0),
            ChargerGroup("alpitronic", "hyc150", CCS_2, OCPP_2_0_1, 2, 150.0),
        ),
    ),
    LocationTemplate(
        "city-ultra-fast", 1, "An ultra-fast hub: six 400 kW chargers, OCPP 2.0.1.",
        _location(
            "Ladepark Invalidenstraße", "Invalidenstraße 50", "Berlin", "10557", "DE", "Europe/Berlin",
            52.5290, 13.3690, surroundings.PARKING_LOT,
        ),
        surroundings.PARKING_LOT,
        (ChargerGroup("alpitronic", "hyc400", CCS_2, OCPP_2_0_1, 6, 400.0),),
    ),
    LocationTemplate(
        "fleet-depot-ac", 1, "A depot where vans charge at night: eight AC chargers, OCPP 2.0.1.",
        _location(
            "Zajezdnia Prosta", "ul. Prosta 70", "Warszawa", "00-838", "PL", "Europe/Warsaw",
            52.2300, 20.9880, surroundings.PARKING_LOT,
        ),
        surroundings.DEPOT,
        (ChargerGroup("zaptec", "zaptec-pro", TYPE_2, OCPP_2_0_1, 8, 22.0),),
    ),
)  # fmt: skip
_BY_SLUG = {template.slug: template for template in _ALL}


def location_template(slug: str) -> LocationTemplate | None:
    """The template, or None."""
    return _BY_SLUG.get(slug)


def location_templates(
    type_: CurrentType | None = None, ocpp_version: OcppVersion | None = None
) -> list[gateway_models.LocationTemplate]:
    """The gallery's entries of that type and OCPP version; a template with several versions matches any."""
    return [
        template.summary()
        for template in _ALL
        if type_ in {None, template.type} and _has(template, ocpp_version)
    ]


def _has(template: LocationTemplate, ocpp_version: str | None) -> bool:
    versions = {group.ocpp_version for group in template.groups}
    return ocpp_version is None or ocpp_version in versions or len(versions) > 1
