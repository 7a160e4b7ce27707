"""Locations, EVSEs and connectors, in both roles."""

import pytest

from examples import example
from nodes import Network, outcome


@pytest.mark.ocpi(21, 119)
def test_a_pushed_location_is_201_then_200_and_comes_back_equal(emsp: Network) -> None:
    peer = emsp.peer()
    location = example("Location")
    url = peer.at("locations", "LOC1")

    assert (201, 1000) == outcome(peer.put(url, location))
    assert (200, 1000) == outcome(peer.put(url, location))
    assert location == peer.data(url)
