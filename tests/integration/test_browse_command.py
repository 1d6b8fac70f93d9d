"""The command `estinel browse`: what it prints, how it ends, what it refuses."""

import json
import signal
import socket
import subprocess
import time
import urllib.request
from contextlib import contextmanager

import pytest

from estinel_assets.storage.opening import open_store
from tests.support.cli import command_line, estinel, process_environment

INDEX = b'{"version": 1, "locations": []}'


@pytest.fixture
def url(tmp_path):
    """A store with a catalogue."""
    root = f"file://{tmp_path}/store"
    open_store(root).put("catalog/index.json", INDEX)
    return root


@contextmanager
def started(*arguments, cwd, url):
    """The command in a process of its own; what it says and its process."""
    process = subprocess.Popen(
        command_line(("browse", "--no-open", "--port", 0, *arguments)),
        cwd=cwd,
        env=process_environment({"ESTINEL_STORE_URL": url}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    "ending", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.soak)]
)
def test_it_says_where_and_ends_in_order(tmp_path, url, ending):
    with started(cwd=tmp_path, url=url) as process:
        said = process.stdout.readline()
        address = said.split(" at ")[1].partition(";")[0]
        with urllib.request.urlopen(f"{address}index.json", timeout=10) as reply:  # noqa: S310
            assert reply.read() == INDEX
        # A browser keeps its connection; that must not hold the end up.
        port = int(address.split(":")[2].partition("/")[0])
        with socket.create_connection(("127.0.0.1", port)):
            began = time.monotonic()
            process.send_signal(ending)
            assert process.wait(20) == 0

    assert said == f"{url} is shown at {address}; Ctrl-C ends it.\n"
    assert address.startswith("http://127.0.0.1:")
    assert address.endswith("/catalog/")
    assert time.monotonic() - began < 10


def test_as_json(tmp_path, url):
    with started("--json", cwd=tmp_path, url=url) as process:
        lines = [process.stdout.readline() for _ in range(4)]
        document = json.loads("".join(lines))
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=20)

    assert set(document) == {"url", "store"}
    assert document["store"] == url
    assert (rest, errors) == ("", "")


def test_a_port_that_is_taken_is_bad_input(url):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = estinel("browse", "--no-open", "--port", port, ESTINEL_STORE_URL=url)

    assert done.code == 3
    assert f"cannot listen at 127.0.0.1, port {port} (Address already in use)" in done.stderr
    assert "--port" in done.stderr


def test_a_store_without_a_catalogue_is_bad_input(tmp_path):
    done = estinel("browse", "--no-open", "--json", ESTINEL_STORE_URL=f"file://{tmp_path}/empty")

    assert done.code == 3
    assert "holds no catalogue" in done.stderr
    assert "estinel update" in done.stderr
    assert done.document["error"]["type"] == "BadInputError"


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none_is_bad_input(url, port):
    assert estinel("browse", "--port", port, ESTINEL_STORE_URL=url).code == 3
