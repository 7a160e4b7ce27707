"""The public keys of the issuer of JWTs: fetched on demand and cached. RFC 7517.

One fetch runs at a time, in a separate thread, so a request waits a few seconds at most, whatever the
issuer's server does.
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
"""How long a withdrawn key may still be accepted."""
STALE_SECONDS = 3600.0
"""How long cached keys are accepted while the issuer is unreachable."""
COOLING_SECONDS = 30.0
"""How long after a fetch an unknown key id causes no other fetch, because anyone can invent key ids."""
RETRY_SECONDS = 5.0
_GIVEN_UP_SECONDS = 60.0

log = logging.getLogger("ocpi_gateway")


class KeySet:
    """The keys behind one URL."""

    def __init__(self, url: str) -> None:
        self._client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=WAIT_SECONDS)
        self._lock = threading.Lock()
        self._fetch_done = threading.Event()
        self._fetch_done.set()
        self._keys: list[jwt.PyJWK] = []
        self._fetched_at = self._tried_at = -math.inf

    def find(self, key_id: str | None) -> jwt.PyJWK | None:
        """The key with this id, or the only key for an id of None; None if the issuer has no such key.

        Raises:
            errors.Unavailable: the keys cannot be fetched.
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
        """Start a fetch if one is due, and wait for the running fetch."""
        with self._lock:
            now = time.monotonic()
            pause = COOLING_SECONDS if self._age() <= FRESH_SECONDS else RETRY_SECONDS
            has_given_up = now - self._tried_at > _GIVEN_UP_SECONDS
            if now - self._tried_at >= pause and (self._fetch_done.is_set() or has_given_up):
                self._tried_at = now
                self._fetch_done = threading.Event()
                threading.Thread(
                    target=self._fetch, args=[self._fetch_done], name="jwks", daemon=True
                ).start()
            fetch_done, until = self._fetch_done, self._tried_at + WAIT_SECONDS
        fetch_done.wait(max(0.0, until - time.monotonic()))

    def _fetch(self, fetch_done: threading.Event) -> None:
        try:
            fetched = self._client.get_jwk_set().keys
        except Exception as error:  # noqa: BLE001  (whatever the issuer sends; the old keys stay)
            log.warning("jwks", extra={"reason": f"{type(error).__name__}: {error}"[:200]})
        else:
            usable = (key for key in fetched if key.algorithm_name in ALGORITHMS)
            self._keys = [key for key in usable if key.public_key_use in (None, "sig")]
            self._fetched_at = time.monotonic()
        finally:
            fetch_done.set()
