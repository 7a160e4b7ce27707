"""Settings, from the environment with the prefix OCPI_GATEWAY_. The defaults suit a single machine."""

import functools
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "OCPI_GATEWAY_"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104  (compared with, not bound)
_ADMIN_TOKEN_LENGTH = 16
_JWT_SECRET_BYTES = 32
_DEMO_TOKENS = (
    "demo_cpo_token_a",
    "demo_cpo_operator_token",
    "demo_emsp_token_a",
    "demo_emsp_operator_token",
)
# Spec: 2.1.1 credentials: a token has at most 64 characters.
_TOKEN_TEXT = re.compile(r"[!-~]{16,64}")
_KEY_TEXT = re.compile(r"[!-~]*")


def _demo_token(what: str) -> Any:
    return Field(
        "",
        exclude=True,
        repr=False,
        description=f"{what}, 16 to 64 characters; used to create the demo networks, generated when empty.",
    )


class Settings(BaseSettings):
    """The settings of the program. docs/running.md has the same table.

    Settings that are or may contain a secret are excluded from `model_dump` and from `repr`.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, hide_input_in_errors=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=1, le=65535, description="Port to listen on.")
    public_url: str = Field(
        "",
        description="Base of every advertised URL; http://HOST:PORT when empty. "
        "Required if HOST is 0.0.0.0 or ::.",
        validate_default=True,
    )
    data_dir: Path = Field(Path("data"), description="Folder of the SQLite file and the secret files.")
    database_url: str = Field(
        "",
        exclude=True,
        repr=False,
        description="SQLAlchemy URL; a SQLite file in DATA_DIR when empty, or postgresql+psycopg://...",
    )
    threads: int = Field(8, ge=2, le=64, description="Threads that serve requests.")
    connection_limit: int = Field(
        4000, ge=100, le=100_000, description="Maximum number of open connections, including idle ones."
    )
    demo: bool = Field(True, description="Create two demo networks in an empty database.")
    secret_key: str = Field(
        "",
        exclude=True,
        repr=False,
        description="Key that encrypts the peers' tokens; never change it for an existing database. "
        "A file with mode 0600 in DATA_DIR when empty.",
    )
    admin_token: str = Field(
        "",
        exclude=True,
        repr=False,
        description="Gateway key of the administrator, 16 characters or more; "
        "generated into DATA_DIR/admin.token when empty. Only the first start uses it.",
    )
    demo_cpo_token_a: str = _demo_token("Token A of the demo CPO")
    demo_cpo_operator_token: str = _demo_token("Operator token of the demo CPO")
    demo_emsp_token_a: str = _demo_token("Token A of the demo eMSP")
    demo_emsp_operator_token: str = _demo_token("Operator token of the demo eMSP")
    jwt_secret: str = Field(
        "",
        exclude=True,
        repr=False,
        description="Key of gateway JWTs signed with HS256, 32 bytes or more.",
    )
    jwt_jwks_url: str = Field(
        "", description="URL of the public keys of gateway JWTs signed with RS256 or ES256."
    )
    jwt_issuer: str = Field("", description="Required iss of a gateway JWT; any when empty.")
    jwt_audience: str = Field("", description="Required aud of a gateway JWT; any when empty.")
    networks_per_organization: int = Field(
        2000, ge=1, le=1_000_000, description="Maximum number of live networks per organization."
    )
    jobs_per_organization: int = Field(
        1000, ge=1, le=1_000_000, description="Maximum number of unfinished jobs per organization."
    )
    page_limit: int = Field(100, ge=1, le=1000, description="Maximum number of objects per page.")
    page_bytes: int = Field(
        8_388_608,
        ge=1024,
        le=134_217_728,
        description="Maximum bytes of objects per page; a single larger object is still sent.",
    )
    body_limit: int = Field(
        4_194_304, ge=1024, le=16_777_216, description="Maximum bytes of a body and of a stored object."
    )
    schema_refusal_status: Annotated[Literal[200, 400], BeforeValidator(int)] = Field(
        400,
        description="HTTP status of a schema violation; 200 for peers that read status_codes literally.",
    )
    sessions_require_date_from: bool = Field(
        False,
        description="Refuse a list of sessions without date_from, as mod_sessions 2.1.1 requires.",
    )
    post_updates_registered: bool = Field(
        False, description="POST credentials with Token C acts as PUT, as the library ocpi-python expects."
    )
    append_charging_periods: bool = Field(
        False, description="PATCH charging_periods of a session appends (2.2) instead of replacing."
    )
    token_overlap_seconds: int = Field(
        60,
        ge=0,
        le=3600,
        description="How long a replaced Token C works until the new one is used.",
    )
    required_endpoints: str = Field(
        "credentials", description="Modules that a peer must offer to register, comma-separated."
    )
    allow_loopback_peers: bool | None = Field(
        None,
        description="Allow peers on this host. When unset, they are allowed while HOST is loopback.",
    )
    peer_allow: str = Field(
        "",
        description="Allowed peers in private networks: address:port-port, comma-separated.",
    )
    work_threads: int = Field(4, ge=1, le=64, description="Threads for due work that calls no peer.")
    push_threads: int = Field(
        64, ge=1, le=1000, description="Threads for pushes, so the number of peers that are called at once."
    )
    push_rate: int = Field(200, ge=1, le=10_000, description="Maximum pushes per second to one peer.")
    peer_timeout_seconds: float = Field(10.0, gt=0, le=60, description="Maximum seconds of a call to a peer.")
    command_timeout_seconds: int = Field(
        30, ge=1, le=600, description="Seconds from a command until its result is TIMEOUT."
    )
    result_delivery_seconds: int = Field(
        120, ge=1, le=3600, description="For how many seconds the result of a command is posted again."
    )
    exchanges_kept: int = Field(
        10_000, ge=10, le=1_000_000, description="Maximum number of exchanges kept per network."
    )
    exchanges_days: int = Field(7, ge=1, le=365, description="How many days exchanges are kept.")
    validate_responses: bool = Field(
        False,
        description="Check every response against the contract; a wrong one becomes HTTP 500 with 3000.",
    )
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")

    @field_validator("public_url")
    @classmethod
    def _is_reachable(cls, value: str, info: ValidationInfo) -> str:
        host = info.data.get("host")
        if not value and host in _EVERY_ADDRESS:
            raise PydanticCustomError(
                "public_url",
                "must be set because HOST is {host}, which is not an address to call; set it to the URL that "
                "partners call, such as https://ocpi.example.com",
                {"host": host},
            )
        return value

    @field_validator("admin_token")
    @classmethod
    def _is_a_key(cls, value: str) -> str:
        if value and (len(value) < _ADMIN_TOKEN_LENGTH or not _KEY_TEXT.fullmatch(value)):
            raise PydanticCustomError(
                "admin_token", "must have 16 characters or more, printable ASCII without spaces"
            )
        return value

    @field_validator(*_DEMO_TOKENS)
    @classmethod
    def _is_a_token(cls, value: str, info: ValidationInfo) -> str:
        if value and not _TOKEN_TEXT.fullmatch(value):
            raise PydanticCustomError(
                "demo_token", "must have 16 to 64 characters, printable ASCII without spaces"
            )
        if value and value in [info.data.get(name) for name in (*_DEMO_TOKENS, "admin_token")]:
            raise PydanticCustomError("demo_token", "must differ from every other token in the settings")
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
    def demo_tokens(self) -> list[str]:
        """The tokens that are set for the demo networks."""
        return [token for token in (getattr(self, name) for name in _DEMO_TOKENS) if token]

    @property
    def base_url(self) -> str:
        """The base of advertised URLs, without a trailing slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url.rstrip("/") or f"http://{host}:{self.port}"

    @property
    def database(self) -> str:
        """The SQLAlchemy URL in force."""
        return self.database_url or f"sqlite:///{self.data_dir / 'ocpi-gateway.sqlite'}"

    @property
    def loopback_peers(self) -> bool:
        """Whether a peer may be on this host. docs/security-cases.md "Address policy"."""
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
