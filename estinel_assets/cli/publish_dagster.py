"""How publications of the command line show in Dagster."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from estinel_assets.cli.session import dagster_home

if TYPE_CHECKING:
    from estinel_assets.outcomes.record import Outcome
log = logging.getLogger(__name__)


def home_of_dagster() -> Path | None:
    """The folder in which Dagster keeps its runs; None where none is named.

    Raises:
        BadInputError: DAGSTER_HOME names no folder.
    """
    return dagster_home() if os.environ.get("DAGSTER_HOME") else None


def report_to_dagster(home: Path, outcome: "Outcome") -> None:
    """Show how a publication ended on its partition."""
    import dagster as dg

    from estinel_assets.orchestration.in_process import open_instance
    from estinel_assets.orchestration.partitions import (
        PUBLICATIONS,
        add_partitions,
        is_partition_key,
    )
    from estinel_assets.publishing.assets import publications
    from estinel_assets.publishing.shown import shown

    (publication,) = outcome.key
    if not is_partition_key(publication):
        log.warning("Dagster cannot show %r, which is no name of a partition", publication)
        return
    # Green is for what stands; only a run can be red.
    event = dg.AssetMaterialization if outcome.status else dg.AssetObservation
    with open_instance(home) as instance:
        add_partitions(instance, PUBLICATIONS, [publication])
        instance.report_runless_asset_event(
            event(publications.key, partition=publication, metadata=shown(outcome))
        )
