"""The page's store of ratings by itself, and exports as the page and the command read them.

The storage is a made one: it refuses, forgets, and is written by others.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from estinel_assets.errors import BadInputError
from estinel_assets.imagery.ratings import export_document, parse_export
from tests.support.ratings import NOW, export, text
from tests.support.web_folder import WebFolder

pytestmark = pytest.mark.browser

_RUN = """
async ([root, body, given]) => {
  const modules = {};
  for (const part of ["ratings", "merge", "transfer", "actions"]) {
    const name = part === "ratings" ? part : `rating-${part}`;
    modules[name] = await import(`${root}/${name}.js`);
  }
  class Kept {
    constructor({ most = Infinity, stored = {} } = {}) {
      this.most = most;
      this.texts = new Map(Object.entries(stored));
    }
    getItem(name) { return this.texts.get(name) ?? null; }
    setItem(name, value) {
      if (value.length > this.most) { throw new DOMException("too much", "QuotaExceededError"); }
      this.texts.set(name, value);
    }
    get ratings() { return JSON.parse(this.getItem("image_ratings")); }
  }
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  let time = given.now;
  const now = () => (time += 1);
  const open = (storage) => modules.ratings.createRatings(storage, { now, page: null });
  const heard = (store, storage) => store.heard({
    key: "image_ratings", newValue: storage.getItem("image_ratings"), storageArea: storage,
  });
  const timestamp = "2024-12-05T00:00:00.000Z";
  const many = (count) => Object.fromEntries(Array.from({ length: count }, (_, number) =>
    [`sentinel-2-c1-l2a/2024/12/05/Site_${number}_2024-12-05`, { rating: "ok", timestamp }]));
  const work = new Function("modules", "Kept", "open", "heard", "pause", "many", "given",
    `return (async () => {${body}})()`);
  return work(modules, Kept, open, heard, pause, many, given);
}
"""


@pytest.fixture(scope="module")
def blank(chromium: Browser, web: WebFolder) -> Iterator[Page]:
    page = chromium.new_page()
    page.goto(web.url("blank.html"))
    yield page
    page.close()


def run(page: Page, body: str, **given: object) -> Any:
    """Run a piece of JavaScript among the page's modules."""
    given.setdefault("now", int(NOW.timestamp() * 1000))
    return page.evaluate(_RUN, ["/split/catalog/app", body, given])


def test_what_is_stored_is_in_the_form_of_the_former_page(blank: Page) -> None:
    found = run(
        blank,
        """
        const kept = new Kept();
        const store = open(kept);
        store.rate({ id: "a" }, "good");
        store.rate("__proto__", "bad");
        store.rate("b", "ok");
        store.rate("b", null);
        store.rate("never", null);
        return { user: store.userId, texts: Object.fromEntries(kept.texts), b: store.get("b"),
          all: [...store.all().keys()], proto: store.get("__proto__").rating };
        """,
    )

    assert found["texts"].keys() == {"user_id", "image_ratings"}
    assert found["texts"]["user_id"] == found["user"]
    stored = json.loads(found["texts"]["image_ratings"])
    assert {name: entry["rating"] for name, entry in stored.items()} == {
        "a": "good",
        "__proto__": "bad",
        "b": None,
    }
    assert all(entry.keys() == {"rating", "timestamp"} for entry in stored.values())
    assert (found["b"], found["all"], found["proto"]) == (None, ["a", "__proto__"], "bad")


def test_the_readers_last_word_is_the_newest_whatever_the_clock_said(blank: Page) -> None:
    later = "2024-12-20T13:00:00.000Z"  # an hour ahead
    found = run(
        blank,
        """
        const kept = new Kept({ stored: { image_ratings: given.stored } });
        const store = open(kept);
        store.rate("a", "bad");
        return kept.ratings.a;
        """,
        stored=json.dumps({"a": {"rating": "good", "timestamp": later}}),
    )

    assert found == {"rating": "bad", "timestamp": "2024-12-20T13:00:00.001Z"}


def test_what_is_no_rating_stays_as_it_is(blank: Page) -> None:
    odd = {"a": {"rating": "great", "by": 1}, "b": 7, "c": {"rating": "ok"}, "d": None}
    found = run(
        blank,
        """
        const kept = new Kept({ stored: { image_ratings: given.stored, user_id: "" } });
        const store = open(kept);
        store.rate("e", "bad");
        return { ratings: kept.ratings, c: store.get("c"), user: store.userId,
          counts: store.statistics({ images: ["a", "b", "c", "d", "e"].map((id) => ({ id })) }) };
        """,
        stored=json.dumps(odd),
    )

    assert found["ratings"].pop("e")["rating"] == "bad"
    assert found["ratings"].pop("c")["timestamp"] == "1970-01-01T00:00:00.000Z"
    odd.pop("c")
    assert found["ratings"] == odd
    assert found["counts"] == {"good": 0, "ok": 1, "bad": 1, "unrated": 3, "total": 5}
    assert found["user"].startswith("user_")


def test_what_cannot_be_read_is_set_aside(blank: Page) -> None:
    found = run(
        blank,
        """
        const texts = {};
        for (const [name, most] of [["room", Infinity], ["none", 40]]) {
          const kept = new Kept({ stored: { image_ratings: given.stored } });
          kept.most = most;
          const store = open(kept);
          store.rate("a", "bad");
          texts[name] = [store.problem, store.get("a").rating, Object.fromEntries(kept.texts)];
        }
        return texts;
        """,
        stored='{"x": {"rating": "good", "timestamp": "2024-',
    )

    problem, rating, texts = found["room"]
    assert (problem, rating) == ("unreadable", "bad")
    assert texts["image_ratings_unreadable"].startswith('{"x"')
    assert json.loads(texts["image_ratings"]).keys() == {"a"}
    problem, rating, texts = found["none"]
    assert (problem, rating) == ("unreadable", "bad")
    assert texts["image_ratings"].startswith('{"x"'), "written over though it was kept nowhere"


def test_full_storage_says_so_and_comes_back(blank: Page) -> None:
    found = run(
        blank,
        """
        const kept = new Kept({ most: 150 });
        const store = open(kept);
        const problems = [];
        store.on(() => problems.push(store.problem));
        for (const id of ["a", "b", "c", "d"]) { store.rate(id, "ok"); }
        const seen = () => ({
          problem: store.problem, d: store.get("d").rating, stored: Object.keys(kept.ratings),
        });
        const full = seen();
        kept.most = Infinity;
        for (let turn = 0; turn < 31_000 && store.problem; turn += 1) { store.rate("a", "bad"); }
        return { full, told: problems.includes("full"), after: seen() };
        """,
    )

    assert found["full"] == {"problem": "full", "d": "ok", "stored": ["a", "b"]}
    assert found["told"] is True
    assert found["after"] == {"problem": None, "d": "ok", "stored": ["a", "b", "c", "d"]}


def test_without_storage_ratings_last_while_the_page_does(blank: Page) -> None:
    found = run(
        blank,
        """
        const store = open(null);
        store.rate("a", "bad");
        const refuse = () => { throw new DOMException("no", "SecurityError"); };
        const refusing = { getItem: refuse, setItem: refuse };
        const other = open(refusing);
        other.rate("a", "ok");
        return [store.problem, store.get("a").rating, other.problem, other.get("a").rating];
        """,
    )

    assert found == ["forbidden", "bad", "forbidden", "ok"]


def test_tabs_come_to_the_same(blank: Page) -> None:
    found = run(
        blank,
        """
        const kept = new Kept();
        const one = open(kept), other = open(kept);
        one.rate("a", "good");
        other.rate("a", "bad");           // not told of the first yet
        kept.setItem("image_ratings", JSON.stringify({ a: kept.ratings.a })); // by a third
        one.rate("b", "ok");
        one.rate("b", null);
        for (let turn = 0; turn < 3; turn += 1) {
          heard(one, kept); heard(other, kept);
          await pause(120);
        }
        const list = (entries) => [...entries].map(([id, { rating }]) => [id, rating]).sort();
        return [list(one.entries()), list(other.entries()), list(Object.entries(kept.ratings))];
        """,
    )

    assert found[0] == found[1] == found[2] == [["a", "bad"], ["b", None]]


def test_what_another_tab_clears_is_gone(blank: Page) -> None:
    found = run(
        blank,
        """
        const kept = new Kept({ stored: { image_ratings: JSON.stringify(many(30_000)) } });
        const store = open(kept);        // still reading
        const before = store.size;
        kept.texts.delete("image_ratings");
        heard(store, kept);
        await store.ready;
        await pause(50);
        const after = store.size;
        store.rate("a", "good");
        await pause(400);
        return [before, after, Object.keys(kept.ratings)];
        """,
    )

    assert found[0] < 30_000
    assert found[1:] == [0, ["a"]]


def test_many_ratings_are_read_and_written_in_slices(blank: Page) -> None:
    found = run(
        blank,
        """
        const stored = many(40_000);
        stored['odd},"name},"'] = { rating: "bad", timestamp: "2024-12-05T00:00:00.000Z" };
        const kept = new Kept({ stored: { image_ratings: JSON.stringify(stored) } });
        const store = open(kept);
        const atOnce = store.size;
        await store.ready;
        store.rate("a", "good");
        const unwritten = "a" in kept.ratings;
        await pause(600);
        const written = Object.keys(kept.ratings).length;
        store.rate("b", "good");
        store.flush();                    // the page is left
        const odd = store.get('odd},"name},"').rating;
        return [atOnce, store.size, unwritten, written, "b" in kept.ratings, odd];
        """,
    )

    assert found[0] < 1000
    assert found[1:] == [40_003, False, 40_002, True, "bad"]


def test_an_export_says_whose_ratings_are_not_the_readers(blank: Page) -> None:
    theirs = {"rating": "ok", "timestamp": "2024-12-01T00:00:00.000Z", "user": "user_2"}
    found = run(
        blank,
        """
        const store = open(new Kept({ stored: { user_id: "user_1" } }));
        store.rate("a", "good");
        store.rate("b", "bad");
        store.rate("b", null);
        store.putAll([["c", given.theirs]]);
        const { exportRatings } = modules["rating-transfer"];
        const { name, file, count } = await exportRatings(store, "Hobart", given.now);
        return [name, count, JSON.parse(await file.text())];
        """,
        theirs=theirs,
    )

    name, count, document = found
    assert name == f"image-ratings-user_1-{int(NOW.timestamp() * 1000)}.json"
    assert count == 2
    assert [one["image_id"] for one in document["ratings"]] == ["a", "c"]
    assert [one["image_id"] for one in document["cleared"]] == ["b"]
    read = parse_export(json.dumps(document).encode(), "export", NOW)
    assert {user: sorted(ratings) for user, ratings in read.ratings.items()} == {
        "user_1": ["a", "b"],
        "user_2": ["c"],
    }


def test_the_next_unrated_image(blank: Page) -> None:
    found = run(
        blank,
        """
        const shown = ["a", "b", "c", "d"].map((id) => ({ id }));
        const next = (id, rated) => modules["rating-actions"].nextUnrated(
          shown, id, { get: (one) => (rated.includes(one) ? {} : null) })?.id ?? null;
        return [next("a", []), next("a", ["b"]), next("d", ["a"]), next("c", ["d", "a", "b"]),
          next("gone", ["a"]), modules["rating-actions"].nextUnrated([], "a", {})];
        """,
    )

    assert found == ["b", "c", "b", None, "b", None]


# --- page and command ---------------------------------------------------------------------------

_TIMES = [
    "2024-12-04T10:30:00.123Z", "2024-12-04T10:30:00.123999Z", "2024-12-04T10:30Z",
    "2024-12-04T10:30:00+11:00", "1970-01-01T00:00:00.000Z", "2024-02-30T10:30:00Z",
    "2024-12-04T24:00:00Z", "2024-12-04T25:00:00Z", "2024-12-04 10:30:00Z", "2024-12-04",
    "2024-12-04T10:30:00", "1969-12-31T23:59:59Z", "20241204T103000Z", "2024-13-01T00:00:00Z",
    "2024-12-04T10:30:00+99:00", "2024-12-04T10:60:00Z", "2024-12-04T10:30:60Z",
    "2024-12-04T10:30:00+24:00", "2024-12-04T10:30:00-23:59", text(NOW), "0000-01-01T00:00:00Z",
    "2024-12-21T11:59:00.000Z", "2024-12-21T12:01:00.000Z", 5, None, "", "now", [], True,
]  # fmt: skip
_DOCUMENTS: list[Any] = [
    {}, [], None, 5, "x",
    {"user_id": "u"}, {"user_id": "u", "ratings": {}}, {"user_id": "u", "ratings": []},
    {"user_id": "", "ratings": []}, {"user_id": "a\u202eb", "ratings": []},
    {"user_id": "a\u200db", "ratings": []}, {"user_id": "u", "ratings": [], "cleared": {}},
    export("u", {"a": "good", "b": None}), export("u", {"": "good"}), export("u", {"a": "great"}),
    export("u", {"a\nb": "good"}), export("u", {"q" * 2000: "good"}), export("u", {"\u200b": "ok"}),
    {**export("u", {}), "cleared": [{"image_id": "a", "timestamp": text(NOW)}]},
    {**export("u", {}), "cleared": [{"image_id": "a"}]},
    {**export("u", {}), "ratings": [1]}, {**export("u", {}), "ratings": [None]},
    {**export("u", {}), "ratings": [{"image_id": "a", "timestamp": text(NOW)}]},
    *({**export("u", {}), "ratings": [{"image_id": "a", "rating": "ok", "timestamp": one}]}
      for one in _TIMES),
    *({**export("u", {}), "ratings": [
        {"image_id": "a", "rating": "ok", "timestamp": text(NOW), "user_id": one}]}
      for one in ["v", "", 5, None, "a\tb"]),
]  # fmt: skip


def test_page_and_command_read_the_same_exports(blank: Page) -> None:
    texts = [json.dumps(document) for document in _DOCUMENTS] + ["", "{", "NaN", '{"user_id": NaN}']
    by_page = run(
        blank,
        """
        return given.texts.map((text) => {
          const { problems, rated } = modules["rating-merge"].parseExport(text, given.now);
          return problems.length > 0 ? null : rated.map(({ imageId, entry }) =>
            [entry.user, imageId, entry.rating, entry.timestamp]);
        });
        """,
        texts=texts,
    )

    for written, found in zip(texts, by_page, strict=True):
        assert found == _by_command(written), written
    assert sum(found is not None for found in by_page) > 8
    assert sum(found is None for found in by_page) > 20


def _by_command(written: str) -> list[list[str | None]] | None:
    try:
        read = parse_export(written.encode(), "export", NOW)
    except BadInputError:
        return None
    return [
        [user, image_id, entry.rating, text(entry.timestamp)]
        for user, ratings in read.ratings.items()
        for image_id, entry in ratings.items()
    ]


def test_the_page_reads_what_the_command_exports(blank: Page) -> None:
    read = parse_export(json.dumps(export("u", {"a": "ok", "b": None})).encode(), "export", NOW)
    written = json.dumps(export_document("u", read.ratings["u"]))

    found = run(
        blank,
        'return modules["rating-merge"].parseExport(given.text, given.now);',
        text=written,
    )

    assert found["problems"] == []
    assert [(one["imageId"], one["entry"]["rating"]) for one in found["rated"]] == [
        ("a", "ok"),
        ("b", None),
    ]
