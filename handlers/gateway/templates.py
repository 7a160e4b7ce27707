"""The galleries of networks and of locations. docs/gateway.md "Templates"."""

from generated.gateway_models import (
    CurrentType,
    LocationTemplateListResponse,
    OcppVersion,
    TemplateListResponse,
)
from workflows.networks import templates


def list_network_templates() -> TemplateListResponse:
    """The network templates."""
    entries = templates.network_templates()
    return TemplateListResponse(data=entries, total=len(entries))


def list_location_templates(
    type: CurrentType | None, ocpp_version: OcppVersion | None
) -> LocationTemplateListResponse:
    """The location templates."""
    entries = templates.location_templates(type, ocpp_version)
    return LocationTemplateListResponse(data=entries, total=len(entries))


# The same under the other paths that the documentation names.
list_network_templates_alias = list_network_templates
list_location_templates_alias = list_location_templates
