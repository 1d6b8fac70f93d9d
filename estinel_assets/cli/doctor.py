"""`estinel doctor`: whether everything that the pipeline stands on is in place."""

import os
import uuid
from collections.abc import Iterator
from importlib import metadata

import typer

from estinel_assets.cli.checks import (
    DISTRIBUTION,
    Check,
    Verdict,
    check_dagster_home,
    check_gdal,
    check_packages,
    check_python,
    check_variables,
    fail,
    installed_version,
    known_variables,
    ok,
    warn,
)
from estinel_assets.cli.exit_codes import ExitCode, exit_code_of_counts
from estinel_assets.cli.output import Table
from estinel_assets.cli.session import JsonOption, Session
from estinel_assets.errors import BadInputError

READERS = "rio-tiler"
"""A package that only the compatibility product line needs."""
SCHEMAS = "jsonschema-rs"
"""A package that only publishing needs."""
KAFKA = "confluent-kafka"
"""A package that only PIDs need."""


def doctor(context: typer.Context, *, json: JsonOption = False) -> None:
    """Check versions, environment, DAGSTER_HOME, object store, STAC API, CMR, publishing and PIDs.

    CMR is asked only where the extra `compatibility` is installed, and what publishing and PIDs
    need only where they are configured and their extras installed.

    Exits with 0 when nothing failed (warnings are allowed), 1 when some checks failed, 2 when all
    of them did.
    """
    session = Session.of(context)
    checks = [*_local_checks(), *_checks_of_settings(session)]
    failed = sum(check.verdict is Verdict.FAIL for check in checks)
    document = {
        "failed": failed,
        "checks": [
            {
                "name": check.name,
                "verdict": str(check.verdict),
                "found": check.found,
                "remedy": check.remedy,
            }
            for check in checks
        ],
    }
    session.show(
        document,
        lambda: Table(
            columns=("check", "verdict", "found; remedy"),
            rows=[
                (one.name, one.verdict, "; ".join(filter(None, (one.found, one.remedy))))
                for one in checks
            ],
            caption=f"{failed} of {len(checks)} checks failed" if failed else "nothing failed",
        ),
        as_json=json,
    )
    code = exit_code_of_counts(len(checks) - failed, failed)
    if code is not ExitCode.SUCCESS:
        raise typer.Exit(code)


def _local_checks() -> Iterator[Check]:
    yield check_python()
    try:
        requirements = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        yield warn("packages", f"{DISTRIBUTION} is not installed", "pip install it")
    else:
        yield from check_packages(requirements)
    yield check_gdal()
    yield check_variables(os.environ, known_variables())
    yield check_dagster_home(os.environ)


def _checks_of_settings(session: Session) -> Iterator[Check]:
    """Checks that need settings; without usable ones there are none."""
    try:
        settings = session.settings
    except BadInputError as error:
        yield fail("settings", str(error), "correct them; nothing elsewhere was looked at")
        return
    yield ok("settings", f"from {session.config or 'environment and defaults'}")

    from estinel_assets.cli.remote_checks import (
        check_cmr,
        check_stac,
        check_store,
        open_store_for_check,
    )

    store = open_store_for_check(settings)
    if isinstance(store, Check):
        yield store
    else:
        yield from check_store(store, uuid.uuid4().hex)
    yield from check_stac(settings.stac, settings.transport)
    if installed_version(READERS) is not None:
        yield check_cmr(settings.compatibility, settings.transport)
    if installed_version(SCHEMAS) is not None:
        from estinel_assets.cli.publish_checks import check_publishing

        yield from check_publishing(settings, None if isinstance(store, Check) else store)
    if installed_version(KAFKA) is not None:
        from estinel_assets.cli.pids_checks import check_pids

        yield from check_pids(settings.pids)
