"""The time zone of a point on the map."""

import tzfpy


def at(latitude: float, longitude: float) -> str:
    """The IANA name of the time zone at a point in degrees; at sea that of the meridian.

    A back office may have written a point that is on no map: it has UTC.
    """
    return tzfpy.get_tz(longitude, latitude) or "UTC"
