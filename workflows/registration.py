"""Registration, renewal and unregistration, as the receiving and as the initiating side.

Receiving: `register`, `renew`, `unregister`. Initiating: `join`, `rotate`, `leave`. No database
transaction is open while a peer is called. Spec: 2.1.1 credentials.
"""

import re
from collections.abc import Callable
from typing import Any

import errors
from settings import settings
from storage import access, connections, database, failpoints, networks
from storage.access import Caller, opens
from storage.connections import REGISTERED, Link, Peer
from storage.networks import Network
from storage.objects import Party
from workflows import peer

VERSION = "2.1.1"
MODULES = ("credentials", "locations", "sessions", "cdrs", "tariffs", "tokens", "commands")
_CALLBACK_LIVES_MS = 600_000
_URL_LENGTH = 255
_TOKEN = re.compile("[!-~]{1,64}")
_COUNTRY_CODE = re.compile("[A-Za-z]{2}")
_PARTY_ID = re.compile("[A-Za-z0-9]{3}")

Credentials = dict[str, Any]
Report = Callable[[str], None]


class PeerRefused(errors.PeerUnusable):
    """The peer answered, and said no: nothing has changed on its side."""


def versions_url(role: str) -> str:
    """Our versions URL for a role: what a peer is given together with Token A."""
    return f"{settings().base_url}/ocpi/{opens(role)}/versions"


def details_url(role: str) -> str:
    """Where our endpoints for a role are listed."""
    return f"{settings().base_url}/ocpi/{opens(role)}/{VERSION}"


def ours(caller: Caller, token: str) -> Credentials:
    """Our credentials object for the caller: our party, and the token it uses here."""
    network = networks.get(caller.network_id)
    if network is None:
        raise errors.NotFound(errors.NOTHING_HERE)
    return _credentials(network, token)


def _credentials(network: Network, token: str) -> Credentials:
    details = {"name": network.name} | ({"website": network.website} if network.website else {})
    return {
        "token": token,
        "url": versions_url(network.role),
        "business_details": details,
        "party_id": network.party_id,
        "country_code": network.country_code,
    }


# Receiving side


def register(caller: Caller, body: Credentials) -> Credentials:
    """A peer registers with Token A; its registration, if it has one, is replaced. Conformance 64 to 66, 81.

    Raises:
        errors.PeerUnusable, errors.NoCommonVersion, errors.MissingEndpoints: nothing is changed and
            Token A stays usable.
        errors.Unauthorized: Token A was used meanwhile.
    """
    failpoints.reach("post.asked")
    told = _look_up(body)
    failpoints.reach("post.called_back")
    with database.transaction() as connection:
        connections.lock(connection, caller.network_id)
        access.spend(connection, caller.token)
        connection_id = connections.keep(connection, caller.network_id, told)
        access.end_all(connection, connection_id)
        token = access.mint(access.PEER, caller.network_id, connection_id)
        failpoints.reach("post.written")
    failpoints.reach("post.committed")
    return ours(caller, token)


def renew(caller: Caller, body: Credentials) -> Credentials:
    """A registered peer renews its credentials and gets a new token. Conformance 71, 72, 83.

    The old token lives until the new one is used, or as long as the setting says.

    Raises:
        errors.RuleRefusal: the peer's country or party would change.
        errors.PeerUnusable, errors.NoCommonVersion, errors.MissingEndpoints: nothing is changed.
    """
    if (body["country_code"], body["party_id"]) != caller.peer:
        raise errors.RuleRefusal("party_id: a PUT cannot change country_code or party_id; register anew")
    failpoints.reach("put.asked")
    told = _look_up(body)
    failpoints.reach("put.called_back")
    with database.transaction() as connection:
        connections.lock(connection, caller.network_id)
        connection_id = connections.keep(connection, caller.network_id, told)
        access.supersede(connection, connection_id, settings().token_overlap_seconds * 1000)
        token = access.mint(access.PEER, caller.network_id, connection_id)
        failpoints.reach("put.written")
    failpoints.reach("put.committed")
    return ours(caller, token)


def unregister(caller: Caller) -> None:
    """A peer unregisters: its tokens end, it is never called again. Conformance 73."""
    _end(caller.connection_id or 0)


def _end(connection_id: int) -> None:
    with database.transaction() as connection:
        connections.end(connection, connection_id)
        access.end_all(connection, connection_id)


def _look_up(body: Credentials) -> Peer:
    """Ask the peer for its versions and its endpoints, with the token it gave us. Conformance 64."""
    peer.check(body["url"])
    url, endpoints = _explore(body["url"], body["token"])
    return Peer(
        party=(body["country_code"], body["party_id"]),
        versions_url=url,
        version=VERSION,
        endpoints=endpoints,
        business_details=body["business_details"],
        token=body["token"],
    )


def _explore(url: str, token: str, report: Report = lambda _: None) -> tuple[str, dict[str, str]]:
    """The versions URL and the endpoints behind it.

    Raises:
        errors.PeerUnusable, errors.NoCommonVersion, errors.MissingEndpoints: as the names say.
    """
    report(f"GET {url}")
    versions = peer.call("GET", url, token)
    details_at = _choose(versions)
    report(f"     version {VERSION} at {details_at}")
    peer.check(details_at)
    report(f"GET {details_at}")
    endpoints = _endpoints(peer.call("GET", details_at, token))
    report(f"     endpoints: {', '.join(sorted(endpoints))}")
    for endpoint in endpoints.values():
        peer.check(endpoint)
    missing = settings().required_modules - endpoints.keys()
    if missing:
        raise errors.MissingEndpoints(f"The peer lacks the endpoints {', '.join(sorted(missing))}.")
    return url, endpoints


def _choose(answer: peer.Answer) -> str:
    """The URL of the version that both speak, among whatever else is offered. Conformance 62."""
    entries = _accepted(answer, list)
    offered = {e["version"]: e["url"] for e in entries if _is_entry(e, "version")}
    if VERSION not in offered:
        known = ", ".join(sorted(offered))[:100] or "nothing"
        raise errors.NoCommonVersion(f"The peer offers {known}; {VERSION} is spoken here.")
    return str(offered[VERSION])


def _endpoints(answer: peer.Answer) -> dict[str, str]:
    details = _accepted(answer, dict)
    entries = details.get("endpoints")
    if not isinstance(entries, list):
        raise errors.PeerUnusable("The peer's version details have no list of endpoints.")
    return {e["identifier"]: e["url"] for e in entries if _is_entry(e, "identifier")}


def _is_entry(entry: Any, key: str) -> bool:
    """Is it an object with a name under *key* and a URL."""
    if not isinstance(entry, dict):
        return False
    name, url = entry.get(key), entry.get("url")
    return isinstance(name, str) and isinstance(url, str) and 0 < len(url) <= _URL_LENGTH


def _accepted(answer: peer.Answer, shape: type) -> Any:
    """The data of a successful answer.

    Raises:
        errors.PeerUnusable: the peer refused, or the data has another shape.
    """
    if answer.status_code is None or not 1000 <= answer.status_code < 2000:  # noqa: PLR2004
        raise PeerRefused(f"The peer answered {answer.status_code}: {answer.status_message[:200]}")
    if not isinstance(answer.data, shape):
        raise errors.PeerUnusable("The peer's answer has no data of the right form.")
    return answer.data


# Initiating side


def join(network: Network, url: str, token_a: str, report: Report = lambda _: None) -> Link:
    """Register our *network* at a peer, with the versions URL and the Token A that it gave us.

    Conformance 79. *report* is told each step as it happens.

    Raises:
        errors.PeerUnusable, errors.NoCommonVersion, errors.MissingEndpoints: nothing is changed here.
    """
    if not _TOKEN.fullmatch(token_a):
        raise errors.RuleRefusal("token: 1 to 64 printable characters without a space are a token")
    peer.check(url)
    _, endpoints = _explore(url, token_a, report)
    callback = access.mint(access.CALLBACK, network.id, lives_ms=_CALLBACK_LIVES_MS)
    failpoints.reach("join.minted")
    try:
        told = _exchange("POST", network, url, endpoints, token_a, callback, report)
    except (PeerRefused, peer.PeerUnauthorized):
        access.withdraw(callback)
        raise
    failpoints.reach("join.answered")
    link = _settle("join", network, told, callback, overlap_ms=0)
    report(f"     registered with {'/'.join(told.party)}")
    return link


def rotate(network: Network, link: Link, report: Report = lambda _: None) -> Link:
    """Renew both tokens of a connection and read the peer's endpoints anew. Conformance 83.

    Our old token lives until the peer uses the new one; the peer's old one is kept until its new one
    has answered. So neither side is locked out, wherever the exchange breaks off.

    Raises:
        errors.PeerUnusable, errors.NoCommonVersion, errors.MissingEndpoints: as in `join`.
    """
    peer.check(link.versions_url)
    _, endpoints = with_fallback(link, lambda t: _explore(link.versions_url, t, report), proves=False)
    callback = access.mint(access.CALLBACK, network.id, lives_ms=_CALLBACK_LIVES_MS)
    failpoints.reach("rotate.minted")
    try:
        told = with_fallback(
            link,
            lambda t: _exchange("PUT", network, link.versions_url, endpoints, t, callback, report),
        )
    except (PeerRefused, peer.PeerUnauthorized):
        access.withdraw(callback)
        raise
    except errors.PeerUnusable:  # the answer was lost: the peer may use the new token already
        with database.transaction() as connection:
            access.bind(connection, callback, link.id)
        raise
    failpoints.reach("rotate.answered")
    renewed = _settle("rotate", network, told, callback, overlap_ms=settings().token_overlap_seconds * 1000)
    report(f"     renewed with {'/'.join(told.party)}")
    return renewed


def leave(link: Link, report: Report = lambda _: None) -> None:
    """Unregister at a peer, and forget it here whatever it answers. Spec: 2.1.1 credentials 1.4."""
    url = link.endpoints.get("credentials", "")
    try:
        _usable(link)
        report(f"DELETE {url}")
        answer = with_fallback(link, lambda t: peer.call("DELETE", url, t))
        report(f"     HTTP {answer.http_status}, {answer.status_code}")
    finally:
        _end(link.id)
        report("     forgotten here")


def with_fallback(link: Link, call: Callable[[str], Any], *, proves: bool = True) -> Any:
    """Call the peer with its new token, or on 401 with the one before. Design section 10, Connections.

    *proves*: an answer tells that the peer took the new token, so the one before is forgotten. Versions
    and details prove nothing: a token that a rotation has not settled yet opens them as well.
    """
    token = _usable(link)
    try:
        result = call(token)
    except peer.PeerUnauthorized:
        if link.former_token is None:
            raise
        return call(link.former_token)
    if proves and link.former_token is not None:
        connections.forget_former_token(link.id)
    return result


def _usable(link: Link) -> str:
    if link.state != REGISTERED or link.token is None:
        raise errors.PeerUnusable(f"{'/'.join(link.party)} is not registered.")
    return link.token


def _exchange(
    method: str,
    network: Network,
    url: str,
    endpoints: dict[str, str],
    token: str,
    callback: str,
    report: Report,
) -> Peer:
    """Send our credentials, read the peer's."""
    target = endpoints.get("credentials")
    if target is None:
        raise errors.MissingEndpoints("The peer lists no credentials endpoint.")
    report(f"{method} {target}")
    answer = peer.call(method, target, token, _credentials(network, callback))
    given = _accepted(answer, dict)
    party = _party(given)
    theirs = given.get("token")
    if not isinstance(theirs, str) or not _TOKEN.fullmatch(theirs):
        raise errors.PeerUnusable("The peer's credentials have no usable token.")
    details = given.get("business_details")
    return Peer(
        party=party,
        versions_url=url,
        version=VERSION,
        endpoints=endpoints,
        business_details=details if isinstance(details, dict) else {},
        token=theirs,
    )


def _party(given: dict[str, Any]) -> Party:
    country_code, party_id = given.get("country_code"), given.get("party_id")
    if not isinstance(country_code, str) or not isinstance(party_id, str):
        raise errors.PeerUnusable("The peer's credentials do not say whose they are.")
    if not _COUNTRY_CODE.fullmatch(country_code) or not _PARTY_ID.fullmatch(party_id):
        raise errors.PeerUnusable("The peer's country_code or party_id does not have the right form.")
    return country_code.upper(), party_id.upper()


def _settle(step: str, network: Network, told: Peer, callback: str, *, overlap_ms: int) -> Link:
    """Keep what the exchange of *step* gave; the callback token becomes the peer's Token C."""
    with database.transaction() as connection:
        connections.lock(connection, network.id)
        connection_id = connections.keep(connection, network.id, told)
        access.supersede(connection, connection_id, overlap_ms)
        access.bind(connection, callback, connection_id)
        failpoints.reach(f"{step}.written")
    failpoints.reach(f"{step}.committed")
    link = connections.of_party(network.id, told.party)
    if link is None:
        raise errors.ServerError("The connection vanished while it was stored.")
    return link
