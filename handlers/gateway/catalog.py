"""The catalog of charge points. docs/gateway.md "Catalog"."""

from generated.gateway_models import (
    BrandListResponse,
    BrandResponse,
    ConnectorType,
    ModelCurrentType,
    ModelListResponse,
    ModelResponse,
)
from handlers.dispatch.responses import require_found
from workflows.networks import catalog


def list_brands(page: int, limit: int) -> BrandListResponse:
    """The makers."""
    brands = [BrandResponse(id=each.id, slug=each.slug, name=each.name) for each in catalog.brands()]
    begin = (page - 1) * limit
    return BrandListResponse(data=brands[begin : begin + limit], total=len(brands), page=page, limit=limit)


def list_models(brand_slug: str, page: int, limit: int) -> ModelListResponse:
    """The models of a maker."""
    models = [_model(each) for each in catalog.models(brand_slug)]
    require_found(models or None)  # every brand has models
    begin = (page - 1) * limit
    return ModelListResponse(data=models[begin : begin + limit], total=len(models), page=page, limit=limit)


def get_model(brand_slug: str, model_slug: str) -> ModelResponse:
    """One model."""
    return _model(require_found(catalog.model(brand_slug, model_slug)))


def _model(model: catalog.Model) -> ModelResponse:
    return ModelResponse(
        id=model.id,
        slug=model.slug,
        name=model.name,
        brand_slug=model.brand_slug,
        brand_id=model.brand_id,
        connector_count=model.connector_count,
        current_type=ModelCurrentType(model.current_type),
        supported_kwh=list(model.supported_kwh),
        connector_types=[ConnectorType(each) for each in model.connector_types],
    )
