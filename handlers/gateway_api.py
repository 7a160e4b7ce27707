"""The gateway API as a face: virtual networks, the templates that they are made from, the catalog."""

import re
from collections.abc import Mapping
from typing import Any

import jsonschema_rs

import errors
from handlers import auth, bearer, plain
from handlers.contract import Contract, Schema
from handlers.face import Asked, Face, Reply, Scheme
from handlers.problems import MOST, Explainer
from storage.keys import Member

_MINE = re.compile(r"/(?:ocpi/(?:cpos|templates)|ocpp)(?:/|\Z)")
_WORDS = 2


class Gateway(Face):
    """Plain JSON for bearers of keys and JWTs."""

    title = "Gateway API"
    scheme = Scheme("http", None, "bearer", "x-bearerInfoFunc")
    no_such_url = "No such URL; /docs tells which there are."
    tells_all = True
    fills_defaults = True
    one_success = True

    def __init__(self, book: Contract) -> None:
        super().__init__(book)
        self._explainer = Explainer(book)

    def owns(self, path: str) -> bool:
        """Is it one of the gateway's three trees."""
        return _MINE.match(path) is not None

    def admit(self, environ: Mapping[str, Any], path: str) -> Member:
        """Whose token it is, in the organization that the request acts in."""
        del path
        words = environ.get("HTTP_AUTHORIZATION", "").split(" ")
        if len(words) != _WORDS or words[0].lower() != "bearer" or not words[1]:
            raise errors.Unauthorized("Send 'Authorization: Bearer ...'.")
        known = self.authenticate(words[1])
        if known is None:
            raise errors.Unauthorized(auth.ended_reason(words[1]) or "Unknown token.")
        return bearer.within(known["sub"], environ.get("HTTP_X_ORGANIZATION_ID"))

    def answer(self, result: Any, status: int, request: Asked) -> Reply:
        """As it is."""
        del request
        return plain.answered(result, status)

    def refuse(self, refusal: errors.Refusal) -> Reply:
        """As `detail`."""
        return plain.refused(refusal)

    def not_for(self, caller: Member, method: str, allowed: list[str]) -> errors.Refusal:
        """403 where the other role may do something, else 405."""
        if not allowed:
            return errors.Forbidden(f"This is not for the role {caller.kind}.")
        return errors.MethodNotAllowed(f"{method} is not known here; use {', '.join(allowed)}.", allowed)

    def misfit(
        self, where: str, value: Any, schema: Schema, validator: jsonschema_rs.Draft4Validator
    ) -> errors.SchemaRefusal:
        """Everything that is wrong, up to what a person reads."""
        del validator
        found = self._explainer.problems(schema, value, where)
        return errors.SchemaRefusal(f"{len(found)} of at most {MOST} problems are told.", found)

    def supports(self, schema: Schema) -> str:
        """What cannot be explained cannot be refused either."""
        return self._explainer.unexplained(schema)

    def owner(self, caller: Member) -> dict[str, Any]:
        """The organization that the request acts in."""
        return {"organization": caller.organization_id}

    def begin(self) -> None:
        """Nothing: remarks are on peers."""

    def end(self, caller: Member, operation: str) -> None:
        """Nothing, likewise."""
