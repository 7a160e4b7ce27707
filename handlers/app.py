"""The program as a WSGI application: the contract's views, authentication, refusals, the documents."""

import logging
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import flask
import orjson
import swagger_ui_bundle
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

import errors
from handlers import auth, compile, contract, envelope, limits, logs  # noqa: A004  (the room's own name)
from handlers.compile import PathView, respond
from settings import settings
from storage import database
from workflows import startup

log = logging.getLogger("ocpi_gateway")
_SLASHES = re.compile("//+")
_DOCUMENTS = {"json": "application/json", "yaml": "application/yaml"}

Environ = dict[str, Any]
Wsgi = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


def create_app() -> flask.Flask:
    """The application; brings the database up to date first."""
    logs.configure()
    startup.prepare()
    app = flask.Flask("ocpi_gateway", static_folder=None)
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    book = contract.ocpi()
    authenticate = compile.install(app, book, check_responses=settings().validate_responses)
    _authenticate_with(app, authenticate)
    _refuse_in_the_envelope(app)
    _publish(app)
    _finish_each_request(app)
    app.wsgi_app = tolerate_slashes(app.wsgi_app)  # type: ignore[assignment, method-assign]
    return app


def tolerate_slashes(application: Wsgi) -> Wsgi:
    """The same answer with, without and with doubled slashes, and never a redirect. Conformance 61."""

    def tolerant(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if "//" in path or (path.endswith("/") and len(path) > 1):
            environ["PATH_INFO"] = _SLASHES.sub("/", path).rstrip("/") or "/"
        return application(environ, start_response)

    return tolerant


def _authenticate_with(app: flask.Flask, authenticate: compile.Authenticate) -> None:
    """Authentication comes before everything else under /ocpi, unknown URLs included."""

    @app.before_request
    def identify() -> None:
        request = flask.request
        flask.g.began = time.perf_counter()
        if not request.path.startswith("/ocpi"):
            return
        known = authenticate(request.environ.get("HTTP_AUTHORIZATION", ""))
        if known is None:
            raise errors.Unauthorized("Unknown token." if "HTTP_AUTHORIZATION" in request.environ
                                      else "Send 'Authorization: Token ...'.")  # fmt: skip
        auth.face(known["sub"], request.path)
        flask.g.caller = known["sub"]


def _refuse_in_the_envelope(app: flask.Flask) -> None:
    """Whatever goes wrong, the answer is an OCPI envelope."""

    @app.errorhandler(errors.Refusal)
    def refuse(refusal: errors.Refusal) -> flask.Response:
        if isinstance(refusal, errors.ServerError) and refusal.http_status >= 500:  # noqa: PLR2004
            log.error("refused", extra={"reason": refusal.message})
        return respond(envelope.refused(refusal))

    @app.errorhandler(HTTPException)
    def refuse_http(error: HTTPException) -> flask.Response:
        return respond(envelope.refused(_translated(app, error)))

    @app.errorhandler(Exception)
    def crash(error: Exception) -> flask.Response:
        log.error("crashed", exc_info=error)
        return respond(envelope.refused(errors.ServerError("Unexpected failure; it has been logged.")))


def _translated(app: flask.Flask, error: HTTPException) -> errors.Refusal:
    """A refusal of the framework as one of ours."""
    if isinstance(error, MethodNotAllowed):
        adapter = app.create_url_adapter(flask.request)
        rule = adapter.match(method="GET")[0] if adapter else ""
        view = app.view_functions[str(rule)]
        allowed = view.allowed(flask.g.caller) if isinstance(view, PathView) else ["GET"]
        return errors.MethodNotAllowed(f"{flask.request.method[:20]} is not known here.", allowed)
    if isinstance(error, NotFound):
        return errors.NotFound("No such URL; the versions endpoint tells which there are.")
    refusal = errors.ClientError(error.description or "The request is refused.")
    refusal.http_status = error.code or 400  # type: ignore[misc]
    return refusal


def _publish(app: flask.Flask) -> None:
    """The contract as JSON, as YAML and as pages; and the state of the program."""
    pages = Path(swagger_ui_bundle.swagger_ui_path)

    @app.get("/openapi/<name>.<form>")
    def document(name: str, form: str) -> flask.Response:
        path = contract.GENERATED / f"{name}.{form}"
        if name != "ocpi" or form not in _DOCUMENTS:
            raise errors.NotFound("Published are /openapi/ocpi.json and /openapi/ocpi.yaml.")
        return flask.Response(path.read_bytes(), content_type=_DOCUMENTS[form])

    @app.get("/")
    @app.get("/docs")
    def docs() -> str:
        return flask.render_template_string((Path(__file__).parent / "docs.html").read_text())

    @app.get("/docs/<path:name>")
    def asset(name: str) -> flask.Response:
        return flask.send_from_directory(pages, name)

    @app.get("/health")
    def health() -> flask.Response:
        ready = database.answers()
        body = orjson.dumps({"status": "ready" if ready else "unavailable", "database": database.dialect()})
        return flask.Response(body, 200 if ready else 503, content_type="application/json")


def _finish_each_request(app: flask.Flask) -> None:
    """One line a request: no header, no query, no body, so no secret."""
    wanted = logging.getLogger().isEnabledFor(logging.INFO)

    @app.after_request
    def finish(response: flask.Response) -> flask.Response:
        response.headers["X-Content-Type-Options"] = "nosniff"
        if limits.left_unread(flask.request.environ):
            response.headers["Connection"] = "close"
        if wanted:
            seen = flask.g
            caller = seen.get("caller")
            logs.access(
                {
                    "method": flask.request.method[:20],
                    "path": flask.request.path[:300],
                    "http_status": response.status_code,
                    "status_code": seen.get("status_code"),
                    "network": caller.network_id if caller else None,
                    "caller": caller.kind if caller else None,
                    "ms": round((time.perf_counter() - seen.get("began", 0)) * 1000, 2),
                }
            )
        return response
