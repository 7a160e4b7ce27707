"""The command line: register at a peer, rotate, unregister; invite a peer; exchanges, keys and jobs.

These are scripts/register, scripts/invite, scripts/exchanges, scripts/keys and scripts/jobs. Each uses the
settings and the database of the running server; scripts/register and scripts/exchanges are clients of its
gateway API.
"""

import argparse
import contextlib
import logging
import os
import sys
import time

from pydantic import ValidationError

import errors
from settings import PREFIX
from storage import access, connections, database, jobs, keys, networks, timestamps
from storage.connections import PeerConnection
from storage.networks import Network
from storage.objects import Party
from workflows import exchange_follower, gateway_client, running_server
from workflows.gateway_client import RequestFailed
from workflows.peers import credentials_exchange
from workflows.running_server import NoServerError

_METHODS = ("GET ", "POST ", "PUT ", "DELETE ")
_POLL_SECONDS = 0.2
_NOT_SEEN = 9
"""The exit status if an exchange did not come."""

_SERVER = argparse.ArgumentParser(add_help=False)
_SERVER.add_argument("--port", type=int, help="port of our server, if several run on one DATA_DIR")


def main(arguments: list[str]) -> None:
    """Run one command; exits 1 with a sentence when it fails."""
    command, *rest = arguments or [""]
    commands = {
        "register": register,
        "invite": invite,
        "exchanges": exchanges_command,
        "keys": keys_command,
        "jobs": jobs_command,
    }
    run = commands.get(command)
    if run is None:
        sys.exit(f"unknown command {command!r}; use one of {', '.join(commands)}")
    logging.getLogger().addHandler(logging.NullHandler())  # the messages below say what the log would
    try:
        run(rest)
    except ValidationError as invalid:
        sys.exit("\n".join(f"{PREFIX}{str(e['loc'][0]).upper()}: {e['msg']}" for e in invalid.errors()))
    except NoServerError as error:
        sys.exit(str(error))
    except RequestFailed as failure:
        sys.exit(f"failed: {failure}")
    except errors.Refusal as refusal:
        sys.exit(f"failed: {refusal.message}")
    except KeyboardInterrupt:
        sys.exit("stopped; a job that has begun goes on")


def register(arguments: list[str]) -> None:
    """Register at a peer; or rotate the tokens of a registration, or end it."""
    parser = argparse.ArgumentParser(
        prog="scripts/register",
        parents=[_SERVER],
        description="Register one of our networks at a peer, step by step. The peer calls our server back.",
    )
    parser.add_argument("versions_url", nargs="?", help="the peer's versions URL")
    parser.add_argument("token_a", nargs="?", help="the Token A that the peer gave")
    parser.add_argument("--as", dest="ours", required=True, metavar="NL/DEM", type=_party, help="our party")
    parser.add_argument("--rotate", metavar="NL/TNM", type=_party, help="renew both tokens with this peer")
    parser.add_argument(
        "--unregister", metavar="NL/TNM", type=_party, help="end the registration with this peer"
    )
    options = _parse(parser, arguments)
    network = _only_network(options.ours)
    url = f"/ocpi/cpos/{network.id}/connections"
    if options.rotate:
        _run_job(network, "POST", f"{url}/{_peer_connection(network, options.rotate).id}/rotate")
    elif options.unregister:
        _run_job(network, "DELETE", f"{url}/{_peer_connection(network, options.unregister).id}")
    elif options.versions_url and options.token_a:
        _run_job(network, "POST", url, {"versions_url": options.versions_url, "token": options.token_a})
    else:
        parser.error("VERSIONS_URL and TOKEN_A, --rotate or --unregister is required")


def _run_job(network: Network, method: str, url: str, body: object = None) -> None:
    """Start a job of the server and print its steps as they happen; exit 1 if it fails."""
    accepted = gateway_client.request(method, url, network.organization_id, body)
    printed = 0
    while True:
        job = gateway_client.request("GET", accepted["status_url"], network.organization_id)
        for step in job["steps"][printed:]:
            is_call = step["text"].startswith(_METHODS)
            _print_line(step["text"] if is_call else f"     {step['text']}")
        printed = len(job["steps"])
        if job["status"] in jobs.ENDED:
            break
        time.sleep(_POLL_SECONDS)
    if job["status"] == jobs.FAILED:
        sys.exit(f"failed: {job['error']['message']}")


def invite(arguments: list[str]) -> None:
    """Print a new Token A."""
    parser = argparse.ArgumentParser(
        prog="scripts/invite",
        parents=[_SERVER],
        description="Create another Token A. A peer uses it to register, or to replace its registration.",
    )
    parser.add_argument("--as", dest="ours", required=True, metavar="NL/DEM", type=_party, help="our party")
    network = _only_network(_parse(parser, arguments).ours)
    with database.transaction() as transaction:
        token_a = access.mint(transaction, access.REGISTRATION, network.id)
    print(f"versions URL    {credentials_exchange.versions_url(network.role)}")  # noqa: T201  (output of the command)
    print(f"Token A         {token_a}")  # noqa: T201  (likewise)


def exchanges_command(arguments: list[str]) -> None:
    """Print exchanges, or wait for one. Exits 9 if it does not come."""
    parser = argparse.ArgumentParser(
        prog="scripts/exchanges",
        parents=[_SERVER],
        description="What passes between one of our networks, its peers and its back office, a line each. "
        "Without --follow and --wait, the newest 50.",
        epilog="FILTER is key=value, separated by spaces; all must hold. Keys: direction (in, out), peer "
        "(NL/TNM), module, method, status (an HTTP status or an OCPI status code), url (a part of it). "
        "Example: --wait 'direction=in module=credentials method=POST status=200' --timeout 30",
    )
    parser.add_argument("--as", dest="ours", required=True, metavar="NL/DEM", type=_party, help="our party")
    parser.add_argument("--follow", action="store_true", help="go on with each new exchange until Ctrl-C")
    parser.add_argument(
        "--wait",
        metavar="FILTER",
        type=_filter,
        help="wait for the next exchange that matches; exit 0 when it has come, 9 after the timeout, with "
        "the nearest misses",
    )
    parser.add_argument("--timeout", metavar="S", type=float, default=60, help="seconds of --wait, 60")
    options = _parse(parser, arguments)
    network = _only_network(options.ours)
    found = exchange_follower.newest(network)
    if options.wait:
        _wait_for_exchange(network, found.cursor, options.wait, options.timeout)
        return
    for exchange in found.data:
        _print_line(exchange_follower.line(exchange))
    if options.follow:
        with contextlib.suppress(KeyboardInterrupt):
            for following in exchange_follower.follow(network, found.cursor):
                if following is not None:
                    _print_line(exchange_follower.line(following))


def _wait_for_exchange(network: Network, cursor: str, wanted: dict[str, str], seconds: float) -> None:
    """Print the exchange; after *seconds*, print the nearest misses and exit 9."""
    exchange, nearest = exchange_follower.wait(network, cursor, wanted, seconds)
    if exchange is not None:
        _print_line(exchange_follower.line(exchange))
        return
    _print_line(f"No exchange matched within {seconds:g} s. {'Nearest:' if nearest else 'None came.'}")
    for miss in nearest:
        _print_line(miss)
    sys.exit(_NOT_SEEN)


def keys_command(arguments: list[str]) -> None:
    """List, mint or revoke keys of the gateway API."""
    parser = argparse.ArgumentParser(
        prog="scripts/keys",
        description="Keys of the gateway API. A user key acts in its own organization, an admin key in any "
        "(X-Organization-Id). Only a digest is stored: a key is shown once.",
    )
    act = parser.add_subparsers(dest="act", metavar="list | mint | revoke", required=True)
    act.add_parser("list", parents=[_SERVER], help="every key, without its secret")
    mint = act.add_parser("mint", parents=[_SERVER], help="a new key; the organization is created if missing")
    mint.add_argument("--organization", required=True, metavar="NAME", type=_name)
    mint.add_argument("--role", choices=(keys.USER, keys.ADMIN), default=keys.USER)
    act.add_parser("revoke", parents=[_SERVER], help="end a key").add_argument("id")
    options = _parse(parser, arguments)
    if options.act == "list":
        with database.connect() as connection:
            found = keys.listed(connection)
        for key in found:
            created = timestamps.authored(key.created_at)[:10]
            _print_line(f"{key.id:36}  {key.role:5}  ...{key.last4}  {created}  {key.organization}")
    elif options.act == "mint":
        with database.transaction() as transaction:
            minted = keys.mint(transaction, options.organization, options.role)
        _print_line(f"id            {minted.id}")
        _print_line(f"organization  {minted.organization_id}    ({options.organization})")
        _print_line(f"key           {minted.key}    (shown only once)")
    else:
        with database.transaction() as transaction:
            revoked = keys.revoke(transaction, options.id)
        if not revoked:
            sys.exit(f"there is no key {options.id}; scripts/keys list shows all keys")


def jobs_command(arguments: list[str]) -> None:
    """Show one job, also of a deleted network."""
    parser = argparse.ArgumentParser(
        prog="scripts/jobs",
        parents=[_SERVER],
        description="A durable job: its state, what is done, why it failed.",
    )
    parser.add_argument("job_id", help="job_id or workflow_run_id of the response to the order")
    job_id = _parse(parser, arguments).job_id
    with database.connect() as connection:
        job, tally = jobs.get(connection, job_id), jobs.tally(connection, job_id)
    if job is None:
        sys.exit("there is no such job; a cancelled job of a deleted network is kept for a day")
    fields = {
        "job": job.id,
        "what": f"{job.kind} of network {job.network_id}",
        "status": job.status,
        "created": f"{tally[jobs.CREATED]} of {job.total}",
        "failed": str(tally[jobs.REFUSED]),
        "ordered at": timestamps.authored(job.created_at),
        "changed at": timestamps.authored(job.updated_at),
        **({} if job.job_error is None else {"error": f"{job.job_error.code}: {job.job_error.message}"}),
    }
    for name, value in fields.items():
        _print_line(f"{name:11} {value}")


def _parse(parser: argparse.ArgumentParser, arguments: list[str]) -> argparse.Namespace:
    """Parse the arguments and put the settings of the running server in force.

    Raises:
        NoServerError: there is no such server.
    """
    options = parser.parse_args(arguments)
    running_server.adopt(options.port)
    return options


def _name(text: str) -> str:
    name = " ".join(text.split())
    if not 1 <= len(name) <= 255:  # noqa: PLR2004  (the width of the column)
        raise argparse.ArgumentTypeError("an organization's name has 1 to 255 characters")
    return name


def _filter(text: str) -> dict[str, str]:
    try:
        return exchange_follower.parse_filter(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _party(text: str) -> Party:
    country_code, _, party_id = text.upper().partition("/")
    if len(country_code) != 2 or len(party_id) != 3:  # noqa: PLR2004  (NL/DEM)
        raise argparse.ArgumentTypeError(f"{text} is not a party; write it as NL/DEM")
    return country_code, party_id


def _only_network(party: Party) -> Network:
    with database.connect() as connection:
        found = networks.of_party(connection, party)
    if len(found) != 1:
        sys.exit(f"{len(found)} networks have the party {'/'.join(party)}; exactly one is required")
    return found[0]


def _peer_connection(network: Network, party: Party) -> PeerConnection:
    with database.connect() as connection:
        peer_connection = connections.of_party(connection, network.id, party)
    if peer_connection is None:
        with database.connect() as connection:
            parties = ", ".join(
                "/".join(each.party) for each in connections.of_network(connection, network.id)
            )
        sys.exit(f"no connection with {'/'.join(party)}; the network has {parties or 'none'}")
    return peer_connection


def _print_line(line: str) -> None:
    print(line, flush=True)  # noqa: T201  (each step as it happens)


if __name__ == "__main__":
    os.umask(0o077)  # as in the server: a script may create a file first
    main(sys.argv[1:])
