"""Settings of the CMIP6 plugin, as its table of the configuration gives them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlsplit

from estinel_assets.errors import BadInputError

UNLIMITED = -1


@dataclass(frozen=True, slots=True)
class Cmip6Settings:
    """The options of `plugins.cmip6`."""

    landing_page_url: str = "https://handle-esgf.dkrz.de/lp"
    """Where a handle's landing page is: `{landing_page_url}/{prefix}/{suffix}`."""
    max_parts: int = UNLIMITED
    """Most files of a dataset that are registered, in the order of their asset keys; -1 for all."""
    excluded_asset_keys: tuple[str, ...] = ("reference_file", "globus", "thumbnail", "quicklook")
    """Assets that are no files of the dataset."""
    preferred_asset_keys: tuple[str, ...] = ("reference_file", "data0000", "data0001")
    """Assets that say where the dataset is and since when; the first that says so counts."""
    enable_previous_version_lookup: bool = True
    esgf: str = "ESGF2 TEST"
    """The value of ESGF in every record."""


def read_settings(options: Mapping[str, object]) -> Cmip6Settings:
    """Read the options of `plugins.cmip6`.

    Raises:
        BadInputError: some are unknown or unusable; the message lists them all.
    """
    defaults = Cmip6Settings()
    known = [field.name for field in fields(Cmip6Settings)]
    chosen: dict[str, Any] = {}
    problems = []
    for key, value in options.items():
        if key not in known:
            problems.append(f"{key} is no option; there are: {', '.join(known)}")
            continue
        read = tuple(value) if isinstance(value, list | tuple) else value
        problem = _problem(read, getattr(defaults, key), key)
        if problem:
            problems.append(f"{key} = {value!r}: {problem}")
        chosen[key] = read
    if problems:
        raise BadInputError(f"plugins.cmip6 cannot be used: {'; '.join(problems)}")
    return replace(defaults, **chosen)


def _problem(value: object, default: object, key: str) -> str:
    if type(value) is not type(default):
        return f"must be like {list(default) if isinstance(default, tuple) else default!r}"
    if isinstance(value, tuple) and not all(isinstance(one, str) for one in value):
        return "must be a list of asset keys"
    if key == "max_parts" and isinstance(value, int) and value < UNLIMITED:
        return "must be -1 (all) or a number of files"
    if key == "landing_page_url" and not is_web_address(value):
        return "must be an address of the web"
    return ""


def is_web_address(value: object) -> bool:
    """Whether it is an absolute http or https URL."""
    # Of white space, only the blank is printable.
    if not isinstance(value, str) or " " in value or not value.isprintable():
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:  # such as a host with one bracket
        return False
