"""Validation of values against the gateway's contract, and its examples, which tests vary."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import contracts
import requests

CONTRACT = contracts.gateway()


def validation_error(schema: str, value: Any, *, close: bool = True) -> str:
    """The error of *value*, or an empty text. *close*: members that the schema does not name are errors."""
    validator = CONTRACT.validator({"$ref": f"#/components/schemas/{schema}"}, close=close)
    return "" if validator.is_valid(value) else contracts.explain(validator, value)


def example(schema: str) -> Any:
    """The example of a schema."""
    return CONTRACT.document["components"]["schemas"][schema]["example"]


def within_a_second(order: Callable[[], requests.Response]) -> requests.Response:
    """The first response within a second; a busy machine delays some."""
    for _ in range(10):
        response = order()
        if response.elapsed < timedelta(seconds=1):
            return response
    raise AssertionError("none of ten orders was answered within a second")
