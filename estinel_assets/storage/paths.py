"""What a path in the store may be, and where a store's URL leads.

Paths are taken as they are: nothing is percent-encoded or decoded on the way to the store, so
that a key which another tool sees is the path itself. What not every store can hold is refused.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from estinel_assets.errors import BadInputError, public_url

RESERVED = ".locks"
"""Folder at a local root that holds its lock files; no object may stand below it."""

_MAX_PATH_BYTES = 1024
"""The limit of an S3 key."""
_MAX_SEGMENT_BYTES = 255
"""The limit of a file name."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# obstore keeps names that end so for the unfinished files of a local store, and hides them.
_UNFINISHED = re.compile(r"#[0-9]+\Z")
_DRIVE = re.compile(r"[A-Za-z][:|]\Z")
# What RFC 3986 lets stand in a path, so that `status=true` stays readable in a file URI.
_PATH_SAFE = "/=:@!$&'()*+,;~"
_FORMS = "file:///folder, file://./folder, /folder, memory:// or s3://bucket/prefix"


@dataclass(frozen=True, slots=True)
class LocalRoot:
    """A store in a folder."""

    folder: Path
    """Absolute."""

    @property
    def url(self) -> str:
        """As `file:///folder`."""
        return "file://" + quote(self.folder.as_posix(), safe=_PATH_SAFE)


@dataclass(frozen=True, slots=True)
class MemoryRoot:
    """A store in the memory of this process."""

    url: str = "memory://"


@dataclass(frozen=True, slots=True)
class BucketRoot:
    """A store in an S3 bucket."""

    bucket: str
    prefix: str
    """Without slashes at its ends; empty for the whole bucket."""

    @property
    def url(self) -> str:
        """As `s3://bucket/prefix`."""
        return f"s3://{self.bucket}/{self.prefix}" if self.prefix else f"s3://{self.bucket}"


def object_uri(root: LocalRoot | MemoryRoot | BucketRoot, path: str) -> str:
    """The full address of a path.

    In a `file://` URI what RFC 3986 does not allow is percent-encoded; an `s3://` address carries
    the key as it is, as S3 tools expect.
    """
    if isinstance(root, LocalRoot):
        return f"{root.url.removesuffix('/')}/{quote(path, safe=_PATH_SAFE)}"
    if isinstance(root, MemoryRoot):
        return f"memory:///{path}"
    return f"{root.url}/{path}"


def check_path(path: str) -> str:
    """Refuse a path that not every store can hold.

    Returns:
        The path, as it is.

    Raises:
        BadInputError: it is empty, has an empty, `.` or `..` segment, a slash at an end, a control
            character, a segment over 255 bytes or is over 1024 bytes of UTF-8, ends in `#` and
            digits or like a Windows drive, or lies in the folder of lock files.
    """
    problem = _path_problem(path)
    if problem:
        raise BadInputError(f"object path {path!r} {problem}; paths look like folder/name.json")
    return path


def check_prefix(prefix: str) -> str:
    """Refuse a prefix that no object can stand below.

    Returns:
        The prefix without a slash at its end; empty for everything.

    Raises:
        BadInputError: see `check_path`.
    """
    bare = prefix.removesuffix("/")
    problem = _segments_problem(bare) if bare else "is only a slash" if prefix else ""
    if problem:
        raise BadInputError(
            f"listing prefix {prefix!r} {problem}; prefixes look like folder/folder, or are empty"
        )
    return bare


def parse_root(url: str) -> LocalRoot | MemoryRoot | BucketRoot:
    """Read a store's URL. A relative folder is taken from the working directory.

    Args:
        url: `file://`, `memory://`, `s3://` or a plain path. A `file://` URL is percent-decoded, a
            plain path and an `s3://` URL are not.

    Raises:
        BadInputError: it is none of these.
    """
    if "://" not in url:
        return LocalRoot(_absolute(url, url))
    scheme, _, rest = url.partition("://")
    if "?" in rest or "#" in rest:
        raise BadInputError(
            f"store URL {public_url(url)} carries a query or a fragment; write it without them"
        )
    if scheme == "file":
        return LocalRoot(_absolute(_file_path(url, rest), url))
    if scheme == "memory" and not rest.strip("/"):
        return MemoryRoot()
    if scheme == "s3":
        return _bucket_root(url, rest)
    raise BadInputError(f"store URL {public_url(url)} is not usable; write {_FORMS}")


def check_endpoint(endpoint_url: str) -> str:
    """Refuse the address of an S3 server that is not plain.

    Raises:
        BadInputError: it is not http or https, or carries credentials or a query, which would
            show up in the messages of libraries.
    """
    parts = urlsplit(endpoint_url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise BadInputError(
            f"S3 endpoint {public_url(endpoint_url)!r} is not usable; "
            "write http://host:port or https://host"
        )
    if "@" in parts.netloc or "?" in endpoint_url or "#" in endpoint_url:
        raise BadInputError(
            f"S3 endpoint {public_url(endpoint_url)} carries credentials or a query; "
            "write http://host:port or https://host, and give credentials through the AWS profile"
        )
    return endpoint_url.rstrip("/")


def _path_problem(path: str) -> str:
    if not path:
        return "is empty"
    if _UNFINISHED.search(path):
        return "ends in # and digits, which local stores keep for unfinished files"
    if _DRIVE.search(path):
        return "ends in a letter and a colon or bar, which local stores take for a Windows drive"
    return _segments_problem(path)


def _segments_problem(path: str) -> str:
    segments = path.split("/")
    if "" in segments:
        return "has an empty segment or a slash at an end"
    if "." in segments or ".." in segments:
        return "has a segment that is . or .."
    if segments[0] == RESERVED:
        return f"lies in {RESERVED}, which is kept for lock files"
    if _CONTROL.search(path):
        return "has a control character"
    try:
        encoded = [len(segment.encode()) for segment in segments]
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if max(encoded) > _MAX_SEGMENT_BYTES:
        return f"has a segment over {_MAX_SEGMENT_BYTES} bytes"
    if sum(encoded) + len(encoded) - 1 > _MAX_PATH_BYTES:
        return f"is over {_MAX_PATH_BYTES} bytes"
    return ""


def _file_path(url: str, rest: str) -> str:
    rest = rest.removeprefix("localhost") if rest.startswith("localhost/") else rest
    if rest in (".", "..") or rest.startswith(("/", "./", "../")):
        return unquote(rest)
    raise BadInputError(
        f"store URL {public_url(url)} names a host; write file:///folder or file://./folder"
    )


def _absolute(path: str, url: str) -> Path:
    if not path.strip() or _CONTROL.search(path):
        raise BadInputError(f"store URL {url!r} names no folder; write {_FORMS}")
    return Path(path).expanduser().resolve()


def _bucket_root(url: str, rest: str) -> BucketRoot:
    bucket, _, prefix = rest.partition("/")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]", bucket):
        raise BadInputError(
            f"store URL {public_url(url)} names no bucket (three letters or more); "
            "write s3://bucket/prefix"
        )
    prefix = prefix.strip("/")
    problem = _segments_problem(prefix) if prefix else ""
    if problem:
        raise BadInputError(f"store URL {public_url(url)}: its prefix {problem}; write {_FORMS}")
    return BucketRoot(bucket, prefix)
