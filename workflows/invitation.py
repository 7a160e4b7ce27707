"""What a partner pastes to register at a network: gateway-api.md 4.3, and one that really does it."""

import shlex
from typing import Any

import orjson

from settings import settings
from storage import access
from workflows.exchange import VERSION, versions_url


def helper(role: str, token_a: str) -> dict[str, Any]:
    """The documented payload and curl, and `register_snippet`, which needs only two variables set."""
    payload = {"token": token_a, "url": versions_url(role)}
    url = f"{settings().base_url}/ocpi/{access.opens(role)}/{VERSION}/credentials"
    head = (
        f"curl -X POST {shlex.quote(url)} -H 'Authorization: Token {token_a}'"
        " -H 'Content-Type: application/json'"
    )
    mine = {
        "token": "'\"$MY_TOKEN\"'",
        "url": "'\"$MY_VERSIONS_URL\"'",
        "country_code": "NL",
        "party_id": "EXA",
        "business_details": {"name": "Example"},
    }
    told = orjson.dumps(mine).decode().replace('\\"', '"')
    return {
        "credentials_payload": payload,
        "curl_snippet": f"{head} -d {shlex.quote(orjson.dumps(payload).decode())}",
        "register_snippet": (
            "# MY_TOKEN: a token that we are to present to you; MY_VERSIONS_URL: your versions URL\n"
            f"{head} -d '{told}'"
        ),
    }
