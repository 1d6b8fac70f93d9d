"""Verdicts on all results."""

from estinel_assets.compatibility import health
from tests.unit.compatibility.test_plan import NOW, REASON, row


def test_few_internal_errors_pass_and_many_do_not():
    good = [row(f"C{n}-X", REASON.NONE) for n in range(99)]
    bad = [row("C100-X", REASON.INTERNAL_ERROR), row("C101-X", REASON.INTERNAL_ERROR)]

    assert health.internal_errors([]).passed
    assert health.internal_errors([*good, bad[0]]).passed
    verdict = health.internal_errors([*good, *bad])
    assert not verdict.passed
    assert verdict.failing == ("C100-X", "C101-X")
    assert verdict.numbers == {"results": 101, "internal_errors": 2, "share": 0.0198}


def test_old_results_are_named_the_oldest_first():
    rows = [
        row("C1-X", REASON.NONE, hours_ago=24 * 91),
        row("C2-X", REASON.NONE, hours_ago=24 * 89),
        row("C3-X", REASON.TIMEOUT, hours_ago=24 * 200),
    ]

    verdict = health.results_age(rows, NOW, 90)

    assert not verdict.passed
    assert verdict.failing == ("C3-X", "C1-X")
    assert verdict.numbers == {"results": 3, "stale_results": 2, "oldest_days": 200.0}
    assert health.results_age(rows[1:2], NOW, 90).passed
    assert health.results_age([], NOW, 90).passed


def test_an_outage_changes_the_distribution():
    before = {"none": 700, "unsupported_format": 6000, "cant_open_file": 130}
    after = {"none": 100, "unsupported_format": 3000, "cant_open_file": 3730}

    verdict = health.distribution_change(before, after)

    assert not verdict.passed
    assert verdict.failing == ("cant_open_file",)
    assert verdict.description == "grown: cant_open_file by 52.7%"
    assert verdict.numbers["network_change"] == 0.5271


def test_a_table_that_grows_evenly_passes():
    before = {"none": 7, "unsupported_format": 60, "timeout": 3}

    assert health.distribution_change(before, {key: n * 2 for key, n in before.items()}).passed
    assert health.distribution_change(before, {"none": 70}).passed, "more that works is no alarm"
    assert health.distribution_change(None, before).passed
    assert health.distribution_change({}, {}).passed
