"""What is stored: the locations, and a database with networks that hold them."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nodes
import sqlalchemy
from bench_parts.plan import FEW, FLOOR, MANY, OPERATIONS, PROGRAM
from nodes import in_transaction

from generated.ocpi_models import Location
from storage import database, networks, timestamps
from storage.locations import LocationRow
from storage.objects import DocumentTable
from workflows import startup

WRITTEN = 100
EPOCH = 1_760_000_000_000  # the first location's last_updated; each later one is a second younger
CPO_PARTY, PEER_PARTY = ("NL", "DEM"), ("NL", "TNM")


def location(key: str, number: int) -> dict[str, Any]:
    """A realistic location in canonical form: two EVSEs with two connectors each, about 1.8 kB."""
    stamp = timestamps.text(EPOCH + number * 1000)
    connectors = [
        {
            "id": str(index),
            "standard": "IEC_62196_T2_COMBO" if index == 1 else "CHADEMO",
            "format": "CABLE",
            "power_type": "DC",
            "voltage": 500,
            "amperage": 125,
            "tariff_id": "DC-PUBLIC-1",
            "terms_and_conditions": "https://charging.example.com/terms",
            "last_updated": stamp,
        }
        for index in (1, 2)
    ]
    evses = [
        {
            "uid": f"{key}-{index}",
            "evse_id": f"NL*DEM*E{key}*{index}",
            "status": "AVAILABLE",
            "capabilities": ["RFID_READER", "RESERVABLE", "REMOTE_START_STOP_CAPABLE"],
            "connectors": connectors,
            "floor_level": "-1",
            "physical_reference": str(index),
            "last_updated": stamp,
        }
        for index in (1, 2)
    ]
    return {
        "id": key,
        "type": "PARKING_LOT",
        "name": f"Station {number}",
        "address": f"Stationsplein {number % 999}",
        "city": "Utrecht",
        "postal_code": "3511 CE",
        "country": "NLD",
        "coordinates": {"latitude": f"52.{number % 10**6:06}", "longitude": f"5.{number % 10**6:06}"},
        "evses": evses,
        "operator": {"name": "Demo Charging", "website": "https://charging.example.com"},
        "facilities": ["SUPERMARKET", "WIFI"],
        "time_zone": "Europe/Amsterdam",
        "opening_times": {"twentyfourseven": True},
        "last_updated": stamp,
    }


def keys_of(variant: str, operation: str) -> list[str]:
    """The locations that one variant writes with one operation; nobody else touches them."""
    return [f"{variant[0].upper()}{operation[:3]}{number:05}" for number in range(WRITTEN)]


def written(variant: str) -> list[dict[str, Any]]:
    """What lies at those keys, and what a PUT sends again."""
    keys = (key for operation in OPERATIONS[2:] for key in keys_of(variant, operation))
    return [location(key, number) for number, key in enumerate(keys)]


def own(count: int) -> Iterator[dict[str, Any]]:
    """The locations of a CPO, one after another."""
    return (location(f"DEM{number:06}", number) for number in range(count))


def _insert(network: int, party: tuple[str, str], locations: Iterable[dict[str, Any]]) -> None:
    """Store many locations at once, past the program."""
    statement = sqlalchemy.insert(database.table(LocationRow))
    rows = (
        DocumentTable.row(
            network,
            party,
            Location.model_validate_json(json.dumps(body)),
            {"id": body["id"], "published": True},
            is_stamped=False,
        )
        | {"revision": 2}
        for body in locations
    )
    with database.transaction() as connection:
        while some := list(itertools.islice(rows, 5000)):
            connection.execute(statement, some)


@dataclass(frozen=True)
class Site:
    """One database with its networks, and the tokens of a peer that is registered with each."""

    name: str
    url: str
    settings: Mapping[str, str]
    cpo: int
    emsp: int
    many: int
    tokens: Mapping[int, str]

    @classmethod
    def make(cls, name: str, url: str, place: Path) -> "Site":
        """An up-to-date database with a CPO of 500 locations, an eMSP, and a CPO that is empty yet."""
        settings = {
            "OCPI_GATEWAY_DATA_DIR": str(place),
            "OCPI_GATEWAY_DATABASE_URL": url,
            "OCPI_GATEWAY_DEMO": "0",
            "OCPI_GATEWAY_LOG_LEVEL": "INFO",
        }
        with nodes.switch_to(settings):
            startup.prepare()
            created = []
            for number, role in enumerate((networks.CPO, networks.EMSP, networks.CPO)):
                owner = in_transaction(networks.organization, f"bench-{number}")
                created.append(in_transaction(networks.create, owner, role, CPO_PARTY, "Bench"))
            node = nodes.Node({"OCPI_GATEWAY_PORT": "9"})
            tokens = {n.id: str(nodes.Network(node, n).peer(PEER_PARTY).token) for n in created}
            cpo, emsp, many = (network.id for network in created)
            _insert(cpo, CPO_PARTY, own(FEW))
            for variant in (PROGRAM, FLOOR):
                _insert(emsp, PEER_PARTY, written(variant))
        return cls(name, url, settings, cpo, emsp, many, tokens)

    def fill(self) -> None:
        """Give the empty CPO its 100,000 locations."""
        with nodes.switch_to(self.settings):
            _insert(self.many, CPO_PARTY, own(MANY))
            if not database.is_sqlite():  # what autovacuum does within minutes
                with database.connect() as connection:
                    connection.exec_driver_sql("VACUUM ANALYZE ocpi_locations")

    def kept(self, key: str) -> tuple[int, int, str]:
        """A location as it is stored: revision, last_updated, and the document without its id."""
        c = database.table(LocationRow).c
        statement = sqlalchemy.select(c.revision, c.last_updated, c.document).where(c.id == key)
        with nodes.switch_to(self.settings), database.connect() as connection:
            row = connection.execute(statement).one()
        return row.revision, row.last_updated, row.document.replace(key, "KEY")
