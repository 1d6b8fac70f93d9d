"""Green and red partitions, in every way in which a run may come to its keys."""

from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from estinel_assets.orchestration.partition_events import Context, log_ended

SORTS = dg.DynamicPartitionsDefinition(name="sorts")
CAKES = dg.AssetKey("cakes")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Bakery:
    """Bakes sorts of cakes under Dagster; those that burn are faults."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.burn: set[str] = set()
        instance.add_dynamic_partitions("sorts", ["a", "b", "c", "d"])

    def bake(self, context: Context, sorts: list[str]) -> None:
        for sort in sorts:
            fault = sort in self.burn
            log_ended(context, CAKES, sort, {"status": not fault, "minutes": 40}, fault=fault)
        if self.burn & set(sorts):
            raise dg.Failure("something burnt")

    def by_range(self, first: str, last: str) -> dg.ExecuteInProcessResult:
        @dg.asset(
            key=CAKES,
            partitions_def=SORTS,
            backfill_policy=dg.BackfillPolicy.single_run(),
            output_required=False,
        )
        def cakes(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None]]:
            self.bake(context, list(context.partition_keys))
            yield from ()

        tags = {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}
        return dg.materialize(
            [cakes], instance=self.instance, tags=tags, raise_on_error=False, run_config=QUIET
        )

    def by_keys(self, *sorts: str) -> dg.ExecuteInProcessResult:
        @dg.op
        def some(context: dg.OpExecutionContext) -> None:
            self.bake(context, list(sorts))

        @dg.job
        def baking() -> None:
            some()

        return baking.execute_in_process(
            instance=self.instance, raise_on_error=False, run_config=QUIET
        )

    def colours(self) -> tuple[str, str]:
        """The sorts that are green and those that are red, as Dagster's UI works them out."""
        status = get_and_update_asset_status_cache_value(self.instance, CAKES, SORTS)
        assert status is not None
        red = set(status.deserialize_failed_partition_subsets(SORTS).get_partition_keys())
        green = set(status.deserialize_materialized_partition_subsets(SORTS).get_partition_keys())
        assert status.deserialize_in_progress_partition_subsets(SORTS).is_empty
        return "".join(sorted(green - red)), "".join(sorted(red))


@pytest.fixture
def bakery() -> Iterator[Bakery]:
    with dg.DagsterInstance.ephemeral() as instance:  # on SQLite, in memory
        yield Bakery(instance)


def test_a_range_is_green_where_it_went_well(bakery: Bakery) -> None:
    bakery.burn = {"b"}

    assert not bakery.by_range("a", "c").success

    assert bakery.colours() == ("ac", "b")
    bakery.burn = set()
    assert bakery.by_range("b", "b").success
    assert bakery.colours() == ("abc", "")


def test_keys_are_green_where_they_went_well(bakery: Bakery) -> None:
    bakery.burn = {"d"}

    assert not bakery.by_keys("d", "a").success

    assert bakery.colours() == ("a", "d")
    bakery.burn = set()
    assert bakery.by_keys("d").success
    assert bakery.colours() == ("ad", "")


def test_what_was_green_turns_red_in_either_way(bakery: Bakery) -> None:
    assert bakery.by_range("a", "d").success
    assert bakery.colours() == ("abcd", "")
    bakery.burn = {"a", "d"}

    bakery.by_keys("a", "b")
    assert bakery.colours() == ("bcd", "a")
    bakery.by_range("b", "d")
    assert bakery.colours() == ("bc", "ad")


def test_what_is_known_of_a_fault_stands_in_an_observation(bakery: Bakery) -> None:
    bakery.burn = {"b"}
    bakery.by_keys("a", "b")

    (made,) = bakery.instance.fetch_materializations(CAKES, limit=5).records
    (seen,) = bakery.instance.fetch_observations(CAKES, limit=5).records
    assert (made.partition_key, seen.partition_key) == ("a", "b")
    assert made.asset_materialization is not None
    assert seen.asset_observation is not None
    assert made.asset_materialization.metadata["status"].value is True
    assert seen.asset_observation.metadata["status"].value is False
    assert seen.asset_observation.metadata["minutes"].value == 40
