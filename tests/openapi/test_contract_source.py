"""scripts/generate reports each mistake in openapi/ in one line: file, line number, and the remedy."""

import importlib
import re
import shutil
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent.parent
MODULE = "ocpi/tokens.yaml"


class Mistake(NamedTuple):
    """A replacement in a file, and the message about the line that contains it."""

    text: str
    replacement: str
    message: str
    file: str = MODULE


MISTAKES = {
    "a syntax error": Mistake("  AuthorizationInfo:\n", "  AuthorizationInfo: [}\n", "invalid YAML"),
    "a key that occurs twice": Mistake(
        "schemas:\n",
        "schemas:\n  AuthorizationInfo: {type: string}\n",
        "AuthorizationInfo occurs twice, first in line ",
    ),
    "a name that is a number": Mistake(
        "  AuthorizationInfo:\n", "  404:\n", "the key is no text; put it in quotes"
    ),
    "an unknown section": Mistake(
        "schemas:\n", "schemes:\n", "schemes is no section of a module; use paths,"
    ),
    "a name of another module": Mistake(
        "schemas:\n",
        "schemas:\n  TariffEnvelope: {type: string}\n",
        "schemas/TariffEnvelope exists in openapi/ocpi/tariffs.yaml:",
    ),
    "a $ref to nothing": Mistake(
        '"#/schemas/TokenIn"',
        '"#/schemas/TokenInn"',
        "leads nowhere; add TokenInn to schemas of openapi/ocpi/tokens.yaml",
    ),
    "a $ref to no file": Mistake(
        '"common.yaml#/schemas/Id36"', '"comon.yaml#/schemas/Id36"', "there is no such file in openapi/ocpi/"
    ),
    "a $ref to something else": Mistake(
        '"#/schemas/TokenIn"', '"#/examples/ChargeCard"', "does not lead to schemas; write FILE#/schemas/NAME"
    ),
    "a path without URL": Mistake(
        "paths:\n",
        "paths:\n  coupons: {}\n",
        "no URL leads to coupons; add one to paths of openapi/ocpi.yaml",
    ),
    "a URL without $ref": Mistake(
        '{$ref: "ocpi/tokens.yaml#/paths/cpo_tokens"}', "{}", "write {$ref: FILE#/paths/NAME}", "ocpi.yaml"
    ),
    "an example that its schema refuses": Mistake(
        "    example: RFID\n",
        "    example: RFIX\n",
        "the schema refuses the value: 'RFIX' is not one of ['OTHER', 'RFID']; correct the example",
    ),
    "no operationId": Mistake(
        "      operationId: list_received_tokens\n",
        "",
        "the operation has no operationId; add the name of its handler",
    ),
    "one operationId twice": Mistake(
        "operationId: list_received_tokens",
        "operationId: get_received_token",
        "is that of openapi/ocpi/tokens.yaml:",
    ),
    "no x-callers": Mistake(
        "      x-callers: [peer, operator]\n",
        "",
        "list_received_tokens has no x-callers; add who may call it",
    ),
    "a handler that does not exist": Mistake(
        "operationId: list_received_tokens",
        "operationId: list_coupons",
        "list_coupons has no handler; write def list_coupons in handlers/ocpi/tokens.py",
    ),
    "a word that OpenAPI does not have": Mistake(
        "        maxLength: 64\n", "        maxLenght: 64\n", "correct it: 'maxLenght' does"
    ),
    "a type that does not exist": Mistake("type: boolean", "type: bool", "correct it: 'bool' is not one of"),
    "a word that is not implemented": Mistake(
        "    type: object\n",
        "    type: object\n    minProperties: 1\n",
        "minProperties is not implemented; remove it",
    ),
}


def generate(contract: ModuleType) -> None:
    """Do what scripts/generate does, without writing files."""
    for source in contract.sources():
        contract.build(source)
    contract.check_handlers()


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_reported_in_one_line_with_its_place_and_remedy(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mistake = MISTAKES[name]
    shutil.copytree(
        ROOT / "openapi", tmp_path / "openapi", ignore=shutil.ignore_patterns("*.py", "__pycache__")
    )
    file = tmp_path / "openapi" / mistake.file
    before, found, after = file.read_text().partition(mistake.text)
    assert found
    file.write_text(before + mistake.replacement + after)
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    source = importlib.import_module("contract_source")
    monkeypatch.setattr(source, "SOURCE", tmp_path / "openapi")
    contract = importlib.import_module("contract")
    monkeypatch.setattr(contract, "DOCUMENTS", (Path(mistake.file).parts[0].removesuffix(".yaml"),))

    with pytest.raises(SystemExit) as exit_info:
        generate(contract)

    message = str(exit_info.value.code)
    assert re.match(rf"openapi/{mistake.file}:\d+: ", message)
    assert mistake.message in message
    assert "\n" not in message


def test_a_place_in_the_document_has_the_line_number_of_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    source = importlib.import_module("contract_source").Source("gateway")
    operation = ("paths", "/ocpi/cpos/{cpo_id}", "delete", "responses", "204", "nothing", "there")
    derived = ("components", "schemas", "LocationBulkItemIn", "anyOf", 1)

    for keys, text in (
        (operation, '"204": {$ref: "#/responses/CpoDeleted"}'),
        (derived, "OcpiCreateLocationRequest"),
    ):
        file, line = source.place(keys).split(":")
        assert text in (ROOT / file).read_text().splitlines()[int(line) - 1]
