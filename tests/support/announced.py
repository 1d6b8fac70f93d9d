"""Announcements of a few items, for tests of the order in which they are registered."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from estinel_assets.errors import PermanentError
from estinel_assets.pids.announcements import announce
from estinel_assets.pids.messages import parse_message
from estinel_assets.pids.plugins import LookedUp
from estinel_assets.pids.ports import HandleRecord, HandleService
from estinel_assets.pids.stamps import Stamp
from tests.support.cmip6_messages import DATASET, file_asset, full_message, item, maker

T0 = datetime(2025, 8, 1, tzinfo=UTC)
HOURS = st.none() | st.integers(0, 3)
TRACKED = st.none() | st.sampled_from(
    ["0f6cc6b0-dc08-4ce4-9afa-3701a4c60108", "3f6cc6b0-dc08-4ce4-9afa-3701a4c60108"]
)


@dataclass(frozen=True, slots=True)
class Announced:
    """What one message registers, in order."""

    records: tuple[HandleRecord, ...]
    stamp: Stamp

    def register(self, service: HandleService, *, first: int | None = None) -> None:
        """Register it, or only the first few of its records, as a process that dies."""
        for record in self.records[:first]:
            service.register(record, self.stamp)


def _made(
    number: int, of: dict[str, Any], hours: tuple[int | None, int | None], prefix: str
) -> Announced | None:
    says, received = (None if hour is None else T0 + timedelta(hours=hour) for hour in hours)
    body = json.dumps(full_message(of, time=says.isoformat() if says else None)).encode()
    told = announce(
        parse_message(body), received_at=received, unit=("CMIP6", str(number % 2), str(number))
    )
    try:
        made = maker(prefix=prefix).records(told, LookedUp())
    except PermanentError:
        return None  # retracted at no time, or two files with one handle
    return Announced(made.records, told.stamp)


@st.composite
def announcements(
    draw: st.DrawFn, *, prefix: str, least: int = 1, most: int = 6
) -> list[Announced]:
    """Of two versions of a dataset, whose files and fields come, go and change; few times."""
    files = st.dictionaries(
        st.sampled_from(["data0000", "data0001", "data0002"]),
        st.builds(
            lambda size, tracked, copies: file_asset(
                file__size=size,
                tracking_id=tracked,
                alternate={f"{name}.org": {"href": f"https://{name}.org/x.nc"} for name in copies},
            ),
            st.integers(1, 3),
            TRACKED,
            st.lists(st.sampled_from("ab"), max_size=2),
        ),
    )
    items = st.builds(
        lambda assets, version, retracted: item(
            assets, item_id=f"{DATASET}.v{version}", retracted=retracted
        ),
        files,
        st.integers(1, 2),
        st.booleans(),
    )
    drawn = draw(st.lists(st.tuples(items, st.tuples(HOURS, HOURS)), min_size=least, max_size=most))
    made = [_made(number, of, hours, prefix) for number, (of, hours) in enumerate(drawn)]
    return [one for one in made if one is not None]


@dataclass(frozen=True, slots=True)
class Step:
    """One attempt to register an announcement."""

    number: int
    """Of the announcement."""
    first: int | None = None
    """Ends after so many records."""
    interrupted: bool = False
    """Ends between the writing and the deleting of an update, where there is one with both."""


@st.composite
def attempts(draw: st.DrawFn, announced: Sequence[Announced]) -> list[Step]:
    """Every announcement in any order, some repeatedly, before and after attempts that ended."""
    numbers = range(len(announced))
    whole = [Step(number) for number in draw(st.permutations(numbers))]
    if not numbers:
        return whole
    more = draw(
        st.lists(
            st.builds(
                Step,
                st.sampled_from(numbers),
                st.none() | st.integers(0, 3),
                st.booleans(),
            ),
            max_size=8,
        )
    )
    steps = draw(st.permutations([*whole, *more]))
    # What ended in the middle comes again, as its offset was not committed.
    again = {step.number for step in more}
    return [*steps, *(Step(number) for number in draw(st.permutations(sorted(again))))]
