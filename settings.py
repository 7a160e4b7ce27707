"""Settings, from the environment with the prefix OCPI_GATEWAY_, each with a default that serves a laptop."""

import functools
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Settings(BaseSettings):
    """What a person may change without touching the code; the README's table is made from this."""

    model_config = SettingsConfigDict(env_prefix="OCPI_GATEWAY_", frozen=True)

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
    workers: int = Field(1, ge=1, le=64, description="Server processes.")
    threads: int = Field(4, ge=1, le=64, description="Threads a process.")
    demo: bool = Field(True, description="Make two demo networks on an empty database.")
    secret_key: str = Field(
        "", description="Key for the peers' tokens at rest; a 0600 file in DATA_DIR when empty."
    )
    page_limit: int = Field(100, ge=1, le=1000, description="The most objects a page holds.")
    body_limit: int = Field(1_048_576, ge=1024, le=16_777_216, description="The most bytes a body holds.")
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
