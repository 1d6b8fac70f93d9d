"""Registering what Kafka announces, beside one-by-one registration with pyhandle.

    .venv/bin/python -m benchmarks.pids [--quick]

Ours is the whole path: a consumer in a process of its own takes messages from Kafka (librdkafka's
stand-in broker), registers some ten handles for each, stores the outcomes and commits. The peer has
the same messages in memory, makes the same records, and registers them one after the other with
pyhandle; nothing is recorded. The Handle server is the one of the demo, in a process of its own,
new for each run, and answers each request after 0 or 20 ms. The order of the two alternates. The
peer gets fewer messages, because at 20 ms they would take most of an hour; both are given in
messages a second.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyhandle.client.resthandleclient import RESTHandleClient

from benchmarks.announced import LOGIN, PREFIX, TOPIC, messages
from benchmarks.measuring import keep, parser, rounded, surroundings
from estinel_assets.demo.handle_server import ServerLogin, running_handle_server
from estinel_assets.demo.kafka_broker import Produced, produce, running_kafka_broker
from estinel_assets.pids.announcements import announce
from estinel_assets.pids.messages import parse_message
from estinel_assets.pids.plugins import HandleRules, LookedUp, load_plugin
from estinel_assets.pids.records import URL

GOALS = {0: 1.5, 20: 15.0}
"""Times as fast as the peer, by milliseconds a request."""
PARTITIONS = 12
"""The stand-in broker forgets what is beyond some 5 MB a partition."""


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    messages: int
    peer_messages: dict[int, int]
    """By milliseconds a request."""
    rounds: int


FULL = Size(messages=5000, peer_messages={0: 500, 20: 60}, rounds=3)
QUICK = Size(messages=100, peer_messages={0: 20, 20: 4}, rounds=1)


@contextmanager
def handle_server(latency_ms: int) -> Iterator[str]:
    """A new Handle server that waits so long before each answer."""
    login = ServerLogin(*LOGIN)
    with running_handle_server(
        login=login, prefixes=[PREFIX], latency_s=latency_ms / 1000
    ) as address:
        yield address


def ours(number: int, latency_ms: int) -> dict[str, float]:
    """Consume messages in a process of its own; what it says of itself."""
    with (
        tempfile.TemporaryDirectory(prefix="estinel-pids-") as name,
        handle_server(latency_ms) as handles,
        running_kafka_broker({TOPIC: PARTITIONS}) as broker,
    ):
        folder = Path(name)
        produce(broker, TOPIC, (Produced(body, key) for key, body in messages(number, "ours")))
        config = folder / "pids.toml"
        config.write_text(
            f"""
            [consumer]
            topic = "{TOPIC}"
            output_dir = "{folder / "outputs"}"
            [kafka]
            "bootstrap.servers" = "{broker}"
            "group.id" = "benchmark"
            [handle]
            server_url = "{handles}"
            prefix = "{PREFIX}"
            username = "{LOGIN[0]}"
            password = "{LOGIN[1]}"
            [lookup]
            enabled = false
            """,
            encoding="utf-8",
        )
        command = [sys.executable, "-m", "benchmarks.pids_consumer"]
        done = subprocess.run(
            [*command, str(config), str(folder / "store"), str(number)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"the consumer failed:\n{done.stderr}")
        said = json.loads(done.stdout)
        if said["reasons"] != {"none": number}:
            raise SystemExit(f"not all messages were registered: {said['reasons']}")
        return {
            "messages_per_s": number / said["seconds"],
            "cpu_ms_a_message": 1000 * said["cpu_seconds"] / number,
            "peak_mib": said["peak_mib"],
        }


def peer(number: int, latency_ms: int) -> dict[str, float]:
    """Register one record after the other with pyhandle."""
    maker = load_plugin("cmip6").configure(HandleRules(PREFIX), {})
    with handle_server(latency_ms) as handles:
        client = RESTHandleClient.instantiate_with_username_and_password(handles, *LOGIN)
        waiting = list(messages(number, "peer"))
        began = time.perf_counter()
        for _, body in waiting:
            made = maker.records(announce(parse_message(body)), LookedUp())
            for record in made.records:
                fields = {value.type: value.data for value in record.values}
                client.register_handle(record.handle, fields.pop(URL), overwrite=True, **fields)
        return {"messages_per_s": number / (time.perf_counter() - began)}


def measure(size: Size) -> dict[str, object]:
    """Measure everything."""
    found: dict[str, object] = {}
    for latency_ms, goal in GOALS.items():
        runs: dict[str, list[dict[str, float]]] = {"ours": [], "peer": []}
        peers = size.peer_messages[latency_ms]
        for number in range(size.rounds):
            for way in ("ours", "peer") if number % 2 == 0 else ("peer", "ours"):
                print(f"{latency_ms} ms, round {number + 1}: {way}", file=sys.stderr, flush=True)
                runs[way].append(
                    ours(size.messages, latency_ms) if way == "ours" else peer(peers, latency_ms)
                )
        medians = {
            way: {
                part: rounded(statistics.median(run[part] for run in several))
                for part in several[0]
            }
            for way, several in runs.items()
        }
        ratio = medians["ours"]["messages_per_s"] / medians["peer"]["messages_per_s"]
        found[f"at_{latency_ms}_ms"] = {
            **medians,
            "peer_messages": peers,
            "ratio": round(ratio, 1),
            "goal": goal,
        }
    fifth = ours(size.messages // 5, 0)
    return {
        "messages": size.messages,
        "rounds": size.rounds,
        **found,
        "peak_mib_at_a_fifth": rounded(fifth["peak_mib"]),
    }


def main() -> None:
    """Measure, and keep the result."""
    arguments = parser(__doc__).parse_args()
    around = surroundings("confluent-kafka", "httpx", "pyhandle", "requests")
    size = QUICK if arguments.quick else FULL
    keep("pids", arguments, {"surroundings": around, **measure(size)})


if __name__ == "__main__":
    main()
