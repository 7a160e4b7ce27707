"""Pages and ids of the gateway. gateway-api.md 2.3 and 5. Conformance 210, 211."""

import itertools

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as generated
from hypothesis import strategies as st
from nodes import Gateway, refusal

from storage import database, networks

HALL = 60
"""Networks of the organization whose pages are turned."""
IDS = (
    "0", "007", "-1", "+1", "1.0", "1e3", "0x2A", "42%0A", "%0A42", "42%00", "42%20", "٤٢", "４２", "²", "१",  # noqa: RUF001  (digits that are not ours)
    "9" * 19, "9" * 30, "9" * 5000, "None", "templates%20",
)  # fmt: skip


@pytest.fixture
def hall(gateway: Gateway) -> Gateway:
    """An organization with sixty networks."""
    with database.transaction():
        for n in range(HALL):
            networks.create(gateway.organization_id, "CPO", ("FR", f"A{n:02}"), "hall")
    return gateway


@pytest.mark.ocpi(210)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *itertools.product(
            ("page", "limit"), ("0", "-1", "abc", "", "1.5", "٤", "1e1", "1,2", "+1", "9" * 20, "9" * 5000)
        ),
        ("limit", "101"),
        ("limit", "1000000"),
    ],
    ids=lambda text: text[:20],
)
@pytest.mark.parametrize("path", ["/ocpi/cpos", "/ocpi/cpos/{}/locations", "/ocpp/catalog/brands"])
def test_a_page_that_cannot_be_is_422(gateway: Gateway, path: str, name: str, value: str) -> None:
    network = networks.create(gateway.organization_id, "CPO", ("FR", "ABC"), "x")
    status, detail = refusal(gateway.get(path.format(network.id), **{name: value}))

    assert (422, ["query", name]) == (status, detail[0]["loc"])


@pytest.mark.ocpi(210)
def test_a_page_holds_fifty_in_the_order_of_creation(hall: Gateway) -> None:
    everything = hall.data("/ocpi/cpos", limit=100)
    ids = [each["cpo_id"] for each in everything["data"]]

    assert sorted(ids, key=int) == ids
    assert [f"A{n:02}" for n in range(HALL)] == [each["party"]["party_id"] for each in everything["data"]]
    first = hall.data("/ocpi/cpos")
    assert (ids[:50], HALL, 1, 50) == (
        [each["cpo_id"] for each in first["data"]],
        first["total"],
        first["page"],
        first["limit"],
    )
    assert first == hall.data("/ocpi/cpos", page=1, limit=50)


@pytest.mark.ocpi(210)
@generated(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=st.integers(1, 100))
def test_pages_of_any_size_make_the_whole(hall: Gateway, limit: int) -> None:
    whole = hall.data("/ocpi/cpos", limit=100)["data"]
    count = -(-len(whole) // limit)

    pages = [hall.data("/ocpi/cpos", page=n, limit=limit) for n in range(1, count + 2)]

    assert whole == [each for page in pages for each in page["data"]]
    assert [] == pages[-1]["data"]
    assert [(n, limit, len(whole)) for n in range(1, count + 2)] == [
        (page["page"], page["limit"], page["total"]) for page in pages
    ]


@pytest.mark.ocpi(210)
@pytest.mark.parametrize("page", [2, 101, 10**9, 9007199254740991])
def test_a_page_past_the_end_is_empty(gateway: Gateway, page: int) -> None:
    network = networks.create(gateway.organization_id, "CPO", ("FR", "ABC"), "x")

    for path, total in (("/ocpi/cpos", 1), (f"/ocpi/cpos/{network.id}/locations", 0)):
        assert {"data": [], "total": total, "page": page, "limit": 100} == gateway.data(
            path, page=page, limit=100
        )


def test_only_the_own_networks_are_counted(gateway: Gateway, stranger: Gateway) -> None:
    networks.create(stranger.organization_id, "CPO", ("FR", "ABC"), "x")

    assert (0, 1) == (gateway.data("/ocpi/cpos")["total"], stranger.data("/ocpi/cpos")["total"])


# Ids


@pytest.mark.ocpi(211)
@pytest.mark.parametrize("cpo_id", IDS)
@pytest.mark.parametrize("tail", ["", "/status", "/report", "/locations"])
def test_an_id_that_is_no_number_of_ours_is_refused(gateway: Gateway, cpo_id: str, tail: str) -> None:
    response = gateway.get(f"/ocpi/cpos/{cpo_id}{tail}")

    assert response.status_code in {404, 422}, response.text
    refusal(response)


@pytest.mark.ocpi(211)
@pytest.mark.parametrize("cpo_id", ["1%0A", "%201", "01", "+1", "1.0", "1%00", "１"])  # noqa: RUF001  (a digit that is not ours)
def test_nor_does_it_name_a_network_to_delete(gateway: Gateway, cpo_id: str) -> None:
    network = networks.create(gateway.organization_id, "CPO", ("FR", "ABC"), "x")

    own = str(network.id) if cpo_id.isascii() else "".join(chr(ord("０") + int(d)) for d in str(network.id))  # noqa: RUF001  (likewise)
    response = gateway.delete(f"/ocpi/cpos/{cpo_id.replace('1', own).replace('１', own)}")  # noqa: RUF001

    assert response.status_code in {404, 422}
    assert 1 == gateway.data("/ocpi/cpos")["total"]


@pytest.mark.ocpi(211)
def test_the_largest_id_is_merely_unknown(gateway: Gateway) -> None:
    assert 404 == gateway.get(f"/ocpi/cpos/{'9' * 18}").status_code
    assert 404 == gateway.delete(f"/ocpi/cpos/{'9' * 18}").status_code
