"""The OCPI peer API as a face: everything under /ocpi that is not another's."""

from collections.abc import Mapping
from typing import Any

import jsonschema_rs

import errors
from handlers import auth, contract, envelope
from handlers.contract import Schema
from handlers.face import Asked, Face, Reply, Scheme
from storage import database, remarks
from storage.access import CALLBACK, REGISTRATION, Caller


class Ocpi(Face):
    """OCPI 2.1.1 in its envelope."""

    title = "OCPI peer API"
    scheme = Scheme("apiKey", "header", None, "x-apikeyInfoFunc")
    no_such_url = "No such URL; the versions endpoint tells which there are."
    tells_all = False
    fills_defaults = False
    one_success = False

    def owns(self, path: str) -> bool:
        """Is it under /ocpi; the gateway is asked first."""
        return path.startswith("/ocpi")

    def admit(self, environ: Mapping[str, Any], path: str) -> Caller:
        """Whose token it is, if it is for this role's URLs."""
        authorization = environ.get("HTTP_AUTHORIZATION")
        known = self.authenticate(authorization or "")
        if known is None:
            raise errors.Unauthorized(auth.explain_refusal(authorization))
        caller: Caller = known["sub"]
        auth.face(caller, path)
        return caller

    def answer(self, result: Any, status: int, request: Asked) -> Reply:
        """In the envelope, which knows its status by itself."""
        del status
        return envelope.enveloped(result, request)

    def refuse(self, refusal: errors.Refusal) -> Reply:
        """In the envelope."""
        return envelope.refused(refusal)

    def not_for(self, caller: Caller, method: str, allowed: list[str]) -> errors.Refusal:
        """Conformance 9, 27, 67 to 70."""
        if not allowed and caller.kind in (REGISTRATION, CALLBACK):
            return errors.Unauthorized("This token opens versions, details and credentials only.")
        may = ", ".join(allowed) or "nothing"
        return errors.MethodNotAllowed(f"{method} is not for this token; it may use {may} here.", allowed)

    def misfit(
        self, where: str, value: Any, schema: Schema, validator: jsonschema_rs.Draft4Validator
    ) -> errors.SchemaRefusal:
        """The first thing that is wrong, without what was sent."""
        del where, schema
        return errors.SchemaRefusal(contract.explain(validator, value))

    def supports(self, schema: Schema) -> str:
        """The census and the tests of the contract look after its schemas."""
        del schema
        return ""

    def owner(self, caller: Caller) -> dict[str, Any]:
        """The network that the token belongs to."""
        return {"network": caller.network_id}

    def begin(self) -> None:
        """Remarks are of one request."""
        remarks.begin()

    def end(self, caller: Caller, operation: str) -> None:
        """Keep what was remarked on."""
        if remarks.any_collected():
            with database.transaction() as transaction:
                remarks.keep(transaction, caller.network_id, caller.connection_id, operation)
