"""Secrets at rest: our tokens as digests, the peers' tokens encrypted.

The key comes from the setting SECRET_KEY or from a file `secret.key` (mode 0600) in DATA_DIR that
the first start makes; the administrator's token likewise. docs/security-cases.md "Tokens".
"""

import base64
import functools
import hashlib
import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

import errors
from settings import settings

_LENGTH = 32


def mint(prefix: str = "") -> str:
    """A new token: 256 random bits as 43 URL-safe characters, after *prefix*."""
    return prefix + secrets.token_urlsafe(_LENGTH)


def digest(token: str) -> str:
    """What is stored of a token of ours, and what it is looked up by."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def encrypt(token: str) -> str:
    """The ciphertext of a peer's token."""
    return _cipher().encrypt(token.encode()).decode()


def decrypt(ciphertext: str) -> str:
    """The peer's token.

    Raises:
        errors.ServerError: it was encrypted with another key.
    """
    try:
        return _cipher().decrypt(ciphertext.encode()).decode()
    except InvalidToken:
        raise errors.ServerError("A peer's token was encrypted with another key.") from None


def opens(ciphertext: str) -> bool:
    """Does the secret key decrypt *ciphertext*.

    Raises:
        errors.CannotStart: there is no usable secret key.
    """
    try:
        _cipher().decrypt(ciphertext.encode())
    except InvalidToken:
        return False
    return True


def create_key() -> None:
    """Create the key file unless it or the setting exists. Only a first start may do so."""
    if not settings().secret_key:
        _write_once(key_file(), Fernet.generate_key())


def key_file() -> Path:
    """Where the key is while the setting SECRET_KEY is empty."""
    return settings().data_dir / "secret.key"


def admin_token_file() -> Path:
    """Where the administrator's token is while the setting ADMIN_TOKEN is empty."""
    return settings().data_dir / "admin.token"


def admin_token() -> str | None:
    """The administrator's token from the setting or the file; None if there is neither."""
    path = admin_token_file()
    return settings().admin_token or (path.read_text().strip() if path.exists() else None)


def create_admin_token() -> str:
    """The administrator's token, minted into the file unless it or the setting exists."""
    if not settings().admin_token:
        _write_once(admin_token_file(), mint().encode())
    return admin_token() or ""


@functools.lru_cache(maxsize=1)
def _cipher() -> Fernet:
    given = settings().secret_key
    if given:
        return Fernet(base64.urlsafe_b64encode(hashlib.sha256(given.encode()).digest()))
    try:
        return Fernet(key_file().read_bytes())
    except FileNotFoundError:
        raise wrong_key("The secret key of this database is missing.") from None
    except ValueError:
        raise wrong_key(f"{key_file()} holds no secret key.") from None


def wrong_key(finding: str) -> errors.CannotStart:
    """The refusal to start with another secret key than the database's, or without one."""
    return errors.CannotStart(
        f"{finding} Restore {key_file().resolve()}, or set OCPI_GATEWAY_SECRET_KEY to the key "
        "with which the database was set up."
    )


def _write_once(path: Path, content: bytes) -> None:
    """Write *content* to *path*, readable by us alone, unless somebody else was first."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")  # one that a killed process left is written over
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
