"""One result that is to be imported: is it one, and which outcome is it? Pure."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from estinel_assets.compatibility.reasons import COMPATIBILITY, CompatibilityReason
from estinel_assets.compatibility.record import CompatibilityRecord, inputs_of
from estinel_assets.errors import BadInputError, public_url
from estinel_assets.outcomes.record import NO_REASON, Outcome

CODE_VERSION = "imported"
IMPORT_RUN = "import-"
"""How the names of the runs of imports begin; what follows is made of the content."""
JSON_COLUMNS = frozenset({"data_variables", "groups", "tiles", "durations_s", "readers"})
OUTCOME_COLUMNS = frozenset({"checked_at", "attempts", "run_id", "code_version"})
"""What a table with details says of the outcome itself."""
SHOWN = 10
"""Problems that a message lists; more are counted."""

_CONCEPT_ID = re.compile(r"C[0-9]{1,20}-[A-Za-z0-9_]{1,60}")
_SHOWN_VALUE = 60


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a result was found."""

    name: str
    """Of the file or tree."""
    run_id: str
    """`import-` and the beginning of the content's SHA-256, in hex."""
    modified: datetime
    """When the content was last changed, aware."""


def raise_problems(problems: Iterable[str], name: str) -> None:
    """Raise BadInputError where there are problems; the message shows the first ten.

    Args:
        problems: one line each.
        name: of the file or tree.
    """
    listed = list(problems)
    if not listed:
        return
    shown = "".join(f"\n  {problem}" for problem in listed[:SHOWN])
    more = f"\n  and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    number = "1 problem" if len(listed) == 1 else f"{len(listed)} problems"
    raise BadInputError(f"{name} cannot be imported, nothing was written; {number}:{shown}{more}")


def outcome_of_row(row: Mapping[str, object], origin: Origin) -> Outcome:
    """The outcome that a row of published columns tells of.

    A row with our own columns (a table exported with details) keeps what they say: when it was
    checked, at which attempt and by which run. Columns that are unknown are left out.

    Args:
        row: by column. `data_variables`, `groups` and other nested ones are values or JSON texts.
        origin: where the row stands.

    Raises:
        BadInputError: it is no result; the message lists every problem of the row.
    """
    problems: list[str] = []
    concept_id = row.get("collection_concept_id")
    if not isinstance(concept_id, str) or not is_concept_id(concept_id):
        problems.append(
            f"collection_concept_id is {_short(concept_id)}, not a concept id such as "
            "C1996881146-POCLOUD"
        )
    reason = _reason(row, problems)
    record = _record(row, reason, origin, problems)
    if problems or record is None or reason is None:
        raise BadInputError("; ".join(problems))
    fields: dict[str, object] = {
        "attempts": 1,
        "run_id": origin.run_id,
        "code_version": CODE_VERSION,
        **{name: row[name] for name in OUTCOME_COLUMNS if row.get(name) is not None},
    }
    at = fields.pop("checked_at", origin.modified)
    return _outcome(
        {
            "product": COMPATIBILITY.product,
            "key": (record.collection_concept_id,),
            "status": reason == NO_REASON,
            "reason": str(reason),
            "error": record.error_message,
            "started_at": at,
            "finished_at": at,
            "duration_s": 0.0,
            "inputs": inputs_of(record),
            "detail": record.model_dump(mode="json"),
            **fields,
        }
    )


def outcome_of_document(document: Mapping[str, object]) -> Outcome:
    """The outcome that a whole record of ours is, as `estinel outcomes export` writes it.

    Raises:
        BadInputError: it is none, or not one of this product line.
    """
    outcome = _outcome(document)
    if outcome.product != COMPATIBILITY.product:
        raise BadInputError(f"product is {_short(outcome.product)}, not {COMPATIBILITY.product}")
    (concept_id, *others) = outcome.key
    if others or not is_concept_id(concept_id):
        raise BadInputError(f"key is {_short('/'.join(outcome.key))}, not a concept id")
    if outcome.reason not in set(CompatibilityReason):
        raise BadInputError(_unknown(outcome.reason))
    try:
        CompatibilityRecord.model_validate(outcome.detail)
    except ValidationError as error:
        raise BadInputError("; ".join(_validation_problems(error, "detail."))) from None
    return outcome


def is_same(one: tuple[datetime, str], other: tuple[datetime, str]) -> bool:
    """Whether two results of one collection are one and the same, by their time and run.

    The name of an import's run is made of the content, so there the time does not matter: a copied
    or touched file says nothing new.
    """
    return one == other or (one[1] == other[1] and one[1].startswith(IMPORT_RUN))


def is_concept_id(text: str) -> bool:
    """Whether this may be the concept id of a collection: `C`, digits, `-`, a provider."""
    return _CONCEPT_ID.fullmatch(text) is not None


def _reason(row: Mapping[str, object], problems: list[str]) -> CompatibilityReason | None:
    compatible, word = row.get("tiling_compatible"), row.get("incompatible_reason")
    if not isinstance(compatible, bool):
        problems.append(f"tiling_compatible is {_short(compatible)}, not true or false")
        return None
    known = {str(reason): reason for reason in CompatibilityReason}
    if word is not None and (not isinstance(word, str) or word not in known):
        problems.append(_unknown(word))
        return None
    if compatible:
        if word is None or word == NO_REASON:
            return CompatibilityReason.NONE
        problems.append(f"tiling_compatible is true, but incompatible_reason is {_short(word)}")
        return None
    if word == NO_REASON:
        problems.append("tiling_compatible is false, but incompatible_reason is 'none'")
        return None
    return CompatibilityReason.UNRECORDED if word is None else known[word]


def _unknown(word: object) -> str:
    return f"no reason is called {_short(word)}; there are: {', '.join(CompatibilityReason)}"


def _record(
    row: Mapping[str, object],
    reason: CompatibilityReason | None,
    origin: Origin,
    problems: list[str],
) -> CompatibilityRecord | None:
    """The record; None where there is a problem, which may be one that was found before."""
    fields = {
        name: _plain(name, row[name])
        for name in CompatibilityRecord.model_fields
        if row.get(name) is not None
    }
    wordless = reason in {CompatibilityReason.NONE, CompatibilityReason.UNRECORDED}
    fields["incompatible_reason"] = None if wordless or reason is None else str(reason)
    fields.setdefault("imported_from", origin.name)
    url = fields.get("data_url")
    if isinstance(url, str) and "?" in url:
        # A signed address must not be kept.
        fields["data_url"] = public_url(url)
    checked_before = {"collection_concept_id", "tiling_compatible"}
    try:
        # As JSON, because strict types must still let a list be a tuple.
        text = json.dumps(fields)
    except (TypeError, ValueError):
        problems.append("it holds a value that JSON has no word for")
        return None
    try:
        return CompatibilityRecord.model_validate_json(text, strict=True)
    except ValidationError as error:
        found = [one for one in error.errors() if not checked_before & set(one["loc"])]
        problems.extend(_validation_problems(error) if found and not problems else [])
        return None


def _plain(name: str, value: object) -> object:
    """A value as the record holds it: JSON texts parsed, whole doubles as integers."""
    if isinstance(value, str) and name in JSON_COLUMNS:
        try:
            return json.loads(value)
        except ValueError:
            return value
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return int(value) if value.is_integer() else value
    return value


def _outcome(document: Mapping[str, object]) -> Outcome:
    try:
        return Outcome.model_validate(document)
    except ValidationError as error:
        raise BadInputError("; ".join(_validation_problems(error))) from None


def _validation_problems(error: ValidationError, above: str = "") -> list[str]:
    return [
        f"{above}{'.'.join(map(str, one['loc']))} is {_short(one['input'])}: {one['msg']}"
        for one in error.errors(include_url=False)
    ]


def _short(value: object) -> str:
    if value is None:
        return "missing"
    text = repr(public_url(value) if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN_VALUE else f"{text[:_SHOWN_VALUE]}…"
