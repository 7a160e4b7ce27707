"""The galleries of networks and of locations. gateway-api.md 8."""

from typing import Any

from workflows import templates

Body = dict[str, Any]


def list_network_templates() -> Body:
    """What a network can be made from."""
    return _whole(templates.network_templates())


def list_network_templates_alias() -> Body:
    """The same under the other path that the documentation names."""
    return list_network_templates()


def list_location_templates(type: str | None = None, ocpp_version: str | None = None) -> Body:
    """What a location can be made from."""
    return _whole(templates.location_templates(type, ocpp_version))


def list_location_templates_alias(type: str | None = None, ocpp_version: str | None = None) -> Body:
    """The same under the other path that the documentation names."""
    return list_location_templates(type, ocpp_version)


def _whole(entries: list[Body]) -> Body:
    return {"data": entries, "total": len(entries)}
