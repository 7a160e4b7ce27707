"""Every JSON example of the specification has a verdict; a node stores those of complete objects.

tests/data/specification/examples.json holds the examples. Conformance 53.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import contracts
import pytest
from nodes import Client, Network, outcome
from normalizer import SchemaState
from peers import PeerServer

from storage import timestamps

EXAMPLES_FILE = Path(__file__).parents[1] / "data/specification/examples.json"
CONTRACT = contracts.ocpi()
REF = "#/components/schemas/"
STAMP = {"last_updated": "the present instant"}

pytestmark = pytest.mark.ocpi(53)


@dataclass(frozen=True)
class Accepted:
    """A request of the schema may carry it, and it comes back unchanged."""

    schema: str


@dataclass(frozen=True)
class Tolerated:
    """A request of the schema may carry it; the members in `changes` come back with these values."""

    schema: str
    changes: dict[str, Any]


@dataclass(frozen=True)
class Erratum:
    """A request (or, of an envelope, an answer) of the schema may not carry it."""

    schema: str
    reason: str


@dataclass(frozen=True)
class NotAnObject:
    """An envelope or a list that only we send: it has the shape of our answers."""

    schema: str


Verdict = Accepted | Tolerated | Erratum | NotAnObject

BELGIUM = {"location.country": "BEL"}

# By page, in the order of the page. A PATCH has the schema of a patch.
VERDICTS: dict[str, list[Verdict]] = {
    "credentials": [Accepted("Credentials")],
    "mod_cdrs": [Tolerated("CDR", {**BELGIUM, "tariffs.0.elements.0.price_components.0.price": 2.0})],
    "mod_locations": [
        Accepted("EVSEPatch"),
        Accepted("LocationPatch"),
        Accepted("ConnectorPatch"),
        Erratum(
            "EVSE",
            "the EVSE and its connector lack last_updated, the connector lacks power_type, voltage and "
            "amperage, and physical_reference and floor_level are numbers: all against its tables",
        ),
        Accepted("EVSEPatch"),
        Accepted("Location"),
        Accepted("EnergyMix"),
        Accepted("EnergyMix"),
        Accepted("EnergyMix"),
        Accepted("Hours"),
    ],
    "mod_sessions": [
        Accepted("SessionPatch"),
        Tolerated("Session", BELGIUM),
        Tolerated("Session", BELGIUM),
    ],
    "mod_tariffs": [
        Tolerated("Tariff", STAMP),
        Erratum("Tariff", "its heading says PUT, but it is a PATCH: id and currency are missing"),
        Accepted("Tariff"),
        Accepted("Tariff"),
        Accepted("Tariff"),
        Accepted("Tariff"),
        Accepted("Tariff"),
    ],
    "mod_tokens": [Accepted("Token"), Accepted("TokenPatch"), Accepted("Token")],
    "transport_and_format": [
        Erratum("VersionListEnvelope", "1.9 is not a value of VersionNumber"),
        NotAnObject("VersionDetailsEnvelope"),
        NotAnObject("TokenEnvelope"),
        NotAnObject("TokenPage"),
        NotAnObject("ErrorEnvelope"),
    ],
    "version_information_endpoint": [NotAnObject("Version"), NotAnObject("VersionDetails")],
}


def examples() -> dict[str, list[Any]]:
    """The JSON examples by page."""
    pages = json.loads(EXAMPLES_FILE.read_text())
    return {page: [example["value"] for example in found] for page, found in pages.items()}


EXAMPLES = [
    pytest.param(value, verdict, id=f"{page}-{index}-{type(verdict).__name__}")
    for page, values in examples().items()
    for index, (value, verdict) in enumerate(zip(values, VERDICTS.get(page, ()), strict=False))
]


def refusal(verdict: Verdict, example: Any) -> str:
    """The reason why the contract refuses *example*, or "" if it accepts it."""
    schemas = CONTRACT.document["components"]["schemas"]
    candidates = [verdict.schema, f"{verdict.schema}In", f"{verdict.schema}InOrNull"]
    name = [name for name in candidates if name in schemas][-1]
    validator = CONTRACT.validator({"$ref": REF + name}, close=True)
    return "" if validator.is_valid(example) else contracts.explain(validator, example)


def changes(verdict: Verdict) -> dict[str, Any]:
    """The members that come back with another value, by path."""
    return verdict.changes if isinstance(verdict, Tolerated) else {}


def normalized(verdict: Accepted | Tolerated, example: Any) -> Any:
    """*example* after the normalizer, and with the stamp of the handler if the verdict has one."""
    schema = verdict.schema.removesuffix("Patch")
    result = CONTRACT.normal(
        schema, SchemaState.ACCEPTED if schema == verdict.schema else SchemaState.PARTIAL
    )(example)
    return {**result, **STAMP} if STAMP.items() <= changes(verdict).items() else result


def expected(verdict: Accepted | Tolerated, example: Any) -> Any:
    """*example* with the changes of the verdict."""
    result = json.loads(json.dumps(example))
    for place, change in changes(verdict).items():
        *steps, last = (int(step) if step.isdigit() else step for step in place.split("."))
        target = result
        for step in steps:
            target = target[step]
        assert change != target.get(last), f"{place} needs no tolerance"
        target[last] = change
    return result


def test_every_json_example_of_the_specification_has_a_verdict() -> None:
    counts = {page: len(values) for page, values in examples().items()}

    assert counts == {page: len(verdicts) for page, verdicts in VERDICTS.items()}
    assert 32 == sum(counts.values())


@pytest.mark.parametrize(("example", "verdict"), EXAMPLES)
def test_an_example_is_handled_as_its_verdict_says(example: Any, verdict: Verdict) -> None:
    if isinstance(verdict, Erratum):
        assert refusal(verdict, example), "it passes now, so it is no longer an erratum"
        assert verdict.reason
    elif isinstance(verdict, NotAnObject):
        for each in example if isinstance(example, list) else [example]:
            assert "" == refusal(verdict, each)
    else:
        assert "" == refusal(verdict, example)
        assert expected(verdict, example) == normalized(verdict, example)


def test_the_patch_under_the_heading_of_a_put_is_a_valid_patch() -> None:
    patch = examples()["mod_tariffs"][1]

    assert "" == refusal(Accepted("TariffPatch"), patch)
    assert patch == normalized(Accepted("TariffPatch"), patch)


def with_schemas(*schemas: str) -> list[Any]:
    """The accepted and tolerated examples of *schemas*."""
    return [
        param
        for param in EXAMPLES
        if isinstance(param.values[1], Accepted | Tolerated) and param.values[1].schema in schemas
    ]


OBJECTS = with_schemas("Location", "Session", "Tariff", "Token", "CDR")
COMPLETE = [param for param in OBJECTS if "last_updated" in param.values[0]]


def path(client: Client, schema: str, example: dict[str, Any]) -> str:
    """The URL of the object."""
    return client.at(f"{schema.lower()}s", example.get("id") or example["uid"])


def test_eleven_examples_are_complete_objects() -> None:
    assert (12, 11) == (len(OBJECTS), len(COMPLETE))


@pytest.mark.ocpi(42, 46, 144, 148)
@pytest.mark.parametrize(("example", "verdict"), COMPLETE)
def test_a_complete_example_is_stored_and_comes_back_equal(
    cpo: Network, emsp: Network, example: Any, verdict: Accepted | Tolerated
) -> None:
    peer = (cpo if verdict.schema == "Token" else emsp).peer()
    if verdict.schema == "CDR":
        response = peer.post("cdrs", example)
        url = response.headers["Location"]
    else:
        url = path(peer, verdict.schema, example)
        response = peer.put(url, example)

    assert (201, 1000) == outcome(response)
    assert expected(verdict, example) == peer.data(url)


@pytest.mark.ocpi(161)
def test_the_tariff_without_last_updated_is_stamped(emsp: Network) -> None:
    (param,) = [param for param in OBJECTS if param not in COMPLETE]
    example: Any = param.values[0]
    peer = emsp.peer()
    url = path(peer, "Tariff", example)

    assert (201, 1000) == outcome(peer.put(url, example))
    stored = peer.data(url)
    assert example == {key: stored[key] for key in example}
    assert timestamps.now_ms() - timestamps.parse(stored["last_updated"]) < 10_000


@pytest.mark.ocpi(53, 64)
def test_the_credentials_example_registers(cpo: Network, peer: PeerServer) -> None:
    """Its URL names a fictional host, so the test replaces it by that of the test's peer."""
    example = examples()["credentials"][0]
    peer.token = example["token"]
    credentials = {**example, "url": peer.versions_url}

    assert (200, 1000) == outcome(cpo.registrant().post("credentials", credentials))
    assert f"Token {example['token']}" == peer.seen[0]["authorization"]
