"""`datasets.json`: real files load and route, and a bad one is refused with every fault."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from estinel_assets.errors import BadInputError, PermanentError
from estinel_assets.publishing.datasets_config import (
    DatasetsConfig,
    Route,
    fill_variables,
    load_datasets_config,
)
from estinel_assets.publishing.model import Place, StoreAt
from tests.support.real import real_data

S3_WEST = "https://s3.us-west-2.amazonaws.com"


def entry(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "ipath": "test::data/aoi",
        "version": "v0.1",
        "level": "l0",
        "type": "aoi",
        "match_pattern": "/(?P<id>AOI_.+)$",
        "publish": {"location": "published/{type}/{version}/{id}"},
    }
    made.update(changes)
    return {key: value for key, value in made.items() if value != "absent"}


def load(tmp_path: Path, *entries: Any, environment: Mapping[str, str] = {}) -> DatasetsConfig:
    path = tmp_path / "datasets.json"
    path.write_text(json.dumps({"datasets": list(entries)}))
    return load_datasets_config(path, environment, hostname="node-1")


def route(
    config: DatasetsConfig,
    folder: str,
    *,
    kind: Any = "dataset",
    dataset: Mapping[str, Any] | None = None,
    met: Mapping[str, Any] | None = None,
    files: tuple[str, ...] = (),
) -> Route:
    return config.route(
        Path(folder),
        product_id=Path(folder).name,
        kind=kind,
        dataset={"version": "v0.1"} if dataset is None else dataset,
        met=met or {},
        files=files,
    )


def faults_of(tmp_path: Path, *entries: Any, environment: Mapping[str, str] = {}) -> str:
    with pytest.raises(BadInputError) as refused:
        load(tmp_path, *entries, environment=environment)
    return str(refused.value)


# Real files.


def test_the_real_cluster_file_loads_and_routes() -> None:
    config = load_datasets_config(real_data("hysds/cluster_datasets.json"), {})
    assert config.warnings == ()
    dataset = json.loads(
        real_data("hysds/AOI_sacramento_valley/AOI_sacramento_valley.dataset.json").read_text()
    )
    found = route(config, "/jobs/7/AOI_sacramento_valley", dataset=dataset)
    store = StoreAt("s3://hysds-v2-dev-product-bucket", S3_WEST, "default")
    assert found.place == Place(store, "products/area_of_interest/2.0/AOI_sacramento_valley")
    assert found.browse_place == Place(store, "browse/area_of_interest/2.0/AOI_sacramento_valley")
    path = "products/area_of_interest/2.0/AOI_sacramento_valley"
    assert found.urls == (
        f"http://hysds-v2-dev-product-bucket.s3-website-us-west-2.amazonaws.com/{path}",
        f"s3://s3-us-west-2.amazonaws.com:80/hysds-v2-dev-product-bucket/{path}",
    )
    assert (found.ipath, found.dataset) == ("ariamh::data/area_of_interest", "area_of_interest")
    assert (found.version, found.level, found.dataset_type) == ("2.0", "l0", "area_of_interest")
    assert found.warnings == ()


SCENE = "S1A_IW_SLC__1SSV_20150105T013945_20150105T014012_004041_004DDA_1BD3"


@pytest.mark.parametrize(
    ("folder", "ipath", "path"),
    [
        ("incoming-2024-01-05-x", "ariamh::data/incoming", "products/incoming/v9/x"),
        ("dumby-product-17", "hysds::data/dumby-product", "products/dumby/v9/dumby-product-17"),
        (SCENE, "ariamh::data/S1-IW_SLC", f"products/slc/v9/2015/01/05/{SCENE}"),
        (
            "s1a-iw2-slc-vv-20150105t013945-x",
            "ariamh::data/S1-IW_SLC_SWATH",
            "products/slc/v9/2015/01/05/s1a-iw2-slc-vv-20150105t013945-x",
        ),
        (
            "S1-IFG_RM_TN001_x-20150105t01-y",
            "ariamh::data/S1-IFG",
            "products/interferogram/v9/2015/01/05/S1-IFG_RM_TN001_x-20150105t01-y",
        ),
        (
            "S1-COH_RM_TN001_x-20150105t01-y",
            "ariamh::data/S1-COH",
            "products/coherence/v9/2015/01/05/S1-COH_RM_TN001_x-20150105t01-y",
        ),
    ],
)
def test_every_entry_of_the_real_cluster_file_routes(folder: str, ipath: str, path: str) -> None:
    config = load_datasets_config(real_data("hysds/cluster_datasets.json"), {})
    found = route(config, f"/jobs/7/{folder}", dataset={"version": "v9"})
    assert (found.ipath, found.place.path) == (ipath, path)


def test_the_real_example_file_loads_with_warnings_and_without_secrets() -> None:
    config = load_datasets_config(real_data("hysds/hysds_datasets.json"), {})
    warnings = "\n".join(config.warnings)
    for number, key in ((1, "publish"), (1, "browse"), (2, "publish"), (2, "browse")):
        assert any(
            it.startswith(f"entry {number} ") and f"{key}.location" in it and "davs://" in it
            for it in config.warnings
        )
    assert "s3-api-key and s3-secret-key are not used; use a profile" in warnings
    assert "s3-acl is not used" in warnings
    for secret in ("username", "password@", "API-KEY-GOES-HERE", "SECRET-KEY-GOES-HERE"):
        assert secret not in warnings
    found = route(config, "/jobs/oco2_L2_x/oco2_L2_x_17")
    assert found.place == Place(
        StoreAt("s3://my_product_bucket", "https://s3.us-west-1.amazonaws.com"),
        "repository/products/my_custom_dataset2/oco2_L2_x/oco2_L2_x_17",
    )


def test_an_entry_that_is_not_written_to_is_refused_when_it_is_used() -> None:
    config = load_datasets_config(real_data("hysds/hysds_datasets.json"), {})
    with pytest.raises(PermanentError) as refused:
        route(config, "/jobs/7/AOI_x")
    assert refused.value.reason == "no_match"
    message = str(refused.value)
    assert "entry 1 (my_project::data/area_of_interest), publish.location" in message
    assert "davs:// is not written to" in message
    assert "change it to s3://" in message
    assert "password" not in message


# The table that holds without a file.


def test_without_a_file_datasets_and_catalogues_go_below_published() -> None:
    config = load_datasets_config(None, {})
    assert config.warnings == ()
    found = route(config, "/jobs/7/AOI_x", dataset={"version": "v2"})
    assert found.place == Place(StoreAt(), "published/dataset/v2/AOI_x")
    assert (found.urls, found.browse_place, found.dataset_type) == ((), None, "dataset")
    catalog = route(config, "/jobs/7", kind="stac_catalog", dataset={})
    assert catalog.place == Place(StoreAt(), "published/catalogs/7")
    assert (catalog.dataset_type, catalog.version) == ("stac_catalog", "stac_catalog")


def test_a_dataset_without_a_version_is_refused() -> None:
    with pytest.raises(PermanentError) as refused:
        route(load_datasets_config(None, {}), "/jobs/7/AOI_x", dataset={})
    assert refused.value.reason == "invalid_dataset"
    assert "{version}" in str(refused.value)


# What an entry says.


def test_everything_of_an_entry_reaches_the_route(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        entry(
            publish={
                "location": "s3://bucket/{type}/{met[sensor]}/{dataset[label]}/{id}",
                "urls": ["https://host/{hostname}/{id}", "s3://bucket/{id}"],
                "s3-profile-name": "prod",
            },
            browse={
                "location": "file:///archive/browse/{id}",
                "urls": ["https://host/browse/{id}"],
                "sort_order": ["first", ".*last"],
            },
            index={"suffix": "{version}_aoi", "aliases": ["all", "{type}"]},
            aliases=["more"],
            extractor="/bin/extract --fast",
            priority=3,
        ),
    )
    assert config.warnings == ()
    found = route(
        config, "/jobs/7/AOI_a b", dataset={"version": "v0.1", "label": "L"}, met={"sensor": "SAR"}
    )
    assert found == Route(
        ipath="test::data/aoi",
        version="v0.1",
        level="l0",
        dataset_type="aoi",
        place=Place(StoreAt("s3://bucket", "", "prod"), "aoi/SAR/L/AOI_a b"),
        urls=("https://host/node-1/AOI_a%20b", "s3://bucket/AOI_a b"),
        browse_place=Place(StoreAt("file:///archive/browse"), "AOI_a b"),
        browse_urls=("https://host/browse/AOI_a%20b",),
        browse_sort_order=("first", ".*last"),
        index_suffix="v0.1_aoi",
        index_aliases=("all", "aoi", "more"),
        extractor="/bin/extract --fast",
    )
    assert (
        config.extractor(Path("/jobs/AOI_x"), product_id="AOI_x", kind="dataset", files=())
        == "/bin/extract --fast"
    )


def test_the_dataset_s_own_version_comes_first_and_a_difference_is_said(tmp_path: Path) -> None:
    config = load(tmp_path, entry())
    found = route(config, "/jobs/AOI_x", dataset={"version": "2.0"})
    assert (found.version, found.place.path) == ("2.0", "published/aoi/2.0/AOI_x")
    assert found.warnings == (
        "entry 1 (test::data/aoi) says version 'v0.1'; the product's own, '2.0', is taken",
    )
    assert route(config, "/jobs/AOI_x", dataset={}).version == "v0.1"


def test_a_version_may_be_a_number(tmp_path: Path) -> None:
    config = load(tmp_path, entry(version=2.5))
    assert route(config, "/jobs/AOI_x", dataset={}).version == "2.5"
    assert route(config, "/jobs/AOI_x", dataset={"version": 3}).version == "3"


def test_a_catalogue_needs_no_version(tmp_path: Path) -> None:
    config = load(tmp_path, entry(version="absent", publish={"location": "published/{id}"}))
    assert route(config, "/jobs/AOI_x", kind="stac_catalog", dataset={}).version == ""


def test_groups_come_before_the_entry_s_own_values(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        entry(match_pattern="/(?P<type>[A-Z]+)_(?P<level>l\\d)_.*$", type="absent", level="absent"),
        entry(match_pattern="/(?P<version>v\\d)-x$", type="{dataset[kind]}"),
    )
    found = route(config, "/jobs/AOI_l2_x")
    assert (found.dataset_type, found.level) == ("AOI", "l2")
    found = route(config, "/jobs/v7-x", dataset={"version": "1", "kind": "k"})
    assert (found.version, found.place.path) == ("v7", "published/k/v7/v7-x")


def test_hostile_values_are_refused(tmp_path: Path) -> None:
    config = load(tmp_path, entry(publish={"location": "published/{met[a]}/{id}"}))
    for value in ("..", "a/../..", "", "a/b"):
        with pytest.raises(PermanentError) as refused:
            route(config, "/jobs/AOI_x", met={"a": value})
        assert refused.value.reason == "path_traversal"
        assert "entry 1 (test::data/aoi), publish.location" in str(refused.value)
    with pytest.raises(PermanentError) as refused:
        route(config, "/jobs/AOI_x", met={})
    assert refused.value.reason == "invalid_dataset"
    with pytest.raises(PermanentError) as refused:
        route(config, "/jobs/AOI_x\n", met={"a": "a"})
    assert refused.value.reason == "invalid_dataset"


# Warnings.


def test_what_does_less_than_it_seems_is_a_warning(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        entry(purge_after=3, publish={"location": "published/{hostname}/{id}"}),
        entry(publish={"location": "p/{id}", "urls": ["https://me:secret@host/{id}"]}),
    )
    first, second = "entry 1 (test::data/aoi)", "entry 2 (test::data/aoi)"
    assert config.warnings == (
        f"{first}, purge_after: is not known, and not used",
        f"{first}, publish.location: {{hostname}} makes the place depend on the machine",
        f"{second}, publish.urls: https://host/{{id}}: user name and password are left out",
        f"{second} is never reached: {first} has the same patterns",
    )
    assert route(config, "/jobs/AOI_x").place == Place(StoreAt(), "published/node-1/AOI_x")


# Faults.


@pytest.mark.parametrize(
    ("changes", "where", "remedy"),
    [
        ({"ipath": "absent"}, "ipath", "is missing"),
        ({"match_pattern": "absent"}, "match_pattern", "is missing"),
        ({"match_pattern": "/(?P<id>AOI"}, "match_pattern", "regular expression"),
        ({"match_pattern": 5}, "match_pattern", "is no text"),
        ({"alt_match_pattern": "["}, "alt_match_pattern", "regular expression"),
        ({"type": "absent"}, "type", "is missing"),
        ({"level": None}, "level", "is missing"),
        ({"type": "{type}"}, "type", "circle"),
        ({"version": "{level}"}, "version", "circle"),
        ({"version": True}, "version", "is no text"),
        ({"publish": {"location": 5}}, "publish.location", "is no text"),
        ({"publish": "absent"}, "publish", "is missing"),
        ({"publish": "s3://b/{id}"}, "publish", "is no object"),
        ({"publish": {"urls": []}}, "publish.location", "is missing"),
        ({"publish": {"location": "p/{yaer}"}}, "publish.location", "(?P<yaer>…)"),
        ({"publish": {"location": "p/{met}"}}, "publish.location", "{met[key]}"),
        ({"publish": {"location": "s3://b"}}, "publish.location", "no key"),
        ({"publish": {"location": "p/{id}", "urls": "x"}}, "publish.urls", "list"),
        ({"publish": {"location": "p/{id}", "urls": ["x/{id}"]}}, "publish.urls", "no address"),
        (
            {"publish": {"location": "p/{id}", "urls": ["https://h/{day}"]}},
            "publish.urls",
            "(?P<day>…)",
        ),
        (
            {"publish": {"location": "p/{id}", "urls": ["https://{id}/x"]}},
            "publish.urls",
            "only {hostname}",
        ),
        (
            {"publish": {"location": "p/{id}", "urls": ["https://h/{id}?token=hush"]}},
            "publish.urls",
            "query",
        ),
        ({"publish": {"locaton": "p/{id}"}}, "publish.locaton", "did you mean 'location'"),
        ({"extracter": "/bin/x"}, "extracter", "did you mean 'extractor'"),
        ({"browse": {"location": "/x/{id}"}}, "browse.location", "file:///x/{id}"),
        (
            {"browse": {"location": "p/{id}", "sort_order": ["("]}},
            "browse.sort_order",
            "regular expression",
        ),
        ({"index": "grq"}, "index", "is no object"),
        ({"index": {"suffix": "{x}"}}, "index.suffix", "(?P<x>…)"),
        ({"index": {"aliases": [1]}}, "index.aliases", "list"),
        ({"aliases": ["{x}"]}, "aliases", "(?P<x>…)"),
        ({"extractor": "/bin/x 'a"}, "extractor", "quotes"),
        ({"extractor": ["/bin/x"]}, "extractor", "is no text"),
        ({"priority": "high"}, "priority", "whole number"),
    ],
)
def test_each_fault_names_its_entry_field_and_remedy(
    tmp_path: Path, changes: dict[str, Any], where: str, remedy: str
) -> None:
    message = faults_of(tmp_path, entry(), entry(**changes))
    line = next(line for line in message.splitlines() if line.startswith("  entry 2 ("))
    assert f", {where}" in line
    assert remedy in line
    assert "entry 1" not in message
    assert "hush" not in message


def test_all_faults_of_all_entries_come_at_once(tmp_path: Path) -> None:
    message = faults_of(
        tmp_path,
        entry(match_pattern="("),
        "text",
        entry(publish={"location": "{{ NOT_SET }}/{a}/{b}"}, type="absent"),
    )
    lines = message.splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines if line.startswith("  entry")] == [
        "entry 1 (test",
        "entry 2 (without ipath) 'text'",
        "entry 3 (test",
        "entry 3 (test",
        "entry 3 (test",
    ]
    assert "NOT_SET is not set" in lines[0]


def test_a_fault_shows_no_password(tmp_path: Path) -> None:
    message = faults_of(
        tmp_path,
        entry(publish={"location": "s3://me:hush@host:80/b/{id}"}),
        entry(publish={"location": "https://me:hush@host/x/{id", "urls": ["https://me:hush@h/{"]}),
    )
    assert "hush" not in message


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "line 1, column 1"),
        ("{", "no JSON"),
        ("[]", '{"datasets": [{…}]}'),
        ('{"datasets": []}', '{"datasets": [{…}]}'),
        ('{"datasets": {}}', '{"datasets": [{…}]}'),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_datasets_json_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "d.json"
    path.write_text(text)
    with pytest.raises(BadInputError) as refused:
        load_datasets_config(path, {})
    assert problem in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="No such file"):
        load_datasets_config(tmp_path / "absent.json", {})
    (tmp_path / "latin.json").write_bytes(b'{"datasets": "\xe9"}')
    with pytest.raises(BadInputError, match="not UTF-8"):
        load_datasets_config(tmp_path / "latin.json", {})


# Variables.


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{{ A }}", "a"),
        ("{{A}}-{{ A | default('x') }}", "a-a"),
        ("{{ NO | default('x y') }}", "x y"),
        ('{{ NO | default("x") }}', "x"),
        ("{{ NO|d('') }}", ""),
        ("{{ NO | default(5) }}", "5"),
        ("{{ EMPTY | default('x') }}", ""),
        ('{{ QUOTE }}\\{"x": {"y": 1}}', '\\"\\\\\\n\\{"x": {"y": 1}}'),
    ],
)
def test_variables_are_filled_in(text: str, filled: str) -> None:
    environment = {"A": "a", "EMPTY": "", "QUOTE": '"\\\n'}
    assert fill_variables(text, environment) == (filled, [])


@pytest.mark.parametrize(
    "text", ["{{ NO }}", "{{ A.b }}", "{{ A | upper }}", "{% if A %}", "{# x #}", "{{ f('x') }}"]
)
def test_a_variable_that_is_absent_and_what_is_not_understood_is_a_fault(text: str) -> None:
    _, faults = fill_variables(f"1\n2 {text}\n", {"A": "a"})
    assert len(faults) == 1
    assert faults[0].startswith("line 2: ")
    assert "default('…')" in faults[0]


def test_the_original_s_entry_for_catalogues_routes(tmp_path: Path) -> None:
    path = tmp_path / "datasets.json"
    path.write_text(
        """{"datasets": [{
        "ipath": "hysds::stac/catalog", "version": "stac_catalog", "level": "catalog",
        "type": "stac_catalog", "match_pattern": "/(?P<id>stac_catalog_.+)$",
        "publish": {
          "location": "s3://{{ STAC_S3_BUCKET | default('hysds-stac-catalogs') }}/catalogs/${id}",
          "urls": ["https://{{ STAC_DATA_URL | default('stac.example.com') }}/catalogs/${id}"]
        }}]}"""
    )
    config = load_datasets_config(path, {"STAC_S3_BUCKET": "mine"})
    found = route(config, "/jobs/stac_catalog_7", kind="stac_catalog", dataset={})
    assert found.place == Place(StoreAt("s3://mine"), "catalogs/stac_catalog_7")
    assert found.urls == ("https://stac.example.com/catalogs/stac_catalog_7",)
    with pytest.raises(PermanentError) as refused:
        route(config, "/jobs/other", kind="stac_catalog", dataset={})
    assert refused.value.reason == "no_match"
