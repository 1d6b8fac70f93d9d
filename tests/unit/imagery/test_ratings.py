"""Ratings as values: exports that can and cannot be read, merging, and the consensus."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import BadInputError
from estinel_assets.imagery import ratings as module
from estinel_assets.imagery.ratings import (
    Entry,
    MergeCounts,
    Rating,
    Votes,
    export_document,
    merge_ratings,
    merge_users,
    parse_export,
    votes_by_image,
)
from tests.support.hostile import HOSTILE_NAMES
from tests.support.ratings import NOW, at, entry, export, text

ENTRIES = st.builds(
    Entry,
    st.sampled_from([None, *Rating]),
    # Few moments, so that many are equal.
    st.integers(0, 3).map(lambda minutes: at(-minutes)),
)
RATINGS = st.dictionaries(st.sampled_from("abcde"), ENTRIES)


def read(document, now=NOW):
    return parse_export(json.dumps(document).encode(), "export.json", now)


def problems(document):
    with pytest.raises(BadInputError) as caught:
        read(document)
    first, *listed = str(caught.value).splitlines()
    assert first == "export.json cannot be used"
    return [line.strip() for line in listed]


# --- exports -----------------------------------------------------------------------------------


def test_an_export_of_the_page():
    found = read(export("user_1", {"a": "good", "b": "ok", "c": "bad", "d": None}))

    assert found.user_id == "user_1"
    assert found.n_ratings == 4
    assert found.ratings == {
        "user_1": {"a": entry("good"), "b": entry("ok"), "c": entry("bad"), "d": entry(None)}
    }


def test_what_else_an_export_of_ours_may_say():
    theirs = {"image_id": "b", "rating": "bad", "timestamp": text(at(-5)), "user_id": "user_2"}
    document = export("user_1", {"a": "good"}, unknown=[1, {"x": None}])
    document["ratings"].append(theirs)
    document["cleared"] = [{"image_id": "c", "timestamp": text(at(-1))}]

    assert read(document).ratings == {
        "user_1": {"a": entry("good"), "c": entry(None, -1)},
        "user_2": {"b": entry("bad", -5)},
    }


def test_an_export_without_ratings_is_one():
    assert read(export("user_1", {})).n_ratings == 0


@pytest.mark.parametrize(
    ("given", "instant"),
    [
        ("2024-12-04T10:30:00.123Z", datetime(2024, 12, 4, 10, 30, 0, 123000, UTC)),
        ("2024-12-04T10:30:00.123999Z", datetime(2024, 12, 4, 10, 30, 0, 123000, UTC)),
        ("2024-12-04T10:30Z", datetime(2024, 12, 4, 10, 30, tzinfo=UTC)),
        ("2024-12-04T10:30:00+11:00", datetime(2024, 12, 3, 23, 30, tzinfo=UTC)),
        ("1970-01-01T00:00:00.000Z", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_times_are_utc_to_the_millisecond(given, instant):
    document = export("u", {"a": "ok"})
    document["ratings"][0]["timestamp"] = given

    assert read(document).ratings["u"]["a"].timestamp == instant


@pytest.mark.parametrize(
    "given",
    [
        None, 0, 1733308200000, True, [], {}, "", "now", "2024-12-04", "2024-12-04T10:30:00",
        "2024-02-30T10:30:00Z", "2024-12-04T25:00:00Z", "2024-12-04 10:30:00Z",
        "2024-W49-3T10:30:00Z", "20241204T103000Z", "1969-12-31T23:59:59Z",
        "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2024-12-04T10:30:00+99:00",
        "2024-12-04T10:30:00.000Z\n", "\uff12024-12-04T10:30:00Z",
    ],
)  # fmt: skip
def test_what_is_no_time(given):
    document = export("u", {"a": "ok"})
    document["ratings"][0]["timestamp"] = given

    (problem,) = problems(document)
    assert problem.startswith("ratings[0].timestamp")
    assert "is no time with a zone" in problem


@pytest.mark.parametrize("given", [[], ["good"], {}, 1, True])
def test_a_rating_of_another_type_is_none(given):
    document = export("u", {"a": "ok"})
    document["ratings"][0]["rating"] = given

    assert problems(document) == [f"ratings[0].rating {given} is none: give good, ok or bad"]


def test_a_rating_of_tomorrow_may_be_a_clock_of_another_zone():
    document = export("u", {"a": "ok"}, minutes=24 * 60)
    assert read(document).n_ratings == 1
    (problem,) = problems(export("u", {"a": "ok"}, minutes=24 * 60 + 1))
    assert "is still to come: check the clock" in problem
    assert read(export("u", {"a": "ok"}, minutes=10**6), now=None).n_ratings == 1


NO_TIME = "timestamp None is no time with a zone: give one such as 2024-12-04T10:30:00.000Z"


def test_every_problem_is_named():
    document = export(" ", {"": "good", "a": "great", "x\u202ey": "ok"})
    document["ratings"] += [7, None, [], {}, {"image_id": "q" * 2000, "rating": None}]
    document["cleared"] = "all"

    assert problems(document) == [
        "user_id ' ' is no user's id: give the one that the page shows",
        "ratings[0].image_id '' is no image's id: give the one of the catalogue",
        "ratings[1].rating 'great' is none: give good, ok or bad",
        "ratings[2].image_id 'x\\u202ey' holds an invisible character: remove it",
        "ratings[3] is no rating but 7",
        "ratings[4] is no rating but None",
        "ratings[5] is no rating but []",
        "ratings[6].image_id None is no image's id: give the one of the catalogue",
        "ratings[6].rating is missing: give good, ok or bad",
        f"ratings[6].{NO_TIME}",
        f"ratings[7].image_id '{'q' * 59}… is too long: ids have at most 1024 characters",
        f"ratings[7].{NO_TIME}",
        "cleared 'all' is no list",
    ]


def test_so_many_problems_are_counted():
    found = problems(export("u", dict.fromkeys(map(str, range(60)), "great")))

    assert len(found) == 51
    assert found[-1] == "and 10 more"


@pytest.mark.parametrize(
    ("user_id", "problem"),
    [
        (None, "is no user's id"),
        (5, "is no user's id"),
        ("\t", "is no user's id"),
        ("a\nb", "holds an invisible character"),
        ("\ud800", "holds an invisible character"),
        ("é" * 40, "is too long"),
    ],
)
def test_who_is_no_user(user_id, problem):
    (found,) = problems(export(user_id, {}))
    assert problem in found
    document = export("user_1", {"a": "ok"})
    document["ratings"][0]["user_id"] = user_id
    (found,) = problems(document)
    assert found.startswith("ratings[0].user_id")


@pytest.mark.parametrize("name", [name for name in HOSTILE_NAMES if len(name) < 100])
def test_any_visible_name_may_rate_any_image(name):
    found = read(export(name, {name: "good"}))
    assert found.ratings == {name: {name: entry("good")}}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"<!doctype html>", "is not JSON"),
        (b'{"user_id": NaN}', "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "is no export of ratings but []"),
        (b"null", "is no export of ratings but None"),
        (b'{"user_id": "u"}', "ratings None is no list"),
        (b'{"user_id": "u", "ratings": {"a": "good"}}', "is no list"),
        (b'{"user_id": "u", "ratings": []', "is not JSON"),
    ],
)
def test_what_is_no_export(body, message):
    with pytest.raises(BadInputError, match=r"export\.json") as caught:
        parse_export(body, "export.json", NOW)
    assert message in str(caught.value)
    assert "restore or remove it" not in str(caught.value)


def test_no_export_is_that_large(monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    with pytest.raises(BadInputError, match="has 101 bytes"):
        parse_export(b" " * 101, "export.json", NOW)
    monkeypatch.undo()
    monkeypatch.setattr(module, "MAX_RATINGS", 2)
    assert problems(export("u", {"a": "ok", "b": "ok", "c": "ok"})) == [
        "ratings has 3 entries: at most 2 are read"
    ]


@given(RATINGS)
def test_an_export_is_read_as_it_was_written(ratings):
    document = export_document("user_1", ratings)

    assert read(document).ratings.get("user_1", {}) == ratings
    assert document == export_document("user_1", dict(reversed(ratings.items())))
    assert all(item["rating"] in ("good", "ok", "bad") for item in document["ratings"])


@given(st.recursive(st.none() | st.booleans() | st.text() | st.floats() | st.integers(),
                    lambda some: st.lists(some, max_size=3) | st.dictionaries(
                        st.sampled_from(["user_id", "ratings", "cleared", "image_id", "rating",
                                         "timestamp"]), some)))  # fmt: skip
def test_any_document_is_read_or_refused(document):
    try:
        found = read(document)
    except BadInputError:
        return
    assert found.user_id


# --- merging -----------------------------------------------------------------------------------


def test_merging_counts_what_became_of_each():
    stored = {name: entry("ok", -10) for name in "abcd"}
    given = {
        "a": entry("ok", -10),
        "b": entry("bad", -5),
        "c": entry("bad", -15),
        "d": entry("good", -10),
        "e": entry("good", -10),
        "f": entry(None, -10),
    }

    merged, counts = merge_ratings(stored, given)

    assert merged == {
        "a": entry("ok", -10),
        "b": entry("bad", -5),
        "c": entry("ok", -10),
        "d": entry("ok", -10),  # of the same moment: the worse stands
        "e": entry("good", -10),
        "f": entry(None, -10),
    }
    assert counts == MergeCounts(new=2, updated=1, older=2, unchanged=1)
    assert counts.n_changes == 3


@given(RATINGS, RATINGS)
def test_merging_gives_the_same_in_any_order(one, other):
    assert merge_ratings(one, other)[0] == merge_ratings(other, one)[0]


@given(RATINGS, RATINGS, RATINGS)
def test_merging_gives_the_same_in_any_grouping(one, other, third):
    left = merge_ratings(merge_ratings(one, other)[0], third)[0]
    assert left == merge_ratings(one, merge_ratings(other, third)[0])[0]


@given(RATINGS, RATINGS)
def test_merging_again_changes_nothing(one, other):
    merged, counts = merge_ratings(one, other)
    again, repeated = merge_ratings(merged, other)

    assert again == merged
    assert repeated.n_changes == 0
    assert merged.keys() == one.keys() | other.keys()
    assert counts.new + counts.updated + counts.older + counts.unchanged == len(other)


@given(st.lists(st.dictionaries(st.sampled_from(["u", "v"]), RATINGS), max_size=4))
def test_exports_together_give_the_same_as_one_by_one(exports):
    together = merge_users(exports)

    assert together == merge_users(reversed(exports))
    assert together.keys() == {user for users in exports for user in users}


@given(RATINGS, st.sampled_from([-11, 0, 5]))
def test_the_zone_of_a_time_does_not_matter(ratings, hours):
    zone = timezone(timedelta(hours=hours))
    moved = {
        name: Entry(one.rating, one.timestamp.astimezone(zone)) for name, one in ratings.items()
    }
    assert merge_ratings(ratings, moved)[1].n_changes == 0


# --- consensus ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("votes", "consensus"),
    [
        (Votes(good=1), "good"),
        (Votes(good=2, ok=1, bad=1), "good"),
        (Votes(good=1, ok=2), "ok"),
        (Votes(good=1, ok=1, bad=3), "bad"),
        (Votes(good=1, bad=1), "split"),
        (Votes(good=2, ok=2, bad=1), "split"),
        (Votes(good=1, ok=1, bad=1), "split"),
    ],
)
def test_consensus(votes, consensus):
    assert votes.consensus == consensus
    assert votes.raters == votes.good + votes.ok + votes.bad


def test_votes_leave_out_what_was_taken_back():
    votes = votes_by_image(
        [
            {"b": entry("good"), "a": entry("bad")},
            {"b": entry("ok"), "c": entry(None)},
            {"b": entry("good")},
        ]
    )

    assert votes == {"a": Votes(bad=1), "b": Votes(good=2, ok=1)}
    assert list(votes) == ["a", "b"]


@given(st.lists(RATINGS, max_size=5))
def test_the_order_of_raters_does_not_matter(users):
    votes = votes_by_image(users)

    assert votes == votes_by_image(reversed(users))
    given_ratings = sum(one.rating is not None for user in users for one in user.values())
    assert sum(one.raters for one in votes.values()) == given_ratings
    assert all(one.raters for one in votes.values())
