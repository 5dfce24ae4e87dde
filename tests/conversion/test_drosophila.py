"""Real Drosophila: a soft-masked chromosome, and the promoter dataset checked against it."""

from pathlib import Path

import numpy as np
import pytest

from glm_composer.conversion.config import ConvertConfig
from glm_composer.conversion.convert import convert
from glm_composer.conversion.fasta import read_fasta
from glm_composer.conversion.manifest import read_manifest
from glm_composer.conversion.sources.package import DROSOPHILA_CHR2R, DROSOPHILA_UPSTREAMS
from glm_composer.data.shards import Shards
from glm_composer.settings import load, structure

YAML = Path(__file__).parents[2] / "yamls/convert/drosophila.yaml"


@pytest.fixture(scope="module")
def chr2r(debian):
    """Bases of chr2R [21146708], read line by line."""
    lines = debian(DROSOPHILA_CHR2R).read_bytes().split(b"\n")
    assert lines[0] == b">chr2R"
    return np.frombuffer(b"".join(lines[1:]), np.uint8)


def test_a_chromosome_through_fasta_tiles_and_shards(debian, chr2r, tmp_path):
    path = debian(DROSOPHILA_CHR2R)
    (contig,) = read_fasta(path)
    assert (contig.sequence == chr2r).all()
    raw = {
        "name": "fly",
        "out": str(tmp_path / "fly"),
        "source": {"name": "genome", "fasta": str(path), "assembly": "dm3"},
        "windows": {"name": "tiles"},
        "splits": {"train": ["chr2R"]},
    }
    out = convert(structure(ConvertConfig, raw, "test"), progress=False)
    table = Shards(out / "train").gather()
    tiles = chr2r[: len(chr2r) // 512 * 512].reshape(-1, 512)
    known = ~(np.isin(tiles, list(b"Nn")).any(axis=1))
    assert 0 < (~known).sum() < 5
    assert (table["sequence"] == tiles[known]).all()
    assert (table["start"] == 512 * np.flatnonzero(known)).all()
    counts = read_manifest(out).splits["train"]
    assert counts.soft_masked == (tiles[known] >= ord("a")).sum()
    assert 0.10 < counts.soft_masked / counts.bases < 0.11


def test_promoter_dataset_equals_the_chromosome_and_no_base_is_twice(debian, chr2r, tmp_path):
    """3,414 loci of chr2R on both strands, merged: every window is a slice of the chromosome."""
    debian(DROSOPHILA_UPSTREAMS)
    out = convert(load(ConvertConfig, YAML, [f"out={tmp_path / 'fly'}"]), progress=False)
    manifest = read_manifest(out)
    table = Shards(out / "test").gather()
    names = [contig.name for contig in manifest.contigs]
    on_2r = table[table["contig"] == names.index("chr2R")]
    assert len(on_2r) > 8_000
    upper = chr2r & np.uint8(0xDF)
    assert (on_2r["sequence"] == upper[on_2r["start"][:, None] + np.arange(512)]).all()
    assert (np.diff(on_2r["start"]) >= 512).all()
    for counts in manifest.splits.values():
        assert counts.covered == counts.bases
        assert counts.soft_masked == 0
    assert [c.name for c in manifest.contigs if c.split is None] == ["chrU", "chrUextra"]
    assert (manifest.sources[0].package, manifest.sources[0].licence) == (
        "r-bioc-biostrings",
        "Artistic-2.0",
    )
