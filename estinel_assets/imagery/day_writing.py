"""How the images of a day are written: encoded and stored at once, in memory, with one PUT each."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from estinel_assets.compute import Threads
from estinel_assets.imagery.layout import DayPaths
from estinel_assets.raster.encode import encode_geotiff, encode_png
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.scl import SCL_COLOURS
from estinel_assets.raster.thumbnails import thumbnail
from estinel_assets.raster.views import View, render_views
from estinel_assets.storage.port import ObjectStore

AT_ONCE = 8
"""Objects in flight: all images of a day."""

_TIFF, _PNG = "image/tiff", "image/png"


@dataclass(frozen=True, slots=True)
class NewObject:
    """An object that is to be written."""

    path: str
    content_type: str
    encode: Callable[[], bytes]
    """Makes its content, in any thread."""


def write_together(store: ObjectStore, objects: Iterable[NewObject]) -> None:
    """Encode objects and store them, `AT_ONCE` at a time; return when all stand.

    An object that cannot be written stops no other one, as they are on their way already.

    Args:
        store: where they stand afterwards.
        objects: taken one after the other, while those before are on their way.

    Raises:
        StoreError: the store refused; of several refusals the one of the first object, in their
            order.
    """

    def write(numbered: tuple[int, NewObject]) -> None:
        _, new = numbered
        store.put(new.path, new.encode(), content_type=new.content_type)

    ended = list(Threads(AT_ONCE).map(write, enumerate(objects)))
    for one in sorted(ended, key=lambda one: one.item[0]):
        one.result()


def composite_object(
    path: str, grid: Grid, rgb: npt.NDArray[np.uint16], tags: Mapping[str, str]
) -> NewObject:
    """The composite as GeoTIFF.

    Args:
        path: where it is to stand.
        grid: where its pixels lie.
        rgb: (3, height, width), nodata 0.
        tags: what it says of itself.
    """
    encode = partial(
        encode_geotiff,
        rgb,
        grid,
        nodata=0,
        descriptions=("red", "green", "blue"),
        tags=tags,
        photometric="rgb",
    )
    return NewObject(path, _TIFF, encode)


def classification_object(path: str, grid: Grid, scl: npt.NDArray[np.uint8]) -> NewObject:
    """The scene classification as GeoTIFF with its colours.

    Args:
        path: where it is to stand.
        grid: where its pixels lie.
        scl: (height, width), nodata 0.
    """
    colours = {int(value): colour for value, colour in SCL_COLOURS.items()}
    encode = partial(encode_geotiff, scl, grid, nodata=0, descriptions=("SCL",), colormap=colours)
    return NewObject(path, _TIFF, encode)


def picture_objects(paths: DayPaths, rgb: npt.NDArray[np.uint16]) -> Iterator[NewObject]:
    """The views of a composite and their thumbnails as PNG.

    Args:
        paths: where they are to stand.
        rgb: (3, height, width), nodata 0.
    """
    for name, view in render_views(rgb).items():
        yield NewObject(paths.views[name], _PNG, partial(_picture, view))
        yield NewObject(paths.thumbnails[name], _PNG, partial(_small_picture, view))


def _picture(view: View) -> bytes:
    return encode_png(view.rgb, view.alpha)


def _small_picture(view: View) -> bytes:
    return _picture(thumbnail(view))
