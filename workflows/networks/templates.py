"""The interface of the modules that plan networks and sites.

`network_templates` plans networks, `location_templates` and `items` plan the sites of a bulk request,
`projection` maps the gateway's locations to OCPI.
"""

from workflows.networks.driver_tokens import TokenPlan
from workflows.networks.items import ItemRefused, automatic_prefixes, item_from, plan_site, unknown_template
from workflows.networks.location_templates import LocationTemplate, location_template, location_templates
from workflows.networks.network_templates import (
    OVERRIDES,
    NetworkPlan,
    NetworkTemplate,
    network_template,
    network_templates,
    plan_network,
)
from workflows.networks.places.countries import alpha2, alpha3
from workflows.networks.projection import postal_code, time_zone, updated

__all__ = [
    "OVERRIDES",
    "ItemRefused",
    "LocationTemplate",
    "NetworkPlan",
    "NetworkTemplate",
    "TokenPlan",
    "alpha2",
    "alpha3",
    "automatic_prefixes",
    "item_from",
    "location_template",
    "location_templates",
    "network_template",
    "network_templates",
    "plan_network",
    "plan_site",
    "postal_code",
    "time_zone",
    "unknown_template",
    "updated",
]
