"""Jobs over keys that travel in the run's config."""

from collections.abc import Mapping, Sequence

import dagster as dg
import pytest

from estinel_assets.errors import EstinelError
from estinel_assets.orchestration.by_reason import MOST_KEYS
from estinel_assets.orchestration.failures import translated
from estinel_assets.orchestration.in_process import JobRun, run_job
from estinel_assets.orchestration.keys_job import KEYS_OP, keys_job, run_config
from estinel_assets.outcomes.book import ProductOutcomes
from estinel_assets.outcomes.paths import Key
from tests.support.outcomes import CakeReason

CAKES = ProductOutcomes(product="cake", reasons=CakeReason)


class Bakery:
    """Bakes what it is asked for; each key ends with the reason that the recipe says."""

    def __init__(self, recipe: Mapping[Key, str] | None = None, *, closed: bool = False) -> None:
        self.recipe = recipe or {}
        self.closed = closed
        self.asked: list[Key] = []

    def bake(self, context: dg.OpExecutionContext, keys: Sequence[Key]) -> dict[Key, str]:
        assert context.resources.oven == "hot"
        self.asked += keys
        with translated():
            if self.closed:
                raise EstinelError("the bakery is closed")
        return {key: self.recipe.get(key, "none") for key in keys}

    def run(self, config: Mapping[str, object]) -> JobRun:
        job = keys_job(
            "bake_again",
            CAKES,
            description="Bake chosen cakes again.",
            resource_keys={"oven"},
            work=self.bake,
        )
        oven = dg.ResourceDefinition.hardcoded_resource("hot")
        defs = dg.Definitions(jobs=[job], resources={"oven": oven})
        with dg.DagsterInstance.ephemeral() as instance:
            return run_job(defs, instance, "bake_again", config=config)


def encoded(*keys: str) -> dict[str, object]:
    """A run's config as somebody would write it."""
    return {"ops": {KEYS_OP: {"config": {"keys": list(keys)}}}}


def test_keys_come_as_they_went_in() -> None:
    bakery = Bakery()
    keys = [("shop", "2024-12-04"), ("shop", "a b/c"), ("späti", "100%")]

    assert bakery.run(run_config(keys)).success

    assert bakery.asked == keys


def test_a_key_that_is_named_twice_is_worked_on_once() -> None:
    bakery = Bakery()

    assert bakery.run(encoded("shop/b", "shop/a", "shop/b")).success

    assert bakery.asked == [("shop", "b"), ("shop", "a")]


def test_only_faults_fail_the_run_and_are_named() -> None:
    flat, cold = ("shop", "flat"), ("shop", "cold")

    assert Bakery({flat: "too_flat"}).run(run_config([flat])).success
    ran = Bakery({flat: "too_flat", cold: "oven_cold"}).run(run_config([flat, cold, ("shop", "x")]))

    assert not ran.success
    assert ran.error is not None
    assert ran.error.startswith("cake bake_again: 1 with a fault (shop/cold: oven_cold)")


def test_work_that_stops_says_why() -> None:
    assert Bakery(closed=True).run(encoded("shop/a")).error == "the bakery is closed"


def test_too_many_keys_are_refused_before_anything_is_done() -> None:
    bakery = Bakery()

    assert bakery.run(run_config([("shop", str(n)) for n in range(MOST_KEYS)])).success
    bakery.asked.clear()
    ran = bakery.run(run_config([("shop", str(n)) for n in range(MOST_KEYS + 1)]))

    assert ran.error == "501 keys are too many for a run; give 500"
    assert bakery.asked == []


@pytest.mark.parametrize("key", ["", "shop//a", "shop/%zz"])
def test_what_is_no_key_is_named(key: str) -> None:
    bakery = Bakery()

    ran = bakery.run(encoded("shop/fine", key))

    assert not ran.success
    assert ran.error is not None
    assert repr(key) in ran.error
    assert bakery.asked == []


def test_a_run_without_keys_is_refused_by_dagster() -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match="keys"):
        Bakery().run({"ops": {KEYS_OP: {"config": {}}}})
