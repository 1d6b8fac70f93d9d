"""What a failure is called, and what is never said about it."""

import logging

import pytest
from rasterio._err import (
    CPLE_AppDefinedError,
    CPLE_AWSAccessDeniedError,
    CPLE_AWSBucketNotFoundError,
    CPLE_AWSObjectNotFoundError,
    CPLE_AWSSignatureDoesNotMatchError,
    CPLE_HttpResponseError,
)
from rasterio.errors import RasterioIOError

from estinel_assets.errors import PermanentError, RetryableError, SourceFault
from estinel_assets.raster.failures import (
    fault_of_exception,
    fault_of_source,
    fault_of_status,
    redact_logs,
    source_error,
)
from tests.support.http import Misbehaviour, RangeServer


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (400, SourceFault.UNAVAILABLE),
        (401, SourceFault.FORBIDDEN),
        (403, SourceFault.FORBIDDEN),
        (404, SourceFault.NOT_FOUND),
        (408, SourceFault.TIMEOUT),
        (410, SourceFault.NOT_FOUND),
        (429, SourceFault.UNAVAILABLE),
        (500, SourceFault.UNAVAILABLE),
        (504, SourceFault.UNAVAILABLE),
    ],
)
def test_statuses(status, fault):
    assert fault_of_status(status) == fault


def _caused_by(cause: Exception) -> RasterioIOError:
    error = RasterioIOError("Read failed. See previous exception for details.")
    middle = CPLE_AppDefinedError(3, 1, "TIFFReadEncodedTile() failed")
    error.__cause__, middle.__cause__ = middle, cause
    return error


@pytest.mark.parametrize(
    ("cause", "fault"),
    [
        (CPLE_AWSObjectNotFoundError(3, 13, "The specified key does not exist."), "NOT_FOUND"),
        (CPLE_AWSBucketNotFoundError(3, 12, "no bucket"), "NOT_FOUND"),
        (CPLE_AWSAccessDeniedError(3, 14, "HTTP response code: 404"), "FORBIDDEN"),
        (CPLE_AWSSignatureDoesNotMatchError(3, 16, "signature"), "FORBIDDEN"),
        (CPLE_HttpResponseError(3, 11, "HTTP response code: 404 - passed 11"), "NOT_FOUND"),
        (CPLE_HttpResponseError(3, 11, "CURL error: Operation timed out after 9 ms"), "TIMEOUT"),
        (CPLE_HttpResponseError(3, 11, "CURL error: Timeout was reached"), "TIMEOUT"),
        (CPLE_HttpResponseError(3, 11, "CURL error: Could not resolve host: x"), "UNAVAILABLE"),
    ],
)
def test_the_type_of_any_cause_decides_before_its_text(cause, fault):
    assert fault_of_exception(_caused_by(cause)) == SourceFault[fault]


def test_what_does_not_tell_is_not_guessed():
    # Text alone decides nothing: it could come from the name of the file.
    assert fault_of_exception(_caused_by(ValueError("HTTP response code: 404"))) is None
    circle = RasterioIOError("a")
    circle.__cause__ = RasterioIOError("b")
    circle.__cause__.__cause__ = circle
    assert fault_of_exception(circle) is None


@pytest.mark.parametrize(
    ("misbehaviour", "fault"),
    [
        (None, None),
        (Misbehaviour(status=404), SourceFault.NOT_FOUND),
        (Misbehaviour(status=403), SourceFault.FORBIDDEN),
        (Misbehaviour(status=502), SourceFault.UNAVAILABLE),
        (Misbehaviour(reset=True), SourceFault.UNAVAILABLE),
        (Misbehaviour(delay_s=20), SourceFault.TIMEOUT),
        (Misbehaviour(file_ends_at=0), None),
    ],
)
def test_a_server_is_asked_with_one_request(tmp_path, misbehaviour, fault):
    (tmp_path / "a.tif").write_bytes(b"x" * 100_000)
    with RangeServer(tmp_path) as server:
        if misbehaviour is not None:
            server.misbehave("a.tif", misbehaviour)
        slow = fault is SourceFault.TIMEOUT
        assert fault_of_source(server.url("a.tif"), 0.3 if slow else 20.0) == fault
        assert server.count() == 1
        assert server.bytes_sent <= 1


def test_a_path_is_asked_by_opening_it(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"x")
    assert fault_of_source(str(tmp_path / "a.tif"), 1.0) is None
    assert fault_of_source(str(tmp_path / "b.tif"), 1.0) == SourceFault.NOT_FOUND
    assert fault_of_source(str(tmp_path), 1.0) == SourceFault.UNAVAILABLE
    assert fault_of_source("s3://bucket/a.tif", 1.0) is None


@pytest.mark.parametrize("fault", list(SourceFault))
def test_only_what_is_gone_for_good_is_permanent(fault):
    error = source_error("https://user:pass@host/a.tif?sig=SECRET#x", fault)
    assert type(error) is (PermanentError if fault is SourceFault.NOT_FOUND else RetryableError)
    assert error.reason == fault
    assert str(error).startswith("https://host/a.tif: ")
    assert "SECRET" not in str(error)


def test_what_rasterio_logs_holds_no_query(caplog):
    redact_logs()
    redact_logs()
    logger = logging.getLogger("rasterio._err")
    caplog.set_level(logging.INFO, logger.name)
    logger.warning("%s: code %d", "HTTP error at http://host/a.tif?sig=SECRET", 503)
    assert caplog.messages == ["HTTP error at http://host/a.tif?… code 503"]
    assert len(logger.filters) == 1
