"""Who may do what: tokens with scopes, of which only hashes are kept."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from threading import Lock

from msgspec import Struct

from pyworkflow.errors import InvalidRequestError

SHORTEST = 20
"""Characters of a token at least: a hash protects no secret that can be guessed."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Scope(StrEnum):
    """What a token allows. None of them includes another, but `ADMIN` all."""

    READ = "read"
    """Look at everything."""
    START = "start"
    """Start processes."""
    WORK = "work"
    """Move processes on: signal, cancel, retry."""
    ADMIN = "admin"
    """Everything, terminating and registering services included."""


class Token(Struct, frozen=True):
    """A token that is accepted.

    Attributes:
        name: Whose it is.
        scopes: What it allows.
        digest: SHA-256 of it, in hexadecimal digits.
    """

    name: str
    scopes: frozenset[Scope]
    digest: str

    def allows(self, scope: Scope) -> bool:
        """Tell whether the bearer may do something."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def line(self) -> str:
        """Return the line of a token file that stands for this token."""
        return f"{self.name} {','.join(sorted(self.scopes))} {self.digest}\n"


ANYBODY = Token("anybody", frozenset({Scope.ADMIN}), "")
"""Who asks, where no tokens are set up: somebody on this machine."""


class Tokens:
    """The tokens that are accepted."""

    def __init__(self, tokens: Iterable[Token] = ()) -> None:
        self._tokens: Sequence[Token] = tuple(tokens)

    @property
    def tokens(self) -> Sequence[Token]:
        """All tokens."""
        return self._tokens

    def find(self, secret: str) -> Token | None:
        """Return the token that a client sent."""
        return self.find_digest(digest(secret))

    def find_digest(self, sent: str) -> Token | None:
        """Return the token with a hash."""
        found = None
        # All of them are compared, so that the time tells nothing.
        for token in self.tokens:
            if hmac.compare_digest(token.digest, sent):
                found = token
        return found


class TokenFile(Tokens):
    """The tokens of a file, read again whenever it changes: a line that is removed is refused from then on.

    A line is a name, scopes with commas between, and a SHA-256; ``#`` begins a comment.

    Args:
        path: The file.
        more: Tokens that are accepted besides.

    Raises:
        InvalidRequestError: The file cannot be read, or a line is none of these.
    """

    def __init__(self, path: Path, more: Iterable[Token] = ()) -> None:
        super().__init__()
        self._path = path
        self._more = tuple(more)
        self._lock = Lock()
        self._stamp = self._stamped()
        self._tokens = self._read()

    @property
    def tokens(self) -> Sequence[Token]:
        """All tokens, as the file has them now."""
        with self._lock:
            try:
                stamp = self._stamped()
                if stamp != self._stamp:
                    self._tokens, self._stamp = self._read(), stamp
            except InvalidRequestError:
                # Nobody is let in by a file that cannot be understood.
                self._tokens, self._stamp = self._more, (0, 0, 0)
            return self._tokens

    def _stamped(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat()
        except OSError as error:
            raise InvalidRequestError(f"token file {str(self._path)!r}", str(error)) from error
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> tuple[Token, ...]:
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise InvalidRequestError(f"token file {str(self._path)!r}", str(error)) from error
        told = [(n, line.split("#")[0].split()) for n, line in enumerate(lines, 1)]
        return (*(_token(self._path, n, words) for n, words in told if words), *self._more)


def _token(path: Path, number: int, words: list[str]) -> Token:
    where = f"token file {str(path)!r}, line {number}"
    if len(words) != 3 or not _NAME.fullmatch(words[0]) or not _DIGEST.fullmatch(words[2]):
        raise InvalidRequestError(where, "must be a name, scopes and a SHA-256")
    return Token(words[0], scopes(words[1], where), words[2])


def scopes(text: str, what: str) -> frozenset[Scope]:
    """Return scopes given with commas between.

    Raises:
        InvalidRequestError: One is none.
    """
    try:
        return frozenset(Scope(word) for word in text.split(","))
    except ValueError:
        known = ", ".join(Scope)
        raise InvalidRequestError(what, f"{text!r} must be some of {known}") from None


def of_environment(text: str) -> tuple[Token, ...]:
    """Return tokens given as ``scopes:token`` with blanks between.

    Raises:
        InvalidRequestError: One is none, or too short to be a secret. The error does not tell it.
    """
    found: list[Token] = []
    for number, word in enumerate(text.split(), 1):
        what = f"token {number} of the environment"
        allowed, colon, secret = word.partition(":")
        if not colon:
            raise InvalidRequestError(what, "must be like read,start:TOKEN")
        if len(secret) < SHORTEST:
            raise InvalidRequestError(what, f"must have {SHORTEST} characters or more")
        found.append(Token(f"environment-{number}", scopes(allowed, what), digest(secret)))
    return tuple(found)


def new_token(name: str, allowed: Iterable[Scope]) -> tuple[str, Token]:
    """Return a new secret, and the token to keep.

    Raises:
        InvalidRequestError: The name is not acceptable, or nothing is allowed.
    """
    granted = frozenset(allowed)
    if not _NAME.fullmatch(name):
        raise InvalidRequestError("name", "must be 1 to 64 letters, digits and any of . _ @ -")
    if not granted:
        raise InvalidRequestError("scopes", f"must be some of {', '.join(Scope)}")
    secret = f"pyw_{secrets.token_urlsafe(32)}"
    return secret, Token(name, granted, digest(secret))


def digest(secret: str) -> str:
    """Return the hash of a token."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
