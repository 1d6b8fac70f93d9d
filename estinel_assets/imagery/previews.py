"""A picture of a run for the Dagster UI."""

import base64
from datetime import date

from estinel_assets.errors import NotFoundError
from estinel_assets.imagery.layout import day_paths
from estinel_assets.imagery.site import Site
from estinel_assets.imagery.site_imagery import Made
from estinel_assets.storage.port import ObjectStore

SHOWN = 3
"""Days shown."""


def preview(made: Made, site: Site, store: ObjectStore, collection: str) -> str | None:
    """Thumbnails of the newest days of a run, as Markdown; None where it made no images."""
    days = [date.fromisoformat(outcome.key[-1]) for outcome in made.outcomes if outcome.status]
    shown = []
    for day in days[-SHOWN:]:
        try:
            thumb = store.get(day_paths(collection, day, site.file_stem).thumbnails["q128"]).data
        except NotFoundError:  # made without views
            continue
        encoded = base64.b64encode(thumb).decode("ascii")
        shown.append(f"![{day.isoformat()}](data:image/png;base64,{encoded})")
    return " ".join(shown) or None
