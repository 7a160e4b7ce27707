"""What a partner needs to register at a network. docs/gateway.md "Invitation"."""

import shlex

import orjson

from generated.gateway_models import CpoRoamHelper, CredentialsPayload
from settings import settings
from storage import access
from storage.networks import Network
from workflows.peers.credentials_exchange import VERSION, credentials_of

_VARIABLES = {
    "token": ("MY_TOKEN", "a token of yours that this network presents to you"),
    "url": ("MY_VERSIONS_URL", "your versions URL"),
    "country_code": ("MY_COUNTRY_CODE", "your country code, such as NL"),
    "party_id": ("MY_PARTY_ID", "your party id, such as ABC"),
}


def helper(network: Network, token_a: str) -> CpoRoamHelper:
    """The network's credentials object, and a shell command with which a partner registers."""
    command = _register_command(network.role, token_a)
    credentials = credentials_of(network, token_a).json_text()
    return CpoRoamHelper(
        credentials_payload=CredentialsPayload.model_validate_json(credentials),
        curl_snippet=command,
        register_snippet=command,
    )


def _register_command(role: str, token_a: str) -> str:
    """A curl command that posts the credentials of the partner that runs it.

    Every value that differs between partners is a shell variable, because a second partner with the same
    party would replace the first one's registration. Without a variable the shell says what to set.
    """
    values = {
        name: f"${{{variable}:?set {variable} to {text}}}" for name, (variable, text) in _VARIABLES.items()
    }
    body = orjson.dumps({**values, "business_details": {"name": "$MY_COUNTRY_CODE $MY_PARTY_ID"}}).decode()
    url = f"{settings().base_url}/ocpi/{access.url_segment(role)}/{VERSION}/credentials"
    return (
        f"curl -X POST {shlex.quote(url)} -H 'Authorization: Token {token_a}'"
        f" -H 'Content-Type: application/json' -d {_double_quoted(body)}"
    )


def _double_quoted(text: str) -> str:
    """*text* in double quotes for a shell, which expands its variables."""
    return '"' + text.replace('"', '\\"') + '"'
