"""The dynamic partitions, and how they are kept in step with what they stand for."""

import re
from collections.abc import Collection

import dagster as dg

from estinel_assets.errors import BadInputError

SITES = dg.DynamicPartitionsDefinition(name="sites")
"""One partition a site, named by its SITE_ID."""

COLLECTIONS = dg.DynamicPartitionsDefinition(name="collections")
"""One partition a CMR collection, named by its concept id."""

PUBLICATIONS = dg.DynamicPartitionsDefinition(name="publications")
"""One partition a publication, named by its id."""

TILE_YEARS = dg.DynamicPartitionsDefinition(name="tile_years")
"""One partition a tile and year of the ARD product line, named as `2023_1035X727Y`."""

ADD_AT_ONCE = 500
"""Partition keys a call: SQLite refuses statements with very many variables."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def partition_changes(
    wanted: Collection[str], present: Collection[str]
) -> tuple[list[str], list[str]]:
    """What to add and what to delete so that `present` becomes `wanted`.

    An empty `wanted` deletes nothing: an empty answer from a source is no order to forget.

    Returns:
        The keys to add and the keys to delete, each sorted.
    """
    add = sorted(set(wanted) - set(present))
    delete = sorted(set(present) - set(wanted)) if wanted else []
    return add, delete


def sync_partitions(
    instance: dg.DagsterInstance,
    partitions: dg.DynamicPartitionsDefinition,
    wanted: Collection[str],
) -> tuple[int, int]:
    """Make an instance's dynamic partitions equal to `wanted`; an empty one deletes nothing.

    Returns:
        How many keys were added and deleted.

    Raises:
        BadInputError: Dagster takes some of the keys for no partition; nothing is changed.
    """
    name = partitions.name
    if name is None:
        raise dg.DagsterInvariantViolationError("dynamic partitions need a name to be kept in step")
    unusable = sorted(key for key in wanted if not is_partition_key(key))
    if unusable:
        shown = ", ".join(map(repr, unusable[:10]))
        more = f" and {len(unusable) - 10} more" if len(unusable) > 10 else ""
        raise BadInputError(
            f"these cannot be partitions of {name}: {shown}{more}; a key is not empty and has no "
            "'...' and no control characters"
        )
    add, delete = partition_changes(wanted, instance.get_dynamic_partitions(name))
    _add(instance, name, add)
    for key in delete:
        instance.delete_dynamic_partition(name, key)
    return len(add), len(delete)


def add_partitions(
    instance: dg.DagsterInstance, partitions: dg.DynamicPartitionsDefinition, keys: Collection[str]
) -> None:
    """Make sure that there are partitions of these names, so that the UI shows what they do."""
    name = str(partitions.name)
    _add(instance, name, sorted(set(keys) - set(instance.get_dynamic_partitions(name))))


def _add(instance: dg.DagsterInstance, name: str, keys: list[str]) -> None:
    for start in range(0, len(keys), ADD_AT_ONCE):
        instance.add_dynamic_partitions(name, keys[start : start + ADD_AT_ONCE])


def is_partition_key(key: str) -> bool:
    """Whether Dagster accepts a key for a dynamic partition."""
    return bool(key) and "..." not in key and not _CONTROL.search(key)
