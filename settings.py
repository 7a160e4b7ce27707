"""Settings, from the environment with the prefix OCPI_GATEWAY_, each with a default that serves a laptop."""

import functools
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_ADMIN_TOKEN_LENGTH = 16
_JWT_SECRET_BYTES = 32
_KEY_TEXT = re.compile(r"[!-~]*")


class Settings(BaseSettings):
    """What a person may change without touching the code; the README's table is made from this."""

    model_config = SettingsConfigDict(env_prefix="OCPI_GATEWAY_", frozen=True, hide_input_in_errors=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=1, le=65535, description="Port to listen on.")
    public_url: str = Field(
        "", description="Base of every URL that is advertised; http://HOST:PORT when empty."
    )
    data_dir: Path = Field(Path("data"), description="Where the SQLite file and the secret files lie.")
    database_url: str = Field(
        "",
        description="SQLAlchemy URL; a SQLite file in DATA_DIR when empty, or postgresql+psycopg://...",
    )
    threads: int = Field(8, ge=2, le=64, description="Threads that answer requests.")
    connection_limit: int = Field(
        4000, ge=100, le=100_000, description="The most connections at a time, idle ones included."
    )
    demo: bool = Field(True, description="Make two demo networks on an empty database.")
    secret_key: str = Field(
        "",
        description="Key for the peers' tokens at rest, the same for the whole life of the database; "
        "a 0600 file in DATA_DIR when empty.",
    )
    admin_token: str = Field(
        "",
        description="Gateway key of the administrator, 16 characters or more; "
        "minted into DATA_DIR/admin.token when empty. Read by the first start only.",
    )
    jwt_secret: str = Field("", description="Key of gateway JWTs signed with HS256, 32 bytes or more.")
    jwt_jwks_url: str = Field(
        "", description="Where the public keys of gateway JWTs signed with RS256 or ES256 are."
    )
    jwt_issuer: str = Field("", description="The iss that a gateway JWT must have; any when empty.")
    jwt_audience: str = Field("", description="The aud that a gateway JWT must have; any when empty.")
    networks_per_organization: int = Field(
        2000, ge=1, le=1_000_000, description="The most live networks an organization has."
    )
    jobs_per_organization: int = Field(
        1000, ge=1, le=1_000_000, description="The most unfinished jobs an organization has."
    )
    page_limit: int = Field(100, ge=1, le=1000, description="The most objects a page holds.")
    body_limit: int = Field(4_194_304, ge=1024, le=16_777_216, description="The most bytes a body holds.")
    schema_refusal_status: Annotated[Literal[200, 400], BeforeValidator(int)] = Field(
        400,
        description="HTTP status of a schema refusal; 200 for peers that read status_codes literally.",
    )
    sessions_require_date_from: bool = Field(
        False,
        description="Refuse a list of sessions without date_from, as mod_sessions 2.1.1 says.",
    )
    post_updates_registered: bool = Field(
        False, description="POST credentials with Token C acts as PUT, as the seed reference says."
    )
    append_charging_periods: bool = Field(
        False, description="PATCH charging_periods of a session appends (2.2) instead of replacing."
    )
    token_overlap_seconds: int = Field(
        60,
        ge=0,
        le=3600,
        description="How long a replaced Token C lives until the new one is used.",
    )
    required_endpoints: str = Field(
        "credentials", description="Modules that a peer must offer to register, comma separated."
    )
    allow_loopback_peers: bool | None = Field(
        None,
        description="May peers lie on this machine; when unset, exactly while HOST is loopback.",
    )
    peer_allow: str = Field(
        "",
        description="Peers that may lie in private networks: address:port-port, comma separated.",
    )
    peer_timeout_seconds: float = Field(10.0, gt=0, le=60, description="The longest a call to a peer takes.")
    validate_responses: bool = Field(
        False, description="Check every answer against the contract; an error answer is 500 + 3000."
    )
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")

    @field_validator("admin_token")
    @classmethod
    def _is_a_key(cls, value: str) -> str:
        if value and (len(value) < _ADMIN_TOKEN_LENGTH or not _KEY_TEXT.fullmatch(value)):
            raise PydanticCustomError(
                "admin_token", "must have 16 characters or more, printable ASCII without spaces"
            )
        return value

    @field_validator("jwt_secret")
    @classmethod
    def _is_long_enough(cls, value: str) -> str:
        if value and len(value.encode()) < _JWT_SECRET_BYTES:
            raise PydanticCustomError(
                "jwt_secret", "must have 32 bytes or more (RFC 7518 3.2); a shorter one can be guessed"
            )
        return value

    @field_validator("jwt_jwks_url")
    @classmethod
    def _is_fetched_by_http(cls, value: str) -> str:
        if value and not value.lower().startswith(("https://", "http://")):
            raise PydanticCustomError("jwt_jwks_url", "must begin with https:// or http://")
        return value

    @property
    def base_url(self) -> str:
        """What advertised URLs begin with, without a trailing slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url.rstrip("/") or f"http://{host}:{self.port}"

    @property
    def database(self) -> str:
        """The SQLAlchemy URL in force."""
        return self.database_url or f"sqlite:///{self.data_dir / 'ocpi-gateway.sqlite'}"

    @property
    def loopback_peers(self) -> bool:
        """May a peer be on this machine. Design section 8."""
        if self.allow_loopback_peers is None:
            return self.host in LOOPBACK
        return self.allow_loopback_peers

    @property
    def required_modules(self) -> frozenset[str]:
        """The module identifiers that a peer must offer."""
        return frozenset(name for name in self.required_endpoints.replace(" ", "").split(",") if name)


@functools.lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings in force, read once."""
    return Settings()
