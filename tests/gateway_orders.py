"""What the gateway's contract says of a value, and the orders that tests vary: its own examples."""

from typing import Any

from handlers import contract

BOOK = contract.gateway()


def misfit(schema: str, value: Any, *, close: bool = True) -> str:
    """What is wrong with *value*; *close*: members that the schema does not name are wrong."""
    validator = BOOK.validator({"$ref": f"#/components/schemas/{schema}"}, close=close)
    return "" if validator.is_valid(value) else contract.explain(validator, value)


def example(schema: str) -> Any:
    """The example of a schema."""
    return BOOK.document["components"]["schemas"][schema]["example"]
