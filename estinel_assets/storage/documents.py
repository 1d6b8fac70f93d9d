"""JSON documents as bytes: the same bytes for the same document, readable by people."""

import gzip
import io
import json
import math
from collections.abc import Mapping
from typing import Any

from estinel_assets.errors import BadInputError, StoreError
from estinel_assets.storage.port import ObjectMeta, ObjectStore

JSON_TYPE = "application/json"


def dump_json(document: object, *, what: str = "the document") -> bytes:
    """Encode a document: UTF-8, two spaces of indent, a newline at the end.

    Keys stay in the order in which they come.

    Args:
        document: dicts with text keys, lists, tuples, text, numbers, booleans and None.
        what: names the document in messages.

    Raises:
        BadInputError: it holds NaN or an infinity, a key that is not text, text that is not
            Unicode, or something that JSON has no word for; the message says where.
    """
    problem = _problem(document, "$")
    if problem:
        raise BadInputError(f"{what} cannot be JSON: {problem}")
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2)
    return f"{text}\n".encode()


def load_json(body: bytes, *, what: str = "the document") -> Any:
    """Decode a document.

    Args:
        body: UTF-8.
        what: names the document in messages.

    Raises:
        StoreError: it is not JSON, or holds NaN or an infinity.
    """
    try:
        return json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{what} is not JSON ({error}); restore or remove it") from None


def write_json(store: ObjectStore, path: str, document: object) -> ObjectMeta:
    """Store a document.

    Raises:
        BadInputError: see `dump_json`.
        StoreError: the store refuses.
    """
    body = dump_json(document, what=store.uri(path))
    return store.put(path, body, content_type=JSON_TYPE)


def read_json(store: ObjectStore, path: str) -> Any:
    """Load a document.

    Raises:
        NotFoundError: there is none.
        StoreError: it is not JSON, or the store refuses.
    """
    return load_json(store.get(path).data, what=store.uri(path))


def gzip_bytes(body: bytes, *, level: int = 9) -> bytes:
    """Compress, without file name and time, so that equal input gives equal output.

    Args:
        body: anything.
        level: 1 (fast) to 9 (small).
    """
    # gzip.compress writes a header that differs between Python versions.
    packed = io.BytesIO()
    with gzip.GzipFile(
        filename="", mode="wb", compresslevel=level, fileobj=packed, mtime=0
    ) as file:
        file.write(body)
    return packed.getvalue()


def _problem(value: object, at: str) -> str:
    if value is None or isinstance(value, (bool, int)):
        return ""
    if isinstance(value, str):
        return "" if _is_unicode(value) else f"{at} is not valid Unicode"
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"{at} is {value}; write null"
    if isinstance(value, dict):
        return _problem_in_dict(value, at)
    if isinstance(value, (list, tuple)):
        found = (_problem(entry, f"{at}[{number}]") for number, entry in enumerate(value))
        return next(filter(None, found), "")
    return f"{at} is a {type(value).__name__}; turn it into text or numbers first"


def _problem_in_dict(value: Mapping[object, object], at: str) -> str:
    for key, entry in value.items():
        if not isinstance(key, str) or not _is_unicode(key):
            return f"{at} has the key {key!r}, which is not text"
        problem = _problem(entry, f"{at}.{key}")
        if problem:
            return problem
    return ""


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse(word: str) -> None:
    raise ValueError(f"it holds {word}")
