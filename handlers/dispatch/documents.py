"""The published documents, and the pages that show them."""

from collections.abc import Sequence
from pathlib import Path

import flask
import swagger_ui_bundle

import errors
from handlers.dispatch.apis import GENERATED, Api

_MEDIA_TYPES = {"json": "application/json", "yaml": "application/yaml"}


def publish(app: flask.Flask, apis: Sequence[Api]) -> None:
    """Add the documents as JSON, as YAML and as pages to *app*, those of the last API first."""
    pages = Path(swagger_ui_bundle.swagger_ui_path)
    page = (Path(__file__).parent / "docs.html").read_text()
    titles = {api.name: api.title for api in reversed(apis)}

    @app.get("/openapi/<name>.<form>")
    def document(name: str, form: str) -> flask.Response:
        if name not in titles or form not in _MEDIA_TYPES:
            there = " and ".join(f"/openapi/{known}.json" for known in titles)
            raise errors.NotFound(f"Published are {there}, and the same as .yaml.")
        text = (GENERATED / f"{name}.{form}").read_bytes()
        return _revalidated(flask.Response(text, content_type=_MEDIA_TYPES[form]))

    @app.get("/")
    @app.get("/docs")
    def docs() -> str:
        return flask.render_template_string(page, titles=titles)

    @app.get("/docs/<path:name>")
    def asset(name: str) -> flask.Response:
        return flask.send_from_directory(pages, name)


def _revalidated(response: flask.Response) -> flask.Response:
    """The same with an ETag, or a 304 for a client that has it."""
    response.add_etag()
    response.cache_control.no_cache = True
    response.make_conditional(flask.request)
    return response
