"""TraitGym's tables of variants, from the Hub or from a local copy of the same files.

A dataset is `{dataset}/{split}.parquet`; `{dataset}/subset/{subset}.parquet`, with the columns
chrom, pos, ref and alt, names some of its rows. Subset files are sorted otherwise than the
dataset, so these four columns say which rows are meant, never their order.
"""

import logging
from pathlib import Path

import polars as pl

from glm_composer.errors import UserError
from glm_composer.variant_files.columns import KEY, labels, refuse_repeated
from glm_composer.variant_files.reader import open_variants

_LOG = logging.getLogger(__name__)
REPOSITORY = "songlab/TraitGym"
# The names of `datasets` configurations, as the repository's README defines them.
_FOLDERS = {
    "mendelian_traits": "mendelian_traits_matched_9",
    "complex_traits": "complex_traits_matched_9",
    "mendelian_traits_full": "mendelian_traits_all",
    "complex_traits_full": "complex_traits_all",
}
_ROWS = 1 << 17


def load_traitgym(
    source: str | Path = REPOSITORY,
    dataset: str = "mendelian_traits",
    subset: str | None = None,
    split: str = "test",
    *,
    revision: str | None = None,
) -> pl.DataFrame:
    """Read a dataset of TraitGym, or the rows of one of its subsets.

    Args:
        source: a local directory with the Hub's files, or the name of a dataset there
            (OWNER/NAME), fetched through huggingface_hub: `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME` and
            `HF_HUB_OFFLINE` are respected, and what was fetched is kept in its cache.
        dataset: the folder (`mendelian_traits_matched_9`) or the configuration that means it
            (`mendelian_traits`).
        subset: as in `nonexonic_AND_proximal`; None for all rows.
        split: the file's name.
        revision: of the Hub's dataset; None for the newest.

    Returns:
        The dataset's rows in their order: `chrom` str, `pos` int64 (1-based), `ref`, `alt`,
        `label` bool and the published columns.

    Raises:
        UserError: no such dataset, subset, revision or file, or the Hub cannot be reached; a label
            other than 0/1, a variant twice, a variant of the subset that the dataset has not.
    """
    folder = _FOLDERS.get(dataset, dataset)
    path = _bring(source, f"{folder}/{split}.parquet", revision)
    table = _read(path)
    if "label" in table.columns:
        table = table.with_columns(labels(path, table["label"]))
    if subset is None:
        return table
    wanted_path = _bring(source, f"{folder}/subset/{subset}.parquet", revision)
    wanted = _read(wanted_path)
    rest = wanted.join(table, on=KEY, how="anti")
    if len(rest):
        raise UserError(
            f"{wanted_path}: {len(rest)} of {len(wanted)} variants are not in {path}, the first "
            f"is {' '.join(map(str, rest.select(KEY).row(0)))}; take both from one revision"
        )
    return table.join(wanted, on=KEY, how="semi", maintain_order="left")


def _read(path: Path) -> pl.DataFrame:
    with open_variants(path) as file:
        table = pl.concat(file.chunks(_ROWS))
    refuse_repeated(path, table)
    return table


def _bring(source: str | Path, name: str, revision: str | None) -> Path:
    """Return where a file of the dataset lies on this machine."""
    directory = Path(source)
    if directory.is_dir():
        path = directory / name
        if path.is_file():
            return path
        near = [entry.stem for entry in sorted(path.parent.glob("*.parquet"))]
        near = near or [entry.name for entry in sorted(directory.iterdir()) if entry.is_dir()]
        raise UserError(f"{path}: no such file; there is {', '.join(near) or 'nothing'}")
    text = str(source)
    if text.count("/") != 1 or text.startswith(("/", ".", "~")):
        raise UserError(f"{text}: no such directory, and not a dataset of the Hub (OWNER/NAME)")
    return _fetch(text, name, revision)


def _fetch(repository: str, name: str, revision: str | None) -> Path:
    from huggingface_hub import errors, hf_hub_download
    from requests import RequestException

    where = f"dataset '{repository}'" + (f" at '{revision}'" if revision else "")
    try:
        path = Path(hf_hub_download(repository, name, repo_type="dataset", revision=revision))
    except errors.GatedRepoError:
        hint = "access to it is restricted; ask for it on the Hub and set HF_TOKEN"
    except errors.RepositoryNotFoundError:
        hint = "no such dataset, or it is private; check its name and HF_TOKEN"
    except errors.RevisionNotFoundError:
        hint = "no such revision"
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled):
        hint = (
            f"'{name}' is not in the cache and the Hub cannot be reached; check the network, "
            "HF_ENDPOINT and HF_HUB_OFFLINE, or give a directory with a copy of its files"
        )
    except errors.EntryNotFoundError:
        hint = f"no file '{name}' in it; check dataset, subset and split"
    except (RequestException, OSError, errors.HFValidationError) as error:
        hint = f"'{name}' cannot be fetched ({' '.join(str(error).split())[:300]})"
    else:
        # huggingface_hub keeps files under the commit that they are of.
        _LOG.info("%s, %s is of commit %s", where, name, path.parts[-1 - name.count("/") - 1])
        return path
    raise UserError(f"{where}: {hint}")
