"""Versions and their details: where a peer begins. Spec: 2.1.1 version_information_endpoint."""

from typing import Any

from storage.access import Caller
from workflows.exchange import MODULES, VERSION, details_url


def get_versions(user: Caller) -> list[dict[str, str]]:
    """The versions that the token's role speaks."""
    return [{"version": VERSION, "url": details_url(user.role)}]


def get_version_details(user: Caller) -> dict[str, Any]:
    """The endpoints of the token's role."""
    base = details_url(user.role)
    endpoints = [{"identifier": module, "url": f"{base}/{module}"} for module in MODULES]
    return {"version": VERSION, "endpoints": endpoints}


get_cpo_versions = get_emsp_versions = get_versions
get_cpo_version_details = get_emsp_version_details = get_version_details
