"""The check of one collection, stage by stage, up to the first that fails.

It runs in a process of its own, which may be stopped at any moment. This module is the only way
to the readers and their heavy imports; `runner` reaches it through `check_isolated`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from estinel_assets.compatibility import endpoint
from estinel_assets.compatibility.credentials import login_with
from estinel_assets.compatibility.draft import Draft
from estinel_assets.compatibility.ending import CheckEndedError
from estinel_assets.compatibility.locate import locate
from estinel_assets.compatibility.opening import open_source
from estinel_assets.compatibility.reasons import CompatibilityReason
from estinel_assets.compatibility.record import CompatibilityRecord
from estinel_assets.compatibility.request import MORE_MEMORY, CheckRequest
from estinel_assets.compatibility.source import Bounds, Source
from estinel_assets.compatibility.tiling import try_tiles
from estinel_assets.compatibility.variables import find_variable
from estinel_assets.compatibility.verdicts import Stage, ending_of
from estinel_assets.errors import BadInputError, MissingDependencyError


def check(request: CheckRequest) -> CompatibilityRecord:
    """Check a collection.

    Returns:
        What was found; also where a stage failed, because that is the answer.

    Raises:
        BadInputError: CMR knows no such collection, or no such granule of it; or the netrc file
            cannot be read.
        MissingDependencyError: the file needs a package that is not installed.
        UnitError: CMR failed, so that nothing can be said of the collection.
    """
    draft = Draft(request.concept_id)
    try:
        source, granule = locate(request, draft)
        _read(request, draft, source, granule.bounds)
    except CheckEndedError as ending:
        return draft.incompatible(ending)
    return draft.compatible()


def _read(request: CheckRequest, draft: Draft, source: Source, bounds: Bounds | None) -> None:
    """Open the file, find a variable, make tiles."""
    through = request.settings.compatibility.endpoint
    with _stage(draft, "open"):
        provider = request.concept_id.partition("-")[2]
        opened = open_source(source, login_with(request.settings.earthdata, provider))
    with opened:
        draft.learn(backend=opened.backend)
        with _stage(draft, "variables"):
            found = find_variable(opened)
            draft.learn(data_variables=found.names, variable=found.variable, groups=found.groups)
            variable = found.chosen()
            draft.learn(
                tiles_url=endpoint.tiles_url(through, request.concept_id, opened.backend, variable)
            )
        with _stage(draft, "tile"):
            for tile in try_tiles(opened, variable, bounds):
                draft.tried(tile)
    if through is not None:
        with _stage(draft, "endpoint"):
            for tile in endpoint.try_tiles(
                through, request.concept_id, opened.backend, variable, tuple(draft.tiles)
            ):
                draft.tried(tile)


@contextmanager
def _stage(draft: Draft, name: Stage) -> Iterator[None]:
    """Measure a stage, and let only what ends a check, or says how to set it up, out of it."""
    try:
        with draft.stage(name):
            yield
    except (BadInputError, MissingDependencyError):
        raise
    except Exception as error:
        ending = ending_of(error, name)
        if ending.reason == CompatibilityReason.OUT_OF_MEMORY and ending.hint is None:
            ending.hint = MORE_MEMORY
        raise ending from error
