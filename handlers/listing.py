"""Lists: what every list operation takes. Spec: 2.1.1 transport_and_format, Pagination."""

from typing import TypedDict

import errors
from handlers.envelope import page_limit
from storage import instants
from storage.objects import Window


class Asked(TypedDict, total=False):
    """The query parameters of a list, as the contract names them."""

    offset: int
    limit: int
    date_from: str
    date_to: str
    cursor: str


def window(asked: Asked) -> Window:
    """Which part of the list is meant; `date_from` inclusive, `date_to` exclusive (conformance 95)."""
    return Window(
        offset=asked.get("offset", 0),
        limit=page_limit(asked.get("limit")),
        date_from=_instant(asked.get("date_from")),
        date_to=_instant(asked.get("date_to")),
        cursor=int(asked["cursor"]) if "cursor" in asked else None,
    )


def _instant(value: str | None) -> int | None:
    return None if value is None else instants.bound(value)


def require(asked: Asked, name: str) -> None:
    """Refuse a list without the parameter *name*.

    Raises:
        errors.SchemaRefusal: it is absent.
    """
    if name not in asked:
        raise errors.SchemaRefusal(f"{name}: is required")
