"""Ready windows in a dataset on the Hugging Face Hub, GPN's among them, at a pinned revision.

`datasets` finds the files (GPN's layout is data/SPLIT/shard_*.jsonl.zst) and streams them as Arrow
tables; nothing is stored but the shards. `HF_ENDPOINT`, `HF_TOKEN` and the other variables of
huggingface_hub are respected.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from glm_composer.conversion.assembly import SourceFile, WindowFile, Windows
from glm_composer.conversion.ready_windows import BadRow, Columns, rows_of
from glm_composer.conversion.window_files import missing, rows_at_once
from glm_composer.errors import UserError
from glm_composer.registry import sources

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class HubDataset:
    """Settings of `hub`.

    Attributes:
        dataset: OWNER/NAME.
        revision: commit, or a tag or branch; the manifest records which commit it was.
        config: which configuration of the dataset, where it has several.
        columns: which columns say what.
        assembly: name of what the windows were cut from; the dataset's where not given.
    """

    name: str = "hub"
    dataset: str
    revision: str
    config: str | None = None
    columns: Columns = field(default_factory=Columns)
    assembly: str | None = None


@sources.register("hub")
def hub(settings: HubDataset) -> list[WindowFile]:
    """Return the files of every split; the first row of each split is read as a check."""
    where = f"dataset '{settings.dataset}' at '{settings.revision}'"
    with _explained(where):
        from datasets import load_dataset_builder
        from huggingface_hub import HfApi

        about = HfApi().dataset_info(
            settings.dataset, revision=settings.revision, files_metadata=True
        )
        if about.sha != settings.revision:
            _LOG.warning("%s is commit %s; pin it: source.revision=%s", where, *[about.sha] * 2)
        builder = load_dataset_builder(settings.dataset, settings.config, revision=about.sha)
        described = {each.rfilename: each for each in about.siblings or []}
        licences = [tag for tag in about.tags or [] if tag.startswith("license:")]
        found = []
        for split, urls in (builder.config.data_files or {}).items():
            stream = builder.as_streaming_dataset(split=str(split)).with_format("arrow")
            for index, url in enumerate(urls):
                path = url.partition(f"@{about.sha}/")[2]
                file = SourceFile(
                    file=path,
                    sha256=_digest(described[path]),
                    bytes=described[path].size or 0,
                    package=settings.dataset,
                    version=about.sha,
                    licence=licences[0].removeprefix("license:") if licences else None,
                )
                part = stream.shard(num_shards=len(urls), index=index)
                found.append(
                    WindowFile(
                        assembly=settings.assembly or settings.dataset,
                        file=file,
                        split=str(split),
                        batches=partial(_read, part, settings.columns, f"{where}, {path}"),
                    )
                )
                if not index:
                    next(_read(part, settings.columns, f"{where}, {path}", rows=1), None)
    if not found:
        raise UserError(f"{where}: no data file that `datasets` knows; is this the right dataset?")
    return found


def _digest(sibling: Any) -> str:
    # The Hub knows the SHA-256 of large files only; of a small one, git's hash.
    return sibling.lfs.sha256 if sibling.lfs else f"git:{sibling.blob_id}"


def _read(
    stream: Any,
    columns: Columns,
    where: str,
    longest: int | None = None,
    rows: int | None = None,
) -> Iterator[Windows]:
    with _explained(where):
        count = 0
        try:
            batches = _checked(stream, columns, where, rows or rows_at_once(longest))
            for windows in rows_of(batches, columns, longest=longest):
                count += len(windows.start)
                yield windows
        except BadRow as bad:
            raise UserError(f"{where}, row {bad.row + 1}: {bad}") from None
    if not count:
        raise UserError(f"{where}: no window in the file; choose another revision")


def _checked(stream: Any, columns: Columns, where: str, rows: int) -> Iterator[Any]:
    for table in stream.iter(batch_size=rows):
        missing(where, columns, table.column_names)
        yield table


@contextmanager
def _explained(where: str) -> Iterator[None]:
    """Turn what `datasets` and the Hub's client raise into one line that names the dataset."""
    from huggingface_hub import errors
    from requests import RequestException

    try:
        yield
    except errors.GatedRepoError:
        hint = "access to it is restricted; ask for it on the Hub and set HF_TOKEN"
    except errors.RepositoryNotFoundError:
        hint = "no such dataset, or it is private; check 'source.dataset' and HF_TOKEN"
    except errors.RevisionNotFoundError:
        hint = "no such revision; check 'source.revision'"
    except (RequestException, errors.OfflineModeIsEnabled, ConnectionError) as error:
        hint = f"the Hub cannot be reached ({_line(error)}); check the network and HF_ENDPOINT"
    except (UserError, BadRow):
        raise
    except Exception as error:
        # `datasets` raises errors of its own, Arrow's, fsspec's and zstandard's.
        reason = f"{type(error).__name__}: {_line(error)}".removesuffix(": ")
        hint = f"cannot be read ({reason}); is a file of it empty, cut or damaged?"
    else:
        return
    raise UserError(f"{where}: {hint}") from None


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
