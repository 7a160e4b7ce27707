"""Secrets at rest: our tokens as digests, the peers' tokens encrypted.

The key comes from the setting SECRET_KEY or from a file `secret.key` (mode 0600) in DATA_DIR, made
at first start; the administrator's token likewise. Spec of the scheme: security.md 3.3.
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


def ensure_key() -> None:
    """Make the key file if neither it nor the setting exists."""
    _cipher()


def kept_token(name: str) -> str:
    """The token in the file *name* of DATA_DIR, minted there if it is not."""
    path = settings().data_dir / name
    if not path.exists():
        _write_once(path, mint().encode())
    return path.read_text().strip()


@functools.lru_cache(maxsize=1)
def _cipher() -> Fernet:
    given = settings().secret_key
    if given:
        return Fernet(base64.urlsafe_b64encode(hashlib.sha256(given.encode()).digest()))
    path = settings().data_dir / "secret.key"
    if not path.exists():
        _write_once(path, Fernet.generate_key())
    return Fernet(path.read_bytes())


def _write_once(path: Path, content: bytes) -> None:
    """Write *content* to *path*, readable by us alone, unless somebody else was first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
