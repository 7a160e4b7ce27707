"""The items of a bulk request: each becomes a site, or is refused by itself. gateway-api.md 7.2.

An item is a location written out, or a location template with overrides; it obeys the contract's schema
already. What only a rule can tell is told here.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from storage.sites import SitePlan
from workflows import catalog, charge_points, gallery, identities, site_plans
from workflows.charge_points import Post
from workflows.identities import Party
from workflows.location_templates import LocationTemplate, location_template

Body = dict[str, Any]

MOST_CHARGERS = 50
"""Charge points of one location. Design section 6, bulk size."""

_MEMBERS = (
    "name", "address", "city", "country", "coordinates", "timezone", "owner_name", "public", "parking_type",
    "postal_code",
)  # fmt: skip


class ItemRefused(Exception):
    """One item of a bulk request fails: *code* is of the contract's closed list, *param* what to mend."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


def unknown_template(items: Sequence[Body]) -> tuple[int, str] | None:
    """The first item, by index, whose location template does not exist, and the slug it names."""
    for index, item in enumerate(items):
        if "template" in item and location_template(item["template"]) is None:
            return index, item["template"]
    return None


def automatic_prefixes(items: Sequence[Body]) -> list[str | None]:
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
    item: Body, job_id: str, index: int, name_prefix: str, party: Party, prefix: str | None
) -> SitePlan:
    """The site that item *index* of job *job_id* asks for; *prefix* is its automatic one.

    Raises:
        ItemRefused: no such template, brand, model or plug; too many charge points; or identities that
            are malformed or stand there twice.
    """
    of = orjson.dumps([job_id, index]).decode()
    if "template" not in item:
        location = {name: item[name] for name in _MEMBERS if item.get(name) is not None}
        location.setdefault("owner_name", name_prefix)
        return site_plans.bare(of, location, _checked(_written_out(item), party), party)
    template = location_template(item["template"])
    if template is None:
        raise ItemRefused(
            "template_not_found", f"There is no location template {item['template']}.", "template"
        )
    overrides = {k: v for k, v in (item.get("overrides") or {}).items() if v is not None}
    location = {"owner_name": name_prefix, **_merged(template, overrides)}
    starts = overrides.get("identity_prefix") or (prefix or "") + _generated(job_id, index, name_prefix)
    posts = _checked(_stamped(template, overrides.get("ocpp_version"), starts), party)
    kind = overrides.get("parking_type", template.kind)
    return site_plans.furnished(of, location, posts, party, kind)


def _slug_without_prefix(item: Body) -> str | None:
    slug: str | None = item.get("template")
    return None if (item.get("overrides") or {}).get("identity_prefix") else slug


def _generated(job_id: str, index: int, name_prefix: str) -> str:
    """How identities begin of which the user said nothing: alike in no two items, nor in two jobs."""
    job = hashlib.sha256(job_id.encode()).hexdigest()[:6]
    return f"{identities.generated_prefix(name_prefix)}{job}{index:04d}-"


def _merged(template: LocationTemplate, overrides: Body) -> Body:
    """The template's location with the overrides, without what another city or country makes untrue."""
    given = {name: overrides[name] for name in _MEMBERS if name in overrides}
    made = {**template.location, **given}
    moved = gallery.find(made["city"], given.get("country")) if "city" in given else None
    follows: Body = {}
    if given.keys() & {"city", "country"}:
        follows["postal_code"] = None
    if moved is not None:
        centre = {"latitude": moved.latitude, "longitude": moved.longitude}
        follows |= {"country": moved.country, "timezone": moved.zone, "coordinates": centre}
    elif made["country"] != template.location["country"]:
        follows["timezone"] = None
    made |= {name: value for name, value in follows.items() if name not in given}
    return {name: value for name, value in made.items() if value is not None}


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


def _written_out(item: Body) -> Iterator[Post]:
    """The charge points that the groups of an item name."""
    for number, group in enumerate(item.get("charges") or ()):
        asked, where = group["template"], f"charges.{number}: "
        model, plug = _model(asked, where), asked["connector_type"]
        _check_version(asked["ocpp_version"], where)
        for charger_id in group["charger_ids"]:
            yield Post(
                asked["identity_prefix"] + charger_id,
                model,
                plug,
                asked["ocpp_version"],
                charge_points.nominal_kw(model, plug),
                charger_id,
                asked.get("template_name"),
                asked["ws_url"],
            )


def _model(asked: Body, where: str) -> catalog.Model:
    brand, slug, plug = asked["brand_slug"], asked["model_slug"], asked["connector_type"]
    if not catalog.models(brand):
        raise ItemRefused("unknown_catalog_model", f"{where}there is no brand {brand}", "brand_slug")
    model = catalog.model(brand, slug)
    if model is None:
        raise ItemRefused("unknown_catalog_model", f"{where}{brand} has no model {slug}", "model_slug")
    if plug not in model.connector_types:
        known = ", ".join(model.connector_types)
        raise ItemRefused("unknown_catalog_model", f"{where}{slug} has {known}, not {plug}", "connector_type")
    return model


def _check_version(version: str, where: str) -> None:
    if version not in catalog.OCPP_VERSIONS:
        known = " and ".join(catalog.OCPP_VERSIONS)
        raise ItemRefused(
            "location_invalid", f"{where}OCPP versions are {known}, not {version}", "ocpp_version"
        )


def _checked(posts: Iterable[Post], party: Party) -> list[Post]:
    """*posts*, if they are not too many and can be told apart, on both sides."""
    made, seen = list(posts), set[str]()
    if len(made) > MOST_CHARGERS:
        text = f"A location has at most {MOST_CHARGERS} charge points, not {len(made)}."
        raise ItemRefused("location_invalid", text, "charges")
    for post in made:
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
    return made
