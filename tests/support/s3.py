"""An S3 server for tests: moto, on a free port of 127.0.0.1, in memory.

Nothing of the machine's own AWS configuration is read.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any
from uuid import uuid4

import boto3
import botocore.session
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.s3.models import s3_backends
from werkzeug.serving import make_server

from estinel_assets.storage import open_store
from estinel_assets.storage.port import ObjectStore
from tests.support.serving import serving

REGION = "us-east-1"
_ACCOUNT = "123456789012"


@dataclass(frozen=True)
class S3Access:
    """What a client needs to use a bucket; can be pickled."""

    endpoint_url: str
    bucket: str
    access_key_id: str = "test-key-id"
    secret_access_key: str = "test-secret-key"
    region: str = REGION

    def environment(self) -> dict[str, str]:
        """The AWS_* variables that lead boto3 here, and away from any configuration file."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL_S3": self.endpoint_url,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def session(self) -> boto3.Session:
        """A session with these credentials."""
        core = botocore.session.Session(
            session_vars={
                "profile": (None, None, None, None),
                "config_file": (None, None, os.devnull, None),
                "credentials_file": (None, None, os.devnull, None),
            }
        )
        return boto3.Session(
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            region_name=self.region,
            botocore_session=core,
        )

    def client(self) -> Any:
        """A boto3 client, for looking at what really stands in the bucket."""
        return self.session().client("s3", endpoint_url=self.endpoint_url)

    def url(self, prefix: str = "") -> str:
        """The address of a prefix."""
        return f"s3://{self.bucket}/{prefix}"

    def open(self, prefix: str = "", **options: Any) -> ObjectStore:
        """A store at a prefix."""
        options = {"endpoint_url": self.endpoint_url, "session": self.session(), **options}
        return open_store(self.url(prefix), **options)

    def keys(self, prefix: str = "") -> list[str]:
        """All keys below a prefix, as boto3 sees them, sorted."""
        pages = self.client().get_paginator("list_objects_v2")
        return sorted(
            found["Key"]
            for page in pages.paginate(Bucket=self.bucket, Prefix=prefix)
            for found in page.get("Contents", [])
        )

    def another(self) -> "S3Access":
        """The same server with a bucket of its own, which is empty."""
        made = replace(self, bucket=_bucket_name())
        made.client().create_bucket(Bucket=made.bucket)
        return made

    def fill(self, keys: Iterable[str], body: bytes) -> None:
        """Put many objects at once, past HTTP; works in the server's process only."""
        backend = s3_backends[_ACCOUNT]["aws"]
        for key in keys:
            backend.put_object(self.bucket, key, body)


def _bucket_name() -> str:
    return f"test-{uuid4().hex[:12]}"


@contextmanager
def s3_server() -> Iterator[S3Access]:
    """Serve one empty bucket.

    moto looks at a condition and stores in two steps, between which another thread may store; S3
    does not. So requests are answered one at a time.
    """
    log = logging.getLogger("werkzeug")
    level = log.level
    log.setLevel(logging.ERROR)
    # As moto starts it, but for its half a second until it sees that it is to stop.
    server = make_server(
        "127.0.0.1",
        0,
        _one_at_a_time(DomainDispatcherApplication(create_backend_app)),
        threaded=True,
        request_handler=MotoRequestHandler,
    )
    try:
        with serving(server) as url:
            access = S3Access(url, _bucket_name())
            access.client().create_bucket(Bucket=access.bucket)
            yield access
    finally:
        log.setLevel(level)


def _one_at_a_time(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    turn = Lock()

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with turn:
            return list(app(environ, start_response))

    return answer
