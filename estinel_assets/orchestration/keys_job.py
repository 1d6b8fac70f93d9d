"""Jobs that work on chosen keys, which travel in the run's config."""

from collections.abc import Callable, Mapping, Sequence

import dagster as dg

from estinel_assets.errors import BadInputError
from estinel_assets.orchestration.by_reason import MOST_KEYS, raise_on_faults
from estinel_assets.orchestration.failures import failure
from estinel_assets.outcomes.book import ProductOutcomes
from estinel_assets.outcomes.paths import Key, decode_key, encode_key

KEYS_OP = "work_on_keys"
"""Name of the one op, under which the keys stand in the run's config."""


class KeysConfig(dg.Config):
    """What is worked on."""

    keys: list[str]
    """Encoded keys of outcomes, such as `site_af38900f/2024-12-04`; at most 500."""


def keys_of(config: KeysConfig) -> list[Key]:
    """The keys, each once.

    Raises:
        Failure: there are too many for a run, or one is none.
    """
    if len(config.keys) > MOST_KEYS:
        raise failure(
            BadInputError(f"{len(config.keys)} keys are too many for a run; give {MOST_KEYS}")
        )
    return list(dict.fromkeys(map(_key, config.keys)))


def _key(encoded: str) -> Key:
    try:
        return decode_key(encoded)
    except BadInputError as error:
        raise failure(
            BadInputError(
                f"{encoded!r} names no outcome ({error}); give keys as `estinel outcomes list` "
                "shows them"
            )
        ) from None


def keys_job(
    name: str,
    spec: ProductOutcomes,
    *,
    description: str,
    resource_keys: set[str],
    work: Callable[[dg.OpExecutionContext, Sequence[Key]], Mapping[Key, str]],
) -> dg.JobDefinition:
    """Make a partitionless job that works on keys.

    Args:
        name: of the job, such as `reprocess_imagery`.
        spec: the product line.
        description: for people.
        resource_keys: what `work` needs.
        work: makes the keys, logs their materializations, returns the reason of each afterwards.
    """

    @dg.op(name=f"{name}_keys", required_resource_keys=resource_keys)
    def keys(context: dg.OpExecutionContext, config: KeysConfig) -> None:
        """Work on the keys; fail at the end where some ended with a fault."""
        went = work(context, keys_of(config))
        raise_on_faults(spec, name, {encode_key(key): why for key, why in went.items()})

    @dg.job(name=name, executor_def=dg.in_process_executor, description=description)
    def job() -> None:
        """See the description."""
        keys.alias(KEYS_OP)()

    return job


def run_config(keys: Sequence[Key]) -> dict[str, dict[str, dict[str, dict[str, list[str]]]]]:
    """The run config of such a job."""
    return {"ops": {KEYS_OP: {"config": {"keys": [encode_key(key) for key in keys]}}}}
