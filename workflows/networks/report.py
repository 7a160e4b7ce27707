"""A network on one page, in Markdown. docs/gateway.md "Report"."""

from generated.ocpi_models import TokenType
from storage import database, invitations, sites, tokens
from storage.networks import EMSP, Network
from storage.sites import Site
from workflows.charging import scenarios
from workflows.peers.credentials_exchange import versions_url

_MAX_LOCATIONS = 10_000
_MAX_INVITATIONS = 100
_MAGIC_EVSES = {
    scenarios.START_REJECTED: "the result of START_SESSION is REJECTED",
    scenarios.START_TIMEOUT: "the result of START_SESSION is TIMEOUT",
    scenarios.SESSION_INVALID: "the session becomes INVALID and gets no CDR",
}


def of(network: Network) -> str:
    """The page: party, locations, magic values, and Token A by its last four characters."""
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
        magic = _magic_evses(listed)
    else:
        magic = _magic_tokens(network)
    if magic:
        lines += ["## Magic values", *magic, ""]
    return "\n".join([*lines, "## Token A", _token_a(network)]) + "\n"


def _line(site: Site) -> str:
    count = len(site.charge_points)
    name = " ".join((site.document.name or site.id).split())
    return f"- {site.id} · {name} · {site.document.city} ({count} charger{'' if count == 1 else 's'})"


def _magic_evses(listed: list[Site]) -> list[str]:
    """The EVSEs of the location MAGIC, if the network has it."""
    if all(site.id != sites.MAGIC_LOCATION for site in listed):
        return []
    return [f"- EVSE `{uid}`: {_MAGIC_EVSES[name]}" for uid, name in scenarios.MAGIC_EVSES.items()]


def _magic_tokens(network: Network) -> list[str]:
    """The magic tokens that the network has."""
    with database.connect() as connection:
        present = [
            uid
            for uid in scenarios.MAGIC_TOKENS
            if tokens.get(connection, network.id, network.party, uid, TokenType.OTHER)
        ]
    answers = {uid: allowed.value for uid, allowed in scenarios.MAGIC_TOKENS.items()}
    answers[scenarios.MAGIC_SLOW] += f" after {scenarios.SLOW_MS // 1000} s"
    return [f"- token `{uid}` (OTHER): an authorization answers {answers[uid]}" for uid in present]


def _token_a(network: Network) -> str:
    """The last four characters of each unused Token A, or that it was used."""
    with database.connect() as connection:
        unused, _ = invitations.page(connection, network.id, 0, _MAX_INVITATIONS)
    return "\n".join(f"`…{each.last4}` (not used yet)" for each in unused) or "used"
