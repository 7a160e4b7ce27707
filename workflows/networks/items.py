"""The items of a bulk request: each becomes a site or fails alone. docs/gateway.md "Bulk creation".

An item is either a complete location or a location template with overrides. It has passed the contract's
schema; this module checks the rules that a schema cannot express.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import orjson

from generated.gateway_models import (
    Coordinates,
    Country,
    LocationBulkCreateRequest,
    LocationFromTemplateRequest,
    LocationTemplateOverrides,
    OcpiChargerTemplate,
    OcpiCreateLocationRequest,
)
from storage.sites import SitePlan
from workflows.networks import catalog, charge_points, identities, places, site_plans
from workflows.networks.charge_points import ChargePointSpec
from workflows.networks.identities import Party
from workflows.networks.location_templates import LocationTemplate, location_template

Item = LocationFromTemplateRequest | OcpiCreateLocationRequest

MAX_CHARGERS = 50
"""The most charge points of one location. docs/gateway.md "Bulk creation"."""


def item_from(text: bytes) -> Item:
    """The item of a bulk request from its JSON text, as a job stores it."""
    item: Item = LocationBulkCreateRequest.item_adapter().validate_json(text)
    return item


class ItemRefused(Exception):
    """One item of a bulk request fails.

    *code* is an error code of the contract, *param* the member to correct.
    """

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


def unknown_template(items: Sequence[Item]) -> tuple[int, str] | None:
    """The index of the first item whose location template does not exist, and the slug that it names."""
    for index, item in enumerate(items):
        if isinstance(item, LocationFromTemplateRequest) and location_template(item.template) is None:
            return index, item.template
    return None


def automatic_prefixes(items: Sequence[Item]) -> list[str | None]:
    """`L01_`, `L02_`, ... for items that share a template and name no `identity_prefix`, else None."""
    slugs = [_slug_without_prefix(item) for item in items]
    counts = Counter(slug for slug in slugs if slug is not None)
    seen: Counter[str] = Counter()
    prefixes: list[str | None] = []
    for slug in slugs:
        if slug is None or counts[slug] == 1:
            prefixes.append(None)
            continue
        seen[slug] += 1
        prefixes.append(f"L{seen[slug]:02d}_")
    return prefixes


def plan_site(
    item: Item, job_id: str, index: int, name_prefix: str, party: Party, prefix: str | None
) -> SitePlan:
    """The site that item *index* of job *job_id* requests; *prefix* is its automatic prefix.

    Raises:
        ItemRefused: the template, brand, model or connector type does not exist, there are too many
            charge points, or identities are malformed or occur twice.
    """
    seed_text = orjson.dumps([job_id, index]).decode()
    if isinstance(item, OcpiCreateLocationRequest):
        source = _with_owner(item, name_prefix)
        return site_plans.from_request(
            seed_text, source, _validated(_charge_points_of_groups(item), party), party
        )
    template = location_template(item.template)
    if template is None:
        raise ItemRefused("template_not_found", f"There is no location template {item.template}.", "template")
    overrides = item.overrides or LocationTemplateOverrides()
    source = _with_owner(_merged(template, overrides), name_prefix)
    identity_start = overrides.identity_prefix or (prefix or "") + _generated_prefix(
        job_id, index, name_prefix
    )
    specs = _validated(_charge_points_of_template(template, overrides.ocpp_version, identity_start), party)
    return site_plans.from_template(seed_text, source, specs, party, overrides.parking_type or template.kind)


def _with_owner(source: OcpiCreateLocationRequest, name_prefix: str) -> OcpiCreateLocationRequest:
    """*source*, owned by *name_prefix* unless it names an owner."""
    return source.model_copy(update={"owner_name": source.owner_name or name_prefix})


def _slug_without_prefix(item: Item) -> str | None:
    if isinstance(item, OcpiCreateLocationRequest) or (item.overrides and item.overrides.identity_prefix):
        return None
    return item.template


def _generated_prefix(job_id: str, index: int, name_prefix: str) -> str:
    """The generated start of identities; it differs between items and between jobs."""
    job = hashlib.sha256(job_id.encode()).hexdigest()[:6]
    return f"{identities.generated_prefix(name_prefix)}{job}{index:04d}-"


def _merged(template: LocationTemplate, overrides: LocationTemplateOverrides) -> OcpiCreateLocationRequest:
    """The template's location with the overrides.

    Another city or country removes or replaces what it makes wrong, such as the postal code.
    """
    members = OcpiCreateLocationRequest.model_fields
    changes = {name: value for name, value in overrides if name in members and value is not None}
    location = template.location.model_copy(update=changes)
    moved = places.find(location.city, overrides.country) if overrides.city is not None else None
    derived: dict[str, object] = {}
    if changes.keys() & {"city", "country"}:
        derived["postal_code"] = None
    if moved is not None or "coordinates" in changes:
        derived["timezone"] = None  # derived from the coordinates later
    if moved is not None:
        derived |= {
            "country": Country(moved.country),
            "coordinates": Coordinates(latitude=moved.latitude, longitude=moved.longitude),
        }
    return location.model_copy(update={name: value for name, value in derived.items() if name not in changes})


def _charge_points_of_template(
    template: LocationTemplate, ocpp_version: str | None, identity_start: str
) -> Iterator[ChargePointSpec]:
    """The charge points of a template, numbered across its groups."""
    if ocpp_version is not None:
        _check_version(ocpp_version, "")
    number = 0
    for group in template.groups:
        for _ in range(group.count):
            number += 1
            reference = f"{number:02d}"
            version = ocpp_version or group.ocpp_version
            name = f"{group.model.name} {number}"
            yield ChargePointSpec(
                identity_start + reference,
                group.model,
                group.connector_type,
                version,
                group.kw,
                reference,
                name,
            )


def _charge_points_of_groups(item: OcpiCreateLocationRequest) -> Iterator[ChargePointSpec]:
    """The charge points that the groups of an item name."""
    for number, group in enumerate(item.charges or ()):
        charger, where = group.template, f"charges.{number}: "
        model, plug = _model(charger, where), charger.connector_type
        _check_version(charger.ocpp_version, where)
        for charger_id in group.charger_ids:
            yield ChargePointSpec(
                charger.identity_prefix + charger_id,
                model,
                plug,
                charger.ocpp_version,
                charge_points.nominal_kw(model, plug),
                charger_id,
                charger.template_name,
                charger.ws_url,
            )


def _model(charger: OcpiChargerTemplate, where: str) -> catalog.Model:
    brand, slug, plug = charger.brand_slug, charger.model_slug, charger.connector_type
    if not catalog.models(brand):
        raise ItemRefused("unknown_catalog_model", f"{where}there is no brand {brand}", "brand_slug")
    model = catalog.model(brand, slug)
    if model is None:
        raise ItemRefused("unknown_catalog_model", f"{where}{brand} has no model {slug}", "model_slug")
    if plug not in model.connector_types:
        types = ", ".join(model.connector_types)
        raise ItemRefused("unknown_catalog_model", f"{where}{slug} has {types}, not {plug}", "connector_type")
    return model


def _check_version(version: str, where: str) -> None:
    if version not in catalog.OCPP_VERSIONS:
        versions = " and ".join(catalog.OCPP_VERSIONS)
        raise ItemRefused(
            "location_invalid", f"{where}OCPP versions are {versions}, not {version}", "ocpp_version"
        )


def _validated(specs: Iterable[ChargePointSpec], party: Party) -> list[ChargePointSpec]:
    """The charge points as a list.

    Raises:
        ItemRefused: there are too many, an identity is malformed, or two share a name in the gateway or
            in OCPI.
    """
    validated, seen = list(specs), set[str]()
    if len(validated) > MAX_CHARGERS:
        text = f"A location has at most {MAX_CHARGERS} charge points, not {len(validated)}."
        raise ItemRefused("location_invalid", text, "charges")
    for spec in validated:
        if not identities.is_identity(spec.identity):
            text = f"{spec.identity}: an identity has 1 to {identities.MAX_LENGTH} of A-Z, a-z, 0-9, _ and -"
            raise ItemRefused("location_invalid", text, "identity")
        evses = charge_points.plan(spec, party).evses
        names = {spec.identity} | {name for evse in evses for name in (evse.uid, evse.evse_id)}
        if names & seen:
            text = f"Two charge points of the location share the identity {spec.identity}, or its EVSE id."
            raise ItemRefused("duplicate_identity", text, "identity")
        seen |= names
    return validated
