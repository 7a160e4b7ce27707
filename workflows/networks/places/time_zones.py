"""The time zone of a point on the map."""

import tzfpy


def at(latitude: float, longitude: float) -> str:
    """The IANA name of the time zone at a point in degrees; at sea, the zone of the meridian.

    Coordinates outside the valid range, which a back office may have sent by OCPI, are in UTC.
    """
    return tzfpy.get_tz(longitude, latitude) or "UTC"
