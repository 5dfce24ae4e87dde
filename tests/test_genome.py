import gzip
import os
import shutil
from pathlib import Path

import numpy as np
import pysam
import pytest

from glm_composer import genome as genome_module
from glm_composer.errors import UserError
from glm_composer.genome import Genome

# 14 and 5 bases, two of them soft-masked.
CONTIGS = {"one": "ACGTACgtACGTAC", "two": "GGNCA"}


def write_fasta(path: Path, contigs: dict[str, str], line: int = 4) -> Path:
    lines = []
    for name, bases in contigs.items():
        lines.append(f">{name} described")
        lines += [bases[i : i + line] for i in range(0, len(bases), line)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def small(tmp_path):
    return write_fasta(tmp_path / "small.fa", CONTIGS)


def naive_window(bases: str, position: int, width: int) -> str:
    start = position - width // 2
    return "".join(bases[i] if 0 <= i < len(bases) else "N" for i in range(start, start + width))


def as_text(windows):
    return [bytes(row).decode() for row in windows]


def test_contigs_keep_case_and_order(small):
    with Genome(small) as genome:
        assert genome.lengths == {"one": 14, "two": 5}
        assert bytes(genome.contig("one")).decode() == CONTIGS["one"]
        assert bytes(genome.contig("two")).decode() == CONTIGS["two"]
        assert genome.contig("two") is genome.contig("two")
        with pytest.raises(ValueError, match="read-only"):
            genome.contig("two")[0] = 0


def test_windows_by_hand(small):
    with Genome(small) as genome:
        # Even width: the position is at index 2 of 4; odd: at index 1 of 3.
        windows = genome.windows(["two", "one", "one", "two"], np.array([0, 0, 13, 2]), 4)
        assert as_text(windows) == ["NNGG", "NNAC", "TACN", "GGNC"]
        windows = genome.windows(["one", "two"], np.array([7, 4]), 3)
        assert as_text(windows) == ["gtA", "CAN"]
        # Wider than the contig on both sides.
        assert as_text(genome.windows(["two"], np.array([2]), 9)) == ["NNGGNCANN"]
        assert genome.windows([], np.array([], dtype=np.int64), 4).shape == (0, 4)


@pytest.mark.parametrize("width", [1, 2, 5, 6, 13, 14, 15, 40])
@pytest.mark.parametrize("bases_per_fetch", [0, 10**9])
def test_both_ways_of_reading_equal_the_naive_cut(small, width, bases_per_fetch, monkeypatch):
    monkeypatch.setattr(genome_module, "_BASES_PER_FETCH", bases_per_fetch)
    every = [(name, i) for name, bases in CONTIGS.items() for i in range(len(bases))]
    np.random.default_rng(width).shuffle(every)
    names = [str(name) for name, _ in every]
    positions = np.array([int(i) for _, i in every])
    with Genome(small) as genome:
        windows = genome.windows(names, positions, width)
    assert as_text(windows) == [
        naive_window(CONTIGS[name], i, width) for name, i in zip(names, positions, strict=True)
    ]


def test_few_variants_do_not_read_the_contig(yeast):
    with Genome(yeast / "genome.fa") as genome:
        name = max(genome.lengths, key=lambda contig: genome.lengths[contig])
        sparse = genome.windows([name], np.array([1_000]), 512)
        assert genome._last is None
        dense = genome.windows([name] * 200, np.arange(1_000, 1_200), 512)
        assert genome._last is not None
        np.testing.assert_array_equal(sparse[0], dense[0])


@pytest.mark.slow
@pytest.mark.parametrize("bgzip", [False, True])
def test_yeast_windows_equal_naive_cuts(yeast, tmp_path, bgzip):
    path = yeast / "genome.fa"
    if bgzip:
        pysam.tabix_compress(str(path), str(tmp_path / "genome.fa.gz"))
        path = tmp_path / "genome.fa.gz"
    contigs: dict[str, list[str]] = {}
    for line in (yeast / "genome.fa").read_text().splitlines():
        if line.startswith(">"):
            name = line[1:].split()[0]
            contigs[name] = []
        else:
            contigs[name].append(line)
    text = {name: "".join(lines) for name, lines in contigs.items()}
    rng = np.random.default_rng(0)
    names = rng.choice(list(text), size=1_000).tolist()
    positions = np.array([rng.integers(len(text[name])) for name in names])
    positions[:4] = [0, 1, len(text[names[2]]) - 1, len(text[names[3]]) - 2]
    with Genome(path) as genome:
        assert genome.lengths == {name: len(bases) for name, bases in text.items()}
        windows = genome.windows(names, positions, 511)
    assert as_text(windows) == [
        naive_window(text[name], int(i), 511) for name, i in zip(names, positions, strict=True)
    ]


def test_index_is_written_once_and_renewed_after_a_change(small):
    Genome(small).close()
    index = small.with_name("small.fa.fai")
    assert [entry.name for entry in sorted(small.parent.iterdir())] == ["small.fa", "small.fa.fai"]
    first = index.stat()
    Genome(small).close()
    assert index.stat().st_mtime_ns == first.st_mtime_ns
    write_fasta(small, {"new": "ACG"})
    os.utime(small, ns=(first.st_mtime_ns + 10**9, first.st_mtime_ns + 10**9))
    with Genome(small) as genome:
        assert genome.lengths == {"new": 3}


def test_index_goes_to_the_cache_where_the_directory_refuses(tmp_path, monkeypatch):
    # A name so long that no room is left for ".fai": refused even to root.
    path = write_fasta(tmp_path / ("x" * 250 + ".fa"), CONTIGS)
    cache = tmp_path / "cache"
    monkeypatch.setenv("GLM_CACHE", str(cache))
    with Genome(path) as genome:
        assert genome.lengths == {"one": 14, "two": 5}
    assert len(list(cache.rglob("*.fai"))) == 1
    (tmp_path / "file").touch()
    monkeypatch.setenv("GLM_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot write its index.*GLM_CACHE"):
        Genome(path)


def test_missing_and_empty_files(tmp_path):
    with pytest.raises(UserError, match=r"none.fa: no such file"):
        Genome(tmp_path / "none.fa")
    (tmp_path / "empty.fa").touch()
    with pytest.raises(UserError, match="empty file"):
        Genome(tmp_path / "empty.fa")


def test_plain_gzip_and_truncated_bgzip(small):
    packed = small.with_name("packed.fa.gz")
    packed.write_bytes(gzip.compress(small.read_bytes()))
    with pytest.raises(UserError, match=r"plain gzip .*; recompress"):
        Genome(packed)
    pysam.tabix_compress(str(small), str(packed), force=True)
    packed.write_bytes(packed.read_bytes()[:-28])
    with pytest.raises(UserError, match="truncated bgzip"):
        Genome(packed)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ACGT\n", "not a FASTA"),
        (">a\nACGT\nACGTACGT\nAC\n", "equal length"),
        (">a\nACGT\n>b\nAC\n>a\nGG\n", "3 headers but 2 distinct"),
        (">a\n>b\nAC\n", "2 headers but 1 distinct"),
    ],
)
def test_files_that_cannot_be_indexed(tmp_path, text, message, capfd):
    path = tmp_path / "bad.fa"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        Genome(path)
    assert list(tmp_path.iterdir()) == [path]
    assert capfd.readouterr().err == ""


def test_bad_characters_and_changed_files_are_named(tmp_path):
    path = write_fasta(tmp_path / "protein.fa", {"p": "ACGTACGTELVIS"})
    with Genome(path) as genome, pytest.raises(UserError, match=r"'p', position 9 \(1-b.*'E'"):
        genome.contig("p")
    path = write_fasta(tmp_path / "cut.fa", {"a": "ACGT" * 10})
    with Genome(path):
        pass
    index = tmp_path / "cut.fa.fai"
    path.write_bytes(path.read_bytes()[:20])
    os.utime(index, ns=(path.stat().st_mtime_ns,) * 2)
    with Genome(path) as genome, pytest.raises(UserError, match="damaged, or changed"):
        genome.contig("a")


def test_unknown_contigs_and_positions_outside(small):
    with Genome(small) as genome:
        with pytest.raises(UserError, match="no contig 'chr9'; the file has one, two"):
            genome.windows(["chr9"], np.array([0]), 3)
        with pytest.raises(UserError, match=r"position 6 \(1-based\) is outside contig 'two'"):
            genome.windows(["two", "two"], np.array([0, 5]), 3)
        with pytest.raises(UserError, match="outside contig"):
            genome.windows(["two"], np.array([-1]), 3)
        with pytest.raises(ValueError, match="1 contigs but 2 positions"):
            genome.windows(["two"], np.array([0, 1]), 3)


def test_a_samtools_index_is_used_as_it_is(small):
    pysam.faidx(str(small))
    before = small.with_name("small.fa.fai").stat().st_mtime_ns
    Genome(small).close()
    assert small.with_name("small.fa.fai").stat().st_mtime_ns == before
    shutil.copy(small, small.with_name("copy.fa"))
    with Genome(small.with_name("copy.fa")) as genome:
        assert genome.lengths == {"one": 14, "two": 5}
