"""Values in the texts that SWF carries: plain JSON wherever it can be, so that other programs can read it.

What has to travel beside a value (the number of a run, why an attempt failed) makes an envelope, ``{"$pyworkflow": {…}, "value": …}``. A text
that is no JSON is a value too: other clients write such.
"""

from typing import Any, Protocol, TypeVar, cast

from msgspec import Struct, field

from pyworkflow.codec import Json, decode, encode, payload
from pyworkflow.errors import PayloadError
from pyworkflow.failure import storable
from pyworkflow.swf.words import MAX_REASON, MAX_TEXT, cut
from pyworkflow.values import check_payload, check_text

T = TypeVar("T")

ENVELOPE = "$pyworkflow"
STORED = "$stored"
"""The key of a text that stands for a longer one."""


class Texts(Protocol):
    """Makes long texts short and back: what `pyworkflow.payloads.PayloadCodec` does."""

    def shorten(self, text: str, owner: str, limit: int) -> str:
        """Return a text of no more than `limit` characters that stands for another."""
        ...

    def restore(self, text: str) -> str:
        """Return the text that another stands for."""
        ...


class Packed(Struct, frozen=True):
    """What a text carries.

    Attributes:
        value: The value.
        meta: What travels beside it.
    """

    value: Json = None
    meta: dict[str, Any] = field(default_factory=dict[str, Any])


class Payloads:
    """Puts values into texts and takes them out.

    Args:
        texts: Makes long texts short; without it, a long one is refused.
    """

    def __init__(self, texts: Texts | None = None) -> None:
        self._texts = texts

    def pack(
        self, value: Json, owner: str, what: str = "payload", limit: int = MAX_TEXT, **meta: Json
    ) -> str | None:
        """Return the text that carries a value; None for None.

        Args:
            value: Any JSON.
            owner: The id of the process that it belongs to.
            what: What to call it in an error.
            limit: Characters that the text may have.
            meta: What is to travel beside it; None is left out.

        Raises:
            PayloadError: The value is not JSON, or too large.
        """
        plain = check_payload(value, what).decode()
        beside = {key: item for key, item in meta.items() if item is not None}
        if value is None and not beside:
            return None
        if beside or (plain.startswith("{") and (ENVELOPE in plain or STORED in plain)):
            about = check_payload(beside, what).decode()
            plain = f'{{"{ENVELOPE}":{about},"value":{plain}}}'
        if len(plain) <= limit:
            return plain
        if self._texts is None:
            raise PayloadError(what, f"has {len(plain)} characters as JSON, {limit} at most")
        return self._texts.shorten(plain, owner, limit)

    def pack_failure(self, details: Json, owner: str, **meta: Json) -> str | None:
        """Return the text that carries why something failed: what does not fit is cut, so that the failure is recorded in any case.

        Raises:
            PayloadError: The details are not JSON.
        """
        plain = check_payload(details, "details").decode()
        try:
            return self.pack(details, owner, "details", **meta)
        except PayloadError:
            text = details if isinstance(details, str) else plain
            texts: dict[str, Any] = {
                key: cut(value) if isinstance(value, str) else value
                for key, value in meta.items()
                if key != "heartbeat"
            }
            # A character takes up to six as JSON.
            return self.pack(storable(text, MAX_TEXT // 8), owner, "details", **texts)

    def unpack(self, text: str | None) -> Packed:
        """Return what a text carries.

        Raises:
            PayloadError: It stands for a longer text, which cannot be found.
        """
        if text is None:
            return Packed()
        text = self._whole(text)
        try:
            value: Json = decode(text)
        except PayloadError:
            return Packed(text)
        if isinstance(value, dict) and isinstance(value.get(ENVELOPE), dict):
            return Packed(value.get("value"), value[ENVELOPE])
        return Packed(value)

    def _whole(self, text: str) -> str:
        if not text.startswith(f'{{"{STORED}":'):
            return text
        if self._texts is None:
            raise PayloadError("payload", "is in a blob store, and none is configured")
        return self._texts.restore(text)

    def value(self, text: str | None) -> Json:
        """Return the value that a text carries."""
        return self.unpack(text).value


class CountingPayloads(Payloads):
    """Counts the characters of what it unpacks, for whoever keeps the values."""

    def __init__(self, payloads: Payloads) -> None:
        super().__init__(payloads._texts)
        self.characters = 0

    def _whole(self, text: str) -> str:
        whole = super()._whole(text)
        self.characters += len(whole)
        return whole


def recorded(value: T, kind: Any) -> T:
    """Return a value, or a struct with payloads, as one that nobody can change; as it is if it is no JSON, which texts of other clients may be."""
    try:
        data = encode(value)
        return cast("T", payload(data) if kind is Any else decode(data, kind))
    except PayloadError:
        return value


def cut_reason(reason: str | None) -> tuple[str | None, str | None]:
    """Return a reason as far as SWF keeps it, and the whole of it if that is more."""
    whole = check_text(reason, "reason")
    if whole is None or len(whole) <= MAX_REASON:
        return whole, None
    return whole[:MAX_REASON], whole
