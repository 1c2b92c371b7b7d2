"""How are objects in a store, and documents on the web, read and written as streams?

Credentials, endpoints and regions come from the environment (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, …), as other
tools take them. What is written is sent in parts and becomes visible, whole, when it is finished; a store that
never saw the end may keep hidden parts, which its own rules can clean up.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from .database import shown
from .lines import CHUNK
from .refusal import BrokenInput, BrokenOutput, Refused, load_extra

RETRIES: dict[str, Any] = {"max_retries": 3, "retry_timeout": datetime.timedelta(seconds=20)}
PART = 10 * 1024 * 1024  # bytes of an upload held before they are sent; smaller objects are sent as one


def open_stream(name: str) -> StoredBytes:
    """Open an object to read; Refused with the reason if it is not there or we may not."""
    store, path = _locate(name)
    obstore = _obstore()
    try:
        found = obstore.get(store, path)
    except Exception as error:
        raise _refusal(name, error) from None
    return StoredBytes(shown(name), store, path, found)


def open_place(name: str, *, overwrite: bool) -> Upload:
    """Open an object to write; FileExistsError if it is there and not to be overwritten."""
    if urlsplit(name).scheme in ("http", "https"):
        raise Refused(f"{shown(name)} can be read, but not written to", remedy="s3://bucket/key.jsonl")
    store, path = _locate(name)
    upload = Upload(shown(name), store, path, overwrite=overwrite)
    try:
        if not upload.exists():
            upload.look_for_bucket()
        elif not overwrite:
            raise FileExistsError(17, "File exists", name)
    except BrokenOutput as error:
        raise Refused(f"{shown(name)} cannot be opened", str(error.strerror)) from None
    return upload


class StoredBytes:
    """An object that is read from its beginning, or anywhere."""

    def __init__(self, name: str, store: Any, path: str, found: Any) -> None:
        self.name: str = name
        self.size: int | None = found.meta["size"] or None
        self.consumed: int = 0
        self._store = store
        self._path = path
        self._found: Any = found

    def chunks(self) -> Iterator[bytes]:
        """Give its bytes as they come; BrokenInput where they break off."""
        found: Any = self._found
        self._found = None
        try:
            for chunk in found.stream(min_chunk_size=CHUNK):
                piece = bytes(chunk)
                self.consumed += len(piece)
                yield piece
        except Exception as error:
            raise BrokenInput(_reason(error)) from None
        if self.size is not None and self.consumed < self.size:
            raise BrokenInput(f"it ended after {self.consumed:,} of {self.size:,} bytes")

    def file(self) -> Any:
        """Return a file that fetches what is asked for."""
        self._found = None
        return _Anywhere(_obstore().open_reader(self._store, self._path), self)

    def close(self) -> None:
        """Let go of the connection."""
        self._found = None


class _Anywhere:
    """A file in a store as pyarrow wants it."""

    closed = False

    def __init__(self, reader: Any, counted: StoredBytes) -> None:
        self._reader = reader
        self._counted = counted
        self.seek = reader.seek
        self.tell = reader.tell

    def read(self, size: int = -1) -> bytes:
        data = bytes(self._reader.read(size if size >= 0 else None))
        self._counted.consumed += len(data)
        return data

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def close(self) -> None:
        pass


class Upload:
    """An object on its way into a store."""

    def __init__(self, name: str, store: Any, path: str, *, overwrite: bool) -> None:
        self._name = name
        self._store = store
        self._path = path
        self._overwrite = overwrite
        self._broken = False
        self._writer: Any = _obstore().open_writer(store, path, buffer_size=PART)

    def exists(self) -> bool:
        """Whether an object of this name is there now."""
        try:
            _obstore().head(self._store, self._path)
        except FileNotFoundError:  # obstore's NotFoundError is one
            return False
        except Exception as error:
            raise BrokenOutput(_reason(error)) from None
        return True

    def look_for_bucket(self) -> None:
        """Find out before the run that there is none; who may not list it may still be allowed to write."""
        try:
            next(iter(_obstore().list(self._store, self._path, chunk_size=1)), None)
        except Exception as error:  # what is not a missing bucket shows when the first part is sent
            if "404" in _reason(error) or isinstance(error, FileNotFoundError):
                raise BrokenOutput("there is no such bucket") from None

    def write(self, data: bytes) -> None:
        """Take all of it; it is sent when a part is full."""
        try:
            self._writer.write(data)
        except Exception as error:
            self._broken = True
            raise BrokenOutput(_reason(error)) from None

    def finish(self) -> str | None:
        """Make it visible; where a name was taken meanwhile, under another."""
        if self._broken:
            return None
        kept = None
        if not self._overwrite and self.exists():  # stores have no atomic "unless there is one" for parts
            raise BrokenOutput("an object of this name appeared meanwhile, and was not replaced")
        try:
            self._writer.close()
        except Exception as error:
            raise BrokenOutput(_reason(error)) from None
        return kept

    def discard(self) -> None:
        """Send no more: unfinished parts cannot be read."""
        self._writer = None


def _locate(name: str) -> tuple[Any, str]:
    """Return the store and the path in it."""
    _obstore()
    stores: Any = load_extra("obstore.store", "store", "an object store")
    parts = urlsplit(name)
    path = unquote(parts.path.lstrip("/"))
    if not parts.netloc or not path:
        raise Refused(f"{shown(name)} names no object", remedy=f"{parts.scheme}://bucket/key.jsonl")
    try:
        if parts.scheme in ("http", "https"):
            root = f"{parts.scheme}://{parts.netloc}"
            query = f"?{parts.query}" if parts.query else ""
            return stores.from_url(root, retry_config=RETRIES, client_options={"allow_http": True}), path + query
        return stores.from_url(f"{parts.scheme}://{parts.netloc}", retry_config=RETRIES), path
    except Exception as error:
        raise _refusal(name, error) from None


def _refusal(name: str, error: Exception) -> Refused:
    if isinstance(error, FileNotFoundError):
        return Refused(f"{shown(name)} is not there", _reason(error))
    remedy = ""
    if type(error).__name__ in ("UnauthenticatedError", "PermissionDeniedError"):
        remedy = "credentials in the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, …)"
    elif "http" in str(error) and "scheme" in str(error).lower():
        remedy = "AWS_ALLOW_HTTP=true"
    return Refused(f"{shown(name)} cannot be opened", _reason(error), remedy=remedy)


def _reason(error: Exception) -> str:
    """Return the gist of what the store said: its text holds the request, its timing and a page of debugging."""
    text = " ".join(str(error).partition("\nDebug source")[0].split())
    if status := re.search(r"status code: (\d+ [A-Za-z ]+)", text):
        return f"the server says {status[1].strip()}"
    return shown(text.rpartition(" - ")[2])[:300] or type(error).__name__


def _obstore() -> Any:
    return load_extra("obstore", "store", "an object store")
