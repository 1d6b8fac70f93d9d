"""People's ratings as they are kept: one object a user, in the form of an export.

Several imports at once lose nothing: each reads a user's object, merges and writes it by
compare-and-swap, and begins again where another was faster.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from estinel_assets.errors import (
    AlreadyExistsError,
    BadInputError,
    ChangedError,
    NotFoundError,
    PermanentError,
    StoreError,
    UnansweredError,
    public_url,
)
from estinel_assets.imagery.ratings import (
    Entry,
    Export,
    MergeCounts,
    UserRatings,
    export_document,
    merge_ratings,
    parse_export,
)
from estinel_assets.outcomes.paths import encode_segment
from estinel_assets.settings import TransportSettings
from estinel_assets.storage.documents import JSON_TYPE, dump_json
from estinel_assets.storage.port import ObjectStore
from estinel_assets.transport import RetryPolicy
from estinel_assets.transport.plain_transport import PlainTransport

USERS: Final = "ratings/users"
"""Folder of the users' objects."""

_ROUNDS: Final = 100
_UNANSWERED: Final = 3
_ENDING: Final = ".json"


@dataclass(frozen=True, slots=True)
class StoredRatings:
    """One user's ratings as they stand."""

    user_id: str
    ratings: UserRatings
    etag: str | None
    """Version of the object; None where there is none."""


def user_path(user_id: str) -> str:
    """Where a user's ratings stand.

    Raises:
        BadInputError: the id cannot be part of a path.
    """
    return f"{USERS}/{encode_segment(user_id)}{_ENDING}"


def read_user(store: ObjectStore, user_id: str) -> StoredRatings:
    """Read a user's ratings; none where the user has none.

    Raises:
        StoreError: what stands there are no ratings of this user, or the store refuses.
    """
    try:
        stored = store.get(user_path(user_id))
    except NotFoundError:
        return StoredRatings(user_id, {}, None)
    found = _parse(store, stored.meta.path, stored.data)
    if found.user_id != user_id:
        raise _unusable(store, stored.meta.path, f"it is of {found.user_id!r}")
    return StoredRatings(user_id, found.ratings, stored.meta.etag)


def read_users(store: ObjectStore) -> list[StoredRatings]:
    """Read everybody's ratings, by user id.

    Raises:
        StoreError: an object holds no ratings, or the store refuses.
    """
    found = []
    for path in sorted(meta.path for meta in store.list(USERS)):
        if not path.endswith(_ENDING):
            continue
        try:
            stored = store.get(path)
        except NotFoundError:  # removed meanwhile
            continue
        read = _parse(store, path, stored.data)
        if user_path(read.user_id) != path:
            raise _unusable(store, path, f"it is of {read.user_id!r}")
        found.append(StoredRatings(read.user_id, read.ratings, stored.meta.etag))
    return sorted(found, key=lambda one: one.user_id)


def import_user(store: ObjectStore, user_id: str, given: UserRatings) -> MergeCounts:
    """Merge ratings into those of a user. Importing the same again changes nothing.

    Args:
        store: where they are kept.
        user_id: whose they are.
        given: by image id.

    Raises:
        StoreError: what stands there are no ratings, or the store refuses.
    """
    path, unanswered = user_path(user_id), 0
    for _ in range(_ROUNDS):
        stored = read_user(store, user_id)
        merged, counts = merge_ratings(stored.ratings, given)
        if not counts.n_changes:
            return counts
        body = dump_json(export_document(user_id, merged))
        try:
            if stored.etag is None:
                store.create(path, body, content_type=JSON_TYPE)
            else:
                store.replace(path, body, etag=stored.etag, content_type=JSON_TYPE)
        except (AlreadyExistsError, ChangedError, NotFoundError):
            continue
        except UnansweredError:
            unanswered += 1
            if unanswered > _UNANSWERED:
                raise
            if _stands(store, path, body):
                return counts
            continue
        return counts
    raise StoreError(f"{store.uri(path)} keeps changing; import again when others are done")


def read_exports(
    sources: Iterable[str], transport: TransportSettings, now: datetime
) -> dict[str, Export]:
    """Read exports from files and addresses of the web.

    Args:
        sources: local paths, or addresses that begin with http:// or https://.
        transport: how addresses are asked.
        now: the time, aware.

    Returns:
        The exports by source.

    Raises:
        BadInputError: some cannot be used; the message names every problem of each.
        RetryableError: an address cannot be reached now.
    """
    found: dict[str, Export] = {}
    problems: list[str] = []
    for source in sources:
        try:
            found[source] = parse_export(_fetch(source, transport), public_url(source), now)
        except BadInputError as error:
            problems.append(str(error))
    if problems:
        raise BadInputError("\n".join([*problems, "nothing was imported"]))
    return found


def _parse(store: ObjectStore, path: str, body: bytes) -> StoredRatings:
    try:
        export = parse_export(body, store.uri(path), None)
    except BadInputError as error:
        raise _unusable(store, path, str(error)) from None
    ratings: Mapping[str, Entry] = export.ratings.get(export.user_id, {})
    if export.ratings.keys() - {export.user_id}:
        raise _unusable(store, path, "it holds ratings of several users")
    return StoredRatings(export.user_id, ratings, None)


def _unusable(store: ObjectStore, path: str, why: str) -> StoreError:
    return StoreError(
        f"{store.uri(path)} holds no ratings of one user ({why}); "
        "remove it and import the user's export again"
    )


def _stands(store: ObjectStore, path: str, body: bytes) -> bool:
    try:
        return store.get(path).data == body
    except NotFoundError:
        return False


def _fetch(source: str, transport: TransportSettings) -> bytes:
    if source.startswith(("http://", "https://")):
        return _fetch_from_web(source, transport)
    shown = public_url(source)
    if "://" in source:
        raise BadInputError(
            f"{shown} cannot be read: give a local file, or an address of http or https"
        )
    try:
        return Path(source).read_bytes()
    except FileNotFoundError:
        raise BadInputError(f"there is no file {shown}: check the path") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise BadInputError(f"the file {shown} cannot be read ({why}): check the path") from None


def _fetch_from_web(address: str, settings: TransportSettings) -> bytes:
    policy = RetryPolicy.from_settings(settings)
    transport = PlainTransport(policy, timeout_s=settings.timeout_s)
    try:
        return transport.send("GET", address).content
    except PermanentError as error:
        raise BadInputError(f"{error}; check the address") from None
    finally:
        transport.close()
