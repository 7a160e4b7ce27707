"""Startup: migrations, the secret key, the admin's key, the demo networks. One process starts at a time."""

import logging
from dataclasses import dataclass

from settings import PREFIX, settings
from storage import database, installation, keys, networks, schema, secrets
from storage.database import Transaction
from storage.networks import CPO, EMSP, Blueprint, Network
from workflows import engine
from workflows.networks import orders, provisioning, templates
from workflows.networks.orders import Tokens
from workflows.peers.credentials_exchange import versions_url

log = logging.getLogger("ocpi_gateway")

DEMO_ORGANIZATION = "demo"
_DEMO_NETWORKS = ((CPO, ("NL", "DEM"), "small-urban-ac"), (EMSP, ("NL", "DEP"), "emsp-drivers"))
_DEMO_SEED = 1


@dataclass(frozen=True, slots=True)
class Invitation:
    """The tokens of one network, for a partner and for the back office; shown once."""

    network: Network
    tokens: Tokens


def prepare() -> list[Invitation]:
    """Prepare the database and the secret files; returns the invitations to demo networks just created.

    Raises:
        errors.CannotStart: the database or the secret key cannot be used.
    """
    with database.startup_lock():
        engine.migrate()
        _migrate()
        engine.migrate()
        _match_secret_key()
        _warn_about_admin_token()
        with database.connect() as connection:
            is_first = not networks.any_existed(connection)
        if not settings().demo or not is_first:
            if settings().demo_tokens:
                log.warning("The DEMO tokens are ignored: only a first start with DEMO uses them.")
            return []
        with database.transaction() as transaction:
            organization = networks.organization(transaction, DEMO_ORGANIZATION)
            return [_create_demo(transaction, organization, *each) for each in _DEMO_NETWORKS]


def _migrate() -> None:
    """Migrate the database to the newest schema. A database that is up to date is only read."""
    with database.connect() as connection:
        version = schema.version(connection)
    if version == schema.newest():
        return
    if version is None:
        with database.transaction() as transaction:
            schema.drop_empty_tables(transaction)
    schema.upgrade(version)


def _match_secret_key() -> None:
    """Refuse a secret key that is not the database's; create a key for a new database.

    docs/security-cases.md "Tokens". A database of schema version 0001 has no check value; its key is the one
    that decrypts what it holds.
    """
    with database.connect() as connection:
        check = installation.key_check(connection)
        stored = installation.ciphertexts(connection) if check is None else [check]
    if stored and not any(map(secrets.opens, stored)):
        raise secrets.wrong_key("The secret key is not the one of this database.")
    if check is not None:
        return
    secrets.create_key()
    with database.transaction() as transaction:
        if not networks.any_organization(transaction):
            organization = networks.organization(transaction, DEMO_ORGANIZATION)
            keys.add_first_admin(transaction, organization, secrets.create_admin_token())
        installation.add(transaction)


def _warn_about_admin_token() -> None:
    """Log a warning if the administrator's token of this process is not a live key."""
    token = secrets.admin_token()
    if token is None:
        return
    with database.connect() as connection:
        is_admin = keys.is_admin(connection, token)
    if not is_admin:
        source = "ADMIN_TOKEN" if settings().admin_token else secrets.admin_token_file()
        remedy = "`scripts/keys mint --organization NAME --role admin` creates a new one"
        log.warning("%s is ignored: it is not a live key of an administrator; %s.", source, remedy)


def _create_demo(
    transaction: Transaction, organization: str, role: str, party: tuple[str, str], slug: str
) -> Invitation:
    template = templates.network_template(slug, role)
    if template is None:
        raise LookupError(slug)
    blueprint = Blueprint(template.slug, template.version, _DEMO_SEED, {})
    network = orders.establish(transaction, organization, role, party, "demo", blueprint, None)
    provisioning.provision_now(transaction, str(network.job_id))
    return Invitation(network, orders.mint(transaction, network, _chosen_tokens(role)))


def _chosen_tokens(role: str) -> Tokens:
    """The tokens for a demo network from the settings; empty where a setting is empty."""
    chosen = settings()
    if role == CPO:
        return Tokens(chosen.demo_cpo_token_a, chosen.demo_cpo_operator_token)
    return Tokens(chosen.demo_emsp_token_a, chosen.demo_emsp_operator_token)


def _printable(invitation: Invitation) -> Tokens:
    """The tokens to print; a token from a setting is shown as the name of its environment variable."""
    role = invitation.network.role
    chosen, variable = _chosen_tokens(role), f"${PREFIX}DEMO_{role}"
    return Tokens(
        f"{variable}_TOKEN_A" if chosen.token_a else invitation.tokens.token_a,
        f"{variable}_OPERATOR_TOKEN" if chosen.operator_token else invitation.tokens.operator_token,
    )


def banner(invitations: list[Invitation]) -> str:
    """The text for the terminal: the URLs, and once the tokens of a first start."""
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
            f"  curl -H \"Authorization: Token {tokens.operator_token}\" '{_example_url(network)}'",
        ]
    if invitations:
        lines += ["", "These tokens are shown only once; scripts/invite creates another Token A."]
    return "\n".join([*lines, "", *_create_network_example()])


def _create_network_example() -> list[str]:
    """An example request that creates a network."""
    path = secrets.admin_token_file().resolve()
    is_setting = settings().admin_token or not path.exists()
    key = "$OCPI_GATEWAY_ADMIN_TOKEN" if is_setting else f"$(cat '{path}')"
    body = '{"template":"small-urban-ac","country_code":"NL","party_id":"ABC","name_prefix":"mine"}'
    curl = (
        f'  curl -X POST {settings().base_url}/ocpi/cpos -H "Authorization: Bearer {key}"'
        f" -H 'Content-Type: application/json' -d '{body}'"
    )
    return ["Create your own network; the response has all that a partner needs to register:", curl]


_ROLES = {CPO: "CPO", EMSP: "eMSP"}


def _example_url(network: Network) -> str:
    place = "cpo/2.1.1/locations" if network.role == CPO else "emsp/2.1.1/tokens"
    return f"{settings().base_url}/ocpi/{place}?limit=2"
