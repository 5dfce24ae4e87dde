"""The manifest beside the shards: what a dataset is made of, and where each window came from."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from glm_composer.conversion.files import write_durably
from glm_composer.data.shards import Shards
from glm_composer.errors import UserError
from glm_composer.sequence import ALPHABET_HASH

FORMAT_VERSION = 1
FILE_NAME = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class ManifestSource:
    """One input file of one assembly; `package`, `version` and `licence` where they are known."""

    assembly: str
    file: str
    sha256: str
    bytes: int
    package: str | None
    version: str | None
    licence: str | None


@dataclass(frozen=True, kw_only=True)
class ManifestContig:
    """One contig; `split` is None where it is left out, `species` where none was given."""

    assembly: str
    name: str
    length: int
    split: str | None
    species: str | None = None


@dataclass(frozen=True, kw_only=True)
class SplitCounts:
    """What one split holds.

    Attributes:
        windows: number of windows.
        bases: of all windows together.
        soft_masked: lower-case bases among them.
        unknown: N and other IUPAC codes among them.
        covered: distinct genome positions among them (windows may overlap).
        duplicates_within: windows left out because this split has their like (same bases, on
            either strand and in any case).
        duplicates_across: windows left out because another split has their like.
        thinned: windows left out by caps and weights.
    """

    windows: int
    bases: int
    soft_masked: int
    unknown: int
    covered: int
    duplicates_within: int = 0
    duplicates_across: int = 0
    thinned: int = 0


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The content of manifest.json.

    Attributes:
        format_version: of this layout.
        name: the dataset's name.
        window_length: bases of every window; of the longest there may be, where lengths vary.
        alphabet_hash: `sequence.ALPHABET_HASH` of the code that wrote it.
        code_version: version of this package that wrote it.
        created: UTC time, ISO 8601.
        parameters: the resolved configuration.
        sources: input files.
        contigs: every contig of the sources; a row's `contig` is an index into this.
        splits: split name -> counts; each is a directory of shards of that name.
    """

    format_version: int
    name: str
    window_length: int
    alphabet_hash: str
    code_version: str
    created: str
    parameters: dict[str, Any]
    sources: list[ManifestSource]
    contigs: list[ManifestContig]
    splits: dict[str, SplitCounts]


@dataclass(frozen=True, slots=True)
class Locus:
    """Where a window lies: [start, end), 0-based, on the plus strand's coordinates."""

    assembly: str
    contig: str
    start: int
    end: int
    strand: int


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write the manifest of a dataset that has none yet."""
    text = json.dumps(dataclasses.asdict(manifest), indent=2) + "\n"
    write_durably(directory / FILE_NAME, text.encode())


def read_manifest(directory: str | Path) -> Manifest:
    """Read and check the manifest of a dataset directory.

    Raises:
        UserError: no manifest there, one this code cannot read, or one of another alphabet (both
            hashes are named).
    """
    from pydantic import TypeAdapter, ValidationError

    path = Path(directory) / FILE_NAME
    try:
        raw = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"{path}: no such file; make the dataset with `python convert/to_mds.py YAML`"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable manifest ({error}); convert again") from None
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if version != FORMAT_VERSION:
        raise UserError(
            f"{path}: format version {version}, this code reads {FORMAT_VERSION}; convert again"
        )
    if raw.get("alphabet_hash") != ALPHABET_HASH:
        raise UserError(
            f"{path}: made with another alphabet (hash {raw.get('alphabet_hash')}, this code has "
            f"{ALPHABET_HASH}); convert again"
        )
    try:
        return TypeAdapter(Manifest).validate_python(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path}: '{key}': {first['msg'].lower()}; convert again") from None


def locate(directory: str | Path, split: str, index: int) -> Locus:
    """Return where sample `index` of a split lies on the genome.

    Raises:
        UserError: no such dataset, split or sample.
    """
    manifest = read_manifest(directory)
    if split not in manifest.splits:
        raise UserError(f"{directory}: no split '{split}'; it has {', '.join(manifest.splits)}")
    row = Shards(Path(directory) / split).gather(np.array([index]))[0]
    contig = manifest.contigs[row["contig"]]
    start = int(row["start"])
    # Rows of varying length tell it.
    varies = "length" in (row.dtype.names or ())
    end = start + int(row["length"] if varies else manifest.window_length)
    return Locus(contig.assembly, contig.name, start, end, int(row["strand"]))
