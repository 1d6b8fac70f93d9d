"""Outages are told from collections that fail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.compatibility.outage import OutageGuard
from estinel_assets.compatibility.reasons import NETWORK_REASONS, CompatibilityReason

REASON = CompatibilityReason


def guard(share=0.5, window=10):
    return OutageGuard(share=share, window=window)


@pytest.mark.parametrize("reason", sorted(NETWORK_REASONS))
def test_many_new_failures_for_one_network_reason_are_an_outage(reason):
    seen = guard()
    for _ in range(5):
        assert seen.see(REASON.NONE, None) is False
    for _ in range(4):
        assert seen.see(reason, REASON.NONE) is True
        assert seen.verdict() is None
    seen.see(reason, REASON.NONE)

    assert seen.verdict() == reason
    assert f"5 of the latest 10 checks failed anew with {reason}" in str(seen.explain(reason, 5))


def test_few_checks_are_no_outage():
    seen = guard(window=10)
    for _ in range(9):
        assert seen.see(REASON.TIMEOUT, None) is True

    assert seen.verdict() is None


def test_collections_that_failed_so_before_are_no_outage():
    seen = guard()
    for _ in range(30):
        assert seen.see(REASON.CANT_OPEN_FILE, REASON.CANT_OPEN_FILE) is False

    assert seen.verdict() is None


def test_two_reasons_are_not_added_up():
    seen = guard(share=0.6)
    for _ in range(5):
        seen.see(REASON.TIMEOUT, None)
        seen.see(REASON.FORBIDDEN, None)

    assert seen.verdict() is None


def test_an_outage_that_is_over_is_forgotten():
    seen = guard()
    for _ in range(4):
        seen.see(REASON.TIMEOUT, None)
    for _ in range(10):
        seen.see(REASON.UNSUPPORTED_FORMAT, None)

    assert seen.verdict() is None


@given(st.lists(st.sampled_from(sorted(set(REASON) - NETWORK_REASONS)), max_size=60))
def test_what_is_no_network_reason_is_never_kept_back(reasons):
    seen = guard(share=0.1, window=2)

    assert not any(seen.see(reason, None) for reason in reasons)
    assert seen.verdict() is None
