"""Ratings from an export to the page again: import, asset, document, on a folder and on S3."""

import json
from contextlib import contextmanager

import pandas as pd
import pytest

from estinel_assets.imagery.rating_store import import_user, read_user
from estinel_assets.storage import open_store
from tests.support.cli import estinel, estinel_process
from tests.support.imagery import imagery_world, plain_scenes, quiet_dagster
from tests.support.racing import StoreAddress, race_processes
from tests.support.ratings import ImportRatings, entry, export
from tests.support.s3 import s3_server

pytestmark = quiet_dagster

JOB = "build_image_ratings"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A site with images of two days, listed in the catalogue."""
    scenes = plain_scenes(tmp_path_factory.getbasetemp())[-2:]
    with imagery_world(tmp_path_factory.mktemp("rated"), scenes) as world:
        assert world.update().success
        assert world.run("build_web_catalog").success
        yield world


@contextmanager
def kept_on(made, place):
    """The world with a store that has the catalogue and no ratings: a folder or S3."""
    if place == "file":
        folder = made.folder / "file-store"
        world = made.move(folder.as_uri())
        _copy_catalog(made.store, world.store)
        yield world, {}
        return
    with s3_server() as access, pytest.MonkeyPatch.context() as environment:
        for name, value in access.environment().items():
            environment.setenv(name, value)
        world = made.move(access.url("store"), access=access)
        _copy_catalog(made.store, world.store)
        yield world, access.environment()


def _copy_catalog(source, target):
    for meta in source.list("catalog/fragments"):
        target.put(meta.path, source.get(meta.path).data)


def write(world, name, document):
    path = world.folder / name
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def run_import(world, environment, *paths):
    result = estinel("--config", world.config, "ratings", "import", *paths, "--json", **environment)
    assert result.code == 0, result.stderr
    return result.document


@pytest.mark.parametrize("place", ["file", pytest.param("s3", marks=pytest.mark.soak)])
def test_from_export_to_page(made, place):
    with kept_on(made, place) as (world, environment):
        first, second = (image["id"] for image in world.fragment()["images"])
        one = write(world, "one.json", export("one", {first: "good", second: "ok", "x": "bad"}))
        two = write(world, "two.json", export("two", {first: "good", second: "bad"}))

        assert run_import(world, environment, one, two)["materialize"] == ["image_ratings"]
        ran = world.run(JOB)
        assert ran.success, ran.error

        path = f"catalog/ratings/{world.site}.json"
        stored = world.store.get(path)
        assert json.loads(stored.data) == {
            "images": {
                first: {"consensus": "good", "good": 2, "ok": 0, "bad": 0, "raters": 2},
                second: {"consensus": "split", "good": 0, "ok": 1, "bad": 1, "raters": 2},
            }
        }
        table = world.definitions().load_asset_value("image_ratings", instance=world.instance)
        assert isinstance(table, pd.DataFrame)
        rows = table.astype(object).where(table.notna(), None).to_dict("records")
        days = [image["date"] for image in world.fragment()["images"]]
        assert [(row["image_id"], row["site"], str(row["date"]), row["consensus"], row["raters"])
                for row in rows] == [
            (first, world.site, days[0], "good", 2),
            (second, world.site, days[1], "split", 2),
            ("x", None, "None", "bad", 1),
        ]  # fmt: skip

        assert run_import(world, environment, one)["unchanged"] == 3
        assert world.run(JOB).success
        assert world.store.get(path).meta.etag == stored.meta.etag, "written though nothing changed"

        changed = write(world, "two.json", export("two", {second: "ok"}, minutes=-1))
        assert run_import(world, environment, changed)["updated"] == 1
        assert world.run(JOB).success
        document = json.loads(world.store.get(path).data)
        assert document["images"][second]["consensus"] == "ok"


@pytest.mark.parametrize("place", ["file", "s3"])
def test_many_imports_at_once_lose_nothing(tmp_path, monkeypatch, place):
    with s3_server() as access:
        for name, value in access.environment().items():
            monkeypatch.setenv(name, value)
        address = (
            StoreAddress((tmp_path / "store").as_uri())
            if place == "file"
            else StoreAddress(access.url("store"), access)
        )
        racers = 6
        assert race_processes(address, ImportRatings("one", 2), racers) == ["done"] * racers

        found = read_user(address.open(), "one").ratings
        assert found.keys() == {
            "shared",
            *(f"image-{racer}-{turn}" for racer in range(racers) for turn in range(2)),
        }
        assert found["shared"] == entry("ok", racers - 1)


def test_a_run_says_which_object_is_broken(made):
    with kept_on(made, "file") as (world, _):
        world.store.put("ratings/users/one.json", b"{")
        ran = world.run(JOB)
        world.store.delete("ratings/users/one.json")

    assert not ran.success
    assert "ratings/users/one.json holds no ratings of one user" in str(ran.error)


def test_the_installed_command(tmp_path):
    store = open_store((tmp_path / "store").as_uri())
    import_user(store, "one", {"a": entry("good", -90)})
    path = tmp_path / "one.json"
    path.write_text(json.dumps(export("one", {"a": "bad", "b": "ok"})), encoding="utf-8")

    result = estinel_process(
        "ratings", "import", path, "--json", cwd=tmp_path, ESTINEL_STORE_URL=store.url
    )

    assert result.code == 0, result.stderr
    counts = {name: result.document[name] for name in ("new", "updated", "unknown_images")}
    assert counts == {"new": 1, "updated": 1, "unknown_images": 2}
    assert read_user(store, "one").ratings == {"a": entry("bad"), "b": entry("ok")}
