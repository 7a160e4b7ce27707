"""Versions and version details. Spec: 2.1.1 version_information_endpoint."""

from generated.ocpi_models import Endpoint, ModuleID, Version, VersionDetails, VersionNumber
from storage.access import Caller
from workflows.peers.credentials_exchange import MODULES, VERSION, details_url


def get_versions(user: Caller) -> list[Version]:
    """The versions of the token's role."""
    return [Version(version=VersionNumber(VERSION), url=details_url(user.role))]


def get_version_details(user: Caller) -> VersionDetails:
    """The endpoints of the token's role."""
    base = details_url(user.role)
    endpoints = [Endpoint(identifier=ModuleID(module), url=f"{base}/{module}") for module in MODULES]
    return VersionDetails(version=VersionNumber(VERSION), endpoints=endpoints)


get_cpo_versions = get_emsp_versions = get_versions
get_cpo_version_details = get_emsp_version_details = get_version_details
