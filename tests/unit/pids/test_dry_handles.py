"""The Handle service of dry runs, which writes lines."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from estinel_assets.errors import BadInputError, PermanentError
from estinel_assets.pids.handle_client import DryHandles
from estinel_assets.pids.ports import HandleService, HandleValue, Registered
from tests.support.handles import STAMP, register, values_of


def days(*times: datetime) -> Iterator[datetime]:
    yield from times


def lines_of(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_lines_by_date(tmp_path: Path) -> None:
    first = datetime(2025, 3, 4, 23, 59, tzinfo=UTC)
    times = days(first, first + timedelta(minutes=1), first)
    service: HandleService = DryHandles(tmp_path / "handles", now=lambda: next(times))
    service.probe()
    assert not list(tmp_path.iterdir())
    values = [HandleValue(3, "A", "second"), HandleValue(1, "URL", "u"), HandleValue(2, "A", "é")]
    assert register(service, "21.TEST/1", values) is Registered.CREATED
    assert service.read("21.TEST/1") is None
    register(service, "21.TEST/2", values_of(A="1"))
    register(service, "21.TEST/3", values_of(URL="v"))
    service.close()
    service.close()
    assert lines_of(tmp_path / "handles" / "handles_2025-03-04.jsonl") == [
        {
            "handle": "21.TEST/1",
            "URL": "u",
            "data": {"A": "é", "ANNOUNCED_AT": STAMP.text()},
            "timestamp": "2025-03-04T23:59:00+00:00",
        },
        {
            "handle": "21.TEST/3",
            "URL": "v",
            "data": {"ANNOUNCED_AT": STAMP.text()},
            "timestamp": "2025-03-04T23:59:00+00:00",
        },
    ]
    assert lines_of(tmp_path / "handles" / "handles_2025-03-05.jsonl") == [
        {
            "handle": "21.TEST/2",
            "URL": None,
            "data": {"A": "1", "ANNOUNCED_AT": STAMP.text()},
            "timestamp": "2025-03-05T00:00:00+00:00",
        }
    ]


def test_lines_of_many_threads_are_whole(tmp_path: Path) -> None:
    service = DryHandles(tmp_path, now=lambda: datetime(2025, 3, 4, tzinfo=UTC))
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda n: register(service, f"21.TEST/{n}", values_of(URL="x" * 20_000)),
                range(100),
            )
        )
    service.close()
    lines = lines_of(tmp_path / "handles_2025-03-04.jsonl")
    assert {line["handle"] for line in lines} == {f"21.TEST/{n}" for n in range(100)}
    assert all(line["URL"] == "x" * 20_000 for line in lines)


def test_what_cannot_be_registered_is_refused_here_too(tmp_path: Path) -> None:
    service = DryHandles(tmp_path / "file")
    with pytest.raises(PermanentError, match="is no handle"):
        register(service, "a", values_of(URL="u"))
    with pytest.raises(PermanentError, match="it has no values"):
        register(service, "a/b", [])
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(BadInputError, match="cannot take the lines of a dry run"):
        register(service, "a/b", values_of(URL="u"))
