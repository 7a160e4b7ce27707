"""The OCPI peer API: its token, its envelope, its refusals. Spec: 2.1.1 transport_and_format."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import flask
import orjson

import errors
from handlers.dispatch import auth, recording
from handlers.dispatch.apis import Api, json_response
from handlers.dispatch.pagination import page_size
from handlers.dispatch.responses import Explained, Ignored, Written
from openapi.field_types import ALPHA_2, DECIMALS, END_DATE_TIME, EXTENSION, OFFSET, Model, utc_now
from settings import settings
from storage import contacts, database, deviations
from storage.access import CALLBACK, PEER, REGISTRATION, Caller
from storage.objects import Document, Page

SUCCESS = 1000
_MAX_MESSAGE = 1000
_MAX_EXAMPLE = 64
_MAX_EXAMPLES = 5
_MESSAGE_PARTS = (
    ("ignored", {deviations.STALE}),
    ("converted", {ALPHA_2, OFFSET, DECIMALS, END_DATE_TIME, deviations.TOKEN_IN_BASE64}),
    ("extension members kept", {EXTENSION}),
)
"""The deviations in the message of a success, in this order."""
_STATUSES: dict[type[errors.Refusal], tuple[int, int]] = {
    errors.BadRequest: (400, 2000),
    errors.Unauthorized: (401, 2000),
    errors.Forbidden: (403, 2000),
    errors.NotFound: (404, 2000),
    errors.MethodNotAllowed: (405, 2000),
    errors.Conflict: (409, 2000),
    errors.TooLarge: (413, 2000),
    errors.UnsupportedMedia: (415, 2000),
    errors.TooMany: (429, 2000),
    errors.ClientError: (200, 2000),
    errors.Malformed: (400, 2001),
    errors.SchemaViolation: (400, 2001),
    errors.RuleBroken: (200, 2001),
    errors.NotEnough: (200, 2002),
    errors.UnknownLocation: (200, 2003),
    errors.ServerError: (500, 3000),
    errors.Unavailable: (503, 3000),
    errors.PeerUnusable: (200, 3001),
    errors.NoCommonVersion: (200, 3002),
    errors.MissingEndpoints: (200, 3003),
}
"""The HTTP status and the status code of each refusal. Spec: 2.1.1 status_codes; DECISIONS.md."""


class OcpiApi(Api):
    """OCPI 2.1.1 in its envelope: everything under /ocpi that is not the gateway's."""

    name = "ocpi"
    title = "OCPI peer API"
    unknown_url = "No such URL; the versions endpoint lists the URLs."
    authentication_scheme = "Token"

    def owns(self, path: str) -> bool:
        """Whether *path* is under /ocpi. The gateway's URLs are matched first."""
        return path.startswith("/ocpi")

    def identify(self, environ: Mapping[str, Any], path: str) -> Caller:
        """The caller, if its token is valid for the role in *path*."""
        deviations.begin()
        authorization = environ.get("HTTP_AUTHORIZATION")
        identity = self.authenticate(authorization or "")
        if identity is None:
            raise errors.Unauthorized(auth.explain_refusal(authorization))
        caller: Caller = identity["sub"]
        auth.require_role(caller, path)
        if caller.kind == PEER and caller.connection_id is not None:
            contacts.received(caller.connection_id)
        return caller

    def respond(self, result: Any, status: int, user: Caller, operation_id: str) -> flask.Response:
        """*result* in the envelope."""
        collected = deviations.collected()
        if collected:
            with database.transaction() as transaction:
                deviations.store(transaction, user.network_id, user.connection_id, operation_id)
        headers: Mapping[str, str] = {}
        data = None
        match result:
            case None | Ignored():
                pass
            case Written(is_new, location):
                status, headers = 201 if is_new else 200, {"Location": location} if location else {}
            case Document(text):
                data = text
            case Page():
                data, headers = f"[{','.join(result.documents)}]", _paging_headers(result, flask.request)
            case Explained(Model() as model, _):
                data = model.json_text()
            case Model():
                data = result.json_text()
            case list():
                data = f"[{','.join(model.json_text() for model in result)}]"
        message = _message(result, collected)
        flask.g.status_code, flask.g.status_message = SUCCESS, message
        return json_response(_envelope(data, message), status, headers)

    def refuse(self, refusal: errors.Refusal) -> flask.Response:
        """A refusal in the envelope."""
        status, code = next(_STATUSES[kind] for kind in type(refusal).__mro__ if kind in _STATUSES)
        if isinstance(refusal, errors.SchemaViolation):
            status = (flask.g.user.tolerances if "user" in flask.g else settings()).schema_refusal_status
        body: dict[str, Any] = {
            "status_code": code,
            "status_message": refusal.message[:_MAX_MESSAGE],
            "timestamp": utc_now(),
        }
        if refusal.data is not None:
            body["data"] = refusal.data
        flask.g.status_code, flask.g.status_message = code, body["status_message"]
        return json_response(orjson.dumps(body), status, self.headers(refusal))

    def method_not_allowed(self, user: Caller, method: str, allowed: list[str]) -> errors.Refusal:
        """401 for a token that is only for registration, else 405. Conformance 9, 27, 67 to 70."""
        if not allowed and user.kind in (REGISTRATION, CALLBACK):
            return errors.Unauthorized("This token opens versions, details and credentials only.")
        methods = ", ".join(allowed) or "nothing"
        return errors.MethodNotAllowed(f"{method} is not for this token; it may use {methods} here.", allowed)

    def report(self, kind: str, example: str) -> None:
        """Note the deviation, so that the response can name it."""
        deviations.note(kind, example)

    def record(self, response: flask.Response) -> None:
        """Record the exchange."""
        recording.record(response)

    def log_fields(self, user: Caller) -> dict[str, Any]:
        """The network of the token."""
        return {"network": user.network_id}


def _envelope(data: str | None, message: str) -> str:
    """A success with *data* as JSON text, so that stored documents are not decoded."""
    member = "" if data is None else f'"data":{data},'
    status = f'"status_code":{SUCCESS},"status_message":{orjson.dumps(message).decode()}'
    return f'{{{member}{status},"timestamp":"{utc_now()}"}}'


def _message(result: Any, collected: Sequence[tuple[str, str]]) -> str:
    """The message of a success: what was ignored, converted and kept, with up to five examples each."""
    parts = ["Success"]
    if isinstance(result, Explained):
        parts.append(result.reason)
    for label, kinds in _MESSAGE_PARTS[:1] if isinstance(result, Ignored) else _MESSAGE_PARTS:
        examples = list(dict.fromkeys(example for kind, example in collected if kind in kinds))
        if examples:
            names = ", ".join(example[:_MAX_EXAMPLE] for example in examples[:_MAX_EXAMPLES])
            parts.append(f"{label}: {names}")
    return "; ".join(parts)


def _paging_headers(page: Page, request: flask.Request) -> dict[str, str]:
    """Spec: 2.1.1 transport_and_format, Paginated Response."""
    query = dict(request.args.items())
    limit = page_size(int(query["limit"]) if "limit" in query else None)
    headers = {"X-Total-Count": str(page.total), "X-Limit": str(limit)}
    if page.cursor is not None:
        offset = int(query.get("offset", 0)) + len(page.documents)
        filters = [(name, value) for name, value in query.items() if name in ("date_from", "date_to")]
        filter_query = f"&{urlencode(filters)}" if filters else ""
        next_query = f"offset={offset}&limit={limit}{filter_query}&cursor={page.cursor}"
        headers["Link"] = f'<{settings().base_url}{quote(request.path)}?{next_query}>; rel="next"'
    return headers
