"""When a failed activity is tried again, as data."""

from hashlib import blake2b
from math import inf

from msgspec import Struct
from msgspec.structs import force_setattr

from pyworkflow.errors import InvalidRequestError
from pyworkflow.failure import repr_of
from pyworkflow.values import check_fields, check_seconds


class Retry(Struct, frozen=True, gc=False, omit_defaults=True):
    """How often and how patiently an activity is tried before its failure reaches the decider.

    Attributes:
        max_attempts: Tries in all, the first included.
        initial: Seconds before the second try.
        backoff: What that delay is multiplied by for each further try.
        maximum: Seconds that a delay never exceeds.
        non_retryable: Names of exception classes, or reasons, that are final at once; also of one exception of a group.
        jitter: The part of each delay, from 0 to 1, that chance may take off, so that activities which failed together do not return together.

    Raises:
        InvalidRequestError: An attribute is of another type, or out of its range.
    """

    max_attempts: int = 3
    initial: float = 1.0
    backoff: float = 2.0
    maximum: float = 60.0
    non_retryable: tuple[str, ...] = ()
    jitter: float = 0.0

    def __post_init__(self) -> None:
        names: object = self.non_retryable
        if isinstance(names, list):
            force_setattr(self, "non_retryable", tuple(names))
        check_fields(self)
        if self.max_attempts < 1:
            raise InvalidRequestError("max_attempts", f"must be 1 or more, not {self.max_attempts}")
        if not 1 <= self.backoff < inf:
            raise InvalidRequestError("backoff", f"must be 1 or more, not {self.backoff}")
        if not 0 <= self.jitter <= 1:
            raise InvalidRequestError("jitter", f"must be from 0 to 1, not {self.jitter}")
        check_seconds(self.initial, "initial")
        check_seconds(self.maximum, "maximum")

    def delay(self, attempt: int, key: str = "") -> float:
        """Return the seconds to wait after a failed attempt.

        Args:
            attempt: The number of the attempt; 1 is the first.
            key: What is tried. The jitter follows from the key and the attempt alone, so that who decides again decides the same.
        """
        delay = self._longest_delay(attempt)
        return delay * (1 - self.jitter * _fraction(f"{attempt} {key}")) if self.jitter else delay

    def _longest_delay(self, attempt: int) -> float:
        try:
            return min(self.maximum, self.initial * self.backoff ** min(attempt - 1, 63))
        except OverflowError:
            # The power is more than a float holds: the maximum rules long before.
            return self.maximum if self.initial else 0.0

    def allows(self, attempt: int, reason: str | None, type_name: str | None) -> bool:
        """Tell whether a failure of this attempt may be tried again.

        Args:
            attempt: The number of the attempt.
            reason: What the failure says.
            type_name: The name of the exception's class; several, with commas, for those of a group.
        """
        if attempt >= self.max_attempts:
            return False
        names = (reason, *(type_name or "").split(", "))
        return not any(name in self.non_retryable for name in names)


def _fraction(text: str) -> float:
    """Return a number from 0 up to 1 that looks like chance, and is always the same for a text."""
    # A text from a store may hold half of a surrogate pair.
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).digest()
    return int.from_bytes(digest) / 2**48


def check_retry(retry: object) -> None:
    """Refuse what is neither a `Retry` nor None.

    Raises:
        InvalidRequestError: It is something else.
    """
    if not isinstance(retry, Retry | None):
        raise InvalidRequestError(
            f"retry {repr_of(retry, 80)}", "must be a Retry or None: did you mean Retry(3)?"
        )
