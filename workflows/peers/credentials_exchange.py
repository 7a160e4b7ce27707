"""The calls of a credentials exchange, for both sides. Spec: 2.1.1 credentials, versions.

`explore` reads a peer's versions and endpoints, `send_credentials` sends ours and reads the peer's.
`with_fallback` calls a registered peer.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import errors
from generated.ocpi_models import BusinessDetails, Credentials
from settings import settings
from storage import connections, contacts, database
from storage.access import url_segment
from storage.connections import REGISTERED, Peer, PeerConnection, in_base64
from storage.networks import Network
from storage.objects import Party
from workflows.peers import client
from workflows.peers.exchanges import Origin

VERSION = "2.1.1"
MODULES = ("credentials", "locations", "sessions", "cdrs", "tariffs", "tokens", "commands")
TOKEN = re.compile("[!-~]{1,64}")
_CALLS_PER_EXCHANGE = 2
"""All calls of an exchange together take at most this many times PEER_TIMEOUT_SECONDS."""
_MARGIN_SECONDS = 5
"""How long an exchange may take after its last call."""
_UNREADABLE = 3000
"""The status code of peers that cannot decode a token."""
_URL_LENGTH = 255
_COUNTRY_CODE = re.compile("[A-Za-z]{2}")
_PARTY_ID = re.compile("[A-Za-z0-9]{3}")


class Report(Protocol):
    """Receives the text of each step, and the request id of its call to the peer, if it is one."""

    def __call__(self, text: str, request_id: str | None = None, /) -> None:
        """Receive a step."""


class PeerRefused(errors.PeerUnusable):
    """The peer refused with an OCPI *status_code*, so nothing has changed on its side."""

    def __init__(self, message: str, status_code: int | None) -> None:
        super().__init__(message)
        self.status_code = status_code


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls of one exchange. They share a deadline, an instant of time.monotonic().

    *network_id*, *connection_id*, *peer*: the owner of the calls. A new peer has no connection yet.
    """

    deadline: float
    report: Report
    network_id: int
    connection_id: int | None
    peer: Party | None

    @classmethod
    def begin(
        cls,
        network_id: int,
        connection_id: int | None = None,
        peer: Party | None = None,
        report: Report = lambda *_: None,
    ) -> "Calls":
        """The calls of an exchange that starts now. *report* receives each step as text."""
        deadline = time.monotonic() + _CALLS_PER_EXCHANGE * settings().peer_timeout_seconds
        return cls(deadline, report, network_id, connection_id, peer)

    def check(self, url: str) -> None:
        """Raise unless the address policy allows *url*.

        Raises:
            errors.PeerUnusable: it does not.
        """
        client.check(url, self.deadline)

    def send(self, method: str, url: str, token: str, body: object = None) -> client.Answer:
        """Call the peer's versions (GET) or credentials (any other method).

        Raises:
            errors.PeerUnusable: as in `client.call`.
        """
        module = "versions" if method == "GET" else "credentials"
        origin = Origin(self.network_id, self.connection_id, self.peer, module)
        self.report(f"{method} {url}", origin.request_id)
        return client.call(method, url, token, body, self.deadline, origin=origin)


def longest_exchange() -> float:
    """The most seconds that an exchange takes."""
    return _CALLS_PER_EXCHANGE * settings().peer_timeout_seconds + _MARGIN_SECONDS


def versions_url(role: str) -> str:
    """Our versions URL for a role, which a peer gets together with Token A."""
    return f"{settings().base_url}/ocpi/{url_segment(role)}/versions"


def details_url(role: str) -> str:
    """The URL of our version details for a role."""
    return f"{settings().base_url}/ocpi/{url_segment(role)}/{VERSION}"


def credentials_of(network: Network, token: str) -> Credentials:
    """Our credentials object for one peer: our party, and the token that the peer presents here."""
    return Credentials(
        token=token,
        url=versions_url(network.role),
        business_details=BusinessDetails(name=network.name),
        party_id=network.party_id,
        country_code=network.country_code,
    )


def discover(calls: Calls, url: str, token: str) -> tuple[dict[str, str], bool]:
    """`explore` at a new peer; also whether the peer expects tokens in Base64. Conformance 4.

    If the peer refuses the token, the calls are repeated once with the token in Base64.

    Raises:
        errors.PeerUnusable, errors.NoCommonVersion, errors.MissingEndpoints: as in `explore`.
    """
    try:
        return explore(calls, url, token), False
    except (client.PeerUnauthorized, PeerRefused) as refusal:
        if isinstance(refusal, PeerRefused) and refusal.status_code != _UNREADABLE:
            raise
        calls.report("refused; trying again with the token in Base64")
        try:
            return explore(calls, url, in_base64(token)), True
        except (client.PeerUnauthorized, PeerRefused):
            raise refusal from None


def explore(calls: Calls, url: str, token: str) -> dict[str, str]:
    """The endpoints of the OCPI modules behind a versions URL.

    Raises:
        errors.PeerUnusable, errors.NoCommonVersion, errors.MissingEndpoints: as the names say.
    """
    details_at = _choose(calls.send("GET", url, token))
    calls.report(f"version {VERSION} at {details_at}")
    calls.check(details_at)
    endpoints = _endpoints(calls.send("GET", details_at, token))
    calls.report(f"endpoints: {', '.join(sorted(endpoints))}")
    for endpoint in endpoints.values():
        calls.check(endpoint)
    missing = settings().required_modules - endpoints.keys()
    if missing:
        raise errors.MissingEndpoints(f"The peer lacks the endpoints {', '.join(sorted(missing))}.")
    return endpoints


def _choose(answer: client.Answer) -> str:
    """The details URL of version 2.1.1. Conformance 62."""
    entries = _accepted(answer, list)
    offered = {e["version"]: e["url"] for e in entries if _is_entry(e, "version")}
    if VERSION not in offered:
        versions = ", ".join(sorted(offered))[:100] or "nothing"
        raise errors.NoCommonVersion(f"The peer offers {versions}, but not {VERSION}.")
    return str(offered[VERSION])


def _endpoints(answer: client.Answer) -> dict[str, str]:
    """The endpoints of the modules of OCPI 2.1.1; others are ignored."""
    details = _accepted(answer, dict)
    entries = details.get("endpoints")
    if not isinstance(entries, list):
        raise errors.PeerUnusable("The peer's version details have no list of endpoints.")
    endpoints = {e["identifier"]: e["url"] for e in entries if _is_entry(e, "identifier")}
    return {module: endpoints[module] for module in MODULES if module in endpoints}


def _is_entry(entry: Any, key: str) -> bool:
    """Whether *entry* is an object with a name under *key* and a URL."""
    if not isinstance(entry, dict):
        return False
    name, url = entry.get(key), entry.get("url")
    return isinstance(name, str) and isinstance(url, str) and 0 < len(url) <= _URL_LENGTH


def _accepted(answer: client.Answer, shape: type) -> Any:
    """The data of a successful response.

    Raises:
        errors.PeerUnusable: the peer refused, or the data is not a *shape*.
    """
    if answer.status_code is None or not 1000 <= answer.status_code < 2000:  # noqa: PLR2004
        message = f"The peer answered {answer.status_code}: {answer.status_message[:200]}"
        raise PeerRefused(message, answer.status_code)
    if not isinstance(answer.data, shape):
        raise errors.PeerUnusable("The peer's answer has no data of the right form.")
    return answer.data


def send_credentials(
    calls: Calls,
    method: str,
    network: Network,
    url: str,
    endpoints: dict[str, str],
    token: str,
    callback: str,
    *,
    encodes_tokens: bool,
) -> Peer:
    """Send our credentials and read the peer's. *token* is in the form that the peer expects."""
    target = endpoints.get("credentials")
    if target is None:
        raise errors.MissingEndpoints("The peer lists no credentials endpoint.")
    answer = calls.send(method, target, token, credentials_of(network, callback))
    credentials = _accepted(answer, dict)
    party = _party(credentials.get("country_code"), credentials.get("party_id"))
    peer_token = credentials.get("token")
    if not isinstance(peer_token, str) or not TOKEN.fullmatch(peer_token):
        raise errors.PeerUnusable("The peer's credentials have no usable token.")
    details = credentials.get("business_details")
    return Peer(
        party=party,
        versions_url=url,
        version=VERSION,
        endpoints=endpoints,
        business_details=details if isinstance(details, dict) else {},
        token=peer_token,
        encodes_tokens=encodes_tokens,
    )


def _party(country_code: object, party_id: object) -> Party:
    if not isinstance(country_code, str) or not isinstance(party_id, str):
        raise errors.PeerUnusable("The peer's credentials have no country_code or party_id.")
    if not _COUNTRY_CODE.fullmatch(country_code) or not _PARTY_ID.fullmatch(party_id):
        raise errors.PeerUnusable("The peer's country_code or party_id does not have the right form.")
    return country_code.upper(), party_id.upper()


def with_fallback(peer_connection: PeerConnection, call: Callable[[str], Any], *, proves: bool = True) -> Any:
    """Call the peer with its new token. After a 401, call it with the former one if the tokens are unchanged.

    *proves*: success proves that the peer has taken the new token, so the former one is deleted. Success of
    versions and details proves nothing: they also accept a token of an unfinished rotation.
    """
    require_registered(peer_connection)
    with contacts.calling(peer_connection.id):
        try:
            result = call(str(peer_connection.token))
        except client.PeerUnauthorized:
            former = peer_connection.former_token
            if former is None or not is_unchanged(peer_connection):
                raise
            return call(former)
    if proves and peer_connection.former_peer_token is not None:
        with database.transaction() as transaction:
            connections.forget_former_token(transaction, peer_connection)
    return result


def is_unchanged(peer_connection: PeerConnection) -> bool:
    """Whether the connection is still registered, with the same token as when it was read."""
    with database.connect() as connection:
        return connections.is_unchanged(connection, peer_connection)


def require_registered(peer_connection: PeerConnection) -> None:
    """Raise unless the peer is registered.

    Raises:
        errors.PeerUnusable: it is not.
    """
    if peer_connection.state != REGISTERED or peer_connection.peer_token is None:
        raise errors.PeerUnusable(f"{'/'.join(peer_connection.party)} is not registered.")
