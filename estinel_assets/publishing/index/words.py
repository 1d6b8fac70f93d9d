"""Words of texts, the same for what is kept and for what is looked for.

A word is a run of letters and digits, without regard to case; everything else, the underscore
included, stands between words. Databases get these words, never a text, so that both find the same,
and what means something to their query languages cannot reach them.
"""

import re
import unicodedata
from collections.abc import Iterable

_WORD = re.compile(r"[^\W_]+")
_LONGEST = 100
"""Characters of a word that count; PostgreSQL takes 2,046 bytes."""
_MOST_BYTES = 500_000
"""Of all different words of a document; PostgreSQL takes 1 MB."""


def words_of(*texts: str) -> tuple[str, ...]:
    """The different words of texts, in the order in which they come.

    Returns:
        The first 500 kB of them, each cut at 100 characters.
    """
    found = dict.fromkeys(_words(texts))
    size = 0
    for number, word in enumerate(found):
        size += len(word.encode())
        if size > _MOST_BYTES:
            return tuple(found)[:number]
    return tuple(found)


def _words(texts: Iterable[str]) -> Iterable[str]:
    for text in texts:
        plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
        yield from (word[:_LONGEST] for word in _WORD.findall(plain.casefold()))
