"""The address policy, and the resolution of a URL to addresses that the policy allows.

A URL is parsed once, its host is resolved once, and every address is checked. This module opens no
connection; workflows/peers/client.py connects to the addresses that `resolve` returns.
"""

import contextlib
import ipaddress
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Self

from errors import PeerUnusable
from settings import Settings, settings

REFUSED = "The address policy refuses this URL."
_log = logging.getLogger(__name__)

_WEB_PORTS = frozenset({80, 443})
_FIRST_FREE_PORT = 1024
_LAST_PORT = 65535

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Resolves a host. It is looked up at each call, so that a test can replace it.
resolver: Callable[[str, int], Any] = socket.getaddrinfo


class AddressRefused(PeerUnusable):
    """The address policy refuses a URL.

    The peer gets the same message for every reason (docs/security-cases.md "Address policy"). *reason* is
    for the operator: it names the host, the address, the rule, and the setting that would allow the address.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(REFUSED)
        self.reason = reason


# The policy


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


_LOOPBACK = _networks("127.0.0.0/8", "::1/128")
_LINK_LOCAL = _networks("169.254.0.0/16", "fe80::/10")
_DENIED = _networks(
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    # Everything but 2000::/3, the only unicast range in use. This covers ::1, fc00::/7, fe80::/10, ff00::/8
    # and 64:ff9b:1::/48, whose IPv4 addresses are at a place that only their network knows.
    "::/3",
    "4000::/2",
    "8000::/1",
    "2001::/23",
    "2001:db8::/32",
    "3fff::/20",
)
_IPV4_IN_LAST_BITS = _networks("::/96", "::ffff:0:0/96", "64:ff9b::/96")


def _destinations(address: Address) -> tuple[Address, ...]:
    """The addresses at which traffic to *address* can end: itself, or the IPv4 addresses inside it."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    if any(address in network for network in _IPV4_IN_LAST_BITS):
        return (ipaddress.IPv4Address(address.packed[-4:]),)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    return address.teredo or (address,)


def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)


@dataclass(frozen=True)
class Allowed:
    """One entry of PEER_ALLOW: an address and a range of its ports."""

    address: Address
    ports: range

    @classmethod
    def parse(cls, text: str) -> Self:
        """The entry from its text: address:port-port, with an IPv6 address in brackets.

        Raises:
            ValueError: the text has another form, or the address is link-local.
        """
        entry = re.fullmatch(r"(\[[^\]]+\]|[0-9.]+):([0-9]{1,5})-([0-9]{1,5})", text)
        if entry is None:
            raise ValueError(f"PEER_ALLOW: {text!r} is not address:port-port.")
        address = ipaddress.ip_address(entry[1].strip("[]"))
        first, last = int(entry[2]), int(entry[3])
        if not 0 < first <= last <= _LAST_PORT:
            raise ValueError(f"PEER_ALLOW: {text!r} has no ports.")
        if _is_link_local(address):
            raise ValueError(f"PEER_ALLOW: {text!r} is link-local, where metadata services are.")
        return cls(address, range(first, last + 1))


def _is_link_local(address: Address) -> bool:
    return any(_within(destination, _LINK_LOCAL) for destination in _destinations(address))


@dataclass(frozen=True)
class Policy:
    """Which addresses may be called. By default these are the public ones."""

    loopback: bool = False
    allowed: tuple[Allowed, ...] = ()

    @classmethod
    def of(cls, chosen: Settings) -> Self:
        """The policy of the settings.

        Raises:
            ValueError: an entry of PEER_ALLOW is malformed.
        """
        entries = chosen.peer_allow.replace(" ", "").split(",")
        return cls(chosen.loopback_peers, tuple(Allowed.parse(entry) for entry in entries if entry))

    def refusal(self, host: str, address: Address, port: int) -> str | None:
        """Why *address*, to which *host* resolved, may not be called on *port*; None if it may be called."""
        if getattr(address, "scope_id", None) is not None or _is_link_local(address):
            return "it is link-local or has a zone id, which nothing allows"
        if any(address == entry.address and port in entry.ports for entry in self.allowed):
            return None
        rule = self._broken_rule(host, address, port)
        if rule is None:
            return None
        entry = f"[{address}]" if isinstance(address, ipaddress.IPv6Address) else str(address)
        return f"{rule}; the entry {entry}:{port}-{port} in PEER_ALLOW allows it"

    def _broken_rule(self, host: str, address: Address, port: int) -> str | None:
        if _within(address, _LOOPBACK) and host in {"localhost", str(address)}:
            if not self.loopback:
                return "it is on this machine, and ALLOW_LOOPBACK_PEERS is off"
            return None if port >= _FIRST_FREE_PORT else f"port {port} on this machine is below 1024"
        if port not in _WEB_PORTS and port < _FIRST_FREE_PORT:
            return f"port {port} is not 80, 443, or 1024 and above"
        denied = (
            network for destination in _destinations(address) for network in _DENIED if destination in network
        )
        return next((f"it leads into {network}, which is not public" for network in denied), None)


def policy() -> Policy:
    """The policy in force."""
    return Policy.of(settings())


# From a URL to addresses

# Printable ASCII, without user info, fragment or backslash; host and port are not empty.
_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>\[[0-9a-f:.]{2,45}\]|[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?)"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[!\"$->@-\[\]-~]*)?"
    r"(?P<query>\?[!\"$-\[\]-~]*)?",
    re.IGNORECASE | re.ASCII,
)
# WHATWG URL, "ends in a number": resolvers read such a host as an IPv4 address.
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")
_MAX_HOST_LENGTH = 253


@dataclass(frozen=True)
class Target:
    """A parsed URL. *target* is the path and query, unchanged."""

    scheme: str
    host: str
    port: int
    path: str
    target: str
    literal: Address | None

    @property
    def display(self) -> str:
        """The URL without its query, for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        is_default = self.port == (443 if self.scheme == "https" else 80)
        return f"{self.scheme}://{host}{'' if is_default else f':{self.port}'}{self.path}"


def _parse(url: str) -> Target:
    """Parse *url*.

    Raises:
        AddressRefused: it is not an allowed URL.
    """
    parts = _URL.fullmatch(url)
    if parts is None:
        raise AddressRefused(
            "The URL is not printable ASCII with http or https and a host, or it has user info, a fragment, "
            "or a backslash."
        )
    scheme, host = parts["scheme"].lower(), parts["host"].lower()
    port = int(parts["port"] or (443 if scheme == "https" else 80))
    if not 0 < port <= _LAST_PORT:
        raise AddressRefused(f"{host}: there is no port {port}.")
    if len(host) > _MAX_HOST_LENGTH:
        raise AddressRefused(f"A host has at most {_MAX_HOST_LENGTH} characters.")
    literal: Address | None = None
    try:
        if host.startswith("["):
            host = host[1:-1]
            literal = ipaddress.IPv6Address(host)
        elif _NUMBER.fullmatch(host):
            literal = ipaddress.IPv4Address(host)
    except ValueError:
        raise AddressRefused(f"{host} is neither a name nor a dotted decimal IPv4 or IPv6 address.") from None
    path = parts["path"] or "/"
    return Target(scheme, host, port, path, path + (parts["query"] or ""), literal)


def _look_up(host: str, port: int, deadline: float) -> list[Address]:
    """The distinct addresses of *host*, resolved in a thread because getaddrinfo has no timeout."""
    future: Future[Any] = Future()

    def look_up() -> None:
        try:
            future.set_result(resolver(host, port))
        except Exception as error:  # noqa: BLE001 - future.result() raises it
            future.set_exception(error)

    threading.Thread(target=look_up, daemon=True, name="resolve-peer").start()
    records = future.result(timeout=left(deadline))
    return list(dict.fromkeys(ipaddress.ip_address(record[4][0]) for record in records))


def parse(url: str) -> Target:
    """Parse *url*.

    Raises:
        AddressRefused: it is not an allowed URL. The reason is logged.
    """
    with _log_refusal():
        return _parse(url)


def resolve(target: Target, deadline: float) -> tuple[Address, ...]:
    """The addresses of the target's host, after the policy has allowed every one of them.

    Raises:
        AddressRefused: an address is refused, or the host has none. The reason is logged.
    """
    with _log_refusal():
        addresses = _addresses(target, deadline)
        _check_addresses(target, addresses)
    return tuple(addresses)


@contextlib.contextmanager
def _log_refusal() -> Iterator[None]:
    try:
        yield
    except AddressRefused as refused:
        _log.warning("peer address refused", extra={"reason": refused.reason})
        raise


def _addresses(target: Target, deadline: float) -> list[Address]:
    if target.literal is not None:
        return [target.literal]
    try:
        addresses = _look_up(target.host, target.port, deadline)
    except TimeoutError:
        raise AddressRefused(f"{target.host} was not resolved in time.") from None
    except (ValueError, OSError) as error:
        raise AddressRefused(f"{target.host} does not resolve: {error}.") from None
    if not addresses:
        raise AddressRefused(f"{target.host} does not resolve.")
    return addresses


def _check_addresses(target: Target, addresses: list[Address]) -> None:
    rules = policy()
    for address in addresses:
        rule = rules.refusal(target.host, address, target.port)
        if rule is not None:
            subject = str(address) if target.literal else f"{target.host} resolves to {address}, which"
            raise AddressRefused(f"{subject} is refused for port {target.port}: {rule}.")


def left(deadline: float) -> float:
    """Seconds until *deadline*; TimeoutError after it."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds
