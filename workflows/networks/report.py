"""A network on one page, in Markdown. docs/gateway.md "Report"."""

from storage import database, invitations, sites
from storage.networks import EMSP, Network
from storage.sites import Site
from workflows.peers.credentials_exchange import versions_url

_MAX_LOCATIONS = 10_000
_MAX_INVITATIONS = 100


def of(network: Network) -> str:
    """The page: party, locations, and Token A by its last four characters."""
    country, party = network.party
    lines = [
        f"# CPO {network.id} — {network.name} ({network.template})",
        "",
        "## Party",
        f"{country} / {party} / {network.role}",
        "",
        "## Versions URL",
        versions_url(network.role),
        "",
    ]
    if network.role != EMSP:
        with database.connect() as connection:
            listed, total = sites.page(connection, network, 0, _MAX_LOCATIONS)
        lines += [f"## Locations ({total})", *(_line(site) for site in listed), ""]
    return "\n".join([*lines, "## Token A", _token_a(network)]) + "\n"


def _line(site: Site) -> str:
    count = len(site.charge_points)
    name = " ".join((site.document.name or site.id).split())
    return f"- {site.id} · {name} · {site.document.city} ({count} charger{'' if count == 1 else 's'})"


def _token_a(network: Network) -> str:
    """The last four characters of each unused Token A, or that it was used."""
    with database.connect() as connection:
        unused, _ = invitations.page(connection, network.id, 0, _MAX_INVITATIONS)
    return "\n".join(f"`…{each.last4}` (not used yet)" for each in unused) or "used"
