"""A database of schema version 0001 with rows that an upgrade must not lose."""

from typing import Any

import sqlalchemy
from alembic import command
from nodes import switch_to
from starting import Site

from storage import database, schema, secrets, timestamps
from workflows import engine

ADMIN_TOKEN = "the administrator's old token"


def fill(site: Site, *, with_peer: bool = True) -> None:
    """Create schema version 0001 with an administrator, a network and a registered peer."""
    with switch_to(site.environment):
        command.upgrade(schema.config(), "0001")
        engine.migrate()
        if with_peer:
            secrets.create_key()
        with database.transaction() as connection:
            for table, row in rows(with_peer=with_peer):
                columns, values = ", ".join(row), ", ".join(f":{name}" for name in row)
                connection.execute(sqlalchemy.text(f"INSERT INTO {table} ({columns}) VALUES ({values})"), row)  # noqa: S608
        database.dispose()


def rows(*, with_peer: bool) -> list[tuple[str, dict[str, Any]]]:
    """The rows of version 0001, written out because the program's tables have changed since."""
    now = timestamps.now_ms()
    key = {"digest": secrets.digest(ADMIN_TOKEN), "last4": ADMIN_TOKEN[-4:], "created_at": now}
    network = {
        "id": 1,
        "organization_id": "demo-id",
        "role": "CPO",
        "country_code": "NL",
        "party_id": "DEM",
        "name": "Old",
        "template": "",
        "template_version": 1,
        "seed": 0,
        "overrides": "{}",
        "deleting": False,
        "created_at": now,
        "updated_at": now,
    }
    statements: list[tuple[str, dict[str, Any]]] = [
        ("gw_organizations", {"id": "demo-id", "name": "demo", "created_at": now}),
        ("gw_keys", {"id": "admin", "organization_id": "demo-id", "role": "admin", **key}),
        ("gw_networks", network),
    ]
    if with_peer:
        connection = {
            "id": 1,
            "network_id": 1,
            "country_code": "NL",
            "party_id": "TNM",
            "state": "REGISTERED",
            "version": "2.1.1",
            "versions_url": "https://peer.example/versions",
            "endpoints": "{}",
            "business_details": "{}",
            "peer_token": secrets.encrypt("b" * 40),
            "created_at": now,
            "updated_at": now,
        }
        token = {"digest": "d" * 64, "kind": "peer", "last4": "dddd", "created_at": now}
        statements += [
            ("ocpi_connections", connection),
            ("ocpi_access", {**token, "network_id": 1, "connection_id": 1}),
        ]
    return statements
