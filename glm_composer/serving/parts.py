"""The scores of a table's chunks, each in a file of its own: what outlives a kill.

They lie in the directory OUTPUT.parts. A part is written aside and renamed, so it is whole or not
there; which process made it does not show. Its name tells of which plan it is: only the first
process of a job holds the lock, and others may go on writing for a while when that one is dead and
another command has begun.
"""

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import polars as pl

from glm_composer.conversion.files import locked, write_durably
from glm_composer.errors import UserError
from glm_composer.serving.plan import Plan

_PLAN = "plan.json"
_CHECKED = "checked.json"
_DONE = "done"
_LOCK = "lock"
_SUFFIX = ".scores"


class Parts:
    """The parts of one output.

    Args:
        out: file that they will become.
        plan: of the scoring.

    Attributes:
        out: as given.
        plan: as given.
        directory: where they lie.
    """

    def __init__(self, out: Path, plan: Plan):
        self.out, self.plan = out, plan
        self.directory = out.with_name(f"{out.name}.parts")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other commands out while this one writes; ends with this process at the latest.

        Raises:
            UserError: another one is at it, or nothing can be written there.
        """
        taken = f"{self.out}: another process is scoring into it; wait for it, or end it"
        with ExitStack() as stack:
            with writing(self.out):
                self.directory.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(self.directory / _LOCK, shared=False, taken=taken))
            yield

    def begin(self, overwrite: bool, also: list[Path]) -> None:
        """Start afresh, or go on from parts of the same plan.

        Args:
            overwrite: drop parts of another plan, and do not mind what is to be replaced.
            also: other files that will be written or removed at the end.

        Raises:
            UserError: the output exists already, or the parts are of another plan.
        """
        record = self.directory / _PLAN
        try:
            if record.exists() and self._is_empty():
                self._clear()
            before = record.read_text() if record.exists() else None
            if not overwrite:
                if before is not None:
                    self.plan.check_same(before, self.directory)
                # What a kill has left between the last steps is these parts' own.
                if not (self.directory / _DONE).exists():
                    self._check_free([self.out, *also])
            if before != self.plan.dump():
                self._clear()
                self._put(record, self.plan.dump().encode())
        except UserError:
            if {path.name for path in self.directory.iterdir()} <= {_LOCK}:
                self.remove()
            raise

    def has(self, number: int) -> bool:
        """Whether a chunk, counted from 0, is scored."""
        return self._path(number).exists()

    def count(self) -> int:
        """How many chunks are scored."""
        return sum(name.endswith(self._ending) for name in os.listdir(self.directory))

    def write(self, number: int, scores: pl.DataFrame) -> None:
        """Keep the scores of a chunk."""
        buffer = io.BytesIO()
        scores.write_parquet(buffer)
        self._put(self._path(number), buffer.getbuffer())

    def read(self, number: int) -> pl.DataFrame:
        """Return the scores of a chunk."""
        return pl.read_parquet(self._path(number), glob=False)

    def checked(self) -> str | None:
        """What `keep_checked` has kept, if it has."""
        path = self.directory / _CHECKED
        return path.read_text() if path.exists() else None

    def keep_checked(self, text: str) -> None:
        """Keep what a pass over the table has found, so that it is made once."""
        self._put(self.directory / _CHECKED, text.encode())

    def mark_done(self) -> None:
        """Say that what will be found under the output's name is of these parts."""
        self._put(self.directory / _DONE, b"")

    def remove(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def _check_free(self, files: list[Path]) -> None:
        for path in files:
            if path.exists():
                raise UserError(
                    f"{path}: exists already; choose another output, or give --overwrite"
                )

    def _is_empty(self) -> bool:
        """Whether no work is lost with what lies there: no part of any plan, no finished check."""
        work = (_SUFFIX, _CHECKED, _DONE)
        return not any(name.endswith(work) for name in os.listdir(self.directory))

    def _clear(self) -> None:
        for path in self.directory.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != _LOCK:
                path.unlink()

    @property
    def _ending(self) -> str:
        return f".{self.plan.tag}{_SUFFIX}"

    def _path(self, number: int) -> Path:
        return self.directory / f"{number:07d}{self._ending}"

    def _put(self, path: Path, content: bytes | memoryview) -> None:
        # A killed command's other processes may still be at the same part.
        aside = path.with_name(f"{path.name}.{os.getpid()}.partial")
        with writing(self.out):
            try:
                aside.unlink(missing_ok=True)
                write_durably(aside, content)
                os.replace(aside, path)
            finally:
                aside.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError met while writing into a UserError that names the output.

    Raises:
        UserError: the disk is full, say, or the directory not writable.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written: {error.strerror or error}; make room or mend it, and run "
            "the command again to go on from what is finished"
        ) from None
