"""`estinel browse` over HTTP: stores of every kind, ranges, versions, refusals."""

import http.client
import os
import re
import socket
import threading
from contextlib import contextmanager, suppress

import pytest

from estinel_assets.errors import BadInputError, StoreError
from estinel_assets.imagery import browse_server
from estinel_assets.imagery.browse_paths import CONTENT_SECURITY_POLICY
from estinel_assets.imagery.browse_server import check_catalogue, open_server
from estinel_assets.imagery.page_files import page_files
from estinel_assets.storage.opening import open_store
from tests.support.recording_store import RecordingStore
from tests.support.s3 import s3_server

DAY = "sentinel-2-c1-l2a/2024/12/04/Hobart_2024-12-04"
PIXELS = bytes(range(256)) * 40
DOCUMENT = b'{"version": 1, "locations": []}'
FILES = {
    "catalog/index.json": DOCUMENT,
    "catalog/fragments/site_1.json": b"{}",
    f"{DAY}_q128.png": b"\x89PNG picture",
    f"{DAY}.tif": PIXELS,
    f"{DAY}.json": b'{"type": "Feature"}',
    "leases/imagery-catalog.json": b'{"token": "secret"}',
    "catalog/merged.json": b"{}",
}


class Answer:
    def __init__(self, reply, body):
        self.status, self.body = reply.status, body
        self.headers = reply.headers


@contextmanager
def browsing(store, **options):
    server = open_server(store, **options)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(server, target, method="GET", body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, target, body=body, headers=named)
        reply = connection.getresponse()
        return Answer(reply, reply.read())
    finally:
        connection.close()


def filled(store):
    for path, body in FILES.items():
        store.put(path, body)
    return RecordingStore(store)


@pytest.fixture(scope="module", params=["memory", "file", "s3"])
def served(request, tmp_path_factory):
    if request.param == "s3":
        with s3_server() as access, browsing(filled(access.open("private"))) as server:
            yield server
        return
    folder = tmp_path_factory.mktemp("browse")
    url = "memory://" if request.param == "memory" else f"file://{folder}/store"
    with browsing(filled(open_store(url))) as server:
        yield server


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("catalog/index.json", "application/json"),
        (f"{DAY}_q128.png", "image/png"),
        (f"{DAY}.tif", "image/tiff"),
        (f"{DAY}.json", "application/geo+json"),
    ],
)
def test_what_the_store_holds(served, path, kind):
    answer = ask(served, f"/{path}")

    assert (answer.status, answer.body) == (200, FILES[path])
    assert answer.headers["Content-Type"] == kind
    assert answer.headers["Content-Length"] == str(len(FILES[path]))
    assert answer.headers["Accept-Ranges"] == "bytes"
    head = ask(served, f"/{path}", "HEAD")
    assert (head.status, head.body) == (200, b"")
    named = ("Content-Type", "Content-Length", "ETag", "Cache-Control", "Accept-Ranges")
    assert {name: head.headers[name] for name in named} == {
        name: answer.headers[name] for name in named
    }


@pytest.mark.parametrize("path", ["catalog/index.json", f"{DAY}_q128.png", f"{DAY}.tif"])
def test_what_a_browser_has_is_not_sent_again(served, path):
    etag = ask(served, f"/{path}").headers["ETag"]

    again = ask(served, f"/{path}", If_None_Match=etag)
    other = ask(served, f"/{path}", If_None_Match='"other"')

    assert (again.status, again.body) == (304, b"")
    assert again.headers["ETag"] == etag
    assert (other.status, other.body) == (200, FILES[path])


@pytest.mark.parametrize(
    ("wanted", "part", "said"),
    [
        ("bytes=0-9", PIXELS[:10], "bytes 0-9/10240"),
        ("bytes=10000-", PIXELS[10000:], "bytes 10000-10239/10240"),
        ("bytes=-16", PIXELS[-16:], "bytes 10224-10239/10240"),
    ],
)
def test_a_range(served, wanted, part, said):
    answer = ask(served, f"/{DAY}.tif", Range=wanted)

    assert (answer.status, answer.body) == (206, part)
    assert answer.headers["Content-Range"] == said
    assert answer.headers["Content-Length"] == str(len(part))


def test_a_range_beyond_the_end(served):
    answer = ask(served, f"/{DAY}.tif", Range="bytes=10240-")

    assert answer.status == 416
    assert answer.headers["Content-Range"] == "bytes */10240"


def test_a_range_of_another_version_is_the_whole(served):
    etag = ask(served, f"/{DAY}.tif").headers["ETag"]

    assert ask(served, f"/{DAY}.tif", Range="bytes=0-9", If_Range='"former"').status == 200
    assert ask(served, f"/{DAY}.tif", Range="bytes=0-9", If_Range=etag).status == 206


def test_several_ranges_are_the_whole(served):
    assert ask(served, f"/{DAY}.tif", Range="bytes=0-1,5-6").body == PIXELS


def test_a_head_has_no_ranges(served):
    answer = ask(served, f"/{DAY}.tif", "HEAD", Range="bytes=0-9")

    assert (answer.status, answer.headers["Content-Length"]) == (200, "10240")


def test_a_changed_object_has_another_version(served):
    path = f"{DAY}_histeq.png"
    served.store.put(path, b"before")
    before = ask(served, f"/{path}")
    served.store.put(path, b"after, and longer")

    after = ask(served, f"/{path}", If_None_Match=before.headers["ETag"])

    assert (after.status, after.body) == (200, b"after, and longer")


def test_a_picture_is_one_question_to_the_store(served):
    served.store.forget()

    ask(served, f"/{DAY}_q128.png")

    assert served.store.reads == [f"{DAY}_q128.png"]


def test_what_is_absent(served):
    for target in (f"/{DAY}_stretch.png", "/catalog/ratings/site_1.json", "/catalog/none.js"):
        answer = ask(served, target)
        assert (answer.status, answer.body) == (404, b"404 Not Found\n")
    assert ask(served, f"/{DAY}_stretch.png", "HEAD").body == b""


@pytest.mark.parametrize(
    "target",
    [
        "/leases/imagery-catalog.json",
        "/catalog/../leases/imagery-catalog.json",
        "/catalog/%2e%2e/leases/imagery-catalog.json",
        "/catalog/..%2fleases/imagery-catalog.json",
        "/catalog/merged.json",
        "/catalog/../../../../etc/passwd",
        "/catalog/app/../../settings.py",
        "/catalog/%2fetc%2fpasswd",
        "//etc/passwd",
        "/etc/passwd",
    ],
)
def test_nothing_else_is_served(served, target):
    answer = ask(served, target)

    assert answer.status == 404
    assert b"secret" not in answer.body


def test_the_page_is_the_packages_own(served):
    for name, file in page_files().items():
        answer = ask(served, f"/catalog/{name}")
        assert (answer.status, answer.body) == (200, file.body)
        assert answer.headers["Content-Type"] == file.content_type
        assert answer.headers["Cache-Control"] == "no-cache"
        etag = answer.headers["ETag"]
        assert ask(served, f"/catalog/{name}", If_None_Match=etag).status == 304
    assert ask(served, "/catalog/").body == page_files()["index.html"].body
    assert ask(served, "/catalog/?location=Hobart").status == 200


@pytest.mark.parametrize("target", ["/", "/catalog"])
def test_the_way_to_the_page(served, target):
    answer = ask(served, target)

    assert (answer.status, answer.headers["Location"]) == (302, "/catalog/")
    assert served.url == f"http://127.0.0.1:{served.server_port}/catalog/"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_written(served, method):
    answer = ask(served, "/catalog/index.json", method, body=b"{}")

    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"
    assert served.store.get("catalog/index.json").data == DOCUMENT


@pytest.mark.parametrize(
    ("target", "method"),
    [
        ("/catalog/", "GET"),
        (f"/{DAY}.tif", "GET"),
        ("/none", "GET"),
        ("/", "HEAD"),
        ("/", "POST"),
        ("/", "BREW"),
    ],
)
def test_every_answer_is_guarded(served, target, method):
    headers = ask(served, target, method).headers

    assert headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Access-Control-Allow-Origin"] is None
    assert headers["Server"] == "estinel"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8730", 200),
        ("localhost:8730", 200),
        ("LOCALHOST", 200),
        ("[::1]:8730", 200),
        ("browse.localhost", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:8730", 421),
        ("localhost.evil.example", 421),
        ("192.0.2.7:8730", 421),
        ("", 421),
        ("[", 421),
    ],
)
def test_it_answers_to_this_machines_names_only(served, host, status):
    """Or a page from elsewhere could let its own name lead here, and read along."""
    assert ask(served, "/catalog/index.json", Host=host).status == status


def test_a_server_for_everybody_answers_to_any_name():
    with browsing(filled(open_store("memory://")), host="0.0.0.0") as server:  # noqa: S104
        assert ask(server, "/catalog/index.json", Host="images.example").status == 200
        assert server.url == f"http://127.0.0.1:{server.server_port}/catalog/"


def talk(server, sent):
    """Send bytes over one connection; everything that comes back."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


GET = b"GET /catalog/index.json HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_a_connection_serves_many_requests(served):
    assert talk(served, GET * 5).count(b"HTTP/1.1 200 OK") == 5


def test_a_body_is_not_taken_for_the_next_request(served):
    hidden = b"GET /catalog/fragments/site_1.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for method in (b"GET", b"POST"):
        head = b"%s /catalog/index.json HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
        said = talk(served, head % (method, len(hidden)) + hidden)
        assert said.count(b"HTTP/1.1 ") == 1, method


@pytest.mark.parametrize(
    "request_line",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /<script>alert(1)</script> HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"BREW /<script> HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
    ],
)
def test_a_request_that_cannot_be_read_is_not_quoted(served, request_line):
    said = talk(served, request_line)

    assert b"<script>" not in said
    # What is no HTTP/1.1 gets an answer without headers.
    assert re.match(rb"(HTTP/1\.1 )?[45]\d\d ", said)
    assert ask(served, "/catalog/index.json").status == 200


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000 + b"\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999999\r\n\r\n" + GET * 2000,
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + GET,
    ],
    ids=["line", "headers", "body", "chunks"],
)
def test_a_request_that_never_ends_is_cut_off(served, request_line):
    with suppress(OSError):  # cut off while it is sent
        assert talk(served, request_line).count(b"HTTP/1.1 ") <= 1

    assert ask(served, "/catalog/index.json").status == 200


# Large objects, and stores that fail


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(browse_server, "WHOLE_BYTES", 1000)


def test_a_large_object_comes_in_parts(served, small_parts):
    served.store.forget()
    body = os.urandom(5 * 1000 + 1)
    served.store.put(f"{DAY}_scl.tif", body)

    assert ask(served, f"/{DAY}_scl.tif").body == body
    assert ask(served, f"/{DAY}_scl.tif", Range="bytes=500-4321").body == body[500:4322]
    assert served.store.reads == [], "nobody held it whole"


class Failing(RecordingStore):
    """Does something to a read."""

    def __init__(self, store):
        super().__init__(store)
        self.at = lambda *_: None

    def get_range(self, path, start, length):
        self.at(path, start)
        return self.store.get_range(path, start, length)

    def head(self, path):
        self.at(path, None)
        return self.store.head(path)

    def get(self, path):
        self.at(path, None)
        return self.store.get(path)


@pytest.fixture
def failing():
    store = Failing(filled(open_store("memory://")).store)
    with browsing(store) as server:
        yield server


def refuse(path, start):
    raise StoreError(f"s3://bucket/{path} refused; the key is SECRET")


def test_a_store_that_refuses(failing):
    failing.store.at = refuse

    answer = ask(failing, f"/{DAY}.tif")

    assert (answer.status, answer.body) == (502, b"502 Bad Gateway\n")


def test_an_object_that_breaks_off_is_not_taken_for_whole(failing, small_parts):
    failing.store.at = lambda path, start: refuse(path, start) if start == 3000 else None

    with pytest.raises(http.client.IncompleteRead):
        ask(failing, f"/{DAY}.tif")


def test_an_object_that_is_replaced_meanwhile_is_not_mixed(failing, small_parts):
    def replace(path, start):
        if start == 3000:
            failing.store.store.put(path, PIXELS[::-1])

    failing.store.at = replace

    with pytest.raises(http.client.IncompleteRead):
        ask(failing, f"/{DAY}.tif")
    assert ask(failing, f"/{DAY}.tif", Range="bytes=0-9").status == 206


def test_a_reader_that_goes_away_does_no_harm(served, capfd):
    for _ in range(5):
        connection = socket.create_connection(("127.0.0.1", served.server_port))
        connection.sendall(GET.replace(b"catalog/index.json", f"{DAY}.tif".encode()))
        connection.close()

    assert ask(served, "/catalog/index.json").status == 200
    assert "Traceback" not in capfd.readouterr().err


# What cannot be served


def test_a_store_without_a_catalogue_says_what_to_do():
    store = open_store("memory://")
    with pytest.raises(BadInputError, match=r"no catalogue .*estinel update.*--config"):
        check_catalogue(store)
    # One of an earlier release has no index.
    store.put("catalog/image-catalog.json", b"{}")
    check_catalogue(store)


@pytest.mark.parametrize(
    ("host", "port"), [("192.0.2.1", 0), ("no such host", 0), ("127.0.0.1", 70_000), ("::zz", 0)]
)
def test_an_address_that_cannot_be_used(host, port):
    with pytest.raises(BadInputError, match=r"cannot listen at .*--port or --host"):
        open_server(open_store("memory://"), host=host, port=port)


def test_a_port_that_is_taken():
    with browsing(open_store("memory://")) as server:
        taken = server.server_port
        with pytest.raises(BadInputError, match=rf"port {taken} \(Address already in use\)"):
            open_server(open_store("memory://"), port=taken)
