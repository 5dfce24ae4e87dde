"""Ready windows in local files: JSONL (plain, .gz, .zst) or Parquet, GPN's layout or any other."""

import glob
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from glm_composer.conversion.assembly import WindowFile
from glm_composer.conversion.files import describe
from glm_composer.conversion.ready_windows import Columns
from glm_composer.conversion.window_files import reader_of
from glm_composer.errors import UserError
from glm_composer.registry import sources


@dataclass(frozen=True, kw_only=True)
class LocalWindows:
    """Settings of `windows`.

    Attributes:
        files: patterns of files (shell-like, `**` for any depth), a list of them, or a mapping
            from each split to its patterns. Without a mapping, `splits` decides by contig.
        columns: which columns say what.
        assembly: name of what the windows were cut from; it qualifies their contigs.
        licence: of the files, for the manifest.
    """

    name: str = "windows"
    files: str | list[str] | dict[str, str | list[str]]
    columns: Columns = field(default_factory=Columns)
    assembly: str = "windows"
    licence: str | None = None


@sources.register("windows")
def windows(settings: LocalWindows) -> list[WindowFile]:
    """Return one file after the other, in the order of patterns and names.

    The first row of every file is read, so that a column that is absent is said at once.
    """
    by_split = settings.files if isinstance(settings.files, dict) else {None: settings.files}
    found: list[WindowFile] = []
    split_of: dict[Path, str | None] = {}
    for split, patterns in by_split.items():
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            for path in _matching(pattern):
                if path in split_of:
                    raise UserError(
                        f"{path}: matched twice by 'source.files' (splits '{split_of[path]}' and "
                        f"'{split}'); name it once"
                    )
                split_of[path] = split
                found.append(_window_file(settings, path, split))
    if not found:
        raise UserError("'source.files' is empty; name at least one file or pattern")
    return found


def _matching(pattern: str) -> list[Path]:
    expanded = str(Path(pattern).expanduser())
    paths = [Path(name) for name in sorted(glob.glob(expanded, recursive=True))]
    files = [path for path in paths if path.is_file()]
    if not files:
        raise UserError(f"'source.files': no file matches '{pattern}'; check the path")
    return files


def _window_file(settings: LocalWindows, path: Path, split: str | None) -> WindowFile:
    read = reader_of(path)
    next(read(path, settings.columns, rows=1), None)
    # Shards of different splits go by the same names, so the folder's is kept with it.
    file = replace(describe(path, licence=settings.licence), file="/".join(path.parts[-2:]))
    return WindowFile(
        assembly=settings.assembly,
        file=file,
        split=split,
        batches=partial(read, path, settings.columns),
    )
