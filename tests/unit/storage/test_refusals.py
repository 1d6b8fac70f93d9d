"""Every refusal of a store becomes an error of ours that shows no secret."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from estinel_assets.errors import AlreadyExistsError, ChangedError, NotFoundError, StoreError
from estinel_assets.storage import open_store
from estinel_assets.storage.port import ObjectStore
from estinel_assets.storage.refusals import refusals, translate
from tests.support.s3 import S3Access, s3_server
from tests.support.serving import serving


class _Answers(BaseHTTPRequestHandler):
    """Answers every request in the same way."""

    status: ClassVar[int] = 500
    body: ClassVar[bytes] = b""

    def do_HEAD(self) -> None:
        if self.status != 409:
            self._answer()
            return
        self.send_response(200)
        self.send_header("Content-Length", "1")
        self.send_header("ETag", '"other"')
        self.send_header("Last-Modified", "Wed, 04 Dec 2024 14:00:00 GMT")
        self.end_headers()

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(self.body)

    do_GET = do_PUT = do_DELETE = do_POST = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def answering() -> Iterator[Callable[[int, str], ObjectStore]]:
    """Opens an S3 store whose server always gives one answer."""
    servers = ExitStack()

    def start(status: int, code: str) -> ObjectStore:
        body = f"<Error><Code>{code}</Code><Message>hidden</Message></Error>".encode()
        handler = type("Handler", (_Answers,), {"status": status, "body": body})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        access = S3Access(servers.enter_context(serving(server)), "bucket")
        return access.open("p", max_retries=0)

    with servers:
        yield start


def _uses(store: ObjectStore) -> list[Callable[[], object]]:
    return [
        lambda: store.get("a"),
        lambda: store.get_range("a", 0, 5),
        lambda: store.put("a", b"x"),
        lambda: store.create("a", b"x"),
        lambda: store.replace("a", b"x", etag='"e"'),
        lambda: store.delete("a"),
        lambda: list(store.list("a")),
        lambda: store.list_folders("a"),
    ]


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "AccessDenied", "access denied.*403 Forbidden AccessDenied.*permissions"),
        (401, "Unauthorized", "access denied.*401"),
        (500, "InternalError", "the server answered 500 Internal Server Error"),
        (503, "SlowDown", "the server answered 503 Service Unavailable"),
        (404, "NoSuchBucket", "bucket does not exist"),
    ],
)
def test_a_server_that_refuses_is_a_store_error(
    answering: Callable[[int, str], ObjectStore], status: int, code: str, said: str
) -> None:
    for use in _uses(answering(status, code)):
        with pytest.raises(StoreError, match=said) as caught:
            use()
        assert type(caught.value) is StoreError
        message = str(caught.value)
        assert "s3://bucket/p/a" in message
        assert "hidden" not in message
        assert "?" not in message
        assert "test-secret-key" not in message
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


def test_a_conflict_of_two_conditional_writes_is_a_lost_one(
    answering: Callable[[int, str], ObjectStore],
) -> None:
    store = answering(409, "ConditionalRequestConflict")
    with pytest.raises(AlreadyExistsError):
        store.create("a", b"x")
    with pytest.raises(ChangedError, match="s3://bucket/p/a changed"):
        store.replace("a", b"x", etag='"e"')


def test_a_server_that_is_not_there_is_a_store_error() -> None:
    store = S3Access("http://127.0.0.1:9", "bucket").open("p", max_retries=0)
    for use in [*_uses(store), lambda: store.head("a")]:
        with pytest.raises(StoreError, match=r"127\.0\.0\.1:9 cannot be reached") as caught:
            use()
        assert "?" not in str(caught.value)


def test_credentials_that_fail_later_are_a_store_error() -> None:
    access = S3Access("http://127.0.0.1:9", "bucket")
    session = access.session()
    store = open_store(access.url("p"), endpoint_url=access.endpoint_url, session=session)

    def fail() -> None:
        raise RuntimeError("the single sign-on session has expired")

    session.get_credentials().get_frozen_credentials = fail
    with pytest.raises(StoreError, match=r"no valid credentials .*expired.*AWS profile"):
        store.get("a")


def test_an_absent_bucket_is_not_taken_for_an_absent_object() -> None:
    with s3_server() as access:
        store = S3Access(access.endpoint_url, "absent-bucket").open(max_retries=0)
        for use in _uses(store):
            with pytest.raises(StoreError, match="bucket does not exist; create it") as caught:
                use()
            assert type(caught.value) is StoreError


def test_a_local_path_that_leads_through_an_object_is_refused(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    store.put("a", b"x")
    for write in (lambda: store.put("a/b/c", b"x"), lambda: store.create("a/b", b"x")):
        with pytest.raises(StoreError, match="is an object itself") as caught:
            write()
        assert type(caught.value) is StoreError
    store.put("d/e", b"x")
    with pytest.raises(StoreError, match=r"cannot write file://.*/d: Is a directory"):
        store.put("d", b"x")
    assert sorted(meta.path for meta in store.list()) == ["a", "d/e"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FileNotFoundError("x"), NotFoundError),
        (FileExistsError("x"), AlreadyExistsError),
        (PermissionError(13, "Permission denied"), StoreError),
        (OSError(28, "No space left on device"), StoreError),
        (NotImplementedError("x"), StoreError),
        (ValueError("x"), StoreError),
    ],
)
def test_what_the_system_refuses_has_an_error_of_ours(
    error: Exception, expected: type[StoreError]
) -> None:
    with pytest.raises(StoreError) as caught, refusals("write", "file:///a"):
        raise error
    assert type(caught.value) is expected
    assert "file:///a" in str(caught.value)


def test_a_full_disk_is_told() -> None:
    told = str(translate(OSError(28, "No space left on device"), "write", "file:///a"))
    assert told == "cannot write file:///a: No space left on device; check the folder"


def test_only_the_first_line_is_told_without_addresses_secrets() -> None:
    text = "odd answer from https://u:hidden@h/p?sig=hidden for you\nhidden"
    told = str(translate(ValueError(text), "read", "s3://b/a"))
    assert told == "cannot read s3://b/a: odd answer from https://h/p for you"


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(ChangedError, match="mine"), refusals("write", "file:///a"):
        raise ChangedError("mine")
    with pytest.raises(KeyError), refusals("write", "file:///a"):
        raise KeyError("a")
