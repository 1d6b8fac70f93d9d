"""Opening a store by its URL."""

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from obstore.store import LocalStore, MemoryStore, S3Store

from estinel_assets.errors import BadInputError, StoreError
from estinel_assets.storage.obstore_store import ObstoreStore
from estinel_assets.storage.paths import (
    BucketRoot,
    LocalRoot,
    MemoryRoot,
    check_endpoint,
    parse_root,
)
from estinel_assets.storage.port import ObjectStore

if TYPE_CHECKING:
    import boto3
    from obstore.store import ClientConfig, RetryConfig, S3Config

# botocore renews credentials that expire within ten minutes when it is asked for them; so what
# obstore keeps for less than that cannot expire in its hands.
_CREDENTIALS_KEPT = timedelta(minutes=8)


def open_store(
    url: str,
    *,
    endpoint_url: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    session: "boto3.Session | None" = None,
    max_retries: int = 4,
    retry_deadline_s: float = 180.0,
    timeout_s: float = 60.0,
) -> ObjectStore:
    """Open an object store.

    A local folder is made when it is absent. Each `memory://` store is empty and its own. On S3
    nothing is asked until the store is used; credentials come from the AWS configuration, through
    a boto3 session, and are renewed as they expire.

    Args:
        url: `file:///folder`, `file://./folder`, a plain path, `memory://` or `s3://bucket/prefix`.
        endpoint_url: an S3 server other than AWS, http or https, addressed path-style.
        region: S3 region; else the session's.
        profile: profile of the AWS configuration.
        session: takes the place of `profile`; the store then cannot be pickled.
        max_retries: tries of one S3 request after the first.
        retry_deadline_s: no retry begins later than this after the request's start, in seconds.
        timeout_s: longest time for one try, its body included, in seconds.

    The last seven matter to S3 only.

    Raises:
        BadInputError: the URL, the endpoint or the AWS configuration cannot be used.
        StoreError: the local folder cannot be made.
    """
    root = parse_root(url)
    if isinstance(root, MemoryRoot):
        return ObstoreStore(root, MemoryStore())
    if isinstance(root, LocalRoot):
        # The absolute URL, because the working directory of another process may differ.
        return ObstoreStore(root, _local(root), reopen=partial(open_store, root.url))
    if session is not None and profile is not None:
        raise BadInputError(f"both a session and the profile {profile!r} were given; give one")
    if endpoint_url is not None:
        endpoint_url = check_endpoint(endpoint_url)
    retry: RetryConfig = {
        "max_retries": max_retries,
        "retry_timeout": timedelta(seconds=retry_deadline_s),
    }
    # Plain http is used only where an endpoint says so.
    client: ClientConfig = {"allow_http": True, "timeout": timedelta(seconds=timeout_s)}
    bucket = partial(
        _bucket, root, session or _session(profile), endpoint_url, region, client, retry
    )
    store, bulk = bucket(bulk=False), bucket(bulk=True)
    reopen = partial(
        open_store,
        root.url,
        endpoint_url=endpoint_url,
        region=region,
        profile=profile,
        max_retries=max_retries,
        retry_deadline_s=retry_deadline_s,
        timeout_s=timeout_s,
    )
    return ObstoreStore(root, store, reopen=None if session is not None else reopen, bulk=bulk)


def _local(root: LocalRoot) -> LocalStore:
    try:
        root.folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise BadInputError(
            f"store URL {root.url} leads to or through a file; name a folder"
        ) from None
    except OSError as error:
        raise StoreError(
            f"the folder of the store {root.url} cannot be made ({error.strerror}); "
            "check its permissions or name another"
        ) from None
    return LocalStore(root.folder)


def _session(profile: str | None) -> "boto3.Session":
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        return boto3.Session(profile_name=profile)
    except BotoCoreError as error:
        raise BadInputError(f"the AWS configuration cannot be used: {error}") from None


def _bucket(
    root: BucketRoot,
    session: "boto3.Session",
    endpoint_url: str | None,
    region: str | None,
    client: "ClientConfig",
    retry: "RetryConfig",
    *,
    bulk: bool,
) -> S3Store:
    # boto3 takes half a second to import, which stores elsewhere should not pay.
    from botocore.exceptions import BotoCoreError
    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        found = session.get_credentials()
    except BotoCoreError as error:
        raise BadInputError(
            f"no credentials for {root.url}: the AWS configuration cannot be used: {error}"
        ) from None
    if found is None:
        raise BadInputError(
            f"no credentials for {root.url}: "
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name an AWS profile"
        )
    config: S3Config = {
        "conditional_put": "etag",
        "virtual_hosted_style_request": False,
        # Not every S3 server has the bulk deletion.
        "disable_bulk_delete": not bulk,
    }
    if endpoint_url is not None:
        # The name for S3 alone; obstore would let AWS_ENDPOINT_URL_S3 overrule the general one.
        config["aws_endpoint_url_s3"] = endpoint_url
    if region is not None:
        config["region"] = region
    return S3Store(
        root.bucket,
        prefix=root.prefix or None,
        config=config,
        client_options=client,
        retry_config=retry,
        credential_provider=Boto3CredentialProvider(session, ttl=_CREDENTIALS_KEPT),
    )
