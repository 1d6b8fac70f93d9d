"""Locations of `datasets.json`: addresses with templates, taken apart into a store and a path.

A folder's store has its root at the part of the location that has no template, because a local
store keeps its lock files at its root, which therefore must be ours to write (`/` rarely is) and
lie on the same volume. Where one such root lies inside another, the outer is taken for both
(`share_roots`): two locations that could give the same folder always begin with the same literal
folders, so they share one store, its locks and the identity of the place.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from estinel_assets.errors import BadInputError, PermanentError, public_url
from estinel_assets.logs import mask_text
from estinel_assets.publishing.layout import ROOT
from estinel_assets.publishing.model import Place, StoreAt
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.templates import Template, parse_template, segments_problem
from estinel_assets.storage.paths import (
    RESERVED,
    LocalRoot,
    check_endpoint,
    check_prefix,
    parse_root,
)

if TYPE_CHECKING:
    from estinel_assets.settings import StoreSettings
    from estinel_assets.storage.port import ObjectStore

FORMS = "s3://bucket/key, s3://server:port/bucket/key, file:///folder/key or published/key"
DEFAULT_PROFILE = "default"
"""Name of the profile that the AWS configuration takes where none is named."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HOSTNAME = re.compile(r"\$?\{hostname\}")
_AWS = re.compile(r"(?:.*\.)?amazonaws\.com(?:\.cn)?")
_AWS_S3 = re.compile(
    r"s3(?P<kind>-fips|\.dualstack|-fips\.dualstack)?"
    r"(?:[.-](?P<region>[a-z]{2,}(?:-[a-z]+)+-\d+))?(?P<domain>\.amazonaws\.com(?:\.cn)?)"
)


@dataclass(frozen=True, slots=True)
class Location:
    """Where products go, before their values are filled in."""

    store: StoreAt
    path: Template
    """Relative to the store's root."""

    def place(self, values: Mapping[str, object], where: str) -> Place:
        """Fill in a product's values.

        Args:
            values: see `Template.fill`.
            where: what the location is, for messages.

        Raises:
            PermanentError: a value is absent or cannot be used (`invalid_dataset`), or the path
                would lead elsewhere (`path_traversal`).
        """
        path = self.path.fill(values, where)
        problem = segments_problem(path) or _kept_problem(self.store, path)
        if problem:
            raise PermanentError(
                PublishingReason.PATH_TRAVERSAL, f"{where}: the path {path!r} {problem}; rename it"
            )
        try:
            check_prefix(path)
        except BadInputError as error:
            raise PermanentError(PublishingReason.INVALID_DATASET, f"{where}: {error}") from None
        return Place(self.store, path)


@dataclass(frozen=True, slots=True)
class Unwritable:
    """A location that we do not write to, such as `davs://…`."""

    scheme: str
    shown: str
    """Its address, without what is secret."""


def parse_location(text: str, *, hostname: str, profile: str = "") -> Location | Unwritable:
    """Read a location.

    Args:
        text: one of `FORMS`, with templates behind the bucket or the first folder.
        hostname: what `{hostname}` stands for.
        profile: profile of the AWS configuration; matters to S3 only.

    Raises:
        BadInputError: it cannot be used.
    """
    text = _HOSTNAME.sub(lambda _: hostname, text)
    found = _SCHEME.match(text)
    if found is None:
        return _in_own_store(text)
    scheme, rest = found[1].lower(), text[found.end() :]
    if scheme not in ("s3", "file"):
        return Unwritable(scheme, shown_address(text))
    if "?" in rest or "#" in rest:
        raise BadInputError("it has a query or a fragment; leave it out")
    return _in_bucket(rest, profile) if scheme == "s3" else _in_folder(rest)


def share_roots(locations: Sequence[Location | Unwritable]) -> list[Location | Unwritable]:
    """Give locations in one folder the same store.

    Returns:
        The locations in their order; a folder that lies inside another's is addressed from there.
    """
    roots = [
        _folder_of(location.store)
        for location in locations
        if isinstance(location, Location) and location.store.url.startswith("file:")
    ]
    shared: list[Location | Unwritable] = []
    for location in locations:
        if isinstance(location, Unwritable) or not location.store.url.startswith("file:"):
            shared.append(location)
            continue
        folder = _folder_of(location.store)
        outer = min(
            (root for root in roots if folder.is_relative_to(root)),
            key=lambda root: len(root.parts),
        )
        inner = folder.relative_to(outer).as_posix()
        parts = location.path.parts if inner == "." else (f"{inner}/", *location.path.parts)
        store = replace(location.store, url=LocalRoot(outer).url)
        shared.append(Location(store, Template(parts)))
    return shared


def region_of(endpoint_url: str) -> str | None:
    """The region that the address of an AWS server names; None for any other."""
    found = _AWS_S3.fullmatch(urlsplit(endpoint_url).hostname or "")
    return found["region"] if found else None


def open_place(at: StoreAt, own: "StoreSettings") -> "ObjectStore":
    """Open a store that objects go to.

    Args:
        at: which.
        own: the store of the settings; fills in what is left open.

    Raises:
        BadInputError: its address or the AWS configuration cannot be used.
        StoreError: its folder cannot be made.
    """
    from estinel_assets.storage import open_store

    endpoint_url = at.endpoint_url or own.endpoint_url
    return open_store(
        at.url or own.url,
        endpoint_url=endpoint_url,
        region=region_of(endpoint_url or "") or own.region,
        # With a name boto3 looks for a section in the files only, and finds no role and no
        # environment; without one it takes those, and then the default profile.
        profile=None if at.profile == DEFAULT_PROFILE else at.profile or own.profile,
    )


def shown_address(text: str) -> str:
    """An address, or other text, as messages may show it: short, without credentials or query."""
    if _SCHEME.match(text):
        # A password may have a slash in it, so everything before the last @ goes.
        text = public_url(re.sub(r"://.*@", "://", text, count=1, flags=re.DOTALL))
    shown = mask_text(text)
    return shown if len(shown) <= 200 else f"{shown[:197]}..."


def _in_own_store(text: str) -> Location:
    if text.startswith("/"):
        raise BadInputError(f"it has no scheme; write file://{text} for a folder")
    path = _key(text)
    head = path.parts[0] if path.parts and isinstance(path.parts[0], str) else ""
    first, slash, _ = head.partition("/")
    if not slash or first in (ROOT, RESERVED):
        raise BadInputError(
            "its first folder is a template, missing, or one that the store keeps for itself "
            f"({ROOT}, {RESERVED}); begin with a folder of its own, such as published/"
        )
    return Location(StoreAt(), path)


def _in_bucket(rest: str, profile: str) -> Location:
    if "@" in rest.partition("/")[0]:
        raise BadInputError("it has credentials; use a profile or the environment")
    server, _, behind = rest.partition("/")
    endpoint_url = ""
    bucket, key = server, behind
    if ":" in server or _AWS.fullmatch(server.lower()):
        endpoint_url = _endpoint(server)
        bucket, _, key = behind.partition("/")
    if not key.strip("/"):
        raise BadInputError(f"it names no key below a bucket; write {FORMS}")
    if "{" in bucket:
        raise BadInputError("its server or bucket is a template; only {hostname} can stand there")
    root = parse_root(f"s3://{bucket}")
    return Location(StoreAt(root.url, endpoint_url, profile), _key(key))


def _endpoint(server: str) -> str:
    if "{" in server:
        raise BadInputError("its server or bucket is a template; only {hostname} can stand there")
    try:
        parts = urlsplit(f"//{server}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise BadInputError(f"{server!r} is no server and port; write {FORMS}") from None
    if not _AWS.fullmatch(host):
        name = f"[{host}]" if ":" in host else host
        if port in (443, None):
            return check_endpoint(f"https://{name}")
        return check_endpoint(f"http://{name}:{port}")
    found = _AWS_S3.fullmatch(host)
    if found is None or port not in (None, 80, 443):
        raise BadInputError(
            f"{server!r} is no S3 server of AWS that can be written to; write s3://bucket/key or "
            "s3://s3.REGION.amazonaws.com:443/bucket/key"
        )
    # AWS has told `s3-region` and `s3.region` apart only by age, and what is sent to port 80 would
    # travel in plain text.
    if found["region"] and not found["kind"]:
        host = f"s3.{found['region']}{found['domain']}"
    return f"https://{host}"


def _in_folder(rest: str) -> Location:
    rest = rest.removeprefix("localhost") if rest.startswith("localhost/") else rest
    if not rest.startswith("/"):
        raise BadInputError("it names a host or a relative folder; write file:///folder/key")
    path = _key(rest)
    decoded = [unquote(part) if isinstance(part, str) else part for part in path.parts]
    head = decoded[0] if decoded and isinstance(decoded[0], str) else ""
    folder, slash, name = head.rpartition("/")
    if not slash:
        raise BadInputError(
            "its first folder is a template or missing; begin with a folder to keep products in, "
            "such as file:///archive/{id}"
        )
    problem = segments_problem(folder)
    if problem:
        raise BadInputError(f"it {problem} once it is decoded; write the folder's own path")
    parts = ([name] if name else []) + decoded[1:]
    root = LocalRoot(Path("/", folder))
    return Location(StoreAt(root.url), Template(tuple(parts)))


def _key(text: str) -> Template:
    path = parse_template(text.strip("/"))
    problem = segments_problem(str(path))
    if problem:
        raise BadInputError(f"it {problem}; write {FORMS}")
    return path


def _kept_problem(store: StoreAt, path: str) -> str:
    if path.partition("/")[0] == RESERVED or (not store.url and path.partition("/")[0] == ROOT):
        return "lies where the store keeps its own records"
    return ""


def _folder_of(store: StoreAt) -> Path:
    return Path(unquote(store.url.removeprefix("file://")))
