"""EVSEs of virtual charge points: which are virtual, which are free, and their status."""

from collections.abc import Iterable

import errors
from generated.ocpi_models import EVSE, Connector, Location, Status
from storage import cars, locations, reservations, sites, timestamps
from storage.database import Connection
from storage.locations import LocationPath
from storage.networks import Network
from storage.objects import Change
from workflows.charging import locked_network
from workflows.charging.locked_network import LockedNetwork


def location(
    connection: Connection, network: Network, location_id: str, *, published: bool = False
) -> Location | None:
    """One of our locations, or None. *published*: only if peers see it."""
    path = LocationPath(location_id)
    document = locations.get(connection, network.id, network.party, path, published=published)
    return None if document is None else Location.model_validate_json(document.text)


def present(place: Location) -> list[EVSE]:
    """The EVSEs of a location that are not REMOVED."""
    return [evse for evse in place.evses or () if evse.status is not Status.REMOVED]


def connector(place: Location, evse_uid: str, connector_id: str) -> Connector | None:
    """A connector of an EVSE that is not REMOVED, or None."""
    found = (each for evse in present(place) if evse.uid == evse_uid for each in evse.connectors)
    return next((each for each in found if each.id == connector_id), None)


def virtual(locked: LockedNetwork, evses: Iterable[EVSE]) -> list[EVSE]:
    """Those of some EVSEs that belong to virtual charge points."""
    some = list(evses)
    if locked.simulation.all_evses:
        return some
    names = {("evse_uid", evse.uid) for evse in some}
    provisioned = {uid for _, uid in sites.taken(locked.transaction, locked.id, names)}
    return [evse for evse in some if evse.uid in provisioned]


def free(locked: LockedNetwork, evses: Iterable[EVSE], token: tuple[str, str] | None = None) -> list[EVSE]:
    """Those of some EVSEs where a car can come. *token*: uid and type; what it reserved comes first."""
    some = [evse for evse in evses if evse.status in {Status.AVAILABLE, Status.RESERVED}]
    uids = [evse.uid for evse in some]
    occupied = cars.occupied(locked.transaction, locked.id, uids)
    held = reservations.of_evses(locked.transaction, locked.id, uids)
    reserved, available = [], []
    for evse in some:
        reservation = held.get(evse.uid)
        if evse.uid in occupied:
            continue
        if reservation is None and evse.status is Status.AVAILABLE:
            available.append(evse)
        elif reservation and (reservation.token_uid, reservation.token_type) == token:
            reserved.append(evse)
    return reserved + available


def set_status(
    locked: LockedNetwork, location_id: str, evse_uid: str, status: Status, *, after: Status | None = None
) -> None:
    """Set the status of an EVSE that is not REMOVED. *after*: only if that is its status now."""
    path = LocationPath(location_id, evse_uid)
    document = locations.get(locked.transaction, locked.id, locked.party, path)
    if document is None:
        return
    present = EVSE.model_validate_json(document.text).status
    if present in {status, Status.REMOVED} or after not in {None, present}:
        return
    _write(locked, path, status)


def put_status(network: Network, location_id: str, evse_uid: str, status: Status) -> None:
    """Set the status of an EVSE through the gateway, whatever happens there.

    Raises:
        errors.NotFound: the network does not have the EVSE, has deleted its location, or has ended.
    """
    with locked_network.locked(network) as locked:
        if sites.get(locked.transaction, network, location_id) is None:
            raise errors.NotFound(errors.NOTHING_HERE)
        _write(locked, LocationPath(location_id, evse_uid), status)


def _write(locked: LockedNetwork, path: LocationPath, status: Status) -> None:
    """Change the status of an EVSE; the same status again changes nothing."""

    def apply(evse: EVSE) -> EVSE | None:
        time = timestamps.stamp(evse.last_updated)
        changed = {"status": status, "last_updated": time}
        return None if evse.status is status else evse.model_copy(update=changed)

    change = Change(apply, is_stamped=True)
    locations.update(locked.transaction, locked.id, locked.party, path, change)


def release(locked: LockedNetwork, location_id: str, evse_uid: str, after: Status) -> None:
    """Let an EVSE that is in the status *after* be AVAILABLE, or RESERVED if it has a reservation."""
    is_reserved = reservations.of_evses(locked.transaction, locked.id, [evse_uid])
    status = Status.RESERVED if is_reserved else Status.AVAILABLE
    set_status(locked, location_id, evse_uid, status, after=after)
