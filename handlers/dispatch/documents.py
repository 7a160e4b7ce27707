"""The published documents, and the pages for reading and trying them."""

from collections.abc import Sequence
from pathlib import Path

import flask
import flask_openapi3_redoc
import flask_openapi3_swagger

import errors
from handlers.dispatch.apis import GENERATED, Api

_MEDIA_TYPES = {
    ".json": "application/json",
    ".yaml": "application/yaml",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_ASSET_SECONDS = 86400
_PAGES = Path(__file__).parent / "pages"
_REDOC = Path(flask_openapi3_redoc.__file__).parent / "templates" / "redoc" / "js"
_SWAGGER = Path(flask_openapi3_swagger.__file__).parent / "templates" / "swagger"
_ASSETS = {
    path.name: path
    for path in (
        _PAGES / "pages.css",
        _PAGES / "try.js",
        _REDOC / "redoc.standalone.js",
        _SWAGGER / "css" / "swagger-ui.css",
        _SWAGGER / "js" / "swagger-ui-bundle.js",
        _SWAGGER / "js" / "swagger-ui-standalone-preset.js",
    )
}
_CONTENT_SECURITY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; worker-src blob:;"
    " frame-ancestors 'none'"
)
"""The pages load nothing from other hosts. Redoc and Swagger UI inject styles; Redoc searches in a worker."""


def publish(app: flask.Flask, apis: Sequence[Api]) -> None:
    """Add the documents (JSON and YAML) and their pages to *app*, starting with the last API."""
    titles = {api.name: api.title for api in reversed(apis)}

    @app.get("/openapi/<name>.<form>")
    def document(name: str, form: str) -> flask.Response:
        if name not in titles or form not in ("json", "yaml"):
            urls = " and ".join(f"/openapi/{api}.json" for api in titles)
            raise errors.NotFound(f"The documents are {urls}, also as .yaml.")
        return _file(GENERATED / f"{name}.{form}")

    @app.get("/")
    @app.get("/docs")
    @app.get("/docs/<name>")
    def docs(name: str = next(iter(titles))) -> flask.Response:
        if name in _ASSETS:
            return _file(_ASSETS[name], _ASSET_SECONDS)
        if name == "try":
            urls = [{"name": title, "url": f"/openapi/{api}.json"} for api, title in titles.items()]
            return _page("try.html", titles=titles, urls=urls)
        if name in titles:
            return _page("read.html", titles=titles, shown=name)
        raise errors.NotFound("There is no such page; see /docs.")

    @app.get("/favicon.ico")
    def favicon() -> flask.Response:
        return _file(_PAGES / "favicon.svg", _ASSET_SECONDS)


def _page(file: str, **values: object) -> flask.Response:
    """A page of the folder pages/."""
    text = flask.render_template_string((_PAGES / file).read_text(), **values)
    response = flask.Response(text, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = _CONTENT_SECURITY
    return _cached(response)


def _file(path: Path, max_age: int = 0) -> flask.Response:
    """A file that clients may cache for *max_age* seconds."""
    return _cached(flask.Response(path.read_bytes(), content_type=_MEDIA_TYPES[path.suffix]), max_age)


def _cached(response: flask.Response, max_age: int = 0) -> flask.Response:
    """Add an ETag; the response becomes a 304 for a client that has the content."""
    response.add_etag()
    response.headers["Cache-Control"] = f"max-age={max_age}" if max_age else "no-cache"
    response.make_conditional(flask.request)
    return response
