"""Reservations of EVSEs of virtual charge points. Conformance 192, 193. Spec: 2.1.1 mod_commands 3.2."""

from typing import Any

from generated.ocpi_models import EVSE, CommandResponseType, ReserveNow, Status
from storage import reservations, timestamps
from storage.reservations import ReservationRow
from workflows.charging import evses
from workflows.charging.locked_network import LockedNetwork

EXPIRE = "unhold"
"""The kind of the entry of the agenda that ends a reservation."""


def reserve(
    locked: LockedNetwork, connection_id: int, command: ReserveNow, candidates: list[EVSE]
) -> CommandResponseType:
    """Reserve one of the *candidates*; the peer's reservation with the same number is replaced."""
    earlier = reservations.same(
        locked.transaction, locked.id, connection_id, command.location_id, command.reservation_id
    )
    free = [
        evse
        for evse in candidates
        if (earlier is not None and evse.uid == earlier.evse_uid) or evses.free(locked, [evse])
    ]
    if not free:
        return CommandResponseType.REJECTED
    if earlier is not None:
        _remove(locked, earlier)
    evse = free[0]
    expires_at = timestamps.parse(command.expiry_date)
    reservation = ReservationRow(
        network_id=locked.id,
        evse_uid=evse.uid,
        location_id=command.location_id,
        connection_id=connection_id,
        reservation_id=command.reservation_id,
        token_uid=command.token.uid,
        token_type=command.token.type.value,
        expires_at=expires_at,
    )
    reservations.add(locked.transaction, reservation)
    evses.set_status(locked, command.location_id, evse.uid, Status.RESERVED)
    locked.schedule_in_real_time(EXPIRE, evse.uid, expires_at)
    return CommandResponseType.ACCEPTED


def expire(locked: LockedNetwork, entry: Any) -> None:
    """End a reservation whose time is over."""
    held = reservations.of_evses(locked.transaction, locked.id, [entry.key]).get(entry.key)
    if held is not None:
        _remove(locked, held)


def _remove(locked: LockedNetwork, reservation: ReservationRow) -> None:
    reservations.delete(locked.transaction, locked.id, reservation.evse_uid)
    locked.cancel(EXPIRE, reservation.evse_uid)
    evses.release(locked, reservation.location_id, reservation.evse_uid, after=Status.RESERVED)
