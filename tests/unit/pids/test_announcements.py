"""What an announcement says of itself."""

import json
from datetime import UTC, datetime

import pytest

from estinel_assets.pids.announcements import announce
from estinel_assets.pids.messages import Message, parse_message
from tests.support.cmip6_messages import full_message, item, patch_message

RECEIVED = datetime(2025, 8, 1, 15, 15, 12, 441125, tzinfo=UTC)
UNIT = ("CMIP6", "3", "41")


def message(time: str | None, *, patch: bool = False) -> Message:
    document = patch_message(time=time) if patch else full_message(item(), time=time)
    return parse_message(json.dumps(document).encode())


@pytest.mark.parametrize("patch", [False, True])
@pytest.mark.parametrize(
    ("time", "received_at", "stamp"),
    [
        ("2025-08-01T15:15:00", RECEIVED, "2025-08-01T15:15:00.000000Z CMIP6/3/41"),
        ("2025-08-01T17:15:00+02:00", RECEIVED, "2025-08-01T15:15:00.000000Z CMIP6/3/41"),
        ("2099-08-01T15:15:00Z", RECEIVED, "2025-08-01T15:15:12.441125Z CMIP6/3/41"),
        ("2099-08-01T15:15:00Z", None, "2099-08-01T15:15:00.000000Z CMIP6/3/41"),
        (None, RECEIVED, "2025-08-01T15:15:12.441125Z CMIP6/3/41"),
        (None, None, "0001-01-01T00:00:00.000000Z CMIP6/3/41"),
    ],
)
def test_its_stamp(
    time: str | None, received_at: datetime | None, stamp: str, *, patch: bool
) -> None:
    made = announce(message(time, patch=patch), stored=item(), received_at=received_at, unit=UNIT)
    assert made.stamp.text() == stamp
    assert made.patched is patch


def test_what_the_message_says_is_kept_as_it_is() -> None:
    made = announce(message("2025-08-01T15:15:00"), received_at=RECEIVED)
    assert made.announced_at == datetime.fromisoformat("2025-08-01T15:15:00")
    assert announce(message(None), received_at=RECEIVED).announced_at == RECEIVED
    assert announce(message(None)).announced_at is None
