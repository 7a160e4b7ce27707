"""A client of the running server's gateway API, for scripts.

It calls the server on its own address, not at PUBLIC_URL, with the administrator's key.
"""

import http.client
from typing import Any

import orjson

from settings import settings
from storage import secrets

_TIMEOUT_SECONDS = 60
_OK = 300
_OWN_ADDRESSES = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (compared with, not bound)


class RequestFailed(Exception):
    """The server cannot be reached or refused the request; the message says why."""


def request(method: str, path: str, organization_id: str, body: object = None) -> Any:
    """Send a request in an organization; returns the body of the response as decoded JSON.

    Raises:
        RequestFailed: there is no administrator's key, no response, or a refusal.
    """
    key = secrets.admin_token()
    if key is None:
        raise RequestFailed(
            f"There is no administrator's key in {secrets.admin_token_file()}; set ADMIN_TOKEN."
        )
    headers = {
        "Authorization": f"Bearer {key}",
        "X-Organization-Id": organization_id,
        "Content-Type": "application/json",
    }
    host = _OWN_ADDRESSES.get(settings().host, settings().host)
    connection = http.client.HTTPConnection(host, settings().port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request(method, path, None if body is None else orjson.dumps(body), headers)
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise RequestFailed(f"The server does not respond: {error}.") from None
    finally:
        connection.close()
    decoded = orjson.loads(content) if content else None
    if response.status >= _OK:
        raise RequestFailed(_reason(decoded))
    return decoded


def _reason(refusal: Any) -> str:
    """The sentence of a refusal, or the problems of a 422."""
    detail = refusal["detail"]
    if isinstance(detail, str):
        return detail
    return "; ".join(f"{'.'.join(map(str, each['loc'][1:]))}: {each['msg']}" for each in detail)
