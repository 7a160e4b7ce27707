"""Pagination: the query parameters of every OCPI list. Spec: 2.1.1 transport_and_format, Pagination."""

from typing import TypedDict

from settings import settings
from storage.objects import Window


class PageQuery(TypedDict):
    """The query parameters of a list, as the contract names them; instants in milliseconds."""

    offset: int
    limit: int | None
    date_from: int | None
    date_to: int | None
    cursor: str | None


def window(query: PageQuery) -> Window:
    """The requested part of a list; `date_from` is inclusive, `date_to` exclusive (conformance 95)."""
    return Window(
        offset=query["offset"],
        limit=page_size(query["limit"]),
        date_from=query["date_from"],
        date_to=query["date_to"],
        cursor=None if query["cursor"] is None else int(query["cursor"]),
    )


def page_size(limit: int | None) -> int:
    """The number of objects per page: the requested *limit*, but at most PAGE_LIMIT."""
    maximum = settings().page_limit
    return maximum if limit is None else min(limit, maximum)
