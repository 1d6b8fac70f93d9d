"""Tree cover of many tile-years, one after the other: each one's failure is its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from estinel_assets.ard.asked_keys import tile_years_of
from estinel_assets.ard.keys import key_of
from estinel_assets.ard.model import Model, load_model
from estinel_assets.ard.opening import tile_table_of
from estinel_assets.ard.tiles import Source, TileYear
from estinel_assets.ard.tree_cover import is_current, make_tree_cover
from estinel_assets.ard.tree_cover_item import TreeCoverPaths
from estinel_assets.errors import BadInputError, StoreError, UnitError
from estinel_assets.logs import get_logger
from estinel_assets.settings import Settings
from estinel_assets.storage.opening import open_store
from estinel_assets.storage.port import ObjectStore

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Covered:
    """How a tile-year's tree cover went."""

    partition: str
    problem: str | None = None
    """Why there is none; None where it stands."""
    shown: dict[str, str | int | float | bool] = field(default_factory=dict)
    """What the UI shows of it."""


def cover_tile_years(
    partitions: Sequence[str],
    settings: Settings,
    store: ObjectStore,
    run_id: str,
    code_version: str,
) -> Iterator[Covered]:
    """Make tree cover by the model of the settings; what is current stays as it is.

    Args:
        partitions: tile-years, as `2023_1035X727Y`.
        settings: all of them; `ard.model` is set.
        store: holds the arrays, and gets the tree cover.
        run_id: the run.
        code_version: of the product line.

    Yields:
        One for each tile-year, as soon as it has ended.

    Raises:
        BadInputError: the model cannot be used, or a tile is unknown.
        MissingDependencyError: onnxruntime is not installed.
        StoreError: the model cannot be fetched.
    """
    at = settings.store
    if settings.ard.model is None:
        raise BadInputError("no model of tree cover is set: name an ONNX file as ard.model")
    model = load_model(
        settings.ard.model,
        lambda url: open_store(
            url, endpoint_url=at.endpoint_url, region=at.region, profile=at.profile
        ),
    )
    keys = [key_of(one, Source.S2) for one in partitions]
    for tile_year in tile_years_of(keys, tile_table_of(settings, store)).get(Source.S2, []):
        try:
            covered = _covered(tile_year, store, model, run_id, code_version)
        except (BadInputError, StoreError, UnitError) as error:
            log.warning("no tree cover", tile_year=tile_year.key, error=str(error))
            covered = Covered(tile_year.key, str(error), {"error": str(error)})
        yield covered


def _covered(
    tile_year: TileYear, store: ObjectStore, model: Model, run_id: str, code_version: str
) -> Covered:
    if is_current(store, tile_year, model):
        paths = TreeCoverPaths.of(tile_year)
        standing = {"cog": store.uri(paths.cog), "item": store.uri(paths.item)}
        return Covered(
            tile_year.key, None, {**standing, "model_sha256": model.sha256, "made": False}
        )
    made = make_tree_cover(store, tile_year, model, run_id=run_id, code_version=code_version)
    shown: dict[str, str | int | float | bool] = {
        "cog": made.cog,
        "item": made.item,
        "model_sha256": made.model_sha256,
        "valid_fraction": made.valid_fraction,
        "made": True,
    }
    if made.mean_percent is not None:
        shown["mean_percent"] = made.mean_percent
    return Covered(tile_year.key, None, shown)
