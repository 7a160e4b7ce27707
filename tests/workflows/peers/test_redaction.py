"""The secrets of an exchange do not reach its row. Security S7, S52."""

import base64
import json
from typing import Any

import pytest

from workflows.peers import exchange_rows
from workflows.peers.exchange_rows import BODY_BYTES, Observed
from workflows.peers.redaction import REDACTED

SECRET = "b1-secret/of+the=peer"
OURS = "aB3_" * 10 + "-Z9"
UID = "Zz0_" * 10 + "-Y8"


def row(
    request: bytes = b"", response: bytes = b"", url: str = "/", authorization: str = "", **more: Any
) -> dict[str, Any]:
    """The row of an exchange; nothing that is stored depends on the database."""
    headers = [("Authorization", authorization)] if authorization else []
    observed = Observed(
        direction="in",
        method="POST",
        url=url,
        started_at=0,
        request_id="1",
        request_headers=more.pop("request_headers", headers),
        request_body=request[:BODY_BYTES],
        request_cut=len(request) > BODY_BYTES,
        network_id=1,
        **more,
    )
    observed.answer(200, [("X-Echo", authorization)])
    observed.read(response)
    no_connection: Any = None
    found = exchange_rows.row(no_connection, observed)
    assert found is not None
    return found


BODIES = {
    "a member": b'{"token":"%s","n":1}',
    "an inner member": b'{"data":{"Token" : "%s"},"n":1}',
    "a member that ends with token": b'{"access_token":"%s"}',
    "an unfinished member": b'{"n":1,"token":"%s',
    "twice": b'{"token":"%s","token":"%s"}',
    "an escaped name": rb'{"\u0074oken":"%s"}',
    "a message that repeats it": b'{"token":"%s","status_message":"unknown token %s"}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_the_token_of_a_body_is_redacted_on_both_sides(body: bytes) -> None:
    sent = body.replace(b"%s", SECRET.encode())

    found = row(sent, b"you sent " + sent, status_message=f"no {SECRET}" if b"token" in sent else None)

    assert REDACTED in found["request_body"]
    assert SECRET not in json.dumps(found)


def test_an_escaped_token_is_redacted() -> None:
    found = row(rb'{"token":"\u0062\u0031-secret-of-the-peer"}', b"b1-secret-of-the-peer")

    assert ('{"token":"[redacted]"}', REDACTED) == (found["request_body"], found["response_body"])


@pytest.mark.parametrize("form", ["Token {}", "{}", "bearer {}", "Token {} and {}", "{} {}"])
def test_the_token_of_the_header_is_redacted_everywhere(form: str) -> None:
    encoded = base64.b64encode(SECRET.encode()).decode()
    url = "/ocpi?token=b1-secret%2Fof%2Bthe%3Dpeer"

    found = row(SECRET.encode(), encoded.encode(), url, form.format(SECRET, SECRET), error=f"x {SECRET}")

    assert [REDACTED, REDACTED, f"/ocpi?token={REDACTED}"] == [
        found[name] for name in ("request_body", "response_body", "url")
    ]
    text = json.dumps(found)
    assert [] == [secret for secret in (SECRET, encoded, "b1-secret") if secret in text]


def test_a_secret_that_looks_like_json_does_not_break_the_headers() -> None:
    observed_headers = [("X-Token", '","Content-Type"'), ("Content-Type", "a/b"), ("X-Other", "c")]

    found = row(request_headers=observed_headers)

    assert [["X-Token", REDACTED], ["Content-Type", "a/b"], ["X-Other", "c"]] == json.loads(
        found["request_headers"]
    )


def test_a_token_in_base64_is_redacted_in_both_forms() -> None:
    encoded = base64.b64encode(SECRET.encode()).decode()

    found = row(SECRET.encode(), encoded.encode(), authorization=f"Token {encoded}")

    assert [REDACTED, REDACTED] == [found["request_body"], found["response_body"]]


@pytest.mark.parametrize("prefix", ["", "a_", "o_", "ogk_"])
def test_a_token_of_ours_is_redacted_wherever_it_is(prefix: str) -> None:
    found = row(f"<{prefix}{OURS}>".encode(), b"", f"/ocpi/{prefix}{OURS}?x={prefix}{OURS}")

    assert (f"<{REDACTED}>", f"/ocpi/{REDACTED}?x={REDACTED}") == (found["request_body"], found["url"])


def test_escapes_in_a_body_stay_as_they_were_sent() -> None:
    body = rb'{"name": "caf\u00e9", "token": "%s", "deep": %s}'

    assert body % (REDACTED.encode(), b"1") == row(body % (SECRET.encode(), b"1"))["request_body"].encode()
    assert SECRET not in row(body % (SECRET.encode(), b"[" * 500 + b"]" * 500))["request_body"]


def test_the_uid_of_a_command_and_other_long_words_stay() -> None:
    url = f"/ocpi/emsp/2.1.1/commands/START_SESSION/{UID}"
    body = json.dumps({"response_url": f"https://a.example{url}", "hash": "0" * 64, "token": {"uid": "1"}})

    found = row(body.encode(), b"", url)

    assert (url, body) == (found["url"], found["request_body"])


@pytest.mark.parametrize("kept", range(1, 44, 7))
def test_a_cut_body_does_not_end_with_the_start_of_a_token(kept: int) -> None:
    padding = "x " * BODY_BYTES
    body = f"{padding[: BODY_BYTES - kept]}{OURS} and more"

    found = row(body.encode())

    assert found["request_cut"]
    assert OURS[:kept] not in found["request_body"]
    assert len(found["request_body"]) > BODY_BYTES - 64 - kept


def test_a_body_that_is_not_text_is_marked_as_cut() -> None:
    assert [(True, "caf\ufffd"), (True, "a\ufffdb"), (False, "caf\xe9")] == [
        (found["request_cut"], found["request_body"])
        for found in map(row, (b"caf\xe9", b"a\0b", "caf\xe9".encode()))
    ]
