"""Objects to send, from the examples of the contract."""

import copy
import json
from typing import Any

import contracts

from generated import ocpi_models


def example(name: str, /, **changes: Any) -> dict[str, Any]:
    """The example of the schema *name*, with *changes*; None removes a member."""
    changed = copy.deepcopy(contracts.ocpi().document["components"]["schemas"][name]["example"])
    changed.update(changes)
    return {key: value for key, value in changed.items() if value is not None}


def model(name: str, body: dict[str, Any]) -> Any:
    """*body* as the model *name*."""
    return getattr(ocpi_models, name).model_validate_json(json.dumps(body))
