"""`estinel ratings`: exports taken in, counted, listed and given back."""

import json
from pathlib import Path

import pytest

from estinel_assets.clock import utc_now
from estinel_assets.imagery.rating_store import read_user, user_path
from estinel_assets.imagery.ratings import Rating
from estinel_assets.storage import open_store
from estinel_assets.storage.port import ObjectStore
from tests.support.cli import Outcome, estinel
from tests.support.http import RangeServer
from tests.support.ratings import export, put_fragment

SITE = "site_af38900f"
IMAGE, OTHER = (f"{SITE}/2024-12-0{day}" for day in (1, 2))


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    opened = open_store((tmp_path / "store").as_uri())
    put_fragment(opened, SITE, ["2024-12-01", "2024-12-02"])
    return opened


def ratings(store: ObjectStore, *arguments: object) -> Outcome:
    return estinel("ratings", *arguments, ESTINEL_STORE_URL=store.url)


def write(folder: Path, name: str, document: object) -> Path:
    path = folder / name
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def objects(store: ObjectStore) -> dict[str, bytes]:
    return {meta.path: store.get(meta.path).data for meta in store.list()}


def test_import(store, tmp_path):
    first = write(tmp_path, "one.json", export("one", {IMAGE: "good", "gone": "bad"}))
    second = write(tmp_path, "two.json", export("two", {IMAGE: "bad"}))

    result = ratings(store, "import", first, second, "--json")

    assert result.code == 0, result.stderr
    assert result.stderr == ""
    counts = {"updated": 0, "older": 0, "unchanged": 0}
    assert result.document == {
        "sources": [
            {"source": str(first), "user_id": "one", "ratings": 2},
            {"source": str(second), "user_id": "two", "ratings": 1},
        ],
        "users": [
            {"user_id": "one", "new": 2, **counts, "unknown_images": 1,
             "uri": store.uri(user_path("one"))},
            {"user_id": "two", "new": 1, **counts, "unknown_images": 0,
             "uri": store.uri(user_path("two"))},
        ],
        "new": 3, **counts, "unknown_images": 1,
        "dry_run": False,
        "materialize": ["image_ratings"],
        "job": "build_image_ratings",
    }  # fmt: skip
    assert read_user(store, "one").ratings["gone"].rating is Rating.BAD


def test_import_again_and_newer_and_older(store, tmp_path):
    first = write(tmp_path, "one.json", export("one", {IMAGE: "good", OTHER: "ok"}))
    later = export("one", {IMAGE: "bad"}, minutes=-5)
    later["ratings"] += export("one", {OTHER: "good"}, minutes=-90)["ratings"]
    assert ratings(store, "import", first).code == 0
    before = objects(store)

    again = ratings(store, "import", first, "--json").document
    assert objects(store) == before
    newer = ratings(store, "import", write(tmp_path, "later.json", later), "--json").document

    def counts(document):
        return [document[name] for name in ("new", "updated", "older", "unchanged")]

    assert counts(again) == [0, 0, 0, 2]
    assert again["materialize"] == []
    assert counts(newer) == [0, 1, 1, 0]
    assert newer["materialize"] == ["image_ratings"]


def test_import_for_people(store, tmp_path):
    path = write(tmp_path, "one.json", export("one", {IMAGE: "good"}))

    result = ratings(store, "import", path)

    header, line = result.stdout.splitlines()
    assert header.split() == [
        "user_id", "new", "updated", "older", "unchanged", "unknown_images",
    ]  # fmt: skip
    assert line.split() == ["one", "1", "0", "0", "0", "0"]
    assert "Materialize image_ratings (job build_image_ratings)" in result.stderr
    assert ratings(store, "import", path).stderr == ""


def test_import_from_an_address(store, tmp_path):
    write(tmp_path, "one.json", export("one", {IMAGE: "good"}))
    with RangeServer(tmp_path) as server:
        result = ratings(store, "import", server.url("one.json") + "?token=secret", "--json")

    assert result.code == 0, result.stderr
    assert result.document["new"] == 1
    assert "secret" not in result.stdout


def test_a_dry_run_writes_nothing(store, tmp_path):
    path = write(tmp_path, "one.json", export("one", {IMAGE: "good"}))
    before = objects(store)

    result = ratings(store, "import", "--dry-run", path, "--json")

    assert (result.document["new"], result.document["dry_run"]) == (1, True)
    assert result.document["materialize"] == []
    assert objects(store) == before


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "user_id None is no user's id"),
        ([], "is no export of ratings"),
        (export("one", {"a": "great", "": "ok"}), "ratings[0].rating 'great' is none"),
        (export("one", {"a": "great", "": "ok"}), "ratings[1].image_id '' is no image's id"),
        (export("x" * 300, {}), "is too long"),
        (export("one", {"a": "ok"}, minutes=10**8), "is still to come"),
    ],
)
@pytest.mark.parametrize("as_json", [True, False])
def test_one_bad_export_and_nothing_is_written(store, tmp_path, document, message, as_json):
    good = write(tmp_path, "good.json", export("one", {IMAGE: "good"}))
    bad = write(tmp_path, "bad.json", document)
    before = objects(store)

    result = ratings(store, "import", good, bad, *(["--json"] if as_json else []))

    assert result.code == 3
    said = result.document["error"]["message"] if as_json else result.stderr
    assert f"{bad} " in said
    assert message in said
    assert said.rstrip().endswith("nothing was imported")
    assert objects(store) == before


def test_an_address_that_does_not_answer(store, tmp_path):
    with RangeServer(tmp_path) as server:
        absent = ratings(store, "import", server.url("absent.json"))
    refused = estinel(
        "ratings", "import", "http://127.0.0.1:9/x.json", ESTINEL_STORE_URL=store.url,
        ESTINEL_TRANSPORT_ATTEMPTS="1",
    )  # fmt: skip

    assert (absent.code, "404" in absent.stderr) == (3, True)
    assert refused.code == 2


def test_import_needs_a_source(store):
    assert ratings(store, "import").code == 3


def test_list(store, tmp_path):
    now = utc_now()
    document = export("one", {"a": "good", "b": "good", "c": "bad"})
    document["cleared"] = [{"image_id": "d", "timestamp": now.isoformat()}]
    assert ratings(store, "list", "--json").document == []
    assert ratings(store, "import", write(tmp_path, "one.json", document)).code == 0

    assert ratings(store, "list", "--json").document == [
        {"user_id": "one", "good": 2, "ok": 0, "bad": 1, "cleared": 1,
         "newest": now.isoformat(timespec="milliseconds")}
    ]  # fmt: skip
    assert ratings(store, "list").stdout.splitlines()[1].split()[:5] == [
        "one", "2", "0", "1", "1",
    ]  # fmt: skip


def test_export_can_be_imported(store, tmp_path):
    document = export("one", {"a": "good", "b": "bad"})
    assert ratings(store, "import", write(tmp_path, "one.json", document)).code == 0

    result = ratings(store, "export", "one")

    assert result.code == 0, result.stderr
    assert result.document["ratings"] == document["ratings"]
    path = write(tmp_path, "again.json", result.document)
    assert ratings(store, "import", path, "--json").document["unchanged"] == 2


def test_export_of_nobody(store):
    result = ratings(store, "export", "nobody")

    assert result.code == 6
    assert "no ratings of nobody were imported" in result.stderr
