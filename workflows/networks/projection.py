"""From the gateway's location to the OCPI location. docs/gateway.md "From gateway location to OCPI"."""

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from generated.gateway_models import (
    Coordinates,
    Country,
    LocationUpdateRequest,
    OcpiCreateLocationRequest,
    ParkingType,
    Timezone,
)
from generated.ocpi_models import BusinessDetails, GeoLocation, Location, LocationType
from storage.sites import UNSTAMPED
from workflows.networks.places import countries, time_zones

NO_POSTAL_CODE = "-"
"""The OCPI value for an absent postal code, because OCPI requires one and the gateway does not."""

_SIX = Decimal("0.000001")
_TYPES = {
    ParkingType.ALONG_MOTORWAY: LocationType.OTHER,
    ParkingType.ON_DRIVEWAY: LocationType.OTHER,
    ParkingType.ON_STREET: LocationType.ON_STREET,
    ParkingType.PARKING_GARAGE: LocationType.PARKING_GARAGE,
    ParkingType.PARKING_LOT: LocationType.PARKING_LOT,
    ParkingType.UNDERGROUND_GARAGE: LocationType.UNDERGROUND_GARAGE,
}


def degrees(value: float) -> str:
    """Degrees with six decimals, rounded half-even in decimal."""
    rounded = Decimal(repr(value)).quantize(_SIX, ROUND_HALF_EVEN)
    return f"{abs(rounded) if rounded.is_zero() else rounded:f}"


def new_location(location_id: str, source: OcpiCreateLocationRequest) -> Location:
    """The OCPI location that *source* describes, without EVSEs and not stamped yet."""
    location = Location(
        id=location_id,
        type=LocationType.UNKNOWN,
        name=source.name,
        address=source.address,
        city=source.city,
        postal_code=NO_POSTAL_CODE,
        country=countries.alpha3(source.country),
        coordinates=_geo_location(source.coordinates),
        last_updated=UNSTAMPED,
    )
    location = updated(location, source)
    location.time_zone = time_zone(location)
    return location


def updated(location: Location, change: OcpiCreateLocationRequest | LocationUpdateRequest) -> Location:
    """*location* with the members that *change* sets; null clears an optional one and leaves a required one.

    New coordinates set the time zone, unless *change* sets it. A time zone of null sets it as well.
    """
    changed = location.model_copy()
    for member in type(change).model_fields:
        if member in _MEMBERS and member in change.model_fields_set:
            _MEMBERS[member](changed, getattr(change, member))
    return changed


def time_zone(location: Location) -> str:
    """The time zone that *location* has, else that of its coordinates."""
    return location.time_zone or _zone_of(location.coordinates)


def postal_code(location: Location) -> str | None:
    """The postal code, or None."""
    return None if location.postal_code == NO_POSTAL_CODE else location.postal_code


def _geo_location(coordinates: Coordinates) -> GeoLocation:
    return GeoLocation(latitude=degrees(coordinates.latitude), longitude=degrees(coordinates.longitude))


def _zone_of(place: GeoLocation) -> str:
    return time_zones.at(float(place.latitude), float(place.longitude))


def _text(member: str) -> Callable[[Location, Any], None]:
    def write(location: Location, value: str | None) -> None:
        if value is not None:
            setattr(location, member, value)

    return write


def _country(location: Location, value: Country | None) -> None:
    if value is not None:
        location.country = countries.alpha3(value)


def _coordinates(location: Location, value: Coordinates | None) -> None:
    if value is not None and (place := _geo_location(value)) != location.coordinates:
        location.coordinates, location.time_zone = place, _zone_of(place)


def _time_zone(location: Location, value: Timezone | None) -> None:
    location.time_zone = _zone_of(location.coordinates) if value is None else value.value


def _operator(location: Location, value: str | None) -> None:
    """Set the operator's name; website and logo stay."""
    if value is None:
        location.operator = None
    elif location.operator is None:
        location.operator = BusinessDetails(name=value)
    else:
        location.operator = location.operator.model_copy(update={"name": value})


def _type(location: Location, value: ParkingType | None) -> None:
    location.type = LocationType.UNKNOWN if value is None else _TYPES[value]


def _postal_code(location: Location, value: str | None) -> None:
    location.postal_code = value or NO_POSTAL_CODE


_MEMBERS: dict[str, Callable[[Location, Any], None]] = {
    "name": _text("name"),
    "address": _text("address"),
    "city": _text("city"),
    "country": _country,
    "coordinates": _coordinates,
    "timezone": _time_zone,
    "owner_name": _operator,
    "parking_type": _type,
    "postal_code": _postal_code,
}
