"""Which of several versions of the same piece of a pass is used.

A catalogue may offer a piece of a pass twice, as first processed and as processed again years
later. It may also offer two halves of a tile, which share pass and tile but not the datastrip
they were sensed in; both are needed. Only what is shown to be the same is treated as the same: a
scene that lacks one of the four identifying fields is always kept.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TypeAlias

from estinel_assets.stac.scenes import Scene

Piece: TypeAlias = tuple[str, str, str, str]
"""(platform, datatake, MGRS tile, sensing start)."""

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def piece_of_pass(scene: Scene) -> Piece | None:
    """What versions of the same piece of a pass have in common; None where it cannot be told."""
    parts = (scene.platform, scene.datatake, scene.mgrs_tile, scene.sensing_start)
    platform, datatake, tile, start = parts
    if platform is None or datatake is None or tile is None or start is None:
        return None
    return platform, datatake, tile, start


def keep_newest(
    scenes: Iterable[Scene],
) -> tuple[tuple[Scene, ...], Mapping[str, tuple[str, ...]]]:
    """Keep one version of each piece: the highest baseline, then the newest.

    Args:
        scenes: with distinct ids.

    Returns:
        The kept scenes, ordered by datetime then id; and for each kept id that has them, the
        superseded ids, best first.
    """
    pieces: defaultdict[Piece, list[Scene]] = defaultdict(list)
    kept: list[Scene] = []
    for scene in scenes:
        piece = piece_of_pass(scene)
        if piece is None:
            kept.append(scene)
        else:
            pieces[piece].append(scene)
    superseded: dict[str, tuple[str, ...]] = {}
    for versions in pieces.values():
        best, *others = sorted(versions, key=_rank, reverse=True)
        kept.append(best)
        if others:
            superseded[best.id] = tuple(scene.id for scene in others)
    kept.sort(key=lambda scene: (scene.datetime, scene.id))
    return tuple(kept), superseded


def _rank(scene: Scene) -> tuple[tuple[int, int], datetime, str]:
    # The id decides last, so that the choice never depends on the order of an answer.
    return scene.baseline or (-1, -1), scene.updated or _LONG_AGO, scene.id
