"""The stable identifier of a site, equal to the one that archives made with R carry.

There it is `digest::digest(name, "murmur32")`: a hash over R's binary serialisation of a character
vector of length one, without the 14 bytes of the stream's header.
"""

import struct

import mmh3

from estinel_assets.errors import BadInputError

_CHARACTER_VECTOR = 16
_LENGTH = 1
_ASCII_STRING = 0x0004_0009
_UTF8_STRING = 0x0000_8009


def site_id(location: str) -> str:
    """The identifier of the site with that name, such as `site_af38900f` for `Hobart`.

    MurmurHash3 x86 32 with seed 0, over four big-endian 32-bit integers (type, vector length,
    string flags, byte length) and the name in UTF-8.

    Raises:
        BadInputError: the name cannot be written in UTF-8.
    """
    try:
        name = location.encode()
    except UnicodeEncodeError as error:
        raise BadInputError(
            f"the name {location!r} cannot be written in UTF-8: remove the lone surrogate"
        ) from error
    flags = _ASCII_STRING if name.isascii() else _UTF8_STRING
    serialised = struct.pack(">4i", _CHARACTER_VECTOR, _LENGTH, flags, len(name)) + name
    return f"site_{mmh3.hash(serialised, 0, signed=False):08x}"
