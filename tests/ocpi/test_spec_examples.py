"""Every JSON example of the specification has a verdict, and those of whole objects go through a node.

tests/data/specification/examples.json holds the examples. Conformance 53.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import contracts
import pytest
from nodes import Client, Network, outcome
from normalizer import Known
from peers import PeerServer

from storage import timestamps

EXAMPLES_FILE = Path(__file__).parents[1] / "data/specification/examples.json"
BOOK = contracts.ocpi()
REF = "#/components/schemas/"
STAMP = {"last_updated": "the present instant"}

pytestmark = pytest.mark.ocpi(53)


@dataclass(frozen=True)
class Accepted:
    """A request of the schema may carry it, and it comes back as it is."""

    schema: str


@dataclass(frozen=True)
class Tolerated:
    """A request of the schema may carry it; `changes` of its members come back otherwise."""

    schema: str
    changes: dict[str, Any]


@dataclass(frozen=True)
class Erratum:
    """A request (or, of an envelope, an answer) of the schema may not carry it."""

    schema: str
    reason: str


@dataclass(frozen=True)
class NotAnObject:
    """An envelope, or a list of what only we send: it has the shape of what we answer."""

    schema: str


Verdict = Accepted | Tolerated | Erratum | NotAnObject

BELGIUM = {"location.country": "BEL"}

# By page, then in the order of the page. A PATCH has the schema of a patch.
VERDICTS: dict[str, list[Verdict]] = {
    "credentials": [Accepted("Credentials")],
    "mod_cdrs": [Tolerated("CDR", {**BELGIUM, "tariffs.0.elements.0.price_components.0.price": 2.0})],
    "mod_locations": [
        Accepted("EVSEPatch"),
        Accepted("LocationPatch"),
        Accepted("ConnectorPatch"),
        Erratum(
            "EVSE",
            "it and its connector lack last_updated, the connector lacks power_type, voltage and "
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
        Erratum("Tariff", "a PATCH that is headed as a PUT: id and currency are missing"),
        Accepted("Tariff"),
        Accepted("Tariff"),
        Accepted("Tariff"),
        Accepted("Tariff"),
        Accepted("Tariff"),
    ],
    "mod_tokens": [Accepted("Token"), Accepted("TokenPatch"), Accepted("Token")],
    "transport_and_format": [
        Erratum("VersionListEnvelope", "1.9 is none of the values of VersionNumber"),
        NotAnObject("VersionDetailsEnvelope"),
        NotAnObject("TokenEnvelope"),
        NotAnObject("TokenPage"),
        NotAnObject("ErrorEnvelope"),
    ],
    "version_information_endpoint": [NotAnObject("Version"), NotAnObject("VersionDetails")],
}


def examples() -> dict[str, list[Any]]:
    """The JSON examples by their page."""
    pages = json.loads(EXAMPLES_FILE.read_text())
    return {page: [example["value"] for example in found] for page, found in pages.items()}


EXAMPLES = [
    pytest.param(value, verdict, id=f"{page}-{index}-{type(verdict).__name__}")
    for page, values in examples().items()
    for index, (value, verdict) in enumerate(zip(values, VERDICTS.get(page, ()), strict=False))
]


def refusal(verdict: Verdict, example: Any) -> str:
    """Why the contract refuses *example*; empty when it does not."""
    schemas = BOOK.document["components"]["schemas"]
    asked = [verdict.schema, f"{verdict.schema}In", f"{verdict.schema}InOrNull"]
    name = [name for name in asked if name in schemas][-1]
    validator = BOOK.validator({"$ref": REF + name}, close=True)
    return "" if validator.is_valid(example) else contracts.explain(validator, example)


def changes(verdict: Verdict) -> dict[str, Any]:
    """The members that come back with another value."""
    return verdict.changes if isinstance(verdict, Tolerated) else {}


def kept(verdict: Accepted | Tolerated, example: Any) -> Any:
    """What the normalizer makes of *example*; the handler stamps where the verdict says so."""
    stem = verdict.schema.removesuffix("Patch")
    made = BOOK.normal(stem, Known.ACCEPTED if stem == verdict.schema else Known.PARTIAL)(example)
    return {**made, **STAMP} if STAMP.items() <= changes(verdict).items() else made


def expected(verdict: Accepted | Tolerated, example: Any) -> Any:
    """*example* with the changes of the verdict."""
    made = json.loads(json.dumps(example))
    for place, change in changes(verdict).items():
        *way, last = (int(step) if step.isdigit() else step for step in place.split("."))
        target = made
        for step in way:
            target = target[step]
        assert change != target.get(last), f"{place} needs no tolerance"
        target[last] = change
    return made


def test_every_json_example_of_the_specification_has_a_verdict() -> None:
    counts = {page: len(values) for page, values in examples().items()}

    assert counts == {page: len(verdicts) for page, verdicts in VERDICTS.items()}
    assert 32 == sum(counts.values())


@pytest.mark.parametrize(("example", "verdict"), EXAMPLES)
def test_an_example_fares_as_its_verdict_says(example: Any, verdict: Verdict) -> None:
    if isinstance(verdict, Erratum):
        assert refusal(verdict, example), "it passes now: no erratum any more"
        assert verdict.reason
    elif isinstance(verdict, NotAnObject):
        for each in example if isinstance(example, list) else [example]:
            assert "" == refusal(verdict, each)
    else:
        assert "" == refusal(verdict, example)
        assert expected(verdict, example) == kept(verdict, example)


def test_a_patch_that_is_headed_as_a_put_is_a_legal_patch() -> None:
    patch = examples()["mod_tariffs"][1]

    assert "" == refusal(Accepted("TariffPatch"), patch)
    assert patch == kept(Accepted("TariffPatch"), patch)


def whole(*schemas: str) -> list[Any]:
    """The examples of whole objects of some schemas that a request may carry."""
    return [
        param
        for param in EXAMPLES
        if isinstance(param.values[1], Accepted | Tolerated) and param.values[1].schema in schemas
    ]


OBJECTS = whole("Location", "Session", "Tariff", "Token", "CDR")
COMPLETE = [param for param in OBJECTS if "last_updated" in param.values[0]]


def path(client: Client, schema: str, example: dict[str, Any]) -> str:
    """Where the object belongs."""
    return client.at(f"{schema.lower()}s", example.get("id") or example["uid"])


def test_eleven_examples_are_complete_objects() -> None:
    assert (12, 11) == (len(OBJECTS), len(COMPLETE))


@pytest.mark.ocpi(42, 46, 144, 148)
@pytest.mark.parametrize(("example", "verdict"), COMPLETE)
def test_a_complete_example_goes_in_and_comes_back_equal(
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
    """Its URL is a made-up host, so it gets that of the test's peer; everything else is as it is."""
    example = examples()["credentials"][0]
    peer.token = example["token"]
    told = {**example, "url": peer.versions_url}

    assert (200, 1000) == outcome(cpo.registrant().post("credentials", told))
    assert f"Token {example['token']}" == peer.seen[0]["authorization"]
