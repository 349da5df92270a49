"""Long texts made short, for engines that carry only so much: by compression, or by a blob store that keeps the text.

A store keeps blobs under ``owner-digest/id``; each begins with a line that names its owner, the id of the process that it belongs to.
"""

import base64
import os
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC
from datetime import datetime as DateTime
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from pyworkflow.codec import decode
from pyworkflow.errors import BackendUnavailableError, InvalidRequestError, PayloadError
from pyworkflow.forks import ForkAware, watch_forks
from pyworkflow.ids import new_id
from pyworkflow.values import MAX_PAYLOAD

MARK = '{"$stored":'
"""What a text that stands for another begins with."""

ROOM = 2 * MAX_PAYLOAD
"""Bytes that a text may have once restored: a value at its limit, and what travels beside it."""


class BlobStore(Protocol):
    """Keeps bytes by key. Any method may raise `BackendUnavailableError`."""

    def put(self, key: str, data: bytes) -> None:
        """Keep bytes under a new key."""
        ...

    def get(self, key: str) -> bytes | None:
        """Return the bytes of a key, None if there are none."""
        ...

    def delete(self, key: str) -> None:
        """Forget a key, if it is known."""
        ...

    def keys(self) -> Iterator[tuple[str, DateTime]]:
        """Return every key and when it was put."""
        ...


class FolderStore:
    """Keeps blobs in a folder that all workers see; for development, or on a shared file system.

    Args:
        folder: Is made if it does not exist.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def put(self, key: str, data: bytes) -> None:
        """Keep bytes under a new key."""
        path = self.folder / key
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            beside = path.with_suffix(".new")
            beside.write_bytes(data)
            beside.replace(path)
        except OSError as error:
            raise BackendUnavailableError(f"blob folder {str(self.folder)!r}: {error}") from error

    def get(self, key: str) -> bytes | None:
        """Return the bytes of a key, None if there are none."""
        try:
            return (self.folder / key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BackendUnavailableError(f"blob folder {str(self.folder)!r}: {error}") from error

    def delete(self, key: str) -> None:
        """Forget a key, if it is known."""
        path = self.folder / key
        path.unlink(missing_ok=True)
        if not any(path.parent.glob("*")):
            path.parent.rmdir()

    def keys(self) -> Iterator[tuple[str, DateTime]]:
        """Return every key and when it was put."""
        for path in sorted(self.folder.glob("*/*")):
            if path.suffix != ".new":
                yield (
                    path.relative_to(self.folder).as_posix(),
                    DateTime.fromtimestamp(path.stat().st_mtime, UTC),
                )


class S3Store(ForkAware):
    """Keeps blobs in a bucket of Amazon S3, or of anything that speaks its protocol.

    Args:
        bucket: The bucket; it must exist.
        prefix: What its keys begin with.
        client: A client of boto3, or what makes one when it is needed; a new one if left out.
    """

    def __init__(
        self, bucket: str, prefix: str = "", client: Callable[[], Any] | Any = None
    ) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._client: Any = client
        watch_forks(self)

    def after_fork_in_child(self) -> None:
        """Leave the client's connections to the parent: it makes others when it is called."""
        if self._client is not None and not callable(self._client):
            self._client.close()

    def _call(self, name: str, **given: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        if self._client is None:
            import boto3

            self._client = boto3.client("s3")
        elif callable(self._client):
            self._client = self._client()
        try:
            return getattr(self._client, name)(Bucket=self.bucket, **given)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "NoSuchKey":
                return None
            raise BackendUnavailableError(f"bucket {self.bucket!r}: {error}") from error
        except BotoCoreError as error:
            raise BackendUnavailableError(f"bucket {self.bucket!r}: {error}") from error

    def put(self, key: str, data: bytes) -> None:
        """Keep bytes under a new key."""
        self._call("put_object", Key=self.prefix + key, Body=data)

    def get(self, key: str) -> bytes | None:
        """Return the bytes of a key, None if there are none."""
        found = self._call("get_object", Key=self.prefix + key)
        if found is None:
            return None
        data: bytes = found["Body"].read()
        return data

    def delete(self, key: str) -> None:
        """Forget a key, if it is known."""
        self._call("delete_object", Key=self.prefix + key)

    def keys(self) -> Iterator[tuple[str, DateTime]]:
        """Return every key and when it was put."""
        more: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", Prefix=self.prefix, **more)
            for item in page.get("Contents", ()):
                yield item["Key"].removeprefix(self.prefix), item["LastModified"]
            if not page.get("NextContinuationToken"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}


def open_store(url: str, s3: Callable[[], Any] | None = None) -> BlobStore:
    """Return the store of a URL: ``s3://bucket/prefix``, ``file:///folder`` or a folder.

    Args:
        url: The URL.
        s3: What makes a client for S3.

    Raises:
        InvalidRequestError: The URL has another scheme.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return FolderStore(url)
    if scheme == "file":
        return FolderStore(rest)
    if scheme == "s3" and rest:
        bucket, _, prefix = rest.partition("/")
        return S3Store(bucket, prefix, s3)
    raise InvalidRequestError(f"blob store {url!r}", "must be s3://bucket/prefix or a folder")


class PayloadCodec:
    """Makes long texts short and back.

    Args:
        store: Where texts go that stay too long when compressed; without one they are refused.
    """

    def __init__(self, store: BlobStore | None = None) -> None:
        self.store = store

    def shorten(self, text: str, owner: str, limit: int) -> str:
        """Return a text of no more than `limit` characters that stands for another.

        Raises:
            PayloadError: It is too long, and there is no store.
        """
        plain = text.encode()
        packed = base64.b64encode(zlib.compress(plain, 6)).decode("ascii")
        short = f'{MARK}{{"deflate":"{packed}"}}}}'
        if len(short) <= limit:
            return short
        if self.store is None:
            raise PayloadError(
                "payload",
                f"has {len(text)} characters as JSON, of which the engine carries {limit}: a blob store is needed",
            )
        key = f"{_folder(owner)}/{new_id()}"
        self.store.put(key, owner.encode() + b"\n" + plain)
        return f'{MARK}{{"blob":"{key}"}}}}'

    def restore(self, text: str) -> str:
        """Return the text that another stands for.

        Raises:
            PayloadError: It cannot be found, or is damaged.
        """
        told: dict[str, str] = decode(text)["$stored"]
        if "deflate" in told:
            unpacker = zlib.decompressobj()
            try:
                plain = unpacker.decompress(base64.b64decode(told["deflate"]), ROOM)
            except (ValueError, zlib.error) as error:
                raise PayloadError("payload", f"is damaged: {error}") from error
            if unpacker.unconsumed_tail:
                raise PayloadError("payload", f"is larger than {ROOM} bytes")
            return plain.decode()
        key = _checked(str(told.get("blob")))
        if self.store is None:
            raise PayloadError("payload", "is in a blob store, and none is configured")
        data = self.store.get(key)
        if data is None:
            raise PayloadError("payload", f"is not in the blob store any more: {key}")
        return data.partition(b"\n")[2].decode()

    def owners(self) -> Iterator[tuple[str, DateTime, list[str]]]:
        """Return every owner of blobs, when its newest was put, and the keys of its blobs."""
        if self.store is None:
            return
        groups: dict[str, list[tuple[str, DateTime]]] = {}
        for key, put in self.store.keys():  # noqa: SIM118 - a store is no dict
            groups.setdefault(key.partition("/")[0], []).append((key, put))
        for blobs in groups.values():
            data = self.store.get(blobs[0][0])
            if data is not None:
                owner = data.partition(b"\n")[0].decode()
                yield owner, max(put for _, put in blobs), [key for key, _ in blobs]


def _folder(owner: str) -> str:
    # An id may be longer, and have other characters, than a file name or a key.
    return sha256(owner.encode()).hexdigest()[:32]


def _checked(key: str) -> str:
    # A history is data: it names a blob, never a path out of the store.
    folder, _, name = key.partition("/")
    if not (folder.isalnum() and name.isalnum() and key.isascii()):
        raise PayloadError("payload", f"names no blob: {key[:80]!r}")
    return key
