"""Our errors as Dagster failures. The only place that translates.

What Dagster records of a failure stays in its database and is shown in its UI, so nothing that
looks like a credential goes into it. The errors below one of ours come from libraries, whose
messages may hold signed addresses: Dagster is not given the chain, but its text, masked.
"""

import shlex
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dagster as dg

from estinel_assets.errors import EstinelError, RetryableError, UnitError
from estinel_assets.logs import mask_text

FAULTS_SHOWN = 10
"""Faults that a failure's description names."""
FAULTS_KEPT = 100
"""Faults that a failure's metadata names; the outcomes hold them all."""


def failure(error: EstinelError) -> dg.Failure:
    """The Dagster failure of an error.

    Dagster never retries for it, neither the step nor the run: the transport has retried the
    request, and the ledger's attempts retry the unit in a later run.
    """
    message = mask_text(str(error))
    metadata: dict[str, dg.MetadataValue] = {
        "error": dg.MetadataValue.text(message),
        "traceback": dg.MetadataValue.text(mask_text("".join(traceback.format_exception(error)))),
    }
    if isinstance(error, UnitError):
        metadata["reason"] = dg.MetadataValue.text(error.reason)
        metadata["retryable"] = dg.MetadataValue.bool(isinstance(error, RetryableError))
    return dg.Failure(description=message, metadata=metadata, allow_retries=False)


@contextmanager
def translated() -> Iterator[None]:
    """Let our errors out as Dagster failures; anything else is a bug and stays what it is."""
    try:
        yield
    except EstinelError as error:
        raise failure(error) from None


def faults_failure(
    product: str,
    what: str,
    faults: Mapping[str, str],
    metadata: Mapping[str, int | float | str | bool] | None = None,
    *,
    key: str | None = None,
) -> dg.Failure:
    """The failure of a step that finished its work with faults on some keys.

    Args:
        product: the product line.
        what: names what was worked on, such as a partition.
        faults: reason by key; not empty.
        metadata: what else the step has to say.
        key: the leading part that all keys have in common, if there is one.
    """
    found = sorted(faults.items())
    shown = ", ".join(f"{key}: {reason}" for key, reason in found[:FAULTS_SHOWN])
    more = f" and {len(found) - FAULTS_SHOWN} more" if len(found) > FAULTS_SHOWN else ""
    which = "--status false" if key is None else f"--key {shlex.quote(key)}"
    return dg.Failure(
        description=(
            f"{product} {what}: {len(found)} with a fault ({shown}{more}); everything else "
            f"stands. See `estinel outcomes list --product {shlex.quote(product)} {which}`"
        ),
        metadata={
            **(metadata or {}),
            "faults": dg.MetadataValue.json(dict(found[:FAULTS_KEPT])),
            "fault_count": dg.MetadataValue.int(len(found)),
            "fault_reasons": dg.MetadataValue.json(dict(sorted(Counter(faults.values()).items()))),
        },
        allow_retries=False,
    )
