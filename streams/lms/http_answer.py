"""Read one HTTP/1.1 answer out of the pieces in which it arrives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

HEAD_BYTES: Final = 65_536
"""Longest status line and headers together."""

VERSIONS: Final = frozenset({"HTTP/1.1", "HTTP/1.0"})
NO_BODY: Final = frozenset({204, 304})
INTERIM: Final = range(100, 200)


class GarbledAnswerError(Exception):
    """What came is no HTTP answer, or only a part of one, or too much of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """One answer, complete."""

    status: int
    headers: Mapping[str, str]
    """By name in lower case; the last one of a name."""
    body: bytes
    reusable: bool
    """Whether the connection may carry another request."""


class AnswerReader:
    """States: *head* (until the empty line), then *body*, then *done*.

    ``feed`` moves from one to the next as bytes allow, and returns the answer once it
    is complete. ``end`` says that no more will come: it completes a body that has no
    stated length, and nothing else.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._buffer = bytearray()
        self._chunks = bytearray()
        self._status = 0
        self._headers: Mapping[str, str] = {}
        self._length: int | None = None
        self._chunked = False
        self._keeps = False

    @property
    def begun(self) -> bool:
        """Whether anything has come."""
        return bool(self._status or self._buffer)

    def feed(self, data: bytes) -> HttpAnswer | None:
        """Take *data*; return the answer if it is complete now.

        Raises:
            GarbledAnswerError: this is no answer that we could use.
        """
        self._buffer += data
        while not self._status:
            if not self._read_head():
                return None
        body = self._dechunked() if self._chunked else self._stated()
        if body is not None:
            return self._answer(body, reusable=self._keeps and not self._buffer)
        if len(self._buffer) + len(self._chunks) > self._limit_bytes:
            reason = f"the answer is larger than {self._limit_bytes} bytes"
            raise GarbledAnswerError(reason)
        return None

    def end(self) -> HttpAnswer:
        """Return the answer that ends with its connection.

        Raises:
            GarbledAnswerError: it was to go on.
        """
        if not self._status or self._chunked or self._length is not None:
            reason = "the answer ends early"
            raise GarbledAnswerError(reason)
        return self._answer(bytes(self._buffer), reusable=False)

    def _read_head(self) -> bool:
        """Read the head if it is all there; an interim answer is dropped."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 and len(self._buffer) <= HEAD_BYTES:
            return False
        head = self._buffer[: max(end, 0)].decode("latin-1")
        first, *lines = head.split("\r\n")
        version, _, rest = first.partition(" ")
        digits = rest[:3]
        if version not in VERSIONS or not (digits.isascii() and digits.isdigit()):
            reason = "this is no HTTP answer"
            raise GarbledAnswerError(reason)
        del self._buffer[: end + 4]
        status = int(digits)
        if status not in INTERIM:
            self._status = status
            self._headers = dict(map(_header, lines))
            closes = self._says("connection", "close")
            self._keeps = version == "HTTP/1.1" and not closes
            self._measure()
        return True

    def _measure(self) -> None:
        """Find out how the body ends."""
        if self._says("content-encoding") and not self._says(
            "content-encoding", "identity"
        ):
            reason = "the answer is compressed, and nobody asked for that"
            raise GarbledAnswerError(reason)
        self._chunked = self._says("transfer-encoding", "chunked")
        stated = self._headers.get("content-length")
        if self._status in NO_BODY:
            self._length = 0
        elif stated is not None and not self._chunked:
            if not (stated.isascii() and stated.isdigit()):
                reason = "the answer states no length that can be read"
                raise GarbledAnswerError(reason)
            self._length = int(stated)

    def _stated(self) -> bytes | None:
        """Return the body of stated length once it is there."""
        if self._length is None or len(self._buffer) < self._length:
            return None
        body = bytes(self._buffer[: self._length])
        del self._buffer[: self._length]
        return body

    def _dechunked(self) -> bytes | None:
        """Return the body in chunks once the last of them is there."""
        while True:
            line_end = self._buffer.find(b"\r\n")
            if line_end < 0:
                return None
            size = _chunk_size(self._buffer[:line_end])
            begin, end = line_end + 2, line_end + 2 + size
            if size == 0:
                return self._end_of_chunks(line_end)
            if len(self._buffer) < end + 2:
                return None
            self._chunks += self._buffer[begin:end]
            del self._buffer[: end + 2]

    def _end_of_chunks(self, line_end: int) -> bytes | None:
        # After the last chunk come trailers, often none, and an empty line.
        end = self._buffer.find(b"\r\n\r\n", line_end)
        if end < 0:
            return None
        del self._buffer[: end + 4]
        return bytes(self._chunks)

    def _answer(self, body: bytes, *, reusable: bool) -> HttpAnswer:
        return HttpAnswer(
            status=self._status, headers=self._headers, body=body, reusable=reusable
        )

    def _says(self, header: str, *words: str) -> bool:
        said = self._headers.get(header, "").lower()
        return any(word in said for word in words) if words else bool(said)


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()


def _chunk_size(line: bytearray) -> int:
    digits = bytes(line).partition(b";")[0].strip()
    if not digits or not all(digit in b"0123456789abcdefABCDEF" for digit in digits):
        reason = "a chunk states no size that can be read"
        raise GarbledAnswerError(reason)
    return int(digits, 16)
