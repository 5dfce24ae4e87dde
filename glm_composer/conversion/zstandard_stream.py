"""Zstandard files as streams that notice when they are cut.

`zstandard`'s own `stream_reader` takes a file that ends in the middle of a frame for a whole one.
"""

import io
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from glm_composer.errors import UserError

_CHUNK = 1 << 17


def open_zstandard(path: Path, raw: BinaryIO) -> BinaryIO:
    """Return the decompressed bytes of a Zstandard file of one frame or several.

    Reading raises a UserError where the file ends within a frame, or is damaged.

    Args:
        path: for messages.
        raw: the compressed bytes, from their beginning.
    """
    return cast(BinaryIO, io.BufferedReader(_Frames(path, raw), 1 << 20))


class _Frames(io.RawIOBase):
    def __init__(self, path: Path, raw: BinaryIO):
        self._path = path
        self._raw = raw
        self._decompressor = zstandard.ZstdDecompressor()
        self._frame = self._decompressor.decompressobj()
        self._inside = False
        self._compressed = self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._ready:
            compressed = self._compressed or self._raw.read(_CHUNK)
            if not compressed:
                if self._inside:
                    raise UserError(
                        f"{self._path}: truncated: the compressed stream ends early; fetch or "
                        "write it again"
                    )
                return 0
            try:
                self._ready, self._compressed = self._frame.decompress(compressed), b""
            except zstandard.ZstdError as error:
                raise UserError(
                    f"{self._path}: damaged Zstandard stream ({error}); fetch it again"
                ) from None
            self._inside = not self._frame.eof
            if self._frame.eof:
                self._compressed = self._frame.unused_data
                self._frame = self._decompressor.decompressobj()
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        return count
