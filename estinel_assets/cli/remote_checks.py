"""What `estinel doctor` looks at elsewhere: the object store, the STAC API and CMR."""

from typing import Final
from urllib.parse import quote, urlencode

import requests

from estinel_assets.cli.checks import Check, fail, ok, warn
from estinel_assets.errors import (
    AlreadyExistsError,
    BadInputError,
    ChangedError,
    EstinelError,
    NotFoundError,
    StoreError,
    UnitError,
    public_url,
)
from estinel_assets.settings import (
    CompatibilitySettings,
    Settings,
    StacSettings,
    TransportSettings,
)
from estinel_assets.storage.port import ObjectStore
from estinel_assets.transport import RequestsTransport, RetryPolicy

PROBE_FOLDER: Final = "doctor"


def open_store_for_check(settings: Settings) -> ObjectStore | Check:
    """Open the store without the patience of a long run; a check that failed where impossible."""
    from estinel_assets.storage import open_store

    at = settings.store
    timeout_s = settings.transport.timeout_s
    try:
        return open_store(
            at.url,
            endpoint_url=at.endpoint_url,
            region=at.region,
            profile=at.profile,
            max_retries=1,
            retry_deadline_s=timeout_s,
            timeout_s=timeout_s,
        )
    except (BadInputError, StoreError) as error:
        return fail("store", str(error), "correct the settings of the group [store]")


def check_store(store: ObjectStore, probe_id: str) -> list[Check]:
    """The store is reachable, writable and conditional; the probe is removed in the end.

    Args:
        store: the store.
        probe_id: makes the probe's path unique.
    """
    path = f"{PROBE_FOLDER}/{probe_id}.txt"
    where = public_url(store.url)
    checks: list[Check] = []
    try:
        store.head(path)
    except NotFoundError:
        checks.append(_reachable(store.url, where))
    except StoreError as error:
        return [fail("store", str(error), "correct the settings of the group [store]")]
    else:
        return [fail("store", f"{store.uri(path)} exists already", "run doctor again")]
    try:
        checks += [_check_writes(store, path), _check_conditions(store, path)]
    finally:
        leftover = _remove(store, path)
    return [*checks, leftover] if leftover else checks


def _reachable(url: str, where: str) -> Check:
    if url.startswith("memory:"):
        return warn("store", f"{where} ends with this process", "set ESTINEL_STORE_URL")
    return ok("store", f"{where} answers")


def _check_writes(store: ObjectStore, path: str) -> Check:
    name = "store is writable"
    remedy = "grant the right to write, read and delete"
    try:
        store.put(path, b"first")
        found = store.get(path).data
        store.delete(path)
    except StoreError as error:
        return fail(name, str(error), remedy)
    if found != b"first":
        return fail(name, f"{store.uri(path)} reads back differently", "look for a cache between")
    try:
        store.head(path)
    except NotFoundError:
        return ok(name, f"an object came and went below {PROBE_FOLDER}/")
    except StoreError as error:
        return fail(name, str(error), remedy)
    return fail(name, f"{store.uri(path)} cannot be deleted", remedy)


def _check_conditions(store: ObjectStore, path: str) -> Check:
    """Create-if-absent and compare-and-swap hold, on which leases and merges rest."""
    name = "store is conditional"
    remedy = "use a store with conditional writes, such as S3 itself or a recent S3 server"
    try:
        first = store.create(path, b"first")
        try:
            store.create(path, b"second")
        except AlreadyExistsError:
            pass
        else:
            return fail(name, "it created an object where one stood", remedy)
        store.replace(path, b"third", etag=first.etag)
        try:
            store.replace(path, b"fourth", etag=first.etag)
        except ChangedError:
            pass
        else:
            return fail(name, "it replaced an object that had changed", remedy)
    except StoreError as error:
        return fail(name, str(error), remedy)
    return ok(name, "create-if-absent and compare-and-swap hold")


def _remove(store: ObjectStore, path: str) -> Check | None:
    try:
        store.delete(path)
    except StoreError as error:
        return warn("store is clean", f"the probe stays: {error}", f"delete {store.uri(path)}")
    return None


def check_stac(stac: StacSettings, transport: TransportSettings) -> list[Check]:
    """The STAC API answers and has the collection. One try, so that the answer comes soon."""
    client = _client_of_one_try(transport)
    try:
        root = _check_root(client, stac.url)
        if root.remedy is not None:
            return [root]
        return [root, _check_collection(client, stac)]
    finally:
        client.close()


def check_cmr(at: CompatibilitySettings, transport: TransportSettings) -> Check:
    """CMR answers and lists collections. One try, so that the answer comes soon."""
    name, where = "cmr", public_url(at.cmr_url)
    remedy = "correct ESTINEL_COMPATIBILITY_CMR_URL, or try again later"
    whose = {"provider[]": list(at.providers)} if at.providers else {"consortium[]": ["EOSDIS"]}
    asked = {"has_granules": ["true"], "page_size": ["1"], **whose}
    address = f"{at.cmr_url.rstrip('/')}/collections.umm_json?{urlencode(asked, doseq=True)}"
    client = _client_of_one_try(transport)
    try:
        document = _get_json(client, address)
    except EstinelError as error:
        return fail(name, str(error), remedy)
    finally:
        client.close()
    hits = document.get("hits")
    if not isinstance(hits, int):
        return fail(name, f"{where} is no CMR: it does not say how many collections match", remedy)
    if hits == 0:
        asked_for = ", ".join(at.providers) or "the EOSDIS archives"
        return fail(
            name,
            f"{where} lists no collection of {asked_for}",
            "correct ESTINEL_COMPATIBILITY_PROVIDERS",
        )
    return ok(name, f"{where} answers, {hits} collections")


def _client_of_one_try(transport: TransportSettings) -> RequestsTransport:
    policy = RetryPolicy(
        attempts=1, backoff_s=0.0, backoff_max_s=0.0, deadline_s=transport.timeout_s
    )
    return RequestsTransport(policy, timeout_s=transport.timeout_s)


def _check_root(client: RequestsTransport, url: str) -> Check:
    name, where = "stac api", public_url(url)
    remedy = "correct ESTINEL_STAC_URL, or try again later"
    try:
        document = _get_json(client, url)
    except EstinelError as error:
        return fail(name, str(error), remedy)
    if "stac_version" not in document:
        return fail(name, f"{where} is no STAC API", remedy)
    classes = document.get("conformsTo")
    if not isinstance(classes, list) or not any("item-search" in str(one) for one in classes):
        return fail(name, f"{where} cannot search (no item-search in conformsTo)", remedy)
    return ok(name, f"{where} answers, STAC {document['stac_version']}")


def _check_collection(client: RequestsTransport, stac: StacSettings) -> Check:
    name = "stac collection"
    listing = f"{public_url(stac.url).rstrip('/')}/collections"
    # A query after the root belongs behind the whole path.
    root, _, query = stac.url.partition("?")
    address = f"{root.rstrip('/')}/collections/{quote(stac.collection, safe='')}"
    try:
        document = _get_json(client, f"{address}?{query}" if query else address)
    except EstinelError as error:
        if isinstance(error, UnitError) and error.reason == "source_not_found":
            return fail(
                name,
                f"there is no collection {stac.collection!r}",
                f"set ESTINEL_STAC_COLLECTION to one of {listing}",
            )
        return fail(name, str(error), f"look at {listing}, or try again later")
    if document.get("id") != stac.collection:
        return fail(name, f"{listing} answers with another one", "correct ESTINEL_STAC_URL")
    return ok(name, f"{stac.collection} is there")


def _get_json(client: RequestsTransport, url: str) -> dict[str, object]:
    """A JSON object.

    Raises:
        EstinelError: no answer, a refusal, or no JSON object.
    """
    response = client.send(requests.Request("GET", url, headers={"Accept": "application/json"}))
    try:
        document = response.json()
    except requests.exceptions.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise EstinelError(f"{public_url(url)} answers with something that is no JSON object")
    return document
