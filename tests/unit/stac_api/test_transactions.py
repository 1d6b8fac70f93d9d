import pytest
from fastapi.testclient import TestClient

from estinel_assets.errors import BadInputError
from estinel_assets.stac.api.access import WriteAccess
from estinel_assets.stac.api.app import create_app
from tests.support.stac_api import stac_collection, stac_item

ITEMS = "/collections/scenes/items"
BULK = "/collections/scenes/bulk_items"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    path = tmp_path_factory.mktemp("api") / "stac.db"
    with TestClient(create_app(path, transactions=True)) as client:
        yield client


@pytest.fixture
def api(running):
    repository = running.app.state.repository
    for collection_id in repository.collection_ids():
        repository.delete_collection(collection_id)
    repository.create_collection(stac_collection("scenes"))
    return running


def ids(api):
    return sorted(item["id"] for item in api.get(ITEMS).json()["features"])


def collection_of(*items):
    return {"type": "FeatureCollection", "features": list(items)}


def bulk_of(*items, **more):
    return {"items": {item["id"]: item for item in items}, **more}


def kept(api, collection_id, item_id):
    return api.app.state.repository.get(collection_id, item_id)


def test_transactions_are_off_unless_asked_for(tmp_path):
    with TestClient(create_app(tmp_path / "stac.db")) as api:
        assert api.post("/collections", json=stac_collection("scenes")).status_code == 405
        assert api.put("/collections/scenes", json=stac_collection("scenes")).status_code == 405
        assert api.post(BULK, json=bulk_of()).status_code == 404
        conforms = api.get("/conformance").json()["conformsTo"]
    assert not [one for one in conforms if "transaction" in one]


def test_the_conformance_classes_are_the_standard_ones(api):
    assert {
        "https://api.stacspec.org/v1.0.0/ogcapi-features/extensions/transaction",
        "https://api.stacspec.org/v1.0.0/collections/extensions/transaction",
    } <= set(api.get("/conformance").json()["conformsTo"])
    paths = api.get("/api").json()["paths"]
    assert set(paths[ITEMS.replace("scenes", "{collection_id}")]) == {"get", "post"}


def test_a_collection_is_created_replaced_patched_and_deleted(api):
    new = {**stac_collection("new"), "title": "first"}
    created = api.post("/collections", json=new)
    assert created.status_code == 201
    assert created.json()["title"] == "first"
    assert created.headers["location"] == "http://testserver/collections/new"
    again = api.post("/collections", json={**new, "title": "second"})
    assert again.status_code == 409
    assert again.json()["code"] == "ConflictError"
    assert "'new'" in again.json()["description"]
    assert api.get("/collections/new").json() == created.json()

    replaced = api.put("/collections/new", json={**new, "title": "third"})
    assert (replaced.status_code, replaced.json()["title"]) == (200, "third")
    patched = api.patch("/collections/new", json={"title": None, "keywords": ["ice"]})
    assert patched.status_code == 200
    assert api.app.state.repository.get_collection("new") == {
        **stac_collection("new"),
        "keywords": ["ice"],
    }

    assert api.delete("/collections/new").status_code == 200
    for gone in (
        api.delete("/collections/new"),
        api.put("/collections/new", json=new),
        api.patch("/collections/new", json={"title": "x"}),
        api.get("/collections/new"),
    ):
        assert (gone.status_code, gone.json()["code"]) == (404, "NotFoundError")


def test_replacing_a_collection_keeps_its_items_and_deleting_it_takes_them_along(api):
    api.post(ITEMS, json=stac_item("a"))
    api.put("/collections/scenes", json={**stac_collection("scenes"), "title": "new"})
    assert ids(api) == ["a"]

    api.delete("/collections/scenes")
    assert api.get("/search").json()["numberMatched"] == 0


def test_an_item_is_created_replaced_patched_and_deleted(api):
    created = api.post(ITEMS, json=stac_item("a", grade=1))
    assert created.status_code == 201
    assert created.headers["location"] == f"http://testserver{ITEMS}/a"
    assert created.headers["content-type"] == "application/geo+json"
    assert created.json() == api.get(f"{ITEMS}/a").json()
    again = api.post(ITEMS, json=stac_item("a", grade=2))
    assert (again.status_code, again.json()["code"]) == (409, "ConflictError")
    assert kept(api, "scenes", "a") == stac_item("a", grade=1)

    replaced = api.put(f"{ITEMS}/a", json=stac_item("a", bbox=(10, 10, 11, 11)))
    assert (replaced.status_code, replaced.json()) == (200, api.get(f"{ITEMS}/a").json())
    assert api.get("/search?bbox=10,10,11,11").json()["numberMatched"] == 1
    assert api.get("/search?bbox=147,-43,148,-42").json()["numberMatched"] == 0

    patched = api.patch(f"{ITEMS}/a", json={"properties": {"grade": 3}, "assets": {"x": None}})
    assert patched.status_code == 200
    assert kept(api, "scenes", "a") == stac_item("a", bbox=(10, 10, 11, 11), grade=3)

    assert api.delete(f"{ITEMS}/a").status_code == 200
    for gone in (
        api.delete(f"{ITEMS}/a"),
        api.put(f"{ITEMS}/a", json=stac_item("a")),
        api.patch(f"{ITEMS}/a", json={"properties": {}}),
        api.get(f"{ITEMS}/a"),
    ):
        assert (gone.status_code, gone.json()["code"]) == (404, "NotFoundError")


def test_many_items_come_in_one_request_all_or_none(api):
    many = api.post(ITEMS, json=collection_of(stac_item("a"), stac_item("b")))
    assert (many.status_code, many.content) == (201, b"")

    refused = api.post(ITEMS, json=collection_of(stac_item("c"), stac_item("b"), stac_item("a")))
    assert refused.status_code == 409
    assert "'b'; 'a'" in refused.json()["description"]
    twice = api.post(ITEMS, json=collection_of(stac_item("d"), stac_item("d")))
    assert twice.status_code == 409
    assert ids(api) == ["a", "b"]


def test_bulk_inserts_all_or_none_and_upserts(api):
    first = api.post(BULK, json=bulk_of(stac_item("a"), stac_item("b")))
    assert first.status_code == 200
    assert first.json() == {"received": 2, "success": 2, "skipped": 0, "errors": []}

    again = bulk_of(stac_item("c"), stac_item("b", grade=2))
    for method in ({}, {"method": "insert"}):
        refused = api.post(BULK, json={**again, **method})
        assert refused.status_code == 409
        assert "'b'" in refused.json()["description"]
    assert ids(api) == ["a", "b"]

    assert api.post(BULK, json={**again, "method": "upsert"}).json()["success"] == 2
    assert ids(api) == ["a", "b", "c"]
    assert kept(api, "scenes", "b") == stac_item("b", grade=2)


def test_a_thousand_conflicts_are_told_shortly(api):
    items = [stac_item(f"i{number}") for number in range(1100)]
    assert api.post(BULK, json=bulk_of(*items)).json()["success"] == 1100

    refused = api.post(BULK, json=bulk_of(*items))
    assert refused.json()["description"].endswith("'i19'; and 1080 more")


@pytest.mark.parametrize("method", ["insert", "upsert"])
@pytest.mark.parametrize(
    ("name", "item", "message"),
    [
        ("bad", {**stac_item("bad"), "properties": {}}, "'bad': properties.datetime"),
        ("bad", "no item", "'bad': body"),
        ("bad", stac_item("other"), "'bad': its id is 'other'"),
        ("bad", stac_item("bad", collection="others"), "'bad' names the collection 'others'"),
        ("b/d", stac_item("b/d"), "slash"),
    ],
)
def test_bulk_with_an_unusable_item_stores_nothing(api, method, name, item, message):
    body = {"items": {"good": stac_item("good"), name: item}, "method": method}
    refused = api.post(BULK, json=body)
    assert (refused.status_code, refused.json()["code"]) == (400, "BadInputError")
    assert message in refused.json()["description"]
    assert ids(api) == []


@pytest.mark.parametrize(
    "post",
    [
        lambda api: api.post("/collections/absent/items", json=stac_item("a", collection="absent")),
        lambda api: api.post("/collections/absent/items", json=collection_of()),
        lambda api: api.post("/collections/absent/bulk_items", json=bulk_of()),
        lambda api: api.post("/collections/absent/bulk_items", json=bulk_of(method="upsert")),
    ],
)
def test_an_unknown_collection_is_not_found(api, post):
    answer = post(api)
    assert answer.status_code == 404
    assert answer.json() == {
        "code": "NotFoundError",
        "description": "There is no collection 'absent'",
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"properties": {}}, "Item.properties.datetime: Field required"),
        ({"type": "Thing"}, "Item.type"),
        ({"bbox": None}, "bbox is required"),
        ({"bbox": ["1", "2", "3", "4"]}, "must be 4 or 6 numbers"),
        ({"collection": "others"}, "'others'"),
        ({"properties": {"datetime": 7}}, "datetime 7"),
        ({"properties": {"datetime": "2024-01-01T00:00:00Z", "x": "\x01"}}, "U+0001"),
        ({"geometry": {"type": "Point", "coordinates": [0, 95]}}, "longitude and latitude"),
        ({"assets": {"x": {"href": "http://[bad"}}}, "URL"),
    ],
)
def test_an_unusable_item_is_refused(api, change, message):
    body = {**stac_item("a"), **change}
    answers = [api.post(ITEMS, json=body), api.post(ITEMS, json=collection_of(body))]
    api.post(ITEMS, json=stac_item("a"))
    answers.append(api.put(f"{ITEMS}/a", json=body))
    assert [answer.status_code for answer in answers] == [400, 400, 400]
    assert message in answers[0].json()["description"]
    assert "ItemCollection" not in answers[0].json()["description"]
    assert kept(api, "scenes", "a") == stac_item("a")


@pytest.mark.parametrize(
    "content", [b"", b"null", b"[]", b"{", b"7", b'{"type": "FeatureCollection"}', b'{"a":' * 9999]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/collections"),
        ("PUT", "/collections/scenes"),
        ("PATCH", "/collections/scenes"),
        ("POST", ITEMS),
        ("PUT", f"{ITEMS}/a"),
        ("PATCH", f"{ITEMS}/a"),
        ("POST", BULK),
    ],
)
def test_a_body_that_is_none_is_refused(api, method, path, content):
    api.post(ITEMS, json=stac_item("a"))
    answer = api.request(
        method, path, content=content, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    assert set(answer.json()) == {"code", "description"}
    assert kept(api, "scenes", "a") == stac_item("a")


def test_ids_of_path_and_body_agree(api):
    api.post(ITEMS, json=stac_item("a"))
    for answer in (
        api.put("/collections/scenes", json=stac_collection("other")),
        api.patch("/collections/scenes", json={"id": "other"}),
        api.put(f"{ITEMS}/a", json=stac_item("other")),
        api.patch(f"{ITEMS}/a", json={"id": "other"}),
        api.patch(f"{ITEMS}/a", json={"collection": "other"}),
        api.patch(f"{ITEMS}/a", json={"collection": None}),
    ):
        assert answer.status_code == 400
        assert "the path says" in answer.json()["description"]


def test_a_patch_that_spoils_an_item_is_refused(api):
    api.post(ITEMS, json=stac_item("a"))
    refused = api.patch(f"{ITEMS}/a", json={"properties": {"datetime": None}})
    assert refused.status_code == 400
    operations = [{"op": "remove", "path": "/properties/datetime"}]
    assert "JSON Patch" in api.patch(f"{ITEMS}/a", json=operations).json()["description"]
    assert kept(api, "scenes", "a") == stac_item("a")


def test_documents_come_back_as_they_were_written(api):
    item = {
        **stac_item("a", bbox=(10, 10, 11, 11), datetime="2024-06-01T02:00:00.5+02:00"),
        "stac_extensions": ["https://stac-extensions.github.io/eo/v1.1.0/schema.json"],
        "links": [{"rel": "derived_from", "href": "s3://bucket/källa a.json", "x": None}],
        "assets": {
            "red": {"href": "s3://bucket/a//../b.tif?x=1#y", "roles": ["data"], "x:y": {"z": None}},
            "green": {"href": "HTTPS://Host:443/%7Ea b.tif"},
            "blue": {"href": "/data/c.tif"},
        },
        "estinel:extra": {"large": 10**25, "small": 1e-9, "whole": 1.0, "none": None, "no": []},
    }
    item["properties"] |= {"created": "2024-06-01T00:00:00Z", "gsd": 10, "none": None, "ø": "ø"}
    collection = {**stac_collection("b"), "summaries": {"n": [1, 2.0]}, "x:y": None}
    collection["extent"]["spatial"]["bbox"] = [[-180, -90, 180, 90]]

    api.post("/collections", json=collection)
    for stored in (
        api.post(ITEMS, json=item),
        api.put(f"{ITEMS}/a", json=item),
        api.patch(f"{ITEMS}/a", json={}),
        api.post(BULK, json=bulk_of(item, method="upsert")),
        api.get(f"{ITEMS}/a"),
    ):
        assert stored.status_code in (200, 201)
        given = api.get(f"{ITEMS}/a").json()
        relations = [link["rel"] for link in given["links"]]
        assert relations == ["self", "parent", "collection", "root", "derived_from"]
        assert {**given, "links": given["links"][4:]} == item
    repository = api.app.state.repository
    assert repr(repository.get_collection("b")) == repr(collection)
    assert repr(kept(api, "scenes", "a")) == repr(item)


def test_relative_addresses_are_given_out_below_the_api(api):
    item = stac_item("a", assets={"red": {"href": "./scenes/a.tif"}})
    created = api.post(ITEMS, json=item).json()
    assert created["assets"]["red"]["href"] == "http://testserver/scenes/a.tif"
    api.patch(f"{ITEMS}/a", json={"properties": {"x": 1}})
    assert kept(api, "scenes", "a")["assets"]["red"]["href"] == "scenes/a.tif"


def test_an_item_without_a_collection_gets_that_of_the_path(api):
    item = stac_item("a")
    del item["collection"]
    assert api.post(ITEMS, json=item).json()["collection"] == "scenes"
    assert api.put(f"{ITEMS}/a", json={**item, "collection": None}).status_code == 200
    assert kept(api, "scenes", "a") == stac_item("a")


WRITES = (
    ("POST", "/collections"),
    ("PUT", "/collections/scenes"),
    ("PATCH", "/collections/scenes"),
    ("DELETE", "/collections/scenes"),
    ("POST", ITEMS),
    ("PUT", f"{ITEMS}/a"),
    ("PATCH", f"{ITEMS}/a"),
    ("DELETE", f"{ITEMS}/a"),
    ("POST", BULK),
)


def test_every_write_asks_for_the_key_and_no_read_does(tmp_path, caplog, capfd):
    caplog.set_level(0)
    key = "s3cret-key"
    with TestClient(create_app(tmp_path / "s.db", transactions=True, api_key=key)) as api:
        for method, path in WRITES:
            absent = api.request(method, path, json={})
            assert (absent.status_code, absent.json()["code"]) == (401, "Unauthorized")
            assert "X-Api-Key" in absent.json()["description"]
            assert absent.headers["www-authenticate"]
            for wrong in ("s3cret-kex", "s3cret-key2", "S3CRET-KEY"):
                refused = api.request(method, path, json={}, headers={"X-Api-Key": wrong})
                assert (refused.status_code, refused.json()["code"]) == (403, "Forbidden")
                assert key not in refused.text
        for read in (api.get("/"), api.get("/collections"), api.post("/search", json={})):
            assert read.status_code == 200
        right = {"x-api-key": key}
        assert api.post("/collections", json=stac_collection("a"), headers=right).status_code == 201
        assert key not in api.get("/api").text
    assert key not in caplog.text + "".join(capfd.readouterr())


def test_the_key_may_come_in_another_header(tmp_path):
    app = create_app(tmp_path / "s.db", transactions=True, api_key="k", api_key_header="X-Token")
    with TestClient(app) as api:
        body = stac_collection("a")
        assert api.post("/collections", json=body, headers={"X-Api-Key": "k"}).status_code == 401
        assert api.post("/collections", json=body, headers={"X-Token": "k"}).status_code == 201


def test_without_a_key_web_pages_of_other_origins_cannot_write(api):
    for origin in ("http://elsewhere.example", "http://testserver:81", "null"):
        refused = api.post(ITEMS, json=stac_item("a"), headers={"Origin": origin})
        assert refused.status_code == 403
    assert api.post(ITEMS, json=stac_item("a"), headers={"Origin": "http://testserver"}).is_success


def asks_first(api):
    asked = {"Origin": "http://elsewhere.example", "Access-Control-Request-Method": "PUT"}
    return api.options("/collections/a", headers=asked).status_code


def test_web_pages_of_other_origins_may_write_with_a_key(api, tmp_path):
    assert asks_first(api) == 400
    with TestClient(create_app(tmp_path / "k.db", transactions=True, api_key="k")) as keyed:
        assert asks_first(keyed) == 200
        headers = {"Origin": "http://elsewhere.example", "X-Api-Key": "k"}
        assert keyed.post("/collections", json=stac_collection("a"), headers=headers).is_success


@pytest.mark.parametrize("key", ["", " ", "two words", "line\n", "schlüssel"])
def test_a_key_that_no_request_can_bring_is_refused_and_not_shown(tmp_path, key):
    with pytest.raises(BadInputError, match="API key") as raised:
        create_app(tmp_path / "s.db", transactions=True, api_key=key)
    assert not key.strip() or key.strip() not in str(raised.value)
    assert not (tmp_path / "s.db").exists()


def test_other_unusable_access_is_refused(tmp_path):
    with pytest.raises(BadInputError, match="'X Api'"):
        create_app(tmp_path / "s.db", transactions=True, api_key="k", api_key_header="X Api")
    with pytest.raises(BadInputError, match="turn transactions on") as raised:
        create_app(tmp_path / "s.db", api_key="s3cret")
    assert "s3cret" not in str(raised.value)
    assert "s3cret" not in repr(WriteAccess("s3cret", "X-Api-Key"))
