"""What `estinel doctor` looks at on this machine: packages, environment, Dagster's home.

A check never raises for what it looks for: it says ok, warn or fail, what it found, and the remedy.
"""

import os
import platform
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Final

DISTRIBUTION: Final = "estinel-assets"
PRODUCT_EXTRAS: Final = (
    "imagery",
    "compatibility",
    "pids",
    "publishing",
    "arrays",
    "serve",
)
"""Extras of the product that users install; the others are for its developers."""


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    """It works, but not as it should; or something optional is absent."""
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check."""

    name: str
    verdict: Verdict
    found: str
    """What was found."""
    remedy: str | None = None
    """What to do about it; None when it is ok."""


def ok(name: str, found: str) -> Check:
    """A check that found all well."""
    return Check(name, Verdict.OK, found)


def warn(name: str, found: str, remedy: str) -> Check:
    """A check that found something to look at."""
    return Check(name, Verdict.WARN, found, remedy)


def fail(name: str, found: str, remedy: str) -> Check:
    """A check that found something broken."""
    return Check(name, Verdict.FAIL, found, remedy)


def installed_version(package: str) -> str | None:
    """The version of an installed distribution; None where it is absent."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def check_python(version: tuple[int, int, int] | None = None) -> Check:
    """Python is new enough."""
    major, minor, micro = version or sys.version_info[:3]
    found = f"{major}.{minor}.{micro} on {platform.system()} {platform.machine()}"
    if (major, minor) < (3, 11):
        return fail("python", found, "use Python 3.11 or newer")
    return ok("python", found)


def check_packages(
    requirements: Iterable[str], version_of: Callable[[str], str | None] = installed_version
) -> list[Check]:
    """Installed versions satisfy the requirements of the distribution, one check an extra.

    Args:
        requirements: in the words of PEP 508, with the extra as marker.
        version_of: the installed version of a package, None where absent.
    """
    parsed = [_Requirement.parse(line) for line in requirements]
    return [
        _check_group(extra, [one for one in parsed if one.extra == extra], version_of)
        for extra in ("", *PRODUCT_EXTRAS)
    ]


@dataclass(frozen=True, slots=True)
class _Requirement:
    package: str
    versions: str
    """A version specifier such as `>=1.13,<1.14`."""
    extra: str
    """Empty for what everything needs."""

    @classmethod
    def parse(cls, line: str) -> "_Requirement":
        from packaging.requirements import Requirement

        requirement = Requirement(line)
        marker = str(requirement.marker or "")
        _, _, quoted = marker.partition('extra == "')
        return cls(requirement.name, str(requirement.specifier), quoted.partition('"')[0])

    def problem(self, version: str | None) -> str | None:
        from packaging.specifiers import SpecifierSet

        if version is None:
            return f"{self.package} is absent"
        if not SpecifierSet(self.versions).contains(version, prereleases=True):
            return f"{self.package} {version} is not {self.versions}"
        return None


def _check_group(
    extra: str,
    requirements: list[_Requirement],
    version_of: Callable[[str], str | None],
) -> Check:
    name = f"packages [{extra}]" if extra else "packages"
    target = f"{DISTRIBUTION}[{extra}]" if extra else DISTRIBUTION
    versions = {one.package: version_of(one.package) for one in requirements}
    problems = [problem for one in requirements if (problem := one.problem(versions[one.package]))]
    if problems:
        # An extra that is absent altogether was not asked for.
        verdict = Verdict.FAIL if not extra or any(versions.values()) else Verdict.WARN
        found = "; ".join(problems) if verdict is Verdict.FAIL else "not installed"
        return Check(name, verdict, found, f"pip install '{target}'")
    return ok(name, ", ".join(f"{package} {versions[package]}" for package in versions))


def check_gdal() -> Check:
    """Rasterio can be loaded, which packages alone do not say: it brings native libraries."""
    try:
        import rasterio
    except ImportError as error:
        if installed_version("rasterio") is None:
            return warn("gdal", "rasterio is absent", f"pip install '{DISTRIBUTION}[imagery]'")
        return fail("gdal", f"rasterio cannot be loaded: {error}", "reinstall rasterio")
    return ok("gdal", f"GDAL {rasterio.__gdal_version__} in rasterio {rasterio.__version__}")


def known_variables() -> list[str]:
    """Every `ESTINEL_*` variable that means something."""
    from estinel_assets.settings import CONFIG_VARIABLE, Settings

    names = [CONFIG_VARIABLE]
    for group, field in Settings.model_fields.items():
        # A whole group may be given as JSON.
        names.append(f"ESTINEL_{group}".upper())
        inner = getattr(field.annotation, "model_fields", {})
        names += [f"ESTINEL_{group}_{name}".upper() for name in inner]
    return names


def check_variables(environment: Mapping[str, str], known: Iterable[str]) -> Check:
    """No `ESTINEL_*` variable is misspelt: what means nothing is otherwise ignored in silence."""
    names = list(known)
    unknown = sorted(
        name
        for name in environment
        if name.upper().startswith("ESTINEL_") and name.upper() not in names
    )
    if not unknown:
        count = sum(name.upper() in names for name in environment)
        return ok("environment", f"{count} ESTINEL_* variables, all known")
    remedies = []
    for name in unknown:
        near = get_close_matches(name.upper(), names, n=1, cutoff=0.7)
        remedies.append(f"did you mean {near[0]} for {name}?" if near else f"unset {name}")
    return warn("environment", f"unknown: {', '.join(unknown)}", "; ".join(remedies))


def check_dagster_home(environment: Mapping[str, str]) -> Check:
    """`DAGSTER_HOME` leads to a folder with a `dagster.yaml` that limits concurrent runs."""
    name = "dagster home"
    template = "copy the `dagster.yaml` of the repository's root into it"
    home = environment.get("DAGSTER_HOME")
    if not home:
        return fail(
            name,
            "DAGSTER_HOME is not set: histories of runs would be lost",
            f"make a folder, {template}, and set DAGSTER_HOME to its absolute path",
        )
    folder = Path(home).expanduser()
    if not folder.is_absolute():
        return fail(name, f"{home} is not absolute", "set DAGSTER_HOME to an absolute path")
    if not folder.is_dir():
        return fail(name, f"{home} is no folder", f"make it and {template}")
    if not os.access(folder, os.W_OK):
        return fail(name, f"{home} cannot be written", "change its permissions or name another")
    if not (folder / "dagster.yaml").is_file():
        return fail(name, f"{home} holds no dagster.yaml", template)
    return _check_dagster_yaml(name, folder / "dagster.yaml")


def _check_dagster_yaml(name: str, file: Path) -> Check:
    import yaml

    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        reason = str(error).split("\n", 1)[0]
        return fail(name, f"{file} cannot be read: {reason}", "correct it")
    limit = _run_limit(document)
    if limit is None or limit == -1:
        return warn(
            name,
            f"{file} does not limit concurrent runs",
            "set concurrency.runs.max_concurrent_runs in it",
        )
    return ok(name, f"{file.parent}, at most {limit} concurrent runs")


def _run_limit(document: object) -> object:
    """The run limit, in either of the two places where Dagster reads it; None without one."""
    for path in (
        ("concurrency", "runs", "max_concurrent_runs"),
        ("run_queue", "max_concurrent_runs"),
        ("run_coordinator", "config", "max_concurrent_runs"),
    ):
        found = document
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        if found is not None:
            return found
    return None
