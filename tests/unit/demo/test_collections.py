"""The demo's collections: one for most reasons, with the files that are to be there."""

import json
from pathlib import Path

from estinel_assets.compatibility.reasons import CompatibilityReason
from estinel_assets.demo.cmr import COLLECTIONS as RECORDS
from estinel_assets.demo.cmr import GRANULES
from estinel_assets.demo.collections import COLLECTIONS, build_collections, concept_id


def lines(file: Path) -> list[object]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_each_ends_for_a_reason_that_exists_and_most_reasons_are_shown() -> None:
    shown = {made.reason for made in COLLECTIONS}

    assert shown <= set(CompatibilityReason)
    assert len(shown) >= len(CompatibilityReason) / 2
    assert len({made.short_name for made in COLLECTIONS}) == len(COLLECTIONS)


def test_the_world_is_written_and_can_be_written_again(tmp_path: Path) -> None:
    for _ in range(2):
        cmr = build_collections(tmp_path)

    ids = [concept_id(number) for number in range(len(COLLECTIONS))]
    assert [one["meta"]["concept-id"] for one in cmr.collections] == ids
    assert len(lines(tmp_path / RECORDS)) == len(ids)
    assert len(lines(tmp_path / GRANULES)) == sum(one.file is not None for one in COLLECTIONS)
    for made in COLLECTIONS:
        if made.file is not None:
            written = (tmp_path / "files" / made.file).exists()
            assert written == (made.write is not None), made.short_name


def test_a_collection_claims_a_granule_that_is_not_there(tmp_path: Path) -> None:
    cmr = build_collections(tmp_path)
    (number,) = [n for n, made in enumerate(COLLECTIONS) if made.file is None]

    assert cmr.collections[number]["meta"]["granule-count"] == 1
    assert concept_id(number) not in cmr.granules
