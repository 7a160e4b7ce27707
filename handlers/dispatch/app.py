"""The program as a WSGI application: the views of both APIs, authentication, refusals, the documents."""

import logging
import re
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import flask
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

import errors
from handlers.dispatch import logs
from handlers.dispatch.apis import Api
from handlers.dispatch.documents import publish
from handlers.dispatch.gateway_api import GatewayApi
from handlers.dispatch.ocpi_api import OcpiApi
from handlers.dispatch.operations import PathItemView, register
from handlers.dispatch.server import REFUSAL
from storage import database, readiness

log = logging.getLogger("ocpi_gateway")
_SLASHES = re.compile("//+")
_REQUEST_ID = re.compile("[A-Za-z0-9._-]{1,64}")
_NOBODY = {"network": None}

Environ = dict[str, Any]
Wsgi = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


def create_app() -> flask.Flask:
    """The application. The database must be prepared."""
    return assemble([GatewayApi(), OcpiApi()])


def assemble(apis: Sequence[Api]) -> flask.Flask:
    """The application with *apis*. The database must be prepared.

    The first API that owns a URL serves it. The last API serves all other URLs.
    """
    app = flask.Flask("ocpi_gateway", static_folder=None)
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    for api in apis:
        register(app, api)
    _check_owners(app, apis)
    _authenticate(app, apis)
    _handle_errors(app, apis[-1])
    publish(app, apis)
    _report_health(app, apis[-1].document["info"]["version"])
    _finish_each_request(app)
    app.wsgi_app = tolerate_slashes(app.wsgi_app)  # type: ignore[assignment, method-assign]
    return app


def tolerate_slashes(application: Wsgi) -> Wsgi:
    """Ignore trailing and doubled slashes, without a redirect. Conformance 61."""

    def tolerant(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if "//" in path or (path.endswith("/") and len(path) > 1):
            environ["PATH_INFO"] = _SLASHES.sub("/", path).rstrip("/") or "/"
        return application(environ, start_response)

    return tolerant


def _check_owners(app: flask.Flask, apis: Sequence[Api]) -> None:
    """Check that the authentication of its API protects every view.

    Raises:
        ValueError: a document has a URL that another API owns.
    """
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        if isinstance(view, PathItemView) and next(a for a in apis if a.owns(rule.rule)) is not view.api:
            raise ValueError(f"{rule.rule} belongs to another API than {view.api.name}")


def _authenticate(app: flask.Flask, apis: Sequence[Api]) -> None:
    """Authenticate every request to a URL of an API first, even if the URL is unknown."""

    @app.before_request
    def identify() -> None:
        flask.g.began = time.perf_counter()
        path, environ = flask.request.path, flask.request.environ
        sent = environ.get("HTTP_X_REQUEST_ID", "")
        logs.request_id.set(sent if _REQUEST_ID.fullmatch(sent) else secrets.token_hex(8))
        api = next((each for each in apis if each.owns(path)), None)
        if api is not None:
            flask.g.api = api
        if environ.get(REFUSAL) is not None:
            raise environ[REFUSAL]
        if api is not None:
            flask.g.user = api.identify(environ, path)


def _handle_errors(app: flask.Flask, default: Api) -> None:
    """Turn every error into a response of the URL's API, or of *default* if no API owns the URL."""

    @app.errorhandler(errors.Refusal)
    def refuse(refusal: errors.Refusal) -> flask.Response:
        flask.g.refusal = refusal
        response = _api(default).refuse(refusal)
        if isinstance(refusal, errors.ServerError) and response.status_code >= 500:  # noqa: PLR2004
            log.error("refused", extra={"reason": refusal.message})
        return response

    @app.errorhandler(HTTPException)
    def refuse_http(error: HTTPException) -> flask.Response:
        return refuse(_as_refusal(app, error, _api(default)))

    @app.errorhandler(Exception)
    def crash(error: Exception) -> flask.Response:
        log.error("crashed", exc_info=error)
        return refuse(errors.ServerError("Unexpected failure; it has been logged."))


def _api(default: Api) -> Api:
    """The API of the request's URL."""
    api: Api = flask.g.get("api", default)
    return api


def _as_refusal(app: flask.Flask, error: HTTPException, api: Api) -> errors.Refusal:
    """An exception of Flask or Werkzeug as one of ours."""
    if isinstance(error, MethodNotAllowed):
        adapter = app.create_url_adapter(flask.request)
        rule = adapter.match(method="GET")[0] if adapter else ""
        view = app.view_functions[str(rule)]
        allowed = view.allowed(flask.g.user) if isinstance(view, PathItemView) else ["GET"]
        return errors.MethodNotAllowed(f"{flask.request.method[:20]} is not known here.", allowed)
    if isinstance(error, NotFound):
        return errors.NotFound(api.unknown_url)
    return errors.BadRequest(error.description or "The request is refused.")


def _report_health(app: flask.Flask, version: str) -> None:
    """Add /health (the process runs) and /ready (the database works). docs/architecture.md "The server"."""
    probe = readiness.Probe()

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/ready")
    def ready() -> tuple[dict[str, str | None], int]:
        readiness_now = probe.check()
        state = {
            "status": "ready" if readiness_now.is_ready else "unavailable",
            "version": version,
            "schema": readiness_now.schema,
            "database": database.dialect(),
        }
        return state, 200 if readiness_now.is_ready else 503


def _reason(refusal: errors.Refusal) -> dict[str, Any]:
    """The log fields of a refusal."""
    return {"refusal": type(refusal).__name__, "fields": [field[:100] for field in refusal.fields[:10]]}


def _finish_each_request(app: flask.Flask) -> None:
    """Log one line per request, without headers, query and body, and so without secrets."""
    is_logged = logging.getLogger().isEnabledFor(logging.INFO)

    @app.after_request
    def finish(response: flask.Response) -> flask.Response:
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Request-ID"] = logs.request_id.get()
        if "api" in flask.g:
            flask.g.api.record(response)
        if is_logged:
            context = flask.g
            user, refusal = context.get("user"), context.get("refusal")
            logs.access(
                {
                    "method": flask.request.method[:20],
                    "path": logs.redact(flask.request.path)[:300],
                    "client": flask.request.remote_addr,
                    "http_status": response.status_code,
                    "status_code": context.get("status_code"),
                    **(context.api.log_fields(user) if user else _NOBODY),
                    "caller": user.kind if user else None,
                    **(_reason(refusal) if refusal else {}),
                    "ms": round((time.perf_counter() - context.get("began", 0)) * 1000, 2),
                }
            )
        return response
