"""Documents in a temporary file."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.publishing.spool import Spool
from tests.support.examples import examples

_texts = st.text(st.characters(codec="utf-8"), max_size=20)
_documents = st.dictionaries(_texts, st.one_of(_texts, st.integers(), st.none(), st.booleans()))


@examples(30)
@given(st.lists(_documents, max_size=8))
def test_documents_come_back_in_any_order(documents: list[dict[str, object]]) -> None:
    with Spool() as spool:
        bodies = [spool.add(document) for document in documents]

        assert [body.read() for body in reversed(bodies)] == documents[::-1]


def test_threads_share_one() -> None:
    with Spool() as spool, ThreadPoolExecutor(8) as pool:

        def add_and_read(number: int) -> int:
            body = spool.add({"number": number, "filling": "x" * (number % 97)})
            read: int = body.read()["number"]
            return read

        assert list(pool.map(add_and_read, range(400))) == list(range(400))


def test_nothing_is_left() -> None:
    with Spool() as spool:
        (spool.folder / "made").write_text("anew")
        body = spool.add({})

    assert not spool.folder.exists()
    with pytest.raises(ValueError, match="closed"):
        body.read()
