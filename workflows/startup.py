"""Start-up: secret files, migrations, the admin's key, the demo networks. One starter at a time."""

import logging
from dataclasses import dataclass

from settings import PREFIX, settings
from storage import database, keys, networks, schema, secrets
from storage.networks import CPO, EMSP, Blueprint, Network
from workflows import engine, orders, provisioning, templates
from workflows.exchange import versions_url
from workflows.orders import Tokens

DEMO_ORGANIZATION = "demo"
_DEMO = ((CPO, ("NL", "DEM"), "small-urban-ac"), (EMSP, ("NL", "DEP"), "emsp-drivers"))
_DEMO_SEED = 1
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a partner and the back office are given for one network; shown once."""

    network: Network
    tokens: Tokens


def prepare() -> list[Invitation]:
    """Bring everything up to date; the invitations to the networks that were made just now.

    Raises:
        errors.Unavailable: the database cannot be reached.
    """
    with database.startup_lock():
        schema.migrate()
        engine.migrate()
        secrets.ensure_key()
        with database.transaction():
            organization = networks.organization(DEMO_ORGANIZATION)
            keys.ensure_admin(organization, admin_token())
            if not settings().demo or networks.any_existed():
                return []
            return [_demo(organization, *each) for each in _DEMO]


def admin_token() -> str:
    """The administrator's key: the setting, or the one that is minted into DATA_DIR at first start."""
    return settings().admin_token or secrets.kept_token("admin.token")


def _demo(organization: str, role: str, party: tuple[str, str], slug: str) -> Invitation:
    template = templates.network_template(slug, role)
    if template is None:
        raise LookupError(slug)
    blueprint = Blueprint(template.slug, template.version, _DEMO_SEED, {})
    network = orders.establish(organization, role, party, "demo", blueprint, None)
    provisioning.provision_now(str(network.job_id))
    return Invitation(network, orders.mint(network, _chosen_tokens(role)))


def _chosen_tokens(role: str) -> Tokens:
    """The tokens that the settings name for a demo network; empty where they name none."""
    chosen = settings()
    if role == CPO:
        return Tokens(chosen.demo_cpo_token_a, chosen.demo_cpo_operator_token)
    return Tokens(chosen.demo_emsp_token_a, chosen.demo_emsp_operator_token)


def _printable(invitation: Invitation) -> Tokens:
    """Its tokens, or, where a setting names one, the environment variable that holds it."""
    role = invitation.network.role
    chosen, variable = _chosen_tokens(role), f"${PREFIX}DEMO_{role}"
    return Tokens(
        f"{variable}_TOKEN_A" if chosen.token_a else invitation.tokens.token_a,
        f"{variable}_OPERATOR_TOKEN" if chosen.operator_token else invitation.tokens.operator_token,
    )


def banner(invitations: list[Invitation]) -> str:
    """What a person sees: always where things are, and once the tokens of a first start."""
    if settings().demo_tokens and not invitations:
        _log.warning("demo tokens ignored", extra={"reason": "only a first start with DEMO uses them"})
    base = settings().base_url
    lines = [f"OCPI 2.1.1 node on {base}    contract: {base}/docs    state: {base}/ready"]
    for invitation in invitations:
        network, tokens = invitation.network, _printable(invitation)
        lines += [
            "",
            f"{_ROLES[network.role]} {network.country_code}/{network.party_id} ({network.template})",
            f"  versions URL    {versions_url(network.role)}",
            f"  Token A         {tokens.token_a}    (a peer registers with it, once)",
            f"  operator token  {tokens.operator_token}    (its back office: reads all, writes its own)",
            f"  curl -H \"Authorization: Token {tokens.operator_token}\" '{_sight(network)}'",
        ]
    if invitations:
        lines += ["", "These tokens are shown this once; scripts/invite makes another Token A."]
    return "\n".join([*lines, "", *_order()])


def _order() -> list[str]:
    """A curl that makes a network of one's own."""
    path = settings().data_dir.resolve() / "admin.token"
    key = "$OCPI_GATEWAY_ADMIN_TOKEN" if settings().admin_token else f"$(cat '{path}')"
    body = '{"template":"small-urban-ac","country_code":"NL","party_id":"ABC","name_prefix":"mine"}'
    curl = (
        f'  curl -X POST {settings().base_url}/ocpi/cpos -H "Authorization: Bearer {key}"'
        f" -H 'Content-Type: application/json' -d '{body}'"
    )
    return ["Make a network of your own; the answer has all that a partner needs to register at it:", curl]


_ROLES = {CPO: "CPO", EMSP: "eMSP"}


def _sight(network: Network) -> str:
    place = "cpo/2.1.1/locations" if network.role == CPO else "emsp/2.1.1/tokens"
    return f"{settings().base_url}/ocpi/{place}?limit=2"
