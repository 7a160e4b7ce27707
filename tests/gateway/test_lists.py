"""Pages, ids and bodies of the gateway, whatever they are about.

docs/gateway.md "Conventions". Conformance 210, 211.
"""

import itertools

import pytest
from gateway_orders import example, misfit
from hypothesis import HealthCheck, given
from hypothesis import settings as generated
from hypothesis import strategies as st
from nodes import Gateway, at_once, one_database, refusal

from storage import database, networks

HALL = 60
"""Networks of the organization whose pages are turned."""
IDS = (
    "0", "007", "-1", "+1", "1.0", "1e3", "0x2A", "42%0A", "%0A42", "42%00", "42%20", "٤٢", "４２", "²", "१",  # noqa: RUF001  (digits that are not ours)
    "9" * 19, "9" * 30, "9" * 5000, "None", "templates%20",
)  # fmt: skip
NO_PAGES = ("0", "-1", "abc", "", "1.5", "٤", "1e1", "1,2", "+1", "9" * 20, "9" * 5000)

PLACE = example("OcpiCreateLocationRequest")


@pytest.fixture
def hall(gateway: Gateway) -> Gateway:
    """An organization with sixty networks."""
    with database.transaction() as transaction:
        for n in range(HALL):
            networks.create(transaction, gateway.organization_id, "CPO", ("FR", f"A{n:02}"), "hall")
    return gateway


@one_database
@pytest.mark.ocpi(210)
@pytest.mark.parametrize("path", ["/ocpi/cpos", "/ocpi/cpos/{}/locations", "/ocpp/catalog/brands"])
def test_a_page_that_cannot_be_is_422(gateway: Gateway, path: str) -> None:
    network = at_once(networks.create, gateway.organization_id, "CPO", ("FR", "ABC"), "x")

    for name, value in [
        *itertools.product(("page", "limit"), NO_PAGES),
        ("limit", "101"),
        ("limit", "1000000"),
    ]:
        status, detail = refusal(gateway.get(path.format(network.id), **{name: value}))

        assert (422, ["query", name]) == (status, detail[0]["loc"]), value[:40]


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
    network = at_once(networks.create, gateway.organization_id, "CPO", ("FR", "ABC"), "x")

    for path, total in (("/ocpi/cpos", 1), (f"/ocpi/cpos/{network.id}/locations", 0)):
        assert {"data": [], "total": total, "page": page, "limit": 100} == gateway.data(
            path, page=page, limit=100
        )


@pytest.mark.ocpi(210)
def test_locations_have_pages_in_the_order_of_the_request(gateway: Gateway) -> None:
    accepted = gateway.ready(overrides={"locations": 1, "chargers_per_location": 1})
    url = f"{accepted['destroy_url']}/locations"
    order = [{**PLACE, "name": f"Place {n}"} for n in range(22)]
    gateway.wait_until_ready(gateway.create(url, locations=order)["status_url"])

    pages = [gateway.data(url, page=n, limit=5) for n in range(1, 7)]

    names = [site["name"] for page in pages for site in page["data"]]
    assert [f"Place {n}" for n in range(22)] == names[1:]
    assert [5, 5, 5, 5, 3, 0] == [len(page["data"]) for page in pages]
    assert {(23, 5)} == {(page["total"], page["limit"]) for page in pages}
    assert "" == misfit("OcpiLocationListResponse", pages[0])


def test_only_the_own_networks_are_counted(gateway: Gateway, stranger: Gateway) -> None:
    at_once(networks.create, stranger.organization_id, "CPO", ("FR", "ABC"), "x")

    assert (0, 1) == (gateway.data("/ocpi/cpos")["total"], stranger.data("/ocpi/cpos")["total"])


# Ids


@one_database
@pytest.mark.ocpi(211)
@pytest.mark.parametrize("tail", ["", "/status", "/report", "/locations"])
def test_an_id_that_is_no_number_of_ours_is_refused(gateway: Gateway, tail: str) -> None:
    for cpo_id in IDS:
        response = gateway.get(f"/ocpi/cpos/{cpo_id}{tail}")

        assert response.status_code in {404, 422}, (cpo_id[:40], response.text)
        refusal(response)


@one_database
@pytest.mark.ocpi(211)
@pytest.mark.parametrize("cpo_id", ["1%0A", "%201", "01", "+1", "1.0", "1%00", "１"])  # noqa: RUF001  (a digit that is not ours)
def test_nor_does_it_name_a_network_to_delete(gateway: Gateway, cpo_id: str) -> None:
    network = at_once(networks.create, gateway.organization_id, "CPO", ("FR", "ABC"), "x")

    own = str(network.id) if cpo_id.isascii() else "".join(chr(ord("０") + int(d)) for d in str(network.id))  # noqa: RUF001  (likewise)
    response = gateway.delete(f"/ocpi/cpos/{cpo_id.replace('1', own).replace('１', own)}")  # noqa: RUF001

    assert response.status_code in {404, 422}
    assert 1 == gateway.data("/ocpi/cpos")["total"]


@one_database
@pytest.mark.ocpi(211)
def test_the_largest_id_is_merely_unknown(gateway: Gateway) -> None:
    assert 404 == gateway.get(f"/ocpi/cpos/{'9' * 18}").status_code
    assert 404 == gateway.delete(f"/ocpi/cpos/{'9' * 18}").status_code


# Bodies


@one_database
@pytest.mark.parametrize(
    ("method", "tail"), [("POST", ""), ("POST", "/{}/locations"), ("PATCH", "/{}/locations/x")]
)
def test_a_body_is_json_that_says_so(gateway: Gateway, method: str, tail: str) -> None:
    network = at_once(networks.create, gateway.organization_id, "CPO", ("FR", "ABC"), "x")

    def sent(raw: bytes, **headers: str) -> tuple[int, str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = gateway.request(method, f"/ocpi/cpos{tail.format(network.id)}", data=raw, headers=named)
        return refusal(response)[0], response.text

    json_type = "application/json"
    for wrong in (b"{", b"\xff", b"nothing", b'{"a":1,"a":2}', b"[" * 100_000, b'{"a":NaN}'):
        status, told = sent(wrong, Content_Type=json_type)
        assert (400, True) == (status, len(told) < 1000), wrong[:20]
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        assert 415 == sent(b"{}", Content_Type=kind)[0]
    assert 415 == sent(b"{}", Content_Type=json_type, Content_Encoding="gzip")[0]
    assert 422 == sent(b"[]", Content_Type=json_type)[0]
    assert 1 == gateway.data("/ocpi/cpos")["total"]


@one_database
@pytest.mark.parametrize(
    ("method", "tail"), [("POST", ""), ("POST", "/{}/locations"), ("PATCH", "/{}/locations/x")]
)
def test_a_body_may_have_4_mib_and_the_413_says_to_split_it(gateway: Gateway, method: str, tail: str) -> None:
    network = at_once(networks.create, gateway.organization_id, "CPO", ("FR", "ABC"), "x")
    path = f"/ocpi/cpos{tail.format(network.id)}"

    def sent(size: int) -> tuple[int, str]:
        start, end = b'{"padding":"', b'"}'
        raw = start + b"x" * (size - len(start) - len(end)) + end
        headers = {"Content-Type": "application/json"}
        return refusal(gateway.request(method, path, data=raw, headers=headers))

    assert sent(4_194_304)[0] in {404, 422}
    assert (413, True) == (sent(4_194_305)[0], "split it" in sent(4_194_305)[1])
