"""Identifiers: the only place that draws random bytes."""

import os
from hashlib import blake2b

_AT_ONCE = 256
_drawn: list[str] = []
# A child process must not use what its parent has drawn.
os.register_at_fork(after_in_child=_drawn.clear)


def new_id() -> str:
    """Return a new id of 32 hexadecimal digits, random in all its 128 bits."""
    # Drawn many at once: each call of the system lets another thread have the interpreter.
    while True:
        try:
            return _drawn.pop()
        except IndexError:
            digits = os.urandom(16 * _AT_ONCE).hex()
            _drawn.extend(digits[at : at + 32] for at in range(0, 32 * _AT_ONCE, 32))


def key_of(*parts: str | int) -> str:
    """Return a key of 32 hexadecimal digits: the same for the same parts, and for no others."""
    return blake2b("\0".join(map(str, parts)).encode(), digest_size=16).hexdigest()
