"""Schemathesis on the application in this process, with every kind of token: the short form of scripts/fuzz.

It uses only the shipped schemathesis.toml, without hooks. The program also checks its responses against the
closed contract (VALIDATE_RESPONSES), so a member that the contract does not name is a server error.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import contracts
import hypothesis
import pytest
import schemathesis
from nodes import ROOT, Client, Node, in_transaction, one_database
from peers import PeerServer
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection
from seeded_network import CREDENTIALS, PARTIES, fill_network, paths, quiet_logs
from surface import PEER

from handlers.dispatch.app import create_app
from storage import access, keys

WRITERS = {"cpo": "operator", "emsp": "peer"}
"""Who may write most in each role."""
SHORT: dict[str, Any] = {
    "database": None,
    "deadline": None,
    "derandomize": True,
    "phases": [hypothesis.Phase.explicit, hypothesis.Phase.generate],
    "suppress_health_check": list(hypothesis.HealthCheck),
}


@pytest.fixture(scope="module")
def application(node: Node) -> Iterator[Any]:
    """The application in this process, on the database of `node`."""
    with quiet_logs():
        app = create_app()
        logging.getLogger().setLevel(logging.CRITICAL)
        yield app
    assert node.url  # it must outlive the application, which uses its storage


@pytest.fixture(scope="module")
def schema(application: Any) -> schemathesis.BaseSchema:
    """The contract of the peer API as the application publishes it."""
    return published(application, "ocpi")


def published(application: Any, name: str) -> schemathesis.BaseSchema:
    config = schemathesis.Config.from_path(ROOT / "schemathesis.toml")
    return schemathesis.openapi.from_wsgi(f"/openapi/{name}.json", application, config=config)


CALLERS_OF = {
    (method, path): item[method]["x-callers"]
    for contract in (contracts.ocpi(), contracts.gateway())
    for path, item in contract.document["paths"].items()
    for method in ("get", "put", "post", "patch", "delete")
    if method in item
}


def of_role(schema: schemathesis.BaseSchema, role: str) -> schemathesis.BaseSchema:
    """The operations of *role* and those of no role, without credentials."""
    return schema.include(path_regex=paths(role)).exclude(path_regex=CREDENTIALS)


def authorization(client: Client) -> dict[str, str]:
    return {"Authorization": f"Token {client.token}"}


GOOD, BAD = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
BOTH = (GOOD, BAD)


def fuzz(
    operation: schemathesis.APIOperation,
    callers: dict[str, dict[str, str]],
    modes: Sequence[schemathesis.GenerationMode] = BOTH,
) -> None:
    """Send valid and invalid data to *operation* with the headers of each kind of caller.

    A caller that may not use it sends only valid data. Every check of Schemathesis must pass.
    """
    allowed = {
        kind: callers[kind] for kind in callers if kind in CALLERS_OF[operation.method, operation.path]
    }
    for mode in modes:
        senders = callers if mode is GOOD else allowed

        @hypothesis.settings(max_examples=1, **SHORT)
        @hypothesis.given(operation.as_strategy(generation_mode=mode))
        def call(case: schemathesis.Case) -> None:
            for headers in senders.values():  # noqa: B023  (called in this round)
                case.call_and_validate(headers=headers)

        call()


def operations(schema: schemathesis.BaseSchema) -> list[schemathesis.APIOperation]:
    return [result.ok() for result in schema.get_all_operations()]


# scripts/fuzz uses SQLite
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True, scope="session")
@pytest.mark.parametrize("role", PARTIES)
def test_no_operation_breaks(node: Node, schema: schemathesis.BaseSchema, role: str) -> None:
    """Every second operation gets valid data, the others invalid data; scripts/fuzz sends both to all."""
    clients = fill_network(node.network(role.upper(), PARTIES[role]))
    callers = {kind: authorization(client) for kind, client in clients.items()}
    chosen = operations(of_role(schema, role))

    assert 20 <= len(chosen)
    for number, operation in enumerate(chosen):
        fuzz(operation, callers, [BOTH[number % 2]])


@one_database
@pytest.mark.parametrize("role", PARTIES)
def test_no_sequence_of_calls_breaks(node: Node, schema: schemathesis.BaseSchema, role: str) -> None:
    headers = authorization(fill_network(node.network(role.upper(), PARTIES[role]))[WRITERS[role]])
    machine = of_role(schema, role).as_state_machine()

    class Sequence(machine):  # type: ignore[misc, valid-type]
        def get_call_kwargs(self, _case: schemathesis.Case) -> dict[str, Any]:
            return {"headers": headers}

        def validate_response(
            self, response: schemathesis.Response, case: schemathesis.Case, **_: Any
        ) -> None:
            # Otherwise the checks assume that Schemathesis generated the token.
            arguments = {"headers": headers}
            case.validate_response(
                response,
                headers=headers,
                transport_kwargs=arguments,
                recorder=self.recorder,
                excluded_checks=[negative_data_rejection] if without_token(case) else [],
            )

    Sequence.run(settings=hypothesis.settings(max_examples=3, stateful_step_count=6, **SHORT))


@one_database
def test_no_operation_of_the_gateway_breaks(application: Any) -> None:
    callers = {
        role: {"Authorization": f"Bearer {in_transaction(keys.mint, 'fuzzed', role).key}"}
        for role in (keys.USER, keys.ADMIN)
    }
    chosen = operations(published(application, "gateway"))

    assert 15 <= len(chosen)
    for operation in chosen:
        fuzz(operation, callers)


def without_token(case: schemathesis.Case) -> bool:
    """Whether the case is invalid only because it lacks the token, which this test adds."""
    header = case.meta.components.get(ParameterLocation.HEADER) if case.meta else None
    return header is not None and header.mode is schemathesis.GenerationMode.NEGATIVE


def credentials(schema: schemathesis.BaseSchema, role: str) -> list[schemathesis.APIOperation]:
    return operations(schema.include(path_regex=f"^/{role}/2.1.1{CREDENTIALS}"))


@pytest.mark.parametrize("role", PARTIES)
@pytest.mark.parametrize("kind", [access.REGISTRATION, access.PEER])
def test_credentials_do_not_break(
    node: Node, schema: schemathesis.BaseSchema, peer: PeerServer, role: str, kind: str
) -> None:
    network = node.network(role.upper(), PARTIES[role])

    for operation in credentials(schema, role):
        token = network.registrant() if kind == access.REGISTRATION else network.peer(PEER, peer.versions_url)
        fuzz(operation, {kind: authorization(token)})


@pytest.mark.parametrize("role", PARTIES)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_credentials_of_a_reachable_peer_pass_every_check(
    node: Node, schema: schemathesis.BaseSchema, peer: PeerServer, role: str, method: str
) -> None:
    network = node.network(role.upper(), PARTIES[role])
    client = network.registrant() if method == "POST" else network.peer(peer.party, peer.versions_url)
    operation = schema[f"/{role}/2.1.1/credentials"][method]

    case = operation.Case(body=peer.credentials(), media_type="application/json")
    response = case.call(headers=authorization(client))
    # ignored_auth would send another request, with the spent token
    case.validate_response(response, excluded_checks=[ignored_auth])

    assert 1000 == response.json()["status_code"]
