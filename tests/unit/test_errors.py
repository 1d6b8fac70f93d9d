import pickle

import pytest

from estinel_assets import errors
from estinel_assets.errors import PermanentError, RetryableError, SourceFault, UnitError, public_url


def test_every_error_has_the_common_base():
    raised = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, Exception)
    ]

    assert len(raised) >= 12
    assert all(issubclass(error, errors.EstinelError) for error in raised)


def test_the_drawn_tree_is_the_real_one():
    drawn = errors.__doc__ or ""
    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, Exception):
            assert name in drawn, f"{name} is not in the tree"


@pytest.mark.parametrize("kind", [RetryableError, PermanentError, UnitError])
def test_unit_errors_cross_processes(kind):
    error = pickle.loads(pickle.dumps(kind(SourceFault.TIMEOUT, "no answer")))  # noqa: S301

    assert (type(error), error.reason, str(error)) == (kind, "source_timeout", "no answer")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h.example/a/b.tif?sig=secret", "https://h.example/a/b.tif"),
        ("https://user:secret@h.example:8080/a", "https://h.example:8080/a"),
        ("https://h.example/a#secret", "https://h.example/a"),
        ("s3://bucket/a%20b.tif", "s3://bucket/a%20b.tif"),
        ("/plain/path.tif", "/plain/path.tif"),
        ("relative.tif?token=secret", "relative.tif"),
        ("http://[broken", "(an address that cannot be read)"),
    ],
)
def test_public_urls_hide_what_may_be_secret(url, shown):
    assert public_url(url) == shown
