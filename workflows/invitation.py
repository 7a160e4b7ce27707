"""What a partner needs to register at a network, ready to paste. Source: gateway-api.md 4.3."""

import shlex
from typing import Any

import orjson

from settings import settings
from storage import access
from storage.networks import Network
from workflows.exchange import VERSION, versions_url

_VARIABLES = {
    "token": ("MY_TOKEN", "a token of yours that this network presents to you"),
    "url": ("MY_VERSIONS_URL", "your versions URL"),
    "country_code": ("MY_COUNTRY_CODE", "your country code, such as NL"),
    "party_id": ("MY_PARTY_ID", "your party id, such as ABC"),
}


def helper(network: Network, token_a: str) -> dict[str, Any]:
    """The network's own credentials, and a shell command that registers a partner with its own."""
    command = _register_command(network.role, token_a)
    return {
        "credentials_payload": {
            "token": token_a,
            "url": versions_url(network.role),
            "business_details": {"name": network.name},
            "party_id": network.party_id,
            "country_code": network.country_code,
        },
        "curl_snippet": command,
        "register_snippet": command,
    }


def _register_command(role: str, token_a: str) -> str:
    """A curl that posts the credentials of the partner that runs it.

    Every value that differs between partners is a shell variable: credentials of the same party
    replace its registration. A shell in which one is not set prints what to set and does not call.
    """
    values = {
        name: f"${{{variable}:?set {variable} to {text}}}" for name, (variable, text) in _VARIABLES.items()
    }
    body = orjson.dumps({**values, "business_details": {"name": "$MY_COUNTRY_CODE $MY_PARTY_ID"}}).decode()
    url = f"{settings().base_url}/ocpi/{access.opens(role)}/{VERSION}/credentials"
    return (
        f"curl -X POST {shlex.quote(url)} -H 'Authorization: Token {token_a}'"
        f" -H 'Content-Type: application/json' -d {_double_quoted(body)}"
    )


def _double_quoted(text: str) -> str:
    """*text* as one word of a shell that puts the values of variables into it."""
    return '"' + text.replace('"', '\\"') + '"'
