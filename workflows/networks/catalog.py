"""The catalog of charge points: brands and models that are on the market. docs/gateway.md "Catalog".

The list is short on purpose. It has enough models for every kind of site, each with the figures of its
data sheet. Ids are derived from the slugs, so every installation has the same ids.
"""

import uuid
from dataclasses import dataclass

TYPE_1, TYPE_2, CCS_2, CHADEMO = "Type1", "Type2", "CCS2", "CHAdeMO"
CONNECTOR_TYPES = (TYPE_1, TYPE_2, CCS_2, CHADEMO)
OCPP_1_6, OCPP_2_0_1 = "OCPP1.6", "OCPP2.0.1"
OCPP_VERSIONS = (OCPP_1_6, OCPP_2_0_1)
AC, DC = "ac", "dc"

_BOTH_VERSIONS = OCPP_VERSIONS
_NAMESPACE = uuid.UUID("5f0c2f7e-8f4b-5b35-9a51-0c6c1b5f7a10")


@dataclass(frozen=True, slots=True)
class Brand:
    """A maker of charge points."""

    id: str
    slug: str
    name: str


@dataclass(frozen=True, slots=True)
class DataSheet:
    """What the data sheet of a model says beyond the catalog.

    `volts` is the voltage between line and neutral; for DC it is the voltage of the highest rating.
    `tethered` models have an attached cable, the others a socket.
    """

    ocpp_versions: tuple[str, ...]
    volts: int
    tethered: bool


@dataclass(frozen=True, slots=True)
class Model:
    """A charge point model, with the members of its entry in the catalog.

    `supported_kwh` is the public name of the power ratings of one connector. They are in kW, ascending.
    """

    id: str
    slug: str
    name: str
    brand_id: str
    brand_slug: str
    connector_count: int
    current_type: str
    supported_kwh: tuple[float, ...]
    connector_types: tuple[str, ...]


def brands() -> tuple[Brand, ...]:
    """Every brand, by slug."""
    return _BRANDS


def models(brand_slug: str) -> tuple[Model, ...]:
    """The models of a brand, by slug; empty if there is no such brand."""
    return _MODELS.get(brand_slug, ())


def model(brand_slug: str, model_slug: str) -> Model | None:
    """The model, or None."""
    return _BY_SLUGS.get((brand_slug, model_slug))


def data_sheet(model: Model) -> DataSheet:
    """The data sheet of a model of the catalog."""
    return _SHEETS[model.brand_slug, model.slug]


def _id(*slugs: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, "/".join(slugs)))


def _ac(
    brand: str,
    slug: str,
    name: str,
    *kw: float,
    connectors: int = 1,
    types: tuple[str, ...] = (TYPE_2,),
    ocpp: tuple[str, ...] = _BOTH_VERSIONS,
    tethered: bool = False,
    volts: int = 230,
) -> tuple[Model, DataSheet]:
    ids = (_id(brand, slug), slug, name, _id(brand), brand)
    return Model(*ids, connectors, AC, kw, types), DataSheet(ocpp, volts, tethered)


def _dc(
    brand: str,
    slug: str,
    name: str,
    *kw: float,
    volts: int,
    connectors: int = 2,
    types: tuple[str, ...] = (CCS_2, CHADEMO),
    ocpp: tuple[str, ...] = _BOTH_VERSIONS,
) -> tuple[Model, DataSheet]:
    ids = (_id(brand, slug), slug, name, _id(brand), brand)
    return Model(*ids, connectors, DC, kw, types), DataSheet(ocpp, volts, tethered=True)


_BRAND_NAMES = {
    "abb": "ABB",
    "alfen": "Alfen",
    "alpitronic": "alpitronic",
    "chargepoint": "ChargePoint",
    "easee": "Easee",
    "evbox": "EVBox",
    "kempower": "Kempower",
    "schneider": "Schneider Electric",
    "wallbox": "Wallbox",
    "zaptec": "Zaptec",
}

_ENTRIES = (
    _ac("abb", "terra-ac-w22", "Terra AC W22-T", 7.4, 11.0, 22.0),
    _dc("abb", "terra-54", "Terra 54", 50.0, volts=400, ocpp=(OCPP_1_6,)),
    _dc("abb", "terra-184", "Terra 184", 90.0, 180.0, volts=900),
    _dc("abb", "terra-360", "Terra 360", 180.0, 360.0, volts=900, types=(CCS_2,)),
    _ac("alfen", "eve-single-pro-line", "Eve Single Pro-line", 3.7, 7.4, 11.0, 22.0),
    _ac("alfen", "eve-double-pro-line", "Eve Double Pro-line", 11.0, 22.0, connectors=2),
    _dc("alpitronic", "hyc150", "Hypercharger HYC150", 75.0, 150.0, volts=750),
    _dc("alpitronic", "hyc300", "Hypercharger HYC300", 150.0, 300.0, volts=750),
    _dc("alpitronic", "hyc400", "Hypercharger HYC400", 200.0, 400.0, volts=800, types=(CCS_2,)),
    _ac(
        "chargepoint", "home-flex", "Home Flex", 7.7, 9.6, 12.0,
        types=(TYPE_1,), ocpp=(OCPP_1_6,), tethered=True, volts=240,
    ),
    _ac("easee", "easee-charge", "Easee Charge", 7.4, 11.0, 22.0),
    _ac("evbox", "businessline-double", "BusinessLine double", 11.0, 22.0, connectors=2, ocpp=(OCPP_1_6,)),
    _ac("evbox", "elvi", "Elvi", 7.4, 11.0, 22.0, ocpp=(OCPP_1_6,), tethered=True),
    _dc("evbox", "troniq-100", "Troniq 100", 50.0, 100.0, volts=500, ocpp=(OCPP_1_6,)),
    _dc("kempower", "satellite-single", "Satellite single", 200.0, volts=800, connectors=1, types=(CCS_2,)),
    _dc("kempower", "satellite-double", "Satellite double", 200.0, volts=800),
    _ac("schneider", "evlink-pro-ac-22kw", "EVlink Pro AC 22 kW", 7.4, 11.0, 22.0),
    _dc("schneider", "evlink-pro-dc-180kw", "EVlink Pro DC 180 kW", 120.0, 180.0, volts=900, types=(CCS_2,)),
    _ac("wallbox", "wallbox-copper-sb", "Copper SB", 7.4, 22.0),
    _ac("wallbox", "wallbox-pulsar-plus", "Pulsar Plus", 7.4, 22.0, tethered=True),
    _ac("zaptec", "zaptec-go", "Zaptec Go", 7.4, 22.0),
    _ac("zaptec", "zaptec-pro", "Zaptec Pro", 7.4, 22.0),
)  # fmt: skip

_BRANDS = tuple(Brand(_id(slug), slug, name) for slug, name in sorted(_BRAND_NAMES.items()))
_MODELS = {
    brand.slug: tuple(sorted((m for m, _ in _ENTRIES if m.brand_slug == brand.slug), key=lambda m: m.slug))
    for brand in _BRANDS
}
_BY_SLUGS = {(m.brand_slug, m.slug): m for m, _ in _ENTRIES}
_SHEETS = {(m.brand_slug, m.slug): sheet for m, sheet in _ENTRIES}
