"""What work costs: the formula, our own durations, and what has been spent."""

import pytest

from estinel_assets.ard.cost import (
    AVERAGE_S,
    ENOUGH_RECORDED,
    actual_cost,
    estimate_cost,
    worked_s,
)
from estinel_assets.ard.tiles import Source
from estinel_assets.errors import BadInputError
from estinel_assets.outcomes.record import Outcome
from tests.support.outcomes import outcome


def ended(source: Source, seconds: float, number: int = 0, **more: object) -> Outcome:
    key = ("2023", f"{number}X1Y", source.value)
    return outcome(*key, product="ard", duration_s=seconds, **more)


def test_the_formula_and_the_averages_of_the_original():
    cost = estimate_cost({Source.DEM: 1000, Source.S1: 1000, Source.S2: 1000}, memory_mib=4096)
    assert [one.seconds for one in cost.sources] == [9, 14, 62]
    assert [one.usd for one in cost.sources] == pytest.approx([0.60012, 0.93352, 4.13416])
    assert cost.usd == pytest.approx(1000 * (9 + 14 + 62) * 4 * 0.00001667)
    assert (cost.n, cost.gb_seconds, cost.worker_s) == (3000, 340_000, 85_000)
    half = estimate_cost({Source.S2: 1000}, memory_mib=2048)
    assert half.usd == pytest.approx(4.13416 / 2)


def test_sources_without_work_cost_nothing_and_are_not_shown():
    cost = estimate_cost({Source.S1: 0, Source.DEM: 2}, memory_mib=4096)
    assert [one.source for one in cost.sources] == [Source.DEM]
    nothing = estimate_cost({}, memory_mib=4096)
    assert (nothing.n, nothing.usd) == (0, 0)
    assert nothing.text().splitlines()[-1].split() == ["total", "0", "0", "0.0000"]


def test_own_durations_count_when_there_are_enough():
    few = [ended(Source.S2, 20.0, n) for n in range(ENOUGH_RECORDED - 1)]
    units = {Source.S2: 10, Source.DEM: 10}
    assert estimate_cost(units, memory_mib=4096, recorded=few).sources[1].seconds == 62
    enough = [*few, ended(Source.S2, 9_000.0, 99)]
    dem, s2 = estimate_cost(units, memory_mib=4096, recorded=enough).sources
    assert (s2.seconds, s2.recorded, s2.rests_on) == (20.0, ENOUGH_RECORDED, "20 recorded")
    assert (dem.seconds, dem.recorded) == (AVERAGE_S[Source.DEM], 0)


def test_what_made_no_arrays_says_nothing_of_what_success_takes():
    failed = [ended(Source.S1, 0.1, n, reason="source_forbidden") for n in range(50)]
    sea = [ended(Source.S1, 0.1, n, reason="no_scenes") for n in range(50, 80)]
    gaps = [ended(Source.S1, 40.0, n, reason="incomplete") for n in range(80, 100)]
    units = {Source.S1: 1}
    assert estimate_cost(units, memory_mib=4096, recorded=[*failed, *sea]).sources[0].seconds == 14
    all_of_them = [*failed, *sea, *gaps]
    assert estimate_cost(units, memory_mib=4096, recorded=all_of_them).sources[0].seconds == 40


def test_what_was_spent_counts_failures_too():
    spent = actual_cost(
        [ended(Source.DEM, 4.0), ended(Source.DEM, 8.0, 1, reason="timeout")], memory_mib=2048
    )
    (dem,) = spent.sources
    assert (dem.n, dem.seconds, dem.gb_seconds) == (2, 6.0, 24.0)
    assert spent.usd == pytest.approx(24 * 0.00001667)


def test_phases_go_before_the_time_from_start_to_end():
    phases = {"search": 0.5, "read": 2.0, "write": 0.25}
    assert worked_s(ended(Source.DEM, 90.0, detail={"seconds": phases})) == 2.75
    assert worked_s(ended(Source.DEM, 90.0, detail={"seconds": {}})) == 90.0


def test_tables_and_documents_say_the_same():
    cost = estimate_cost({Source.DEM: 1234, Source.S2: 2}, memory_mib=4096)
    lines = cost.text().splitlines()
    assert lines[1].split()[:6] == ["dem", "1,234", "9.0", "4", "44,424", "0.7405"]
    assert lines[-1].split() == ["total", "1,236", "44,920", "0.7488"]
    assert len({len(line) for line in lines[1:3]}) == 1
    assert cost.markdown().splitlines()[2].startswith("| dem | 1,234 | 9.0 | 4 | 44,424 | 0.7405 |")
    document = cost.document()
    assert document["usd"] == pytest.approx(0.748816, abs=1e-6)
    assert document["sources"]["s2"]["n"] == 2


def test_nonsense_is_refused():
    with pytest.raises(BadInputError, match="memory of 0 MiB"):
        estimate_cost({Source.DEM: 1}, memory_mib=0)
    with pytest.raises(BadInputError, match="fewer than no tiles of s1"):
        estimate_cost({Source.S1: -1}, memory_mib=1024)
