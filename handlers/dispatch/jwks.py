"""The public keys of whoever issues the JWTs: fetched when they are asked for, kept for a while.

There is one fetch at a time, in a thread of its own, so a request waits a few seconds at most,
whatever the issuer's server does. RFC 7517.
"""

import logging
import math
import threading
import time

import jwt

import errors

ALGORITHMS = ("RS256", "ES256")
WAIT_SECONDS = 3.0
FRESH_SECONDS = 300.0
"""How long a key is good that the issuer has taken back."""
STALE_SECONDS = 3600.0
"""How long keys are good while the issuer cannot be reached."""
COOLING_SECONDS = 30.0
"""How long an unknown key id leads to no other fetch: anybody can make one up."""
RETRY_SECONDS = 5.0
_GIVEN_UP_SECONDS = 60.0

log = logging.getLogger("ocpi_gateway")


class KeySet:
    """The keys behind one URL."""

    def __init__(self, url: str) -> None:
        self._client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=WAIT_SECONDS)
        self._lock = threading.Lock()
        self._landed = threading.Event()
        self._landed.set()
        self._keys: list[jwt.PyJWK] = []
        self._fetched_at = self._tried_at = -math.inf

    def find(self, key_id: str | None) -> jwt.PyJWK | None:
        """The key with this id, or the only one if None is named; None: the issuer has no such key.

        Raises:
            errors.Unavailable: the issuer's server does not tell.
        """
        key = self._cached(key_id)
        if key is not None and self._age() <= FRESH_SECONDS:
            return key
        self._refresh()
        key = self._cached(key_id)
        if self._age() > STALE_SECONDS or (key is None and self._tried_at > self._fetched_at):
            raise errors.Unavailable("The keys of the token's issuer cannot be fetched; try again.")
        return key

    def _cached(self, key_id: str | None) -> jwt.PyJWK | None:
        if key_id is None:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((key for key in self._keys if key.key_id == key_id), None)

    def _age(self) -> float:
        return time.monotonic() - self._fetched_at

    def _refresh(self) -> None:
        """Fetch if it is time to, and wait for the fetch that is under way."""
        with self._lock:
            now = time.monotonic()
            pause = COOLING_SECONDS if self._age() <= FRESH_SECONDS else RETRY_SECONDS
            given_up = now - self._tried_at > _GIVEN_UP_SECONDS
            if now - self._tried_at >= pause and (self._landed.is_set() or given_up):
                self._tried_at = now
                self._landed = threading.Event()
                threading.Thread(target=self._fetch, args=[self._landed], name="jwks", daemon=True).start()
            landed, until = self._landed, self._tried_at + WAIT_SECONDS
        landed.wait(max(0.0, until - time.monotonic()))

    def _fetch(self, landed: threading.Event) -> None:
        try:
            found = self._client.get_jwk_set().keys
        except Exception as error:  # noqa: BLE001  (whatever the issuer sends; the old keys stay)
            log.warning("jwks", extra={"reason": f"{type(error).__name__}: {error}"[:200]})
        else:
            usable = (key for key in found if key.algorithm_name in ALGORITHMS)
            self._keys = [key for key in usable if key.public_key_use in (None, "sig")]
            self._fetched_at = time.monotonic()
        finally:
            landed.set()
