"""A CPO network with virtual charge points, and an eMSP that is registered at it."""

from collections.abc import Iterator

import pytest
from drivers import Driver, Site
from nodes import Gateway


@pytest.fixture
def site(gateway: Gateway) -> Site:
    """A generated CPO network whose clock is paused."""
    return Site(gateway)


@pytest.fixture
def driver(site: Site) -> Iterator[Driver]:
    """An eMSP that is registered at the site, with the token T1."""
    with Driver(site) as server:
        yield server
