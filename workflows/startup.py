"""Start-up: secret files, migrations, the demo networks. One starter at a time."""

from dataclasses import dataclass

from settings import settings
from storage import access, database, networks, schema, secrets
from storage.networks import CPO, EMSP, Network
from workflows import demo
from workflows.registration import versions_url

DEMO_ORGANIZATION = "demo"


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a partner and the back office are given for one network; shown once."""

    network: Network
    versions_url: str
    token_a: str
    operator_token: str


def prepare() -> list[Invitation]:
    """Bring everything up to date; the invitations to the networks that were made just now.

    Raises:
        errors.Unavailable: the database cannot be reached.
    """
    with database.startup_lock():
        schema.migrate()
        secrets.ensure_key()
        organization = networks.organization(DEMO_ORGANIZATION)
        if not settings().demo or networks.any_exists():
            return []
        with database.transaction():
            return [
                _invite(demo.charging_network(organization)),
                _invite(demo.driver_network(organization)),
            ]


def _invite(network: Network) -> Invitation:
    return Invitation(
        network,
        versions_url(network.role),
        access.mint(access.REGISTRATION, network.id),
        access.mint(access.OPERATOR, network.id),
    )


def banner(invitations: list[Invitation]) -> str:
    """What a person sees once, at the first start."""
    base = settings().base_url
    lines = [f"OCPI 2.1.1 node on {base}    contract: {base}/docs    state: {base}/health"]
    for invitation in invitations:
        network = invitation.network
        lines += [
            "",
            f"{_ROLES[network.role]} {network.country_code}/{network.party_id} ({network.name})",
            f"  versions URL    {invitation.versions_url}",
            f"  Token A         {invitation.token_a}    (a peer registers with it, once)",
            f"  operator token  {invitation.operator_token}    (its back office: reads all, writes its own)",
            f"  curl -H 'Authorization: Token {invitation.operator_token}' '{_sight(network)}'",
        ]
    if invitations:
        lines += ["", "These tokens are shown this once; scripts/invite makes another Token A."]
    return "\n".join(lines)


_ROLES = {CPO: "CPO", EMSP: "eMSP"}


def _sight(network: Network) -> str:
    place = "cpo/2.1.1/locations" if network.role == CPO else "emsp/2.1.1/tokens"
    return f"{settings().base_url}/ocpi/{place}?limit=2"
