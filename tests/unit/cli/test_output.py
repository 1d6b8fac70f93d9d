"""Results on stdout, and progress on stderr."""

import io
import json
import logging
import os
import pty
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.cli.output import (
    Table,
    cell_text,
    plain_lines,
    printable,
    write_json,
    write_table,
    write_text,
)
from estinel_assets.cli.progress import progress
from tests.support.hostile import HOSTILE_NAMES

FORMER_SCREEN = "\x1b[2J\x07\r\u202eevil"


@given(st.text())
def test_cells_are_printable_lines(text: str) -> None:
    shown = printable(text)
    assert "\n" not in shown
    assert all(one.isprintable() or one.isspace() for one in shown)
    if text.isprintable():
        assert shown == text


def test_terminal_sequences_are_escaped() -> None:
    assert printable(FORMER_SCREEN) == "\\x1b[2J\\x07\\r\\u202eevil"


def test_cells() -> None:
    time = datetime(2024, 12, 4, 1, 2, 3, 456, tzinfo=UTC)
    values = [None, True, 3, 0.5, "a\nb", time]
    assert [cell_text(value) for value in values] == [
        "",
        "true",
        "3",
        "0.5",
        "a b",
        "2024-12-04T01:02:03+00:00",
    ]


def test_plain_tables_align_and_are_never_cut() -> None:
    long = "x" * 500
    lines = plain_lines(Table(("name", "n", "error"), [("南極", 7, long), ("b", 12, None)]))
    assert lines == ["name   n  error", f"南極   7  {long}", "b     12"]


@given(st.lists(st.tuples(st.text(max_size=5), st.integers() | st.none()), max_size=5))
def test_a_plain_table_has_a_line_a_row(rows: list[tuple[str, int | None]]) -> None:
    lines = plain_lines(Table(("a", "b"), rows))
    assert len(lines) == len(rows) + 1
    assert not any(line.endswith(" ") for line in lines)


def test_json_survives_a_poor_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", sink)
    write_json({"names": HOSTILE_NAMES})
    write_text("Île\n")
    text = sink.buffer.getvalue().decode("ascii")
    document, _, rest = text.rpartition("}\n")
    assert json.loads(document + "}") == {"names": HOSTILE_NAMES}
    assert rest == "\\xcele\n"


def test_json_refuses_what_is_none() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json({"a": float("nan")})


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_markup_in_names_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = _Terminal()
    monkeypatch.setattr(sys, "stdout", sink)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    rows = [("[red]a[/red]", ":smile:", FORMER_SCREEN), ("b", "y" * 100, None)]
    write_table(Table(("site", "name", "error"), rows, caption="2 rows"))
    text = re.sub(r"\x1b\[[0-9;]*m", "", sink.getvalue())  # NO_COLOR leaves bold type
    assert "[red]a[/red]" in text
    assert ":smile:" in text
    assert "\x07" not in text
    assert "\x1b" not in text
    assert text.count("y") == 100  # folded, not cut
    assert text.endswith("2 rows\n")
    assert max(map(len, text.splitlines())) <= 60


def test_outside_a_terminal_each_step_is_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="estinel_assets")
    with progress("Solar days", total=2) as step:
        step("Hobart 2024-01-05")
        step("Casey\n2024-01-06")
    with progress("Sites") as step:
        step("Davis")
    assert caplog.messages == [
        "Solar days 1/2: Hobart 2024-01-05",
        "Solar days 2/2: Casey 2024-01-06",
        "Sites 1: Davis",
    ]


def test_steps_of_many_threads_are_all_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="estinel_assets")
    with progress("Days", total=40) as step:
        threads = [
            threading.Thread(target=lambda: [step("d") for _ in range(10)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    counts = {message.split()[1] for message in caplog.messages}
    assert counts == {f"{n}/40:" for n in range(1, 41)}


def test_on_a_terminal_there_is_a_bar() -> None:
    code = (
        "from estinel_assets.cli.progress import progress\n"
        "with progress('Solar days', total=2) as step:\n"
        "    step('[red]Hobart'); step('Casey')\n"
        "print('done')\n"
    )
    controller, terminal = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", code],
        stderr=terminal,
        stdout=subprocess.PIPE,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        check=True,
        timeout=60,
    )
    os.close(terminal)
    shown = b""
    try:
        while chunk := os.read(controller, 65536):
            shown += chunk
    except OSError:  # Linux says EIO at the end
        pass
    finally:
        os.close(controller)
    assert done.stdout == b"done\n"
    assert "━".encode() in shown
    assert b"2/2" in shown
    assert b"Solar days" in shown
