"""The table of reasons: complete, told apart, and with the flags that the rules need."""

import re

import pytest

from estinel_assets.ard.reasons import ARD, ArdReason, reason_of
from estinel_assets.errors import PermanentError, RetryableError, SourceFault
from estinel_assets.stac.offsets import UNKNOWN_OFFSET

FLAGS = {
    # word: retryable, fault
    "none": (False, False),
    "incomplete": (False, False),
    "no_scenes": (False, False),
    "no_clear_scenes": (False, False),
    "no_dem": (False, False),
    "interrupted": (True, True),
    "source_not_found": (False, True),
    "source_forbidden": (True, True),
    "source_timeout": (True, True),
    "source_corrupt": (True, True),
    "source_blank": (True, True),
    "source_unavailable": (True, True),
    "unknown_offset": (False, True),
    "missing_band": (False, True),
    "write_failed": (True, True),
    "timeout": (True, True),
    "out_of_memory": (False, True),
    "worker_died": (True, True),
    "internal_error": (True, True),
}


def test_the_table():
    assert {str(r): (r.retryable, r.fault) for r in ArdReason} == FLAGS


@pytest.mark.parametrize("reason", ArdReason)
def test_every_reason_can_stand_in_a_path_and_says_what_it_means(reason: ArdReason):
    assert re.fullmatch(r"[a-z_]+", reason)
    assert re.fullmatch(r"[A-Z].{10,}\.", reason.meaning)


def test_whatever_a_source_does_has_a_reason():
    for fault in SourceFault:
        assert reason_of(RetryableError(fault, "x")) == fault
    assert reason_of(PermanentError(UNKNOWN_OFFSET, "x")) is ArdReason.UNKNOWN_OFFSET


def test_a_word_that_is_none_of_ours_is_a_bug_of_ours():
    assert reason_of(PermanentError("oven_cold", "x")) is ArdReason.INTERNAL_ERROR


def test_the_ledger_of_ard():
    assert (ARD.product, ARD.reasons, ARD.partition_depth) == ("ard", ArdReason, 0)
