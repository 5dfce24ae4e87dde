"""Two yeast chromosomes as a small dataset of several shards."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from glm_composer.conversion.config import ConvertConfig
from glm_composer.conversion.convert import convert
from glm_composer.genome import Genome
from glm_composer.settings import load

YAML = """
name: two
out: {out}
source: {{name: genome, fasta: {fasta}, assembly: S288c}}
windows: {{name: tiles, length: 128, stride: {{train: 64, validation: 128}}, max_unknown: 0.5}}
splits: {{train: [chr01], validation: [chr06]}}
shard_bytes: 100000
save_genome: true
hashes: []
"""


@pytest.fixture(scope="session")
def made(yeast: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset, a third soft-masked, some N, without hashes; tests must not write into it."""
    directory = tmp_path_factory.mktemp("two")
    contigs = {}
    with Genome(yeast / "genome.fa") as genome:
        for name in ("chr01", "chr06"):
            bases = genome.contig(name).copy()
            bases[(np.arange(len(bases)) // 1_000) % 3 == 1] |= 0x20
            bases[5_000:5_050] = ord("N")
            bases[7_000] = ord("r")
            contigs[name] = bases
    fasta = directory / "two.fa"
    fasta.write_text("".join(f">{name}\n{b.tobytes().decode()}\n" for name, b in contigs.items()))
    path = directory / "two.yaml"
    path.write_text(YAML.format(out=directory / "out", fasta=fasta))
    return Path(convert(load(ConvertConfig, path), progress=False))


@pytest.fixture
def packed(made: Path, tmp_path: Path) -> Path:
    """The same dataset, compressed and with hashes; a test may spoil it."""
    overrides = [f"out={tmp_path / 'packed'}", "compression=zstd", "hashes=[sha1]"]
    config = load(ConvertConfig, made.parent / "two.yaml", overrides)
    return Path(convert(config, progress=False))


@pytest.fixture
def dataset(made: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may spoil."""
    return Path(shutil.copytree(made, tmp_path / "two"))
