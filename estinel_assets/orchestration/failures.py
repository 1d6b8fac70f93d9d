"""Our errors as Dagster failures. The only place that translates."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dagster as dg

from estinel_assets.errors import EstinelError, RetryableError, UnitError


def failure(error: EstinelError) -> dg.Failure:
    """The Dagster failure of an error.

    A run is never retried by Dagster for it: the transport has retried the request, and the
    ledger's attempts retry the unit in a later run.
    """
    metadata: dict[str, dg.MetadataValue] = {"error": dg.MetadataValue.text(str(error))}
    if isinstance(error, UnitError):
        metadata["reason"] = dg.MetadataValue.text(error.reason)
        metadata["retryable"] = dg.MetadataValue.bool(isinstance(error, RetryableError))
    return dg.Failure(description=str(error), metadata=metadata, allow_retries=False)


@contextmanager
def translated() -> Iterator[None]:
    """Let our errors out as Dagster failures; anything else is a bug and stays what it is."""
    try:
        yield
    except EstinelError as error:
        raise failure(error) from error


def faults_failure(product: str, partition: str, faults: Mapping[str, str]) -> dg.Failure:
    """The failure of a step that finished its work with faults on some keys.

    Args:
        product: the product line.
        partition: the partition that was worked on.
        faults: reason by key.
    """
    shown = ", ".join(f"{key}: {reason}" for key, reason in sorted(faults.items())[:10])
    more = f" and {len(faults) - 10} more" if len(faults) > 10 else ""
    return dg.Failure(
        description=(
            f"{product} {partition}: {len(faults)} with a fault ({shown}{more}); everything else "
            f"stands. See `estinel outcomes list --product {product} --key {partition}`"
        ),
        metadata={"faults": dg.MetadataValue.json(dict(sorted(faults.items())))},
        allow_retries=False,
    )
