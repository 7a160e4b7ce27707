"""Changes of the network's own tokens through the gateway. docs/gateway.md "Objects"."""

import orjson

import errors
from generated.gateway_models import TokenPutRequest
from generated.ocpi_models import Token, TokenType, WhitelistType
from storage import database, networks, timestamps, tokens
from storage.networks import EMSP, Network
from storage.objects import Change

_ISSUER_LENGTH = 64


def put(network: Network, uid: str, request: TokenPutRequest) -> None:
    """Create a token, or change the members that *request* has.

    With `valid` in the request, only `valid` decides about the token in real-time authorization.

    Raises:
        errors.NotFound: the network is no eMSP, or has ended.
    """
    if network.role != EMSP:
        raise errors.NotFound("A CPO network has no tokens of its own.")
    type_ = None if request.type is None else TokenType(request.type)

    def apply(stored: Token) -> Token | None:
        new = _with(stored, request)
        time = timestamps.stamp(stored.last_updated)
        return None if new == stored else new.model_copy(update={"last_updated": time})

    with database.transaction() as transaction:
        if not networks.lock(transaction, network.id):
            raise errors.NotFound(errors.NOTHING_HERE)
        try:
            change = Change(apply, is_stamped=True)
            tokens.update(transaction, network.id, network.party, uid, type_, change)
        except errors.NotFound:
            token = _with(_default(network, uid, type_ or TokenType.RFID), request)
            tokens.put(transaction, network.id, network.party, token, is_stamped=True)
        if "valid" in request.model_fields_set:
            tokens.clear_standing(transaction, network.id, network.party, uid, type_)


def _default(network: Network, uid: str, type_: TokenType) -> Token:
    """A new token of which only the key is known."""
    return Token(
        uid=uid,
        type=type_,
        auth_id=uid,
        issuer=network.name[:_ISSUER_LENGTH],
        valid=True,
        whitelist=WhitelistType.ALLOWED,
        last_updated=timestamps.now(),
    )


def _with(stored: Token, request: TokenPutRequest) -> Token:
    """*stored* with the members of *request*."""
    changes = request.model_dump(mode="json", exclude_unset=True, exclude={"type"})
    return Token.model_validate_json(orjson.dumps(orjson.loads(stored.json_text()) | changes))
