"""People's ratings of images as values: an export read and checked, ratings merged, a consensus.

Pure. An export is what the catalogue's page writes, and the page of archives made with R::

    {"user_id": "…", "timestamp": "…", "location": "…",
     "ratings": [{"image_id": "…", "rating": "good|ok|bad", "timestamp": "…"}]}

Ours may say more: a rating of somebody else carries that person's `user_id`, and `cleared` lists
images whose rating was taken back. A rating that is null was taken back, too. Of two ratings of an
image by one user the newer stands, and of two of the same millisecond the worse, so that imports
give the same in any order.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from estinel_assets.errors import BadInputError, StoreError
from estinel_assets.outcomes.paths import encode_segment
from estinel_assets.storage.documents import load_json

MAX_BYTES: Final = 64 * 1024 * 1024
"""Size of the largest export that is read."""
MAX_RATINGS: Final = 1_000_000
"""Ratings of the largest export that is read."""
SPLIT: Final = "split"
"""The consensus of raters of whom no rating has the most."""

_MAX_IMAGE_ID: Final = 1024
_AHEAD: Final = timedelta(days=1)
_LISTED: Final = 50
_SHOWN: Final = 60
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})"
)
_HIDDEN: Final = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})


class Rating(StrEnum):
    """What a person thinks of an image, from the best to the worst."""

    GOOD = "good"
    OK = "ok"
    BAD = "bad"


_RANKS: Final = {None: 0, Rating.GOOD: 1, Rating.OK: 2, Rating.BAD: 3}


@dataclass(frozen=True, slots=True)
class Entry:
    """One person's rating of one image."""

    rating: Rating | None
    """None where it was taken back."""
    timestamp: datetime
    """When it was given, UTC, to the millisecond."""

    @property
    def order(self) -> tuple[datetime, int]:
        """Of two entries the one with the higher order stands."""
        return self.timestamp, _RANKS[self.rating]


UserRatings = Mapping[str, Entry]
"""One user's ratings by image id."""


@dataclass(frozen=True, slots=True)
class Export:
    """An export that can be used."""

    user_id: str
    """Who wrote it."""
    ratings: Mapping[str, UserRatings]
    """By user: those of the writer, and of others whose ratings the writer had imported."""

    @property
    def n_ratings(self) -> int:
        """How many ratings it holds."""
        return sum(map(len, self.ratings.values()))


@dataclass(frozen=True, slots=True)
class MergeCounts:
    """What became of the ratings of an import."""

    new: int = 0
    """Of images that the user had not rated."""
    updated: int = 0
    """Newer than what stood."""
    older: int = 0
    """Older than what stands: ignored."""
    unchanged: int = 0
    """Known already."""

    def __add__(self, other: "MergeCounts") -> "MergeCounts":
        return MergeCounts(
            self.new + other.new,
            self.updated + other.updated,
            self.older + other.older,
            self.unchanged + other.unchanged,
        )

    @property
    def n_changes(self) -> int:
        """How many changed what stands."""
        return self.new + self.updated


@dataclass(frozen=True, slots=True)
class Votes:
    """How many people rated an image how."""

    good: int = 0
    ok: int = 0
    bad: int = 0

    @property
    def raters(self) -> int:
        """How many people rated it."""
        return self.good + self.ok + self.bad

    @property
    def consensus(self) -> str:
        """The rating that most of them gave; `split` where two share the first place."""
        counts = {Rating.GOOD: self.good, Rating.OK: self.ok, Rating.BAD: self.bad}
        most = max(counts.values())
        first = [rating.value for rating, count in counts.items() if count == most]
        return first[0] if len(first) == 1 else SPLIT


def merge_ratings(stored: UserRatings, given: UserRatings) -> tuple[dict[str, Entry], MergeCounts]:
    """One user's ratings with others added; the newer of each image stands.

    Args:
        stored: what stands.
        given: what comes.

    Returns:
        All of them, by image id in its order, and what became of those that came.
    """
    merged = dict(stored)
    new = updated = older = unchanged = 0
    for image_id, entry in given.items():
        former = stored.get(image_id)
        if former is None:
            new += 1
        elif former == entry:
            unchanged += 1
        elif former.order < entry.order:
            updated += 1
        else:
            older += 1
            continue
        merged[image_id] = entry
    return dict(sorted(merged.items())), MergeCounts(new, updated, older, unchanged)


def merge_users(
    many: Iterable[Mapping[str, UserRatings]],
) -> dict[str, dict[str, Entry]]:
    """The ratings of several exports, by user."""
    merged: dict[str, dict[str, Entry]] = {}
    for users in many:
        for user_id, given in users.items():
            merged[user_id], _ = merge_ratings(merged.get(user_id, {}), given)
    return merged


def votes_by_image(users: Iterable[UserRatings]) -> dict[str, Votes]:
    """How the images are rated that anybody has rated, by image id in its order."""
    counted: dict[str, dict[str, int]] = {}
    for ratings in users:
        for image_id, entry in ratings.items():
            if entry.rating is not None:
                votes = counted.setdefault(image_id, {})
                votes[entry.rating] = votes.get(entry.rating, 0) + 1
    return {image_id: Votes(**counted[image_id]) for image_id in sorted(counted)}


def export_document(user_id: str, ratings: UserRatings) -> dict[str, Any]:
    """One user's ratings as an export. The same ratings give the same document."""
    newest = max((entry.timestamp for entry in ratings.values()), default=_FIRST)
    document: dict[str, Any] = {
        "user_id": user_id,
        "timestamp": _text(newest),
        "location": "",
        "ratings": [
            {
                "image_id": image_id,
                "rating": entry.rating.value,
                "timestamp": _text(entry.timestamp),
            }
            for image_id, entry in sorted(ratings.items())
            if entry.rating is not None
        ],
    }
    cleared = [
        {"image_id": image_id, "timestamp": _text(entry.timestamp)}
        for image_id, entry in sorted(ratings.items())
        if entry.rating is None
    ]
    return {**document, "cleared": cleared} if cleared else document


def parse_export(body: bytes, name: str, now: datetime | None) -> Export:
    """Read an export.

    Args:
        body: JSON.
        name: what to call it in messages.
        now: the time, aware; ratings of a later one are refused. None refuses none.

    Raises:
        BadInputError: it cannot be used; the message names every problem, or the first fifty.
    """
    problems: list[str] = []
    users: dict[str, dict[str, Entry]] = {}
    document = _document(body, name)
    user_id = document.get("user_id")
    problem = _user_problem(user_id)
    if problem:
        problems.append(f"user_id {_shown(user_id)} {problem}")
    for key, needed in (("ratings", True), ("cleared", False)):
        for at, item in _items(document, key, problems, needed=needed):
            read = _Item.read(item, cleared=key == "cleared", now=now)
            problems += [f"{at}{problem}" for problem in read.problems]
            if read.entry is not None:
                owner = users.setdefault(read.user_id or str(user_id), {})
                former = owner.get(read.image_id)
                if former is None or former.order < read.entry.order:
                    owner[read.image_id] = read.entry
    if problems:
        raise BadInputError(_message(name, problems))
    return Export(str(user_id), users)


@dataclass(frozen=True, slots=True)
class _Item:
    """One item of an export's lists."""

    problems: list[str]
    image_id: str = ""
    user_id: str | None = None
    entry: Entry | None = None

    @classmethod
    def read(cls, item: object, *, cleared: bool, now: datetime | None) -> "_Item":
        if not isinstance(item, dict):
            return cls([f" is no rating but {_shown(item)}"])
        image_id, given, user_id = item.get("image_id"), item.get("rating"), item.get("user_id")
        rating = None if cleared else given
        problems = []
        problem = _image_problem(image_id)
        if problem:
            problems.append(f".image_id {_shown(image_id)} {problem}")
        if not cleared and "rating" not in item:
            problems.append(".rating is missing: give good, ok or bad")
        elif rating is not None and not (isinstance(rating, str) and rating in _WORDS):
            problems.append(f".rating {_shown(rating)} is none: give good, ok or bad")
        problem = _user_problem(user_id) if "user_id" in item else ""
        if problem:
            problems.append(f".user_id {_shown(user_id)} {problem}")
        timestamp = _instant(item.get("timestamp"))
        if timestamp is None:
            problems.append(
                f".timestamp {_shown(item.get('timestamp'))} is no time with a zone: "
                "give one such as 2024-12-04T10:30:00.000Z"
            )
        elif now is not None and timestamp > now + _AHEAD:
            problems.append(
                f".timestamp {_text(timestamp)} is still to come: "
                "check the clock of the computer that wrote it"
            )
        if problems or timestamp is None:
            return cls(problems)
        entry = Entry(None if rating is None else Rating(rating), timestamp)
        return cls([], str(image_id), user_id, entry)


_WORDS: Final = frozenset(Rating)


def _document(body: bytes, name: str) -> dict[str, Any]:
    if len(body) > MAX_BYTES:
        raise BadInputError(
            f"{name} has {len(body)} bytes; no export of ratings has more than {MAX_BYTES}"
        )
    try:
        document = load_json(body, what=name)
    except StoreError as error:
        raise BadInputError(
            f"{str(error).removesuffix('; restore or remove it')}; export the ratings again"
        ) from None
    if not isinstance(document, dict):
        raise BadInputError(
            f"{name} is no export of ratings but {_shown(document)}: "
            "give a file that the catalogue's page exported"
        )
    return document


def _items(
    document: dict[str, Any], key: str, problems: list[str], *, needed: bool
) -> Iterator[tuple[str, object]]:
    if key not in document and not needed:
        return
    items = document.get(key)
    if not isinstance(items, list):
        problems.append(f"{key} {_shown(items)} is no list")
    elif len(items) > MAX_RATINGS:
        problems.append(f"{key} has {len(items)} entries: at most {MAX_RATINGS} are read")
    else:
        yield from ((f"{key}[{number}]", item) for number, item in enumerate(items))


def _message(name: str, problems: list[str]) -> str:
    lines = [f"{name} cannot be used", *(f"  {problem}" for problem in problems[:_LISTED])]
    if len(problems) > _LISTED:
        lines.append(f"  and {len(problems) - _LISTED} more")
    return "\n".join(lines)


def _instant(value: object) -> datetime | None:
    """A time as ratings carry it; None where the value is none."""
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        return None
    try:
        instant = datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    instant = instant.replace(microsecond=instant.microsecond // 1000 * 1000)
    return instant if instant >= _FIRST else None


def _text(instant: datetime) -> str:
    return f"{instant.astimezone(UTC).isoformat(timespec='milliseconds')[:-6]}Z"


def _user_problem(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        return "is no user's id: give the one that the page shows"
    if _is_hidden(value):
        return "holds an invisible character: remove it"
    try:
        encode_segment(value)
    except BadInputError:
        return "is too long: at most 200 bytes fit into a path"
    return ""


def _image_problem(value: object) -> str:
    if not isinstance(value, str) or not value:
        return "is no image's id: give the one of the catalogue"
    if len(value) > _MAX_IMAGE_ID:
        return f"is too long: ids have at most {_MAX_IMAGE_ID} characters"
    if _is_hidden(value):
        return "holds an invisible character: remove it"
    return ""


def _is_hidden(text: str) -> bool:
    """Whether a text holds control characters or marks that hide or reorder what follows."""
    if text.isascii():
        return not text.isprintable()
    # Joiners are part of how some scripts, and emoji, are written.
    return any(
        unicodedata.category(character) in _HIDDEN and character not in "\u200c\u200d"
        for character in text
    )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
