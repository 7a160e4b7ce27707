"""The catalog of charge points. gateway-api.md 9.1."""

from dataclasses import asdict
from typing import Any

import errors
from workflows import catalog

Body = dict[str, Any]


def list_brands(page: int, limit: int) -> Body:
    """The makers."""
    return _page([asdict(brand) for brand in catalog.brands()], page, limit)


def list_models(brand_slug: str, page: int, limit: int) -> Body:
    """The models of a maker."""
    if brand_slug not in {brand.slug for brand in catalog.brands()}:
        raise errors.NotFound(errors.NOTHING_HERE)
    return _page([asdict(model) for model in catalog.models(brand_slug)], page, limit)


def get_model(brand_slug: str, model_slug: str) -> Body:
    """One model."""
    model = catalog.model(brand_slug, model_slug)
    if model is None:
        raise errors.NotFound(errors.NOTHING_HERE)
    return asdict(model)


def _page(entries: list[Body], page: int, limit: int) -> Body:
    begin = (page - 1) * limit
    return {"data": entries[begin : begin + limit], "total": len(entries), "page": page, "limit": limit}
