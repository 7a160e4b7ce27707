"""The items of a bulk request: each becomes a site, or is refused by itself. docs/gateway.md "Bulk creation".

An item is a location written out, or a location template with overrides; it obeys the contract's schema
already. What only a rule can tell is told here.
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
from workflows.networks.charge_points import Post
from workflows.networks.identities import Party
from workflows.networks.location_templates import LocationTemplate, location_template

Item = LocationFromTemplateRequest | OcpiCreateLocationRequest

MOST_CHARGERS = 50
"""Charge points of one location. docs/gateway.md "Bulk creation"."""


def item_from(text: bytes) -> Item:
    """The item of a bulk request that *text* is, as a job keeps it."""
    item: Item = LocationBulkCreateRequest.item_adapter().validate_json(text)
    return item


class ItemRefused(Exception):
    """One item of a bulk request fails: *code* is of the contract's closed list, *param* what to mend."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


def unknown_template(items: Sequence[Item]) -> tuple[int, str] | None:
    """The first item, by index, whose location template does not exist, and the slug it names."""
    for index, item in enumerate(items):
        if isinstance(item, LocationFromTemplateRequest) and location_template(item.template) is None:
            return index, item.template
    return None


def automatic_prefixes(items: Sequence[Item]) -> list[str | None]:
    """`L01_`, `L02_`, ... for items that share a template and name no `identity_prefix`, else None."""
    shared = [_slug_without_prefix(item) for item in items]
    often = Counter(slug for slug in shared if slug is not None)
    seen: Counter[str] = Counter()
    prefixes: list[str | None] = []
    for slug in shared:
        if slug is None or often[slug] == 1:
            prefixes.append(None)
            continue
        seen[slug] += 1
        prefixes.append(f"L{seen[slug]:02d}_")
    return prefixes


def plan_site(
    item: Item, job_id: str, index: int, name_prefix: str, party: Party, prefix: str | None
) -> SitePlan:
    """The site that item *index* of job *job_id* asks for; *prefix* is its automatic one.

    Raises:
        ItemRefused: no such template, brand, model or plug; too many charge points; or identities that
            are malformed or occur twice.
    """
    of = orjson.dumps([job_id, index]).decode()
    if isinstance(item, OcpiCreateLocationRequest):
        source = _owned(item, name_prefix)
        return site_plans.bare(of, source, _checked(_written_out(item), party), party)
    template = location_template(item.template)
    if template is None:
        raise ItemRefused("template_not_found", f"There is no location template {item.template}.", "template")
    overrides = item.overrides or LocationTemplateOverrides()
    source = _owned(_merged(template, overrides), name_prefix)
    starts = overrides.identity_prefix or (prefix or "") + _generated(job_id, index, name_prefix)
    posts = _checked(_stamped(template, overrides.ocpp_version, starts), party)
    return site_plans.furnished(of, source, posts, party, overrides.parking_type or template.kind)


def _owned(source: OcpiCreateLocationRequest, name_prefix: str) -> OcpiCreateLocationRequest:
    """*source* with an owner."""
    return source.model_copy(update={"owner_name": source.owner_name or name_prefix})


def _slug_without_prefix(item: Item) -> str | None:
    if isinstance(item, OcpiCreateLocationRequest) or (item.overrides and item.overrides.identity_prefix):
        return None
    return item.template


def _generated(job_id: str, index: int, name_prefix: str) -> str:
    """How identities begin of which the user said nothing: alike in no two items, nor in two jobs."""
    job = hashlib.sha256(job_id.encode()).hexdigest()[:6]
    return f"{identities.generated_prefix(name_prefix)}{job}{index:04d}-"


def _merged(template: LocationTemplate, overrides: LocationTemplateOverrides) -> OcpiCreateLocationRequest:
    """The template's location with the overrides, without what another city or country makes untrue."""
    members = OcpiCreateLocationRequest.model_fields
    changes = {name: value for name, value in overrides if name in members and value is not None}
    location = template.location.model_copy(update=changes)
    moved = places.find(location.city, overrides.country) if overrides.city is not None else None
    follows: dict[str, object] = {}
    if changes.keys() & {"city", "country"}:
        follows["postal_code"] = None
    if moved is not None or "coordinates" in changes:
        follows["timezone"] = None  # that of the coordinates
    if moved is not None:
        follows |= {
            "country": Country(moved.country),
            "coordinates": Coordinates(latitude=moved.latitude, longitude=moved.longitude),
        }
    return location.model_copy(update={name: value for name, value in follows.items() if name not in changes})


def _stamped(template: LocationTemplate, ocpp_version: str | None, starts: str) -> Iterator[Post]:
    """The charge points of a template, numbered through its groups."""
    if ocpp_version is not None:
        _check_version(ocpp_version, "")
    number = 0
    for group in template.groups:
        for _ in range(group.count):
            number += 1
            reference = f"{number:02d}"
            version = ocpp_version or group.ocpp_version
            name = f"{group.model.name} {number}"
            yield Post(
                starts + reference, group.model, group.connector_type, version, group.kw, reference, name
            )


def _written_out(item: OcpiCreateLocationRequest) -> Iterator[Post]:
    """The charge points that the groups of an item name."""
    for number, group in enumerate(item.charges or ()):
        wanted, where = group.template, f"charges.{number}: "
        model, plug = _model(wanted, where), wanted.connector_type
        _check_version(wanted.ocpp_version, where)
        for charger_id in group.charger_ids:
            yield Post(
                wanted.identity_prefix + charger_id,
                model,
                plug,
                wanted.ocpp_version,
                charge_points.nominal_kw(model, plug),
                charger_id,
                wanted.template_name,
                wanted.ws_url,
            )


def _model(wanted: OcpiChargerTemplate, where: str) -> catalog.Model:
    brand, slug, plug = wanted.brand_slug, wanted.model_slug, wanted.connector_type
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


def _checked(posts: Iterable[Post], party: Party) -> list[Post]:
    """*posts*, if they are not too many and can be told apart, on both sides."""
    checked, seen = list(posts), set[str]()
    if len(checked) > MOST_CHARGERS:
        text = f"A location has at most {MOST_CHARGERS} charge points, not {len(checked)}."
        raise ItemRefused("location_invalid", text, "charges")
    for post in checked:
        if not identities.is_identity(post.identity):
            text = f"{post.identity}: an identity has 1 to {identities.LONGEST} of A-Z, a-z, 0-9, _ and -"
            raise ItemRefused("location_invalid", text, "identity")
        evses = charge_points.plan(post, party).evses
        names = {post.identity} | {name for evse in evses for name in (evse.uid, evse.evse_id)}
        if names & seen:
            text = (
                f"Two charge points of the location are {post.identity}, or cannot be told from it in OCPI."
            )
            raise ItemRefused("duplicate_identity", text, "identity")
        seen |= names
    return checked
