"""Objects to send: the contract's own examples, so that there is no second, drifting set."""

import copy
from typing import Any

from handlers import contract


def example(name: str, /, **changes: Any) -> dict[str, Any]:
    """The example of the schema *name*, with *changes*; None takes a member out."""
    made = copy.deepcopy(contract.ocpi().document["components"]["schemas"][name]["example"])
    made.update(changes)
    return {key: value for key, value in made.items() if value is not None}
