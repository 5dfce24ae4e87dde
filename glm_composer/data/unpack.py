"""Compressed shard files -> raw ones."""

import bz2
import gzip
import shutil
import zlib
from pathlib import Path
from typing import Any

import zstandard

from glm_composer.data.index import DamagedFile
from glm_composer.errors import UserError

_OPENERS: dict[str, Any] = {"zstd": zstandard.open, "gz": gzip.open, "bz2": bz2.open}
_PIECE = 1 << 20


def unpack(packed: Path, compression: str, target: Path) -> None:
    """Decompress a file into the new file `target`.

    Args:
        packed: the compressed file.
        compression: Streaming's name of the algorithm; a level after a colon does not matter.
        target: where to write.

    Raises:
        DamagedFile: its stream is damaged or cut.
        UserError: the algorithm is not known.
        OSError: a file cannot be read or written.
    """
    algorithm = compression.partition(":")[0]
    with target.open("xb") as raw:
        if algorithm in _OPENERS:
            try:
                with _OPENERS[algorithm](packed, "rb") as stream:
                    shutil.copyfileobj(stream, raw, _PIECE)
            except (zstandard.ZstdError, zlib.error, EOFError, ValueError, OSError) as error:
                # bz2 and gzip report damage as an OSError without a number.
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                raise DamagedFile(f"{packed}: cannot be decompressed: {error}") from None
            return
        # Whole in memory, with libraries that come with Streaming.
        from streaming.base.compression import decompress, is_compression

        if not is_compression(compression):
            raise UserError(f"{packed}: unknown compression '{compression}'")
        try:
            raw.write(decompress(compression, packed.read_bytes()))
        except OSError:
            raise
        except Exception as error:  # each library has its own
            raise DamagedFile(f"{packed}: cannot be decompressed: {error}") from None
