"""Pagination, ids and request bodies in all operations of the gateway.

docs/gateway.md "Conventions". Conformance 210, 211.
"""

import itertools

import pytest
from gateway_orders import example, validation_error
from hypothesis import HealthCheck, given
from hypothesis import settings as generated
from hypothesis import strategies as st
from nodes import Gateway, in_transaction, one_database, refusal

from storage import database, networks

NETWORKS = 60
"""The number of networks of the organization `many_networks`."""
IDS = (
    "0", "007", "-1", "+1", "1.0", "1e3", "0x2A", "42%0A", "%0A42", "42%00", "42%20", "٤٢", "４２", "²", "१",  # noqa: RUF001  (digits that are not ASCII)
    "9" * 19, "9" * 30, "9" * 5000, "None", "templates%20",
)  # fmt: skip
INVALID_PAGES = ("0", "-1", "abc", "", "1.5", "٤", "1e1", "1,2", "+1", "9" * 20, "9" * 5000)

LOCATION = example("OcpiCreateLocationRequest")


@pytest.fixture
def many_networks(gateway: Gateway) -> Gateway:
    """An organization with sixty networks."""
    with database.transaction() as transaction:
        for n in range(NETWORKS):
            networks.create(transaction, gateway.organization_id, "CPO", ("FR", f"A{n:02}"), "many")
    return gateway


@one_database
@pytest.mark.ocpi(210)
@pytest.mark.parametrize("path", ["/ocpi/cpos", "/ocpi/cpos/{}/locations", "/ocpp/catalog/brands"])
def test_an_invalid_page_or_limit_is_422(gateway: Gateway, path: str) -> None:
    network = in_transaction(networks.create, gateway.organization_id, "CPO", ("FR", "ABC"), "x")

    for name, value in [
        *itertools.product(("page", "limit"), INVALID_PAGES),
        ("limit", "101"),
        ("limit", "1000000"),
    ]:
        status, detail = refusal(gateway.get(path.format(network.id), **{name: value}))

        assert (422, ["query", name]) == (status, detail[0]["loc"]), value[:40]


@pytest.mark.ocpi(210)
def test_a_page_holds_fifty_in_the_order_of_creation(many_networks: Gateway) -> None:
    whole = many_networks.data("/ocpi/cpos", limit=100)
    ids = [each["cpo_id"] for each in whole["data"]]

    assert sorted(ids, key=int) == ids
    assert [f"A{n:02}" for n in range(NETWORKS)] == [each["party"]["party_id"] for each in whole["data"]]
    first = many_networks.data("/ocpi/cpos")
    assert (ids[:50], NETWORKS, 1, 50) == (
        [each["cpo_id"] for each in first["data"]],
        first["total"],
        first["page"],
        first["limit"],
    )
    assert first == many_networks.data("/ocpi/cpos", page=1, limit=50)


@pytest.mark.ocpi(210)
@generated(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=st.integers(1, 100))
def test_pages_of_any_size_together_hold_every_network(many_networks: Gateway, limit: int) -> None:
    whole = many_networks.data("/ocpi/cpos", limit=100)["data"]
    count = -(-len(whole) // limit)

    pages = [many_networks.data("/ocpi/cpos", page=n, limit=limit) for n in range(1, count + 2)]

    assert whole == [each for page in pages for each in page["data"]]
    assert [] == pages[-1]["data"]
    assert [(n, limit, len(whole)) for n in range(1, count + 2)] == [
        (page["page"], page["limit"], page["total"]) for page in pages
    ]


@pytest.mark.ocpi(210)
@pytest.mark.parametrize("page", [2, 101, 10**9, 9007199254740991])
def test_a_page_past_the_end_is_empty(gateway: Gateway, page: int) -> None:
    network = in_transaction(networks.create, gateway.organization_id, "CPO", ("FR", "ABC"), "x")

    for path, total in (("/ocpi/cpos", 1), (f"/ocpi/cpos/{network.id}/locations", 0)):
        assert {"data": [], "total": total, "page": page, "limit": 100} == gateway.data(
            path, page=page, limit=100
        )


@pytest.mark.ocpi(210)
def test_pages_of_locations_are_in_the_order_of_the_request(gateway: Gateway) -> None:
    accepted = gateway.ready(overrides={"locations": 1, "chargers_per_location": 1})
    url = f"{accepted['destroy_url']}/locations"
    order = [{**LOCATION, "name": f"Place {n}"} for n in range(22)]
    gateway.finish(gateway.create(url, locations=order))

    pages = [gateway.data(url, page=n, limit=5) for n in range(1, 7)]

    names = [site["name"] for page in pages for site in page["data"]]
    assert [f"Place {n}" for n in range(22)] == names[2:]
    assert [5, 5, 5, 5, 4, 0] == [len(page["data"]) for page in pages]
    assert {(24, 5)} == {(page["total"], page["limit"]) for page in pages}
    assert "" == validation_error("OcpiLocationListResponse", pages[0])


def test_only_networks_of_the_organization_are_counted(gateway: Gateway, stranger: Gateway) -> None:
    in_transaction(networks.create, stranger.organization_id, "CPO", ("FR", "ABC"), "x")

    assert (0, 1) == (gateway.data("/ocpi/cpos")["total"], stranger.data("/ocpi/cpos")["total"])


# Ids


@one_database
@pytest.mark.ocpi(211)
@pytest.mark.parametrize("tail", ["", "/status", "/report", "/locations"])
def test_an_invalid_id_is_refused(gateway: Gateway, tail: str) -> None:
    for cpo_id in IDS:
        response = gateway.get(f"/ocpi/cpos/{cpo_id}{tail}")

        assert response.status_code in {404, 422}, (cpo_id[:40], response.text)
        refusal(response)


@one_database
@pytest.mark.ocpi(211)
@pytest.mark.parametrize("cpo_id", ["1%0A", "%201", "01", "+1", "1.0", "1%00", "１"])  # noqa: RUF001  (a digit that is not ASCII)
def test_an_invalid_spelling_of_an_id_deletes_nothing(gateway: Gateway, cpo_id: str) -> None:
    network = in_transaction(networks.create, gateway.organization_id, "CPO", ("FR", "ABC"), "x")

    digits = str(network.id)
    if not cpo_id.isascii():
        digits = "".join(chr(ord("０") + int(digit)) for digit in digits)  # noqa: RUF001  (the same)
    response = gateway.delete(f"/ocpi/cpos/{cpo_id.replace('1', digits).replace('１', digits)}")  # noqa: RUF001

    assert response.status_code in {404, 422}
    assert 1 == gateway.data("/ocpi/cpos")["total"]


@one_database
@pytest.mark.ocpi(211)
def test_the_largest_id_is_unknown(gateway: Gateway) -> None:
    assert 404 == gateway.get(f"/ocpi/cpos/{'9' * 18}").status_code
    assert 404 == gateway.delete(f"/ocpi/cpos/{'9' * 18}").status_code


# Bodies


@one_database
@pytest.mark.parametrize(
    ("method", "tail"), [("POST", ""), ("POST", "/{}/locations"), ("PATCH", "/{}/locations/x")]
)
def test_a_body_must_be_json_with_the_content_type_json(gateway: Gateway, method: str, tail: str) -> None:
    network = in_transaction(networks.create, gateway.organization_id, "CPO", ("FR", "ABC"), "x")

    def send(raw: bytes, **headers: str) -> tuple[int, str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = gateway.request(method, f"/ocpi/cpos{tail.format(network.id)}", data=raw, headers=named)
        return refusal(response)[0], response.text

    json_type = "application/json"
    for wrong in (b"{", b"\xff", b"nothing", b'{"a":1,"a":2}', b"[" * 100_000, b'{"a":NaN}'):
        status, text = send(wrong, Content_Type=json_type)
        assert (400, True) == (status, len(text) < 1000), wrong[:20]
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        assert 415 == send(b"{}", Content_Type=kind)[0]
    assert 415 == send(b"{}", Content_Type=json_type, Content_Encoding="gzip")[0]
    assert 422 == send(b"[]", Content_Type=json_type)[0]
    assert 1 == gateway.data("/ocpi/cpos")["total"]


@one_database
@pytest.mark.parametrize(
    ("method", "tail"), [("POST", ""), ("POST", "/{}/locations"), ("PATCH", "/{}/locations/x")]
)
def test_a_body_may_have_4_mib_and_the_413_says_to_split_it(gateway: Gateway, method: str, tail: str) -> None:
    network = in_transaction(networks.create, gateway.organization_id, "CPO", ("FR", "ABC"), "x")
    path = f"/ocpi/cpos{tail.format(network.id)}"

    def send(size: int) -> tuple[int, str]:
        start, end = b'{"padding":"', b'"}'
        raw = start + b"x" * (size - len(start) - len(end)) + end
        headers = {"Content-Type": "application/json"}
        return refusal(gateway.request(method, path, data=raw, headers=headers))

    assert send(4_194_304)[0] in {404, 422}
    assert (413, True) == (send(4_194_305)[0], "split it" in send(4_194_305)[1])
