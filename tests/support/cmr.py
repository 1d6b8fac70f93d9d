"""CMRs for tests: recordings of the real one replayed, and pages made up one by one.

A CMR that behaves is `estinel_assets.demo.cmr`; one that does not is a `ScriptedServer` with the
pages of `page`.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from estinel_assets.compatibility.cmr import CmrClient
from estinel_assets.transport import RetryPolicy
from estinel_assets.transport.httpx_transport import HttpxTransport
from tests.support.replay import Answer, Request, Server

Json = dict[str, Any]


@contextmanager
def cmr_client(root: str, *, attempts: int = 2, timeout_s: float = 5.0) -> Iterator[CmrClient]:
    """A client that does not wait between its tries, of a CMR whose search is at `/search`."""
    policy = RetryPolicy(
        attempts=attempts, backoff_s=0.0, backoff_max_s=0.0, deadline_s=60.0, sleep=lambda _: None
    )
    transport = HttpxTransport(policy, timeout_s=timeout_s)
    try:
        yield CmrClient(transport, f"{root}/search")
    finally:
        transport.close()


def page(items: Sequence[Json], hits: int | None = None, search_after: str | None = None) -> Answer:
    """A page of records; `hits` are as many as there are items unless they are told."""
    headers = {"CMR-Hits": str(len(items) if hits is None else hits)}
    if search_after is not None:
        headers["CMR-Search-After"] = search_after
    body: Json = {"hits": int(headers["CMR-Hits"]), "took": 1, "items": list(items)}
    kind = "application/vnd.nasa.cmr.umm_results+json;version=1.18.0; charset=utf-8"
    return Answer(200, json.dumps(body).encode(), {"Content-Type": kind, **headers})


class RecordedCmr(Server):
    """Answers every search as the last exchange of a recording, headers included.

    A search by offset gets the record at that place. A search-after with what the recording gave
    gets an empty page, as CMR's last one is.
    """

    def __init__(self, recording: Path) -> None:
        response = json.loads(recording.read_text())[-1]["response"]
        self.items: list[Json] = response["body"]["items"]
        self.recorded_headers = {name: values[0] for name, values in response["headers"].items()}
        super().__init__(self._replay)

    def _replay(self, request: Request) -> Answer:
        hits = int(self.recorded_headers["cmr-hits"])
        after = {name.lower(): value for name, value in request.headers.items()}
        if (asked := after.get("cmr-search-after")) is not None:
            known = asked == self.recorded_headers["cmr-search-after"]
            return page([], hits) if known else Answer.json({"errors": ["unknown"]}, 400)
        if "offset" in request.query:
            start = int(request.query["offset"][0])
            return page(self.items[start : start + 1], hits)
        return page(self.items, hits, self.recorded_headers["cmr-search-after"])
