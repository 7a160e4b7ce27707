"""Registration as the receiving side. Spec: 2.1.1 credentials."""

import errors
from generated.ocpi_models import Credentials
from storage.access import PEER, Caller
from workflows.peers import credentials_exchange, registration


def get_credentials(user: Caller) -> Credentials:
    """Our credentials for the caller; the token is the one that it sent (conformance 63)."""
    return registration.our_credentials(user, user.token)


def post_credentials(user: Caller, body: Credentials) -> Credentials:
    """A peer registers with Token A. A registered peer renews, if POST_UPDATES_REGISTERED allows it.

    Raises:
        errors.RuleBroken: the body has our versions URL, as in an unchanged `credentials_payload`.
    """
    if body.url == credentials_exchange.versions_url(user.role):
        raise errors.RuleBroken("url: this is the versions URL of this network; send your own credentials")
    if user.kind == PEER:
        return registration.renew(user, body)
    return registration.register(user, body)


def put_credentials(user: Caller, body: Credentials) -> Credentials:
    """A registered peer renews its credentials and gets a new token."""
    return registration.renew(user, body)


def delete_credentials(user: Caller) -> None:
    """A peer unregisters."""
    registration.unregister(user)


get_cpo_credentials = get_emsp_credentials = get_credentials
post_cpo_credentials = post_emsp_credentials = post_credentials
put_cpo_credentials = put_emsp_credentials = put_credentials
delete_cpo_credentials = delete_emsp_credentials = delete_credentials
