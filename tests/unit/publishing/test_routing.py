"""Which entry takes a product, and what is said where none does."""

import re
from pathlib import Path
from typing import Any

import pytest

from estinel_assets.errors import PermanentError
from estinel_assets.publishing.entries import Entry, Kind, read_entries
from estinel_assets.publishing.nearest import nearest
from estinel_assets.publishing.routing import Match, find_match, named_groups


def entries(*patterns: str | tuple[str, str]) -> tuple[Entry, ...]:
    listed = []
    for pattern in patterns:
        match, alt_match = pattern if isinstance(pattern, tuple) else (pattern, None)
        listed.append(
            {
                "ipath": f"test::data/{len(listed) + 1}",
                "level": "l0",
                "type": "aoi",
                "match_pattern": match,
                "alt_match_pattern": alt_match,
                "publish": {"location": "published/{id}"},
            }
        )
    return read_entries({"datasets": listed}, hostname="")[0]


def match_of(
    table: tuple[Entry, ...], folder: str, *files: str, kind: Kind = "dataset", **options: Any
) -> Match:
    product_id = options.get("product_id", Path(folder).name)
    return find_match(table, Path(folder), product_id=product_id, kind=kind, files=files)


def refusal(table: tuple[Entry, ...], folder: str, *files: str) -> str:
    with pytest.raises(PermanentError) as refused:
        match_of(table, folder, *files)
    assert refused.value.reason == "no_match"
    return str(refused.value)


def test_the_first_entry_that_matches_takes_it() -> None:
    table = entries("/(?P<id>AOI_x)$", "/(?P<id>AOI_.+)$", "/(?P<id>.+)$")
    assert match_of(table, "/jobs/AOI_x").entry.number == 1
    assert match_of(table, "/jobs/AOI_y").entry.number == 2
    assert match_of(table, "/jobs/other").entry.number == 3


def test_a_pattern_is_searched_in_the_whole_path() -> None:
    table = entries(r"/(?P<agg>oco2_.*?)/(?P<subagg>oco2_.*_\d+)$")
    found = match_of(table, "/jobs/oco2_L2/oco2_L2_17")
    assert found.groups == {"agg": "oco2_L2", "subagg": "oco2_L2_17"}


def test_an_alternative_pattern_is_searched_in_the_files_too() -> None:
    alt = r"(?P<id>ALP\d)_(?P<year>\d{4})-(?P<month>\d{2})\.context\.json$"
    table = entries((r"/(?P<id>ALP\d)$", alt), "/(?P<id>.+)$")
    found = match_of(table, "/jobs/ALP1", "a.txt", "sub/ALP1_2024-02.context.json")
    assert found.entry.number == 1
    assert found.groups == {"id": "ALP1", "year": "2024", "month": "02"}
    assert match_of(table, "/jobs/ALP1", "a.txt").entry.number == 2


def test_files_may_come_once_only_for_many_entries() -> None:
    table = entries(("/(?P<id>X)$", "none"), ("/(?P<id>X)$", r"/(?P<n>\d)\.json$"))
    found = find_match(
        table, Path("/jobs/X"), product_id="X", kind="dataset", files=iter(["1.json"])
    )
    assert (found.entry.number, found.groups["n"]) == (2, "1")


def test_of_several_files_the_first_by_name_decides() -> None:
    table = entries(("/(?P<id>X)$", r"/(?P<n>\d)\.json$"))
    assert match_of(table, "/jobs/X", "3.json", "1.json", "2.json").groups["n"] == "1"


def test_an_alternative_pattern_may_be_found_in_the_path_itself() -> None:
    table = entries(("/(?P<id>X)$", r"/(?P<job>job-\d+)/"))
    assert match_of(table, "/job-7/X").groups == {"id": "X", "job": "job-7"}


@pytest.mark.parametrize(
    ("pattern", "path", "groups"),
    [
        ("/(?P<id>AOI_.+)$", "/AOI_jobs/7/AOI_x", {"id": "AOI_x"}),
        ("/(?P<id>AOI_.+)$", "/jobs/AOI_AOI_x", {"id": "AOI_AOI_x"}),
        ("^/(?P<first>[^/]+)/", "/a/b/c", {"first": "a"}),
        (r"(/(?P<project>p\d))?/(?P<id>AOI_.+)$", "/p1/AOI_x", {"project": "p1", "id": "AOI_x"}),
        ("/(?P<both>a/b)$", "/x/a/b", {"both": "a/b"}),
        ("/(?P<id>AOI_.+)$", "/jobs/x", None),
    ],
)
def test_groups_do_not_run_over_folders_that_they_need_not(
    pattern: str, path: str, groups: dict[str, str] | None
) -> None:
    assert named_groups(re.compile(pattern), path) == groups


@pytest.mark.parametrize(
    ("product_id", "reason"),
    [("..", "path_traversal"), ("a/b", "path_traversal"), ("a\x1b[0m", "invalid_dataset")],
)
def test_a_hostile_id_is_refused(product_id: str, reason: str) -> None:
    with pytest.raises(PermanentError) as refused:
        match_of(entries("/(?P<id>.+)$"), "/jobs/x", product_id=product_id)
    assert refused.value.reason == reason
    assert str(refused.value).isprintable()


def test_no_match_names_the_product_and_how_far_the_nearest_pattern_goes() -> None:
    table = entries(
        r"/(?P<spacecraft>S1\w)_IW_SLC__(?P<rest>.+)$",
        "/(?P<id>AOI_.+)$",
        r"/incoming-(?P<id>\d{4})$",
    )
    message = refusal(table, "/jobs/7/AOX_1")
    assert message == (
        "no entry of datasets.json takes the dataset 'AOX_1'; nearest is entry 2 (test::data/2): "
        "its match_pattern '/(?P<id>AOI_.+)$' is not found in '/jobs/7/AOX_1', only its beginning "
        "'/(?P<id>AO' is; rename the folder, or add an entry"
    )
    assert r"only its beginning '/(?P<spacecraft>S1\\w)_IW' is" in refusal(table, "/jobs/S1A_IW-x")
    assert r"only its beginning '/incoming-(?P<id>\\d{4})' is" in refusal(
        table, "/jobs/incoming-20241"
    )


def test_no_match_says_when_only_the_files_are_lacking() -> None:
    table = entries("/(?P<id>AOI_y)$", ("/(?P<id>AOI_.+)$", r"\.context\.json$"))
    message = refusal(table, "/jobs/AOI_x", "a.txt")
    assert "nearest is entry 2" in message
    assert r"alt_match_pattern '\\.context\\.json$' in none of the files below it" in message


def test_nothing_in_common_is_said_too() -> None:
    assert "not even its beginning is" in nearest(entries("^AOI_(?P<id>.+)$"), "/jobs/x")
    assert nearest((), "/jobs/x") == "no entry takes products of its kind"


@pytest.mark.parametrize(
    "pattern",
    [r"[\]a]+(?P<x>b|c)(?i:d)$", r"(?:a|b){2,3}(?=z)(?<!y)\.$", "(?P<a>x)(?P=a)q[^]]$"],
)
def test_any_pattern_can_be_looked_at(pattern: str) -> None:
    assert "nearest is entry 1" in nearest(entries(pattern), "/jobs/x")
