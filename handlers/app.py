"""The program as a WSGI application: the faces' views, authentication, refusals, the documents."""

import logging
import re
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import flask
import swagger_ui_bundle
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

import errors
from handlers import compile, contract, logs  # noqa: A004  (the room's own name)
from handlers.compile import PathView, respond
from handlers.face import Face
from handlers.gateway_api import Gateway
from handlers.ocpi_api import Ocpi
from handlers.server import REFUSAL
from settings import settings
from storage import database, readiness

log = logging.getLogger("ocpi_gateway")
_SLASHES = re.compile("//+")
_REQUEST_ID = re.compile("[A-Za-z0-9._-]{1,64}")
_NOBODY = {"network": None}
_DOCUMENTS = {"json": "application/json", "yaml": "application/yaml"}

Environ = dict[str, Any]
Wsgi = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


def create_app() -> flask.Flask:
    """The application, on a database that is prepared."""
    return assemble(faces())


def faces() -> list[Face]:
    """What the program speaks: who owns a URL is asked in this order, the last one answers for all else."""
    return [Gateway(contract.gateway()), Ocpi(contract.ocpi())]


def assemble(spoken: Sequence[Face]) -> flask.Flask:
    """The application of some faces, whose database is there."""
    app = flask.Flask("ocpi_gateway", static_folder=None)
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    for face in spoken:
        compile.install(app, face, check_responses=settings().validate_responses)
    _check_owners(app, spoken)
    _authenticate_with(app, spoken)
    _refuse_as_the_face_does(app, spoken[-1])
    _publish(app, spoken)
    _tell_state(app, spoken[-1].book.document["info"]["version"])
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


def _check_owners(app: flask.Flask, spoken: Sequence[Face]) -> None:
    """Every view is behind its own face's authentication."""
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        if isinstance(view, PathView) and next(f for f in spoken if f.owns(rule.rule)) is not view.face:
            raise compile.Unsupported(f"{rule.rule} is another face's URL")


def _authenticate_with(app: flask.Flask, spoken: Sequence[Face]) -> None:
    """Authentication comes before everything else at a face's URLs, unknown ones included."""

    @app.before_request
    def identify() -> None:
        flask.g.began = time.perf_counter()
        path, environ = flask.request.path, flask.request.environ
        sent = environ.get("HTTP_X_REQUEST_ID", "")
        logs.request_id.set(sent if _REQUEST_ID.fullmatch(sent) else secrets.token_hex(8))
        face = next((each for each in spoken if each.owns(path)), None)
        if face is not None:
            flask.g.face = face
        if environ.get(REFUSAL) is not None:
            raise environ[REFUSAL]
        if face is not None:
            flask.g.caller = face.admit(environ, path)


def _refuse_as_the_face_does(app: flask.Flask, default: Face) -> None:
    """Whatever goes wrong, the answer is of the face whose URL it is; *default*: where it is nobody's."""

    def spoken_to() -> Face:
        face: Face = flask.g.get("face", default)
        return face

    @app.errorhandler(errors.Refusal)
    def refuse(refusal: errors.Refusal) -> flask.Response:
        flask.g.refusal = refusal
        if isinstance(refusal, errors.ServerError) and refusal.http_status >= 500:  # noqa: PLR2004
            log.error("refused", extra={"reason": refusal.message})
        return respond(spoken_to().refuse(refusal))

    @app.errorhandler(HTTPException)
    def refuse_http(error: HTTPException) -> flask.Response:
        return refuse(_translated(app, error, spoken_to()))

    @app.errorhandler(Exception)
    def crash(error: Exception) -> flask.Response:
        log.error("crashed", exc_info=error)
        return refuse(errors.ServerError("Unexpected failure; it has been logged."))


def _translated(app: flask.Flask, error: HTTPException, face: Face) -> errors.Refusal:
    """A refusal of the framework as one of ours."""
    if isinstance(error, MethodNotAllowed):
        adapter = app.create_url_adapter(flask.request)
        rule = adapter.match(method="GET")[0] if adapter else ""
        view = app.view_functions[str(rule)]
        allowed = view.allowed(flask.g.caller) if isinstance(view, PathView) else ["GET"]
        return errors.MethodNotAllowed(f"{flask.request.method[:20]} is not known here.", allowed)
    if isinstance(error, NotFound):
        return errors.NotFound(face.no_such_url)
    refusal = errors.ClientError(error.description or "The request is refused.")
    refusal.http_status = error.code or 400  # type: ignore[misc]
    return refusal


def _publish(app: flask.Flask, spoken: Sequence[Face]) -> None:
    """The documents as JSON, as YAML and as pages, the OCPI one first."""
    pages = Path(swagger_ui_bundle.swagger_ui_path)
    page = (Path(__file__).parent / "docs.html").read_text()
    titles = {face.book.name: face.title for face in reversed(spoken)}

    @app.get("/openapi/<name>.<form>")
    def document(name: str, form: str) -> flask.Response:
        if name not in titles or form not in _DOCUMENTS:
            there = " and ".join(f"/openapi/{known}.json" for known in titles)
            raise errors.NotFound(f"Published are {there}, and the same as .yaml.")
        path = contract.GENERATED / f"{name}.{form}"
        return flask.Response(path.read_bytes(), content_type=_DOCUMENTS[form])

    @app.get("/")
    @app.get("/docs")
    def docs() -> str:
        return flask.render_template_string(page, titles=titles)

    @app.get("/docs/<path:name>")
    def asset(name: str) -> flask.Response:
        return flask.send_from_directory(pages, name)


def _tell_state(app: flask.Flask, version: str) -> None:
    """Whether the process lives, and whether it can do its work. Design section 10."""
    probe = readiness.Probe()

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/ready")
    def ready() -> tuple[dict[str, str | None], int]:
        found = probe.check()
        state = {
            "status": "ready" if found.is_ready else "unavailable",
            "version": version,
            "schema": found.schema,
            "database": database.dialect(),
        }
        return state, 200 if found.is_ready else 503


def _reason(refusal: errors.Refusal) -> dict[str, Any]:
    """Why a request was refused, for the log."""
    return {"refusal": type(refusal).__name__, "fields": [field[:100] for field in refusal.fields[:10]]}


def _finish_each_request(app: flask.Flask) -> None:
    """One line a request: no header, no query, no body, so no secret."""
    wanted = logging.getLogger().isEnabledFor(logging.INFO)

    @app.after_request
    def finish(response: flask.Response) -> flask.Response:
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Request-ID"] = logs.request_id.get()
        if wanted:
            seen = flask.g
            caller, refusal = seen.get("caller"), seen.get("refusal")
            logs.access(
                {
                    "method": flask.request.method[:20],
                    "path": logs.redact(flask.request.path)[:300],
                    "client": flask.request.remote_addr,
                    "http_status": response.status_code,
                    "status_code": seen.get("status_code"),
                    **(seen.face.owner(caller) if caller else _NOBODY),
                    "caller": caller.kind if caller else None,
                    **(_reason(refusal) if refusal else {}),
                    "ms": round((time.perf_counter() - seen.get("began", 0)) * 1000, 2),
                }
            )
        return response
