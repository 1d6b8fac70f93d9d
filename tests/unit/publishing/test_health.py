"""Verdicts on all publications; journals that are not closed; what is shown of an outcome."""

from datetime import UTC, datetime, timedelta

from estinel_assets.outcomes.index import IndexRow
from estinel_assets.publishing import health
from estinel_assets.publishing.journal import Journal
from estinel_assets.publishing.layout import lease_path
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.shown import shown
from estinel_assets.publishing.unclosed import Unclosed, unclosed_journals
from estinel_assets.storage.lease import hold_lease
from estinel_assets.storage.opening import open_store
from tests.support.outcomes import outcome

NOW = datetime(2024, 12, 4, 12, 0, tzinfo=UTC)
REASON = PublishingReason


def row(name: str, reason: PublishingReason, *, days_ago: float = 1.0) -> IndexRow:
    at = NOW - timedelta(days=days_ago)
    return IndexRow((name,), reason == REASON.NONE, reason, 1, "", at, at, "r", "p", "e")


def test_one_fault_in_ten_passes_and_more_do_not() -> None:
    good = [row(f"good-{number}", REASON.NONE) for number in range(8)]
    waits = row("waits", REASON.NOT_ENABLED)
    fault = row("fault", REASON.MISSING_ASSET, days_ago=2)

    assert health.publication_failure_rate([], NOW).passed
    assert health.publication_failure_rate([*good, waits, fault], NOW).passed
    verdict = health.publication_failure_rate(
        [*good, fault, row("newer", REASON.MISSING_ASSET)], NOW
    )
    assert not verdict.passed
    assert verdict.numbers == {"publications": 10, "faults": 2, "share": 0.2}
    assert verdict.failing == ("newer", "fault")
    assert verdict.description == (
        "2 of 10 publications of the last 30 days ended with a fault, most of them missing_asset"
    )


def test_faults_of_long_ago_say_nothing() -> None:
    old = [row(f"old-{number}", REASON.STAC_FAILED, days_ago=30.1) for number in range(20)]

    verdict = health.publication_failure_rate([*old, row("new", REASON.NONE)], NOW)

    assert verdict.passed
    assert verdict.numbers["publications"] == 1


def unclosed(name: str, *, minutes: float, held: bool = False) -> Unclosed:
    return Unclosed(name, f"txn-{minutes}", NOW - timedelta(minutes=minutes), held)


def test_a_journal_that_nobody_works_on_may_be_open_for_an_hour() -> None:
    fine = [unclosed("young", minutes=60), unclosed("in-use", minutes=600, held=True)]

    assert health.open_journals([], NOW).passed
    assert health.open_journals(fine, NOW).passed
    verdict = health.open_journals(
        [*fine, unclosed("a", minutes=90), unclosed("b", minutes=120), unclosed("b", minutes=80)],
        NOW,
    )
    assert not verdict.passed
    assert verdict.failing == ("b", "a")
    assert verdict.description == (
        "3 journals are open for over an hour: b, a; see `estinel publish recover`"
    )
    assert verdict.numbers == {
        "open_journals": 5,
        "journals_in_use": 1,
        "forgotten_journals": 3,
        "oldest_hours": 2.0,
    }


def test_journals_that_are_not_closed_are_found_with_their_age() -> None:
    store = open_store("memory://")
    assert list(unclosed_journals(store)) == []
    began = NOW - timedelta(days=1)
    sealed = Journal(store, "sealed one", "t1")
    begin = sealed.write({}, run_id="r", started_at=began, former_txn=None, check=lambda: None)
    store.put("publications/by-id/unsealed/journal/t2/items-00000.jsonl.gz", b"")
    store.put("publications/by-id/settled/current.json", b"{}")
    closed = Journal(store, "closed", "t3")
    closed.close(
        closed.write({}, run_id="r", started_at=began, former_txn=None, check=lambda: None),
        committed=True,
    )

    found = {one.publication: one for one in unclosed_journals(store)}

    assert set(found) == {"sealed one", "unsealed"}
    assert found["sealed one"] == Unclosed("sealed one", "t1", began, held=False)
    assert abs(datetime.now(UTC) - found["unsealed"].since) < timedelta(minutes=5)
    with hold_lease(store, lease_path("sealed one"), ttl_s=60):
        held = {one.publication: one.held for one in unclosed_journals(store)}
    assert held == {"sealed one": True, "unsealed": False}
    sealed.close(begin, committed=False)
    assert {one.publication for one in unclosed_journals(store)} == {"unsealed"}


def test_what_is_shown_is_plain_and_has_no_blanks() -> None:
    good = outcome(
        "a",
        detail={
            "action": "published",
            "publication": "a",
            "folder": "/in/a",
            "fingerprint": "",
            "objects": 2,
            "bytes": 0,
            "items": 0,
            "phases": [{"phase": "objects", "steps": 2, "bytes": 10, "duration_s": 0.5}],
            "peak_mib": 80.5,
            "warnings": ["w", "x"],
            "recovered": [],
        },
    )
    bad = outcome("b", reason="oven_cold", detail={"faults": [{}, {}], "left": [{}]})

    assert shown(good) == {
        "status": True,
        "reason": "none",
        "attempts": 1,
        "duration_s": 3.0,
        "action": "published",
        "publication": "a",
        "folder": "/in/a",
        "objects": 2,
        "bytes": 0,
        "items": 0,
        "phase_objects_s": 0.5,
        "peak_mib": 80.5,
        "warnings": 2,
    }
    assert shown(bad) == {
        "status": False,
        "reason": "oven_cold",
        "attempts": 1,
        "duration_s": 3.0,
        "error_category": "oven_cold",
        "error": "it was oven_cold",
        "faults": 2,
        "left": 1,
    }
