"""Outcomes as the value of assets whose partitions are their keys."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from estinel_assets.errors import BadInputError
from estinel_assets.orchestration.outcome_io_manager import OutcomeIOManager
from estinel_assets.outcomes.book import OutcomeBook, ProductOutcomes
from estinel_assets.outcomes.record import Outcome
from estinel_assets.storage.opening import open_store
from tests.support.outcomes import CakeReason, outcome
from tests.support.watched_store import WatchedStore

CAKES = ProductOutcomes(product="cake", reasons=CakeReason, partition_depth=0)
SORTS = dg.DynamicPartitionsDefinition(name="sorts")
BAKED = ["apple", "cherry", "honey"]


@dg.asset(
    partitions_def=SORTS,
    io_manager_key="outcomes",
    backfill_policy=dg.BackfillPolicy.single_run(),
    output_required=False,
)
def cakes() -> Iterator[dg.Output[Outcome]]:
    """Hands on nothing."""
    yield from ()


class Kitchen:
    """A book of outcomes, and assets that read them."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.reads = 0
        store = WatchedStore(open_store("memory://"), reading=self._count)
        self.book = OutcomeBook(store, CAKES, prefix="o", lease_ttl_s=60)
        self.book.ledger.put([outcome(one, reason="none") for one in BAKED])
        self.seen: dict[str, Any] = {}
        instance.add_dynamic_partitions("sorts", [*BAKED, "plum"])

    def _count(self) -> None:
        self.reads += 1

    @property
    def resources(self) -> dict[str, object]:
        manager = OutcomeIOManager(CAKES, lambda: self.book)
        return {"outcomes": manager, "io_manager": dg.mem_io_manager}

    def load(self, **which: Any) -> Any:
        defs = dg.Definitions(assets=[cakes], resources=self.resources)
        with defs.get_asset_value_loader(instance=self.instance) as loader:
            return loader.load_asset_value(cakes.key, **which)

    def read_in_a_run(
        self,
        mapping: dg.PartitionMapping | None,
        metadata: dict[str, Any] | None = None,
        **run: Any,
    ) -> dg.ExecuteInProcessResult:
        """Run an asset that takes the outcomes: those of a partition, or all of them."""
        whole = mapping is not None

        @dg.asset(
            partitions_def=None if whole else SORTS,
            ins={"cakes": dg.AssetIn(partition_mapping=mapping, metadata=metadata)},
        )
        def tasted(cakes: Any) -> None:
            self.seen["cakes"] = cakes

        return dg.materialize(
            [cakes, tasted],
            selection=[tasted],
            instance=self.instance,
            resources=self.resources,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            **run,
        )


@pytest.fixture
def kitchen() -> Iterator[Kitchen]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Kitchen(instance)


def test_a_partition_is_its_outcome(kitchen: Kitchen) -> None:
    found = kitchen.load(partition_key="cherry")

    assert isinstance(found, Outcome)
    assert found == kitchen.book.ledger.get(("cherry",))


@pytest.mark.parametrize("last", BAKED)
def test_a_range_is_a_dict_also_of_one(kitchen: Kitchen, last: str) -> None:
    found = kitchen.load(partition_key_range=dg.PartitionKeyRange("apple", last))

    assert list(found) == BAKED[: BAKED.index(last) + 1]
    assert {key: one.key for key, one in found.items()} == {key: (key,) for key in found}


def test_many_are_found_with_one_listing(kitchen: Kitchen) -> None:
    many = [f"sort{number:03d}" for number in range(200)]
    kitchen.instance.add_dynamic_partitions("sorts", many)
    kitchen.book.ledger.put([outcome(one) for one in many])
    kitchen.reads = 0

    found = kitchen.load(partition_key_range=dg.PartitionKeyRange(many[0], many[-1]))

    assert list(found) == many
    assert kitchen.reads == 1 + len(many), "a listing, and each record once"


def test_a_run_reads_the_partition_of_its_own(kitchen: Kitchen) -> None:
    assert kitchen.read_in_a_run(None, partition_key="honey").success

    assert kitchen.seen["cakes"].key == ("honey",)


def test_a_run_over_all_partitions_reads_a_dict(kitchen: Kitchen) -> None:
    kitchen.instance.delete_dynamic_partition("sorts", "plum")

    assert kitchen.read_in_a_run(dg.AllPartitionMapping()).success

    assert list(kitchen.seen["cakes"]) == BAKED


def test_what_is_absent_fails_the_run_unless_it_may_be(kitchen: Kitchen) -> None:
    ran = kitchen.read_in_a_run(dg.AllPartitionMapping())

    assert not ran.success
    (failed,) = [event for event in ran.all_events if event.is_step_failure]
    assert "cake has no outcome of plum; materialize it first" in str(failed.step_failure_data)
    assert "cakes" not in kitchen.seen

    allowed = {"allow_missing_partitions": True}
    assert kitchen.read_in_a_run(dg.AllPartitionMapping(), allowed).success
    assert list(kitchen.seen["cakes"]) == BAKED


def test_outside_of_a_run_the_errors_are_our_own(kitchen: Kitchen) -> None:
    with pytest.raises(BadInputError, match="no outcome of plum; materialize it first"):
        kitchen.load(partition_key="plum")
    with pytest.raises(BadInputError, match="no outcome of plum; materialize it first"):
        kitchen.load(partition_key_range=dg.PartitionKeyRange("apple", "plum"))
    with pytest.raises(BadInputError, match="cakes has partitions; name one with partition_key"):
        kitchen.load()


def test_it_stores_nothing(kitchen: Kitchen) -> None:
    @dg.asset(partitions_def=SORTS, io_manager_key="outcomes")
    def hands_on() -> int:
        return 1

    ran = dg.materialize(
        [hands_on],
        instance=kitchen.instance,
        partition_key="apple",
        resources=kitchen.resources,
        raise_on_error=False,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )

    assert not ran.success
    (failed,) = [event for event in ran.all_events if event.is_step_failure]
    assert "cake stores its own outcomes; its steps hand on no output" in str(
        failed.step_failure_data
    )
