"""Checksums are read by many threads at once."""

import subprocess
import sys

ASKED_WHILE_FORGOTTEN = """
from weakref import WeakValueDictionary
from estinel_assets.storage.checksums import parse_checksum
from multiformats.multihash import Multihash
known = Multihash._cache

class Forgetful(WeakValueDictionary):
    # What was there when it was asked for is forgotten before it is taken, unless it is held.
    def __contains__(self, key):
        return True

Multihash._cache = Forgetful(known)
del known
print(parse_checksum("1220" + 64 * "a"))
"""


def test_a_method_is_known_also_where_another_thread_has_just_let_go_of_it() -> None:
    asked = subprocess.run(
        [sys.executable, "-c", ASKED_WHILE_FORGOTTEN], capture_output=True, text=True, check=True
    )
    assert asked.stdout.startswith("Checksum(method='sha2-256'")
