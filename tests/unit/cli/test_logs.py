"""Structured logging."""

import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from string import ascii_letters, digits

import dagster as dg
import pytest
from dagster_shared.utils.warnings import beta_warning, preview_warning, supersession_warning
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.logs import (
    MASK,
    configure_logging,
    get_logger,
    mask,
    mask_text,
    reset_logging,
)

ours = logging.getLogger("estinel_assets.somewhere")
theirs = logging.getLogger("somelibrary")


class Stderr:
    """What was written to stderr so far."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured
        self._text = ""

    @property
    def text(self) -> str:
        self._text += self._captured.readouterr().err
        return self._text


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Iterator[Stderr]:
    """Stderr, with logging taken back afterwards."""
    yield Stderr(capsys)
    reset_logging()


def records(stderr: Stderr) -> list[dict[str, object]]:
    return [json.loads(line) for line in stderr.text.splitlines()]


def test_a_json_line_carries_what_was_logged(stderr: Stderr) -> None:
    configure_logging(log_format="json")
    ours.info("read %d scenes", 3)
    get_logger("estinel_assets.other").info("solar day ended", site="Hobart", duration_s=2.5)
    first, second = records(stderr)
    assert first.items() >= {"event": "read 3 scenes", "level": "info"}.items()
    named = {"event": "solar day ended", "site": "Hobart", "duration_s": 2.5}
    assert second.items() >= named.items()
    assert str(first["timestamp"]).endswith("Z")


def test_libraries_speak_from_warning_on(stderr: Stderr) -> None:
    configure_logging("debug", "json")
    ours.debug("ours")
    theirs.info("unheard")
    theirs.warning("heard")
    assert [record["event"] for record in records(stderr)] == ["ours", "heard"]


def test_levels(stderr: Stderr) -> None:
    configure_logging("warning", "json", libraries="error")
    ours.info("unheard")
    get_logger("estinel_assets.x").info("unheard")
    theirs.warning("unheard")
    ours.warning("heard")
    assert [record["event"] for record in records(stderr)] == ["heard"]


def test_text_goes_to_stderr_and_file_without_colours(stderr: Stderr, tmp_path: Path) -> None:
    file = tmp_path / "logs" / "estinel.log"
    configure_logging(file=file)
    get_logger("estinel_assets.x").warning("slow", site="Hobart", duration_s=2)
    ours.error("broken", exc_info=ValueError("no"))
    text = stderr.text
    assert file.read_text() == text
    assert "[warning  ] slow [estinel_assets.x] duration_s=2 site=Hobart" in text
    assert "ValueError: no" in text
    assert "\x1b" not in text


def test_a_second_configuration_replaces_the_first(stderr: Stderr) -> None:
    configure_logging(log_format="json")
    configure_logging(log_format="json")
    ours.info("once")
    assert len(records(stderr)) == 1


def test_of_warnings_only_those_of_dagsters_beta_and_preview_are_left_out(stderr: Stderr) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure_logging(log_format="json")
        dg.asset(name="some", backfill_policy=dg.BackfillPolicy.single_run())(lambda: None)
        beta_warning("Parameter `a` of function `b`")
        preview_warning("Class `c`")
        supersession_warning("Class `d`")
        warnings.warn("the tide is currently in beta, they say", UserWarning, stacklevel=1)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        reset_logging()

    said = [str(record["event"]) for record in records(stderr)]
    assert [text.split(": ")[1] for text in said] == [
        "SupersessionWarning",
        "UserWarning",
        "DeprecationWarning",
    ]


def test_without_configuration_the_event_reaches_other_handlers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="estinel_assets")
    get_logger("estinel_assets.x").info("hello", site="a")
    assert caplog.messages == ["hello"]
    assert caplog.records[0].__dict__["site"] == "a"


def test_records_hide_credentials(stderr: Stderr) -> None:
    configure_logging(log_format="json")
    get_logger("estinel_assets.x").info(
        "GET https://u:hunter2@host/a?sig=hunter2", api_key="hunter2", nested={"token": "hunter2"}
    )
    theirs.warning("Authorization: Bearer %s", "hunter2")
    ours.error("oh", exc_info=ValueError("https://host/?sig=hunter2"))
    assert len(records(stderr)) == 3
    assert "hunter2" not in stderr.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see https://u:p@host:1/a/b?x=1#y, then", "see https://host:1/a/b then"),
        ("s3://k:s@bucket/x", "s3://bucket/x"),
        ("memory:// and file://./store", "memory:// and file://./store"),
        ("http://[broken?x", "(an address that cannot be read)"),
        ('{"password": "p w"}', '{"password": "*** w"}'),
        ("aws_secret_access_key=abc/def", "aws_secret_access_key=***"),
        ("X-Amz-Signature=abc&x=1", "X-Amz-Signature=***&x=1"),
        ("AKIAIOSFODNN7EXAMPLE", MASK),
        ("design=blue, 12 tokens read", "design=blue, 12 tokens read"),
    ],
)
def test_mask_text(text: str, expected: str) -> None:
    assert mask_text(text) == expected


@given(st.text(ascii_letters + digits, min_size=8, max_size=20))
def test_no_credential_of_an_address_survives(secret: str) -> None:
    secret = f"Zq{secret}"
    for text in (
        f"https://me:{secret}@host/p",
        f"https://host/p?sig={secret}",
        f"postgresql://me:{secret}@host/db",
        f"token={secret}",
        f"api-key: {secret}",
    ):
        assert secret not in mask_text(f"a {text} b")


def test_mask_keeps_what_is_harmless() -> None:
    value = {"n": 3, "names": ["a", None, 2.5], "secret": None}
    assert mask(value) == value
    assert mask(ValueError("token=x")) == "ValueError: token=***"
