"""Secrets at rest: our tokens as digests, the peers' tokens encrypted.

The key comes from the setting SECRET_KEY, or from the file `secret.key` (mode 0600) in DATA_DIR, which the
first start creates. The administrator's token works alike. docs/security-cases.md "Tokens".
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
    """The digest under which one of our tokens is stored."""
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
    """Whether the secret key decrypts *ciphertext*.

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
    """The file of the key, used if the setting SECRET_KEY is empty."""
    return settings().data_dir / "secret.key"


def admin_token_file() -> Path:
    """The file of the administrator's token, used if the setting ADMIN_TOKEN is empty."""
    return settings().data_dir / "admin.token"


def admin_token() -> str | None:
    """The administrator's token from the setting or the file; None if there is neither."""
    path = admin_token_file()
    return settings().admin_token or (path.read_text().strip() if path.exists() else None)


def create_admin_token() -> str:
    """The administrator's token; created in the file unless the file or the setting exists."""
    if not settings().admin_token:
        _write_once(admin_token_file(), mint().encode())
    return admin_token() or ""


@functools.lru_cache(maxsize=1)
def _cipher() -> Fernet:
    configured = settings().secret_key
    if configured:
        return Fernet(base64.urlsafe_b64encode(hashlib.sha256(configured.encode()).digest()))
    try:
        return Fernet(key_file().read_bytes())
    except FileNotFoundError:
        raise wrong_key("The secret key of this database is missing.") from None
    except ValueError:
        raise wrong_key(f"{key_file()} holds no secret key.") from None


def wrong_key(finding: str) -> errors.CannotStart:
    """The refusal to start with a wrong or missing secret key."""
    return errors.CannotStart(
        f"{finding} Restore {key_file().resolve()}, or set OCPI_GATEWAY_SECRET_KEY to the key "
        "with which the database was set up."
    )


def _write_once(path: Path, content: bytes) -> None:
    """Write *content* to *path* with mode 0600, unless the file exists."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")  # overwrites the draft of a killed process
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
