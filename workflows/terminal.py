"""What a person does at a terminal: register at a peer, renew, leave; invite another peer.

Behind scripts/register and scripts/invite. Works on the same database as a running server, which
must be up: the peer calls back.
"""

import argparse
import sys

import errors
from settings import settings
from storage import access, connections, networks
from storage.connections import Link
from storage.networks import Network
from storage.objects import Party
from workflows import registration, startup


def main(arguments: list[str]) -> None:
    """Run one command; exits 1 with a sentence when it fails."""
    command, *rest = arguments or [""]
    run = {"register": register, "invite": invite}.get(command)
    if run is None:
        sys.exit("say register or invite")
    try:
        startup.prepare()
        run(rest)
    except errors.Refusal as refusal:
        sys.exit(f"failed ({refusal.status_code}): {refusal.message}")
    except KeyboardInterrupt:
        sys.exit("stopped; nothing was stored here")


def register(arguments: list[str]) -> None:
    """Register at a peer, or with --rotate or --unregister act on a registration that exists."""
    parser = argparse.ArgumentParser(
        prog="scripts/register",
        description="Register one of our networks at a peer, step by step. Our server must be running, "
        f"for the peer calls {settings().base_url} back.",
    )
    parser.add_argument("versions_url", nargs="?", help="the peer's versions URL")
    parser.add_argument("token_a", nargs="?", help="the Token A that the peer gave")
    parser.add_argument("--as", dest="ours", required=True, metavar="NL/DEM", type=_party, help="our party")
    parser.add_argument("--rotate", metavar="NL/TNM", type=_party, help="renew both tokens with this peer")
    parser.add_argument(
        "--unregister", metavar="NL/TNM", type=_party, help="end the registration with this peer"
    )
    given = parser.parse_args(arguments)
    network = _network(given.ours)
    if given.rotate:
        registration.rotate(network, _link(network, given.rotate), _say)
    elif given.unregister:
        registration.leave(_link(network, given.unregister), _say)
    elif given.versions_url and given.token_a:
        registration.join(network, given.versions_url, given.token_a, _say)
    else:
        parser.error("give VERSIONS_URL and TOKEN_A, or --rotate, or --unregister")


def invite(arguments: list[str]) -> None:
    """Print a fresh Token A."""
    parser = argparse.ArgumentParser(
        prog="scripts/invite",
        description="Make one more Token A. With it a peer registers, or replaces the registration it has.",
    )
    parser.add_argument("--as", dest="ours", required=True, metavar="NL/DEM", type=_party, help="our party")
    network = _network(parser.parse_args(arguments).ours)
    print(f"versions URL    {registration.versions_url(network.role)}")  # noqa: T201  (for a person)
    print(f"Token A         {access.mint(access.REGISTRATION, network.id)}")  # noqa: T201  (likewise)


def _party(text: str) -> Party:
    country_code, _, party_id = text.upper().partition("/")
    if len(country_code) != 2 or len(party_id) != 3:  # noqa: PLR2004  (NL/DEM)
        raise argparse.ArgumentTypeError(f"{text} is not a party; write it as NL/DEM")
    return country_code, party_id


def _network(party: Party) -> Network:
    found = networks.of_party(party)
    if len(found) != 1:
        sys.exit(f"{len(found)} networks are {'/'.join(party)}; one is needed")
    return found[0]


def _link(network: Network, party: Party) -> Link:
    link = connections.of_party(network.id, party)
    if link is None:
        known = ", ".join("/".join(each.party) for each in connections.of_network(network.id))
        sys.exit(f"no connection with {'/'.join(party)}; known are: {known or 'none'}")
    return link


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  (each step as it happens)


if __name__ == "__main__":
    main(sys.argv[1:])
