"""The path codec: an outcome's key, status and reason as an object's path, and back.

::

    {root}/{key…}/status={true|false}/reason={reason}[/{field}={value}]/result.json

Every segment is percent-encoded outside `[A-Za-z0-9_-]`, byte by byte of its UTF-8, so that no
key can leave its folder, look like another's, or clash with `status=`.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from estinel_assets.errors import BadInputError

RESULT_NAME = "result.json"
MAX_SEGMENT_BYTES = 200

Key = tuple[str, ...]
"""What names a unit of work within its product line, such as `(SITE_ID, "2024-12-04")`."""

_ENCODED = re.compile(r"(?:[A-Za-z0-9_-]|%[0-9A-F]{2})+")


def encode_segment(text: str) -> str:
    """Encode any text as one path segment.

    Raises:
        BadInputError: the text is empty, is not valid Unicode, or needs over 200 bytes.
    """
    if not text:
        raise BadInputError("a key has an empty part; every part of a key needs a character")
    try:
        # quote() leaves "." and "~" alone; neither may stand in a segment as it is.
        encoded = quote(text, safe="").replace(".", "%2E").replace("~", "%7E")
    except UnicodeEncodeError:
        raise BadInputError(
            f"{text!r} is not valid Unicode and cannot be part of a key; remove lone surrogates"
        ) from None
    if len(encoded) > MAX_SEGMENT_BYTES:
        raise BadInputError(
            f"{text[:40]!r}… takes {len(encoded)} bytes as a path segment; "
            f"at most {MAX_SEGMENT_BYTES} are possible, use a shorter name"
        )
    return encoded


def decode_segment(segment: str) -> str:
    """The text that `encode_segment` made this of.

    Raises:
        BadInputError: no text is encoded like this.
    """
    if _ENCODED.fullmatch(segment):
        try:
            text = unquote_to_bytes(segment).decode("utf-8")
        except UnicodeDecodeError:
            text = ""
        if text and encode_segment(text) == segment:
            return text
    raise BadInputError(f"{segment!r} is not a segment of an outcome's path")


def encode_key(key: Key) -> str:
    """A key as a path, segment by segment."""
    if not key:
        raise BadInputError("a key needs at least one part")
    return "/".join(encode_segment(part) for part in key)


def decode_key(path: str) -> Key:
    """The key that `encode_key` made this of."""
    return tuple(decode_segment(segment) for segment in path.split("/"))


@dataclass(frozen=True, slots=True)
class OutcomePath:
    """What an outcome's path says, without reading the object."""

    key: Key
    status: bool
    reason: str
    field: str | None = None
    """The value behind the reason (`scenes=…`), where the product line has one."""


def format_path(root: str, at: OutcomePath, field_name: str | None = None) -> str:
    """The object's path.

    Args:
        root: the folder of the product line's outcomes.
        at: what the path is to say.
        field_name: what to call `at.field`; without it the field is left out.
    """
    status = "true" if at.status else "false"
    parts = [root, encode_key(at.key), f"status={status}", f"reason={encode_segment(at.reason)}"]
    if field_name is not None and at.field:
        parts.append(f"{field_name}={encode_segment(at.field)}")
    return "/".join([*parts, RESULT_NAME])


def parse_path(root: str, path: str, field_name: str | None = None) -> OutcomePath | None:
    """Read a path back; None where the object is not an outcome of this root.

    Args:
        root: the folder of the product line's outcomes.
        path: an object's path as listed.
        field_name: as for `format_path`.
    """
    if not path.startswith(f"{root}/"):
        return None
    segments = path[len(root) + 1 :].split("/")
    if segments.pop() != RESULT_NAME:
        return None
    field = None
    if field_name is not None and segments and segments[-1].startswith(f"{field_name}="):
        field = segments.pop().removeprefix(f"{field_name}=")
    if len(segments) < 3:
        return None
    *key, status, reason = segments
    if status not in {"status=true", "status=false"} or not reason.startswith("reason="):
        return None
    try:
        return OutcomePath(
            key=tuple(decode_segment(segment) for segment in key),
            status=status == "status=true",
            reason=decode_segment(reason.removeprefix("reason=")),
            field=decode_segment(field) if field is not None else None,
        )
    except BadInputError:
        return None
