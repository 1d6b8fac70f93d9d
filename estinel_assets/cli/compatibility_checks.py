"""`estinel compatibility check` and `run`: checks that were asked for, and those that are due."""

import logging
import os
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from estinel_assets.cli.exit_codes import NothingToDoError, exit_code_of_counts
from estinel_assets.cli.output import Table
from estinel_assets.cli.progress import progress
from estinel_assets.cli.session import JsonOption, Session, dagster_home, needs_extra
from estinel_assets.clock import utc_now
from estinel_assets.errors import AbortedError, BadInputError, EstinelError

if TYPE_CHECKING:
    from estinel_assets.outcomes.index import IndexRow
    from estinel_assets.outcomes.record import Outcome
    from estinel_assets.settings import Settings

log = logging.getLogger(__name__)

FAR_AHEAD = datetime.max.replace(tzinfo=UTC)
VARIABLES = "ESTINEL_COMPATIBILITY_"
"""What the variables of this product line's settings begin with."""


class Engine(StrEnum):
    """What runs checks."""

    PROCESSES = "processes"
    THREADS = "threads"
    DASK = "dask"
    LITHOPS = "lithops"


class Access(StrEnum):
    """How files are reached."""

    DIRECT = "direct"
    EXTERNAL = "external"


EngineOption = Annotated[
    Engine | None,
    typer.Option(
        help="`processes`, `dask` and `lithops` isolate each check; `threads` is for debugging."
    ),
]
AccessOption = Annotated[
    Access | None,
    typer.Option(help="`external` is HTTPS; `direct` is S3, in the archive's region only."),
]
EndpointOption = Annotated[
    str | None,
    typer.Option(help="A running TiTiler-CMR to ask for the tiles, too.", metavar="URL"),
]


def check(
    context: typer.Context,
    *,
    concept_ids: Annotated[
        list[str], typer.Argument(help="Concept ids of collections.", metavar="ID...")
    ],
    granule: Annotated[
        str | None,
        typer.Option(help="Concept id of the granule to try; else a random one.", metavar="ID"),
    ] = None,
    access: AccessOption = None,
    endpoint: EndpointOption = None,
    engine: EngineOption = None,
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Check these collections now, and say what was found.

    The results are stored; where DAGSTER_HOME is set, Dagster shows them, too.

    Exit codes: 0 an answer for each, also an honest no; 1 some ended with a fault or were not
    checked; 2 all did; 3 CMR knows none of them; 5 stopped.
    """
    with needs_extra("compatibility"):
        from estinel_assets.compatibility.cmr_records import check_concept_id
    session = Session.of(context)
    home = dagster_home() if os.environ.get("DAGSTER_HOME") else None
    if granule is not None:
        if len(concept_ids) != 1:
            raise typer.BadParameter("--granule goes with exactly one collection")
        check_concept_id(granule, "granule")
    for concept_id in concept_ids:
        check_concept_id(concept_id)
    with needs_extra("compatibility"):
        from estinel_assets.compatibility.opening_checks import open_checks
        from estinel_assets.compatibility.runner import Asked, UncheckedError
    asked = [Asked(concept_id, granule) for concept_id in dict.fromkeys(concept_ids)]
    outcomes: list[Outcome] = []
    problems: Mapping[str, EstinelError] = {}
    try:
        with _settings(session, access=access, endpoint=endpoint, engine=engine) as settings:
            run_id = f"command-{uuid.uuid4()}"
            checks = open_checks(settings, session.open_store(), run_id, anew=True)
            with (
                closing(checks.outcomes(asked)) as ends,
                progress("Collections", total=len(asked)) as step,
            ):
                for outcome in ends:
                    outcomes.append(outcome)
                    step(outcome.key[0])
    except UncheckedError as error:
        problems = error.problems
        if not outcomes:
            raise _nothing_checked(error) from None
    except KeyboardInterrupt:
        raise AbortedError(
            f"stopped after {len(outcomes)} of {len(asked)} collections; their results stand"
        ) from None
    finally:
        if home is not None and outcomes:
            _report_to_dagster(home, outcomes)
    _show_results(session, outcomes, problems)
    raise typer.Exit(_exit_code([outcome.reason for outcome in outcomes], unchecked=len(problems)))


def run(
    context: typer.Context,
    *,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Check at most so many collections.", metavar="N")
    ] = None,
    access: AccessOption = None,
    endpoint: EndpointOption = None,
    engine: EngineOption = None,
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Check collections without a result, then those due again.

    Runs of at most 500 collections follow one another. When one of them leaves most of its
    collections unchecked, because CMR or the archives cannot be reached, the next are not begun.

    Exit codes: 0 done, 1 some ended with a fault or were not checked, 2 all did, 5 stopped,
    6 nothing to check.
    """
    session = Session.of(context)
    home = dagster_home()
    with needs_extra("compatibility"):
        from estinel_assets.build import build_definitions
    from estinel_assets.orchestration.in_process import open_instance

    with _settings(session, access=access, endpoint=endpoint, engine=engine):
        waiting = _waiting(session)[:limit]
        defs = build_definitions(config_file=str(session.config) if session.config else None)
        with _saying_what_stands(session, waiting), open_instance(home) as instance:
            done = _run_batches(session, defs, instance, waiting)
    left = len(waiting) - len(done.reasons)
    by_reason = dict(sorted(Counter(done.reasons).items()))
    document = {
        "asked": len(waiting),
        "checked": len(done.reasons),
        "left": left,
        "by_reason": by_reason,
        "errors": done.errors,
    }
    counts = Counter(done.reasons).most_common()
    rows = [*counts, ("(not checked)", left)] if left else counts
    session.show(document, lambda: Table(("reason", "collections"), rows))
    for error in done.errors:
        log.error("%s", error)
    raise typer.Exit(_exit_code(done.reasons, unchecked=left))


@dataclass(frozen=True, slots=True)
class _Done:
    """What the runs did."""

    reasons: list[str]
    """Of each collection that was checked."""
    errors: list[str]
    """Why some were not."""


def _run_batches(session: Session, defs: Any, instance: Any, waiting: Sequence[str]) -> _Done:
    """Check collections in runs, until all are or a run leaves most of its own unchecked."""
    from estinel_assets.orchestration.by_reason import MOST_KEYS
    from estinel_assets.orchestration.in_process import run_job
    from estinel_assets.orchestration.keys_job import run_config

    done = _Done([], [])
    batches = [waiting[start : start + MOST_KEYS] for start in range(0, len(waiting), MOST_KEYS)]
    with progress("Runs", total=len(batches)) as step:
        for number, batch in enumerate(batches, start=1):
            config = run_config([(one,) for one in batch])
            ended = run_job(defs, instance, "check_collections", config=config)
            rows = _rows_of(session, batch)
            reasons = [row.reason for row in rows.values() if row.run_id == ended.run_id]
            done.reasons.extend(reasons)
            step(f"{len(reasons)} of {len(batch)} collections ({number})")
            if len(reasons) < len(batch):
                done.errors.append(f"run {ended.run_id}: {ended.error}")
            if len(reasons) < len(batch) / 2:
                break
    return done


def _waiting(session: Session) -> list[str]:
    """The collections that a run would check now.

    Raises:
        NothingToDoError: there is none.
    """
    from estinel_assets.compatibility.collections_table import known_collections
    from estinel_assets.compatibility.opening_checks import open_book
    from estinel_assets.compatibility.plan import due, unchecked
    from estinel_assets.outcomes.rules import RetryRule

    store = session.open_store()
    known = known_collections(store)
    if known is None:
        raise NothingToDoError(
            "no collections are known yet; `estinel compatibility sync` asks CMR for them"
        )
    rows = open_book(session.settings, store).index(())
    retry, now = RetryRule.from_settings(session.settings.outcomes), utc_now()
    again = set(due(rows, now, retry))
    waiting = [*unchecked(known, rows), *(one for one in known if one in again)]
    if not waiting:
        # Seen from the end of all time, every pause is over.
        later = set(known).intersection(due(rows, FAR_AHEAD, retry))
        pausing = f", and {len(later)} of them are tried again after their pause" if later else ""
        raise NothingToDoError(
            f"every known collection has a result{pausing}; `estinel compatibility sync` asks CMR "
            "for new ones, `estinel reprocess` does not wait"
        )
    return waiting


def _rows_of(session: Session, concept_ids: Sequence[str]) -> "dict[str, IndexRow]":
    """How these collections stand now."""
    from estinel_assets.compatibility.opening_checks import open_book

    rows = open_book(session.settings, session.open_store()).index(())
    return {one: rows[one,] for one in concept_ids if (one,) in rows}


def _exit_code(reasons: Sequence[str], *, unchecked: int) -> int:
    from estinel_assets.compatibility.reasons import CompatibilityReason
    from estinel_assets.outcomes.reason import parse_reason

    faults = sum(parse_reason(CompatibilityReason, reason).fault for reason in reasons)
    return int(exit_code_of_counts(len(reasons) - faults, faults + unchecked))


def _nothing_checked(error: "EstinelError") -> EstinelError:
    """What to raise where there is no result: the caller's mistake, if it is one."""
    problems: Mapping[str, EstinelError] = getattr(error, "problems", {})
    if all(isinstance(problem, BadInputError) for problem in problems.values()):
        return BadInputError("; ".join(map(str, problems.values())))
    return error


def _report_to_dagster(home: Path, outcomes: "Sequence[Outcome]") -> None:
    """Show results on their partitions."""
    import dagster as dg

    from estinel_assets.compatibility.assets import compatibility_results, shown
    from estinel_assets.compatibility.reasons import CompatibilityReason
    from estinel_assets.orchestration.in_process import open_instance
    from estinel_assets.orchestration.partitions import COLLECTIONS, add_partitions
    from estinel_assets.outcomes.reason import parse_reason

    with open_instance(home) as instance:
        add_partitions(instance, COLLECTIONS, [outcome.key[0] for outcome in outcomes])
        for outcome in outcomes:
            # Green is for answers; only a run can be red.
            fault = parse_reason(CompatibilityReason, outcome.reason).fault
            event = dg.AssetObservation if fault else dg.AssetMaterialization
            instance.report_runless_asset_event(
                event(compatibility_results.key, partition=outcome.key[0], metadata=shown(outcome))
            )


@contextmanager
def _settings(session: Session, **options: str | None) -> "Iterator[Settings]":
    """Let options stand for settings of the product line, also in jobs of this process.

    Raises:
        BadInputError: one of them cannot be used.
    """
    from estinel_assets.settings import load_settings

    given = {f"{VARIABLES}{name.upper()}": one for name, one in options.items() if one is not None}
    endpoint = options.get("endpoint")
    if endpoint is not None and not endpoint.startswith(("http://", "https://")):
        raise BadInputError(
            "--endpoint is no address; name the root of a TiTiler-CMR, as in https://HOST/PATH"
        )
    if not given:
        yield session.settings
        return
    former = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield load_settings(session.config)
    finally:
        for name, value in former.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _saying_what_stands(session: Session, waiting: Sequence[str]) -> Iterator[None]:
    before = _rows_of(session, waiting)
    try:
        yield
    except KeyboardInterrupt:
        now = _rows_of(session, waiting)
        checked = sum(before.get(one) != row for one, row in now.items())
        raise AbortedError(
            f"stopped after {checked} of {len(waiting)} collections; their results stand, and the "
            "next run takes the others"
        ) from None


def _show_results(
    session: Session, outcomes: "Sequence[Outcome]", problems: Mapping[str, EstinelError]
) -> None:
    document = {
        "results": [outcome.model_dump(mode="json") for outcome in outcomes],
        "unchecked": [{"collection": one, "error": str(why)} for one, why in problems.items()],
    }
    columns = ("collection", "compatible", "reason", "error", "hint", "seconds")
    rows: list[tuple[object, ...]] = [
        (
            one.key[0],
            one.status,
            one.reason,
            one.error,
            one.detail.get("hint"),
            round(one.duration_s, 2),
        )
        for one in outcomes
    ]
    rows += [(one, None, "(not checked)", str(why), None, None) for one, why in problems.items()]
    session.show(document, lambda: Table(columns, rows))
