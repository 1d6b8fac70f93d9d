"""The reasons of the PID product line."""

from estinel_assets.pids.ports import HandleFault
from estinel_assets.pids.reasons import PidReason


def test_retried_are_the_failures_of_others_and_our_own_bugs() -> None:
    assert {reason for reason in PidReason if reason.retryable} == {
        "handle_unavailable",
        "stac_unavailable",
        "kafka_unavailable",
        "conflict",
        "internal_error",
    }
    assert [reason for reason in PidReason if not reason.fault] == ["none"]


def test_every_fault_of_the_handle_service_is_a_reason() -> None:
    assert {str(fault) for fault in HandleFault} <= {str(reason) for reason in PidReason}


def test_what_the_stac_api_does_not_have_is_not_tried_again() -> None:
    assert not PidReason.ITEM_NOT_FOUND.retryable
    assert PidReason.STAC_UNAVAILABLE.retryable
