"""What the gateway's contract says of a value, and the orders that tests vary: its own examples."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import contracts
import requests

BOOK = contracts.gateway()


def misfit(schema: str, value: Any, *, close: bool = True) -> str:
    """What is wrong with *value*; *close*: members that the schema does not name are wrong."""
    validator = BOOK.validator({"$ref": f"#/components/schemas/{schema}"}, close=close)
    return "" if validator.is_valid(value) else contracts.explain(validator, value)


def example(schema: str) -> Any:
    """The example of a schema."""
    return BOOK.document["components"]["schemas"][schema]["example"]


def within_a_second(order: Callable[[], requests.Response]) -> requests.Response:
    """The first answer that comes within a second; a busy machine delays some of them."""
    for _ in range(10):
        response = order()
        if response.elapsed < timedelta(seconds=1):
            return response
    raise AssertionError("none of ten orders was answered within a second")
