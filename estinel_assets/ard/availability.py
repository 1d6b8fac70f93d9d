"""What of tile-years stands in the store, looked at anew: outcomes and groups together."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum

from estinel_assets.ard.ard_zarr import check_group
from estinel_assets.ard.opening import GROUPS_OF
from estinel_assets.ard.plan import ArdPlan, Unit
from estinel_assets.ard.reasons import ArdReason
from estinel_assets.ard.tiles import TileYear
from estinel_assets.compute import Threads
from estinel_assets.errors import NotFoundError, StoreError
from estinel_assets.outcomes.index import Index
from estinel_assets.outcomes.reason import parse_reason
from estinel_assets.storage.port import ObjectStore

AT_ONCE = 16


class State(StrEnum):
    """How a source of a tile-year stands."""

    COMPLETE = "complete"
    """Its outcome says so, and its groups can be read."""
    HONEST_NO = "honest_no"
    """The source has nothing, or not everything, for this tile; the reason says what."""
    FAILED = "failed"
    """Its outcome is a fault."""
    MISSING = "missing"
    """It was never made."""
    DAMAGED = "damaged"
    """Its outcome says that it stands, and a group is absent or has lost an object."""
    UNKNOWN = "unknown"
    """The store refuses to say."""


TO_MAKE = frozenset({State.FAILED, State.MISSING, State.DAMAGED})
"""What another run may make."""


@dataclass(frozen=True, slots=True)
class Availability:
    """How one source of a tile-year stands."""

    unit: Unit
    state: State
    reason: str | None = None
    """That of its outcome."""
    problem: str | None = None
    """What was found where it is damaged or unknown."""


def availability(units: Sequence[Unit], rows: Index, store: ObjectStore) -> Iterator[Availability]:
    """Look at units: their outcomes, and the groups of those that are said to be complete.

    Args:
        units: in the order in which they are told of.
        rows: how keys ended.
        store: holds the groups.

    Yields:
        One for each unit; a store that refuses is a state, too.
    """

    def look(unit: Unit) -> Availability:
        row = rows.get(unit.key)
        if row is None:
            return Availability(unit, State.MISSING)
        if not row.status:
            fault = parse_reason(ArdReason, row.reason).fault
            return Availability(unit, State.FAILED if fault else State.HONEST_NO, row.reason)
        return _groups(unit, row.reason, store)

    with closing(Threads(AT_ONCE).map(look, units)) as looked:
        found = {completed.item: completed.result() for completed in looked}
    for unit in units:
        yield found[unit]


def with_damaged(plan: ArdPlan, rows: Index, store: ObjectStore) -> ArdPlan:
    """A plan that makes again what is said to be complete and is not.

    The groups of each complete unit are looked at: two requests a group. What the store refuses to
    say is left as it is.

    Args:
        plan: of what the outcomes ask for.
        rows: how keys ended.
        store: holds the groups.
    """
    found = availability(plan.complete, rows, store)
    return plan.making_again({one.unit for one in found if one.state is State.DAMAGED})


def honestly_absent(tile_years: Iterable[TileYear], rows: Index) -> set[tuple[str, str]]:
    """The groups that nobody expects, because the source has nothing for the tile.

    Args:
        tile_years: whose groups.
        rows: how keys ended.

    Returns:
        Each as the tile-year's key and the group's name.
    """
    found: set[tuple[str, str]] = set()
    for one in tile_years:
        for source, groups in GROUPS_OF.items():
            row = rows.get(one.outcome_key(source))
            if row is None or row.status or parse_reason(ArdReason, row.reason).fault:
                continue
            found.update((one.key, group) for group in groups)
    return found


def _groups(unit: Unit, reason: str, store: ObjectStore) -> Availability:
    path = unit.tile_year.store_path
    for group in GROUPS_OF[unit.source]:
        try:
            check_group(store, path, group)
        except NotFoundError as error:
            return Availability(unit, State.DAMAGED, reason, str(error))
        except StoreError as error:
            state = State.DAMAGED if _answers(store, path) else State.UNKNOWN
            return Availability(unit, state, reason, str(error))
    return Availability(unit, State.COMPLETE, reason)


def _answers(store: ObjectStore, path: str) -> bool:
    """Whether the store lets one list and read there: a refusal is no loss."""
    try:
        for _ in store.list(path):
            break
        store.get(f"{path}/zarr.json")
    except NotFoundError:
        return True
    except StoreError:
        return False
    return True
