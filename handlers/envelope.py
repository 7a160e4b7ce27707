"""The OCPI envelope, put on once. Spec: 2.1.1 transport_and_format, Response format.

A handler returns plain things: None, a `Document`, a `Page`, a dict or list, `Answer` where the
HTTP status or a header is part of the meaning. Here they become bytes; stored texts are spliced in
undecoded.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import orjson

import errors
from handlers.face import Asked, Reply
from settings import settings
from storage import instants, remarks
from storage.objects import Document, Page, Stored

SUCCESS = 1000


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler returns when None or data alone would not say it."""

    created: bool = False
    location: str | None = None
    data: Any = None


def stored(outcome: Stored) -> Answer | None:
    """201 for what is new, 200 for what was there. Spec: 2.1.1 status_codes."""
    if outcome is Stored.STALE:
        remarks.note(remarks.STALE, "PUT")
    return Answer(created=True) if outcome is Stored.CREATED else None


def found(document: Document | None) -> Document:
    """The document.

    Raises:
        errors.NotFound: there is none.
    """
    if document is None:
        raise errors.NotFound(errors.NOTHING_HERE)
    return document


def enveloped(result: Any, request: Asked) -> Reply:
    """What a handler returned, as an answer."""
    match result:
        case None:
            return _success(None, 200, {})
        case Document(text):
            return _success(text, 200, {})
        case Page():
            return _success(f"[{','.join(result.documents)}]", 200, _paging(result, request))
        case Answer():
            headers = {"Location": result.location} if result.location else {}
            data = None if result.data is None else orjson.dumps(result.data).decode()
            return _success(data, 201 if result.created else 200, headers)
        case _:
            return _success(orjson.dumps(result).decode(), 200, {})


def refused(refusal: errors.Refusal) -> Reply:
    """A refusal as an answer."""
    status = refusal.http_status
    if isinstance(refusal, errors.SchemaRefusal):
        status = settings().schema_refusal_status
    body = {
        "status_code": refusal.status_code,
        "status_message": refusal.message[:1000],
        "timestamp": instants.now(),
    }
    if refusal.data is not None:
        body["data"] = refusal.data
    return Reply(orjson.dumps(body), status, refusal.headers, refusal.status_code)


def _success(data: str | None, http_status: int, headers: dict[str, str]) -> Reply:
    member = "" if data is None else f'"data":{data},'
    text = f'{{{member}"status_code":1000,"status_message":"Success","timestamp":"{instants.now()}"}}'
    return Reply(text.encode(), http_status, headers, SUCCESS)


def page_limit(asked: int | None) -> int:
    """How many objects a page holds: what is asked for, at most what the setting allows."""
    most = settings().page_limit
    return most if asked is None else min(asked, most)


def _paging(page: Page, request: Asked) -> dict[str, str]:
    """Spec: 2.1.1 transport_and_format, Paginated Response."""
    query = dict(request.args.items())
    limit = page_limit(int(query["limit"]) if "limit" in query else None)
    headers = {"X-Total-Count": str(page.total), "X-Limit": str(limit)}
    if page.cursor is not None:
        offset = int(query.get("offset", 0)) + len(page.documents)
        filters = [(k, v) for k, v in query.items() if k in ("date_from", "date_to")]
        chosen = f"&{urlencode(filters)}" if filters else ""
        onward = f"offset={offset}&limit={limit}{chosen}&cursor={page.cursor}"
        link = f"{settings().base_url}{quote(request.path)}?{onward}"
        headers["Link"] = f'<{link}>; rel="next"'
    return headers
