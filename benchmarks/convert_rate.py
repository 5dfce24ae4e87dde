"""Windows a second from an uncompressed FASTA to MDS shards, on human chromosome 20.

The whole of a conversion is timed: scan and hash of the input, cutting, duplicates, shards, index,
manifest, all synced to the disk. A line through one, two and four chromosomes gives the rate, and
says how long six million windows (a human genome) take. Beside it, streaming.MDSWriter writes the
same windows one by one, and the files must be the same. Needs Debian's apt for the genome.
"""

import filecmp
import gzip
import os
import resource
import shutil
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from measure import interleave, result

from glm_composer.conversion.config import ConvertConfig
from glm_composer.conversion.convert import convert
from glm_composer.conversion.fetch import fetch
from glm_composer.conversion.manifest import read_manifest
from glm_composer.conversion.shard_format import ShardFormat, Table
from glm_composer.conversion.shards import ShardWriter
from glm_composer.conversion.sources.package import HUMAN_CHR20
from glm_composer.data.shards import Shards
from glm_composer.settings import structure

ROUNDS = 5
# Processes, each on a core of its own, and how many chromosomes they convert.
COPIES = {1: (1, 2, 4), 2: (2, 4, 8)}
# Letters that stand for ACGT in each copy: other bases, so that no copy is a duplicate.
ALPHABETS = (b"ACGT", b"CAGT", b"GCAT", b"ACTG", b"AGCT", b"ATGC", b"TCGA", b"CGAT")
GENOME = 6_000_000
LENGTH = 512
SHARD_BYTES = 32 << 20


def main() -> None:
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        out = directory / "out"
        for workers, copies in COPIES.items():
            os.sched_setaffinity(0, cores[:workers])
            fastas = {number: write_genome(directory, number) for number in copies}
            candidates = {
                str(number): partial(run, fasta, out, workers=workers)
                for number, fasta in fastas.items()
            }
            seconds = interleave(candidates, ROUNDS)
            windows = [count(fasta, out, workers) for fasta in fastas.values()]
            report_line(workers, list(seconds.values()), windows)
        peak = max(
            resource.getrusage(who).ru_maxrss
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        print(f"RESULT convert.peak_memory {peak / 1e6:.3g} GB")
        os.sched_setaffinity(0, cores[:1])
        run(write_genome(directory, 1), out, workers=1)
        compare_with_stock(directory, Shards(out / "train").gather())


def write_genome(directory: Path, copies: int) -> Path:
    """Write chromosome 20 so many times, as many contigs."""
    _, _, body = gzip.decompress(fetch(HUMAN_CHR20).path.read_bytes()).partition(b"\n")
    path = directory / f"{copies}x.fa"
    with path.open("wb") as file:
        for number, letters in enumerate(ALPHABETS[:copies]):
            table = bytes.maketrans(b"ACGTacgt", letters + letters.lower())
            file.write(b">chr20_%d\n" % number + body.translate(table))
    return path


def run(fasta: Path, out: Path, workers: int) -> None:
    shutil.rmtree(out, ignore_errors=True)
    raw = {
        "name": "chr20",
        "out": str(out),
        "source": {"name": "genome", "fasta": str(fasta)},
        "windows": {"name": "tiles", "length": LENGTH, "stride": LENGTH},
        "splits": {"train": ["*"]},
        "shard_bytes": SHARD_BYTES,
        "hashes": [],
        "workers": workers,
    }
    convert(structure(ConvertConfig, raw, "benchmark"), progress=False)


def count(fasta: Path, out: Path, workers: int) -> int:
    run(fasta, out, workers)
    return read_manifest(out).splits["train"].windows


def report_line(workers: int, seconds: list[list[float]], windows: list[int]) -> None:
    medians = [statistics.median(each) for each in seconds]
    slope, start = np.polyfit(windows, medians, 1)
    print(f"{workers} process(es) on as many cores:")
    for number, median, each in zip(windows, medians, seconds, strict=True):
        line = start + slope * number
        spread = f"({min(each):.3f} to {max(each):.3f})"
        print(f"  {number:9,} windows: {median:.3f} s {spread}, on the line {line:.3f} s")
    name = "convert.windows" if workers == 1 else f"convert.windows_{workers}_cores"
    print(f"RESULT {name} {1 / slope:.6g} windows/s")
    whole = start + slope * GENOME
    print(f"RESULT {name}.human_genome {whole:.4g} s")


def compare_with_stock(directory: Path, table: Table) -> None:
    """Time both writers on the same windows, and compare what they wrote."""
    # Seconds to import: only where it is needed.
    from streaming import MDSWriter

    columns = {
        "sequence": f"ndarray:uint8:{LENGTH}",
        "contig": "uint32",
        "start": "int64",
        "strand": "int8",
    }

    def afresh(name: str, write: Callable[[Path], None]) -> Callable[[], None]:
        def call() -> None:
            shutil.rmtree(directory / name, ignore_errors=True)
            write(directory / name)

        return call

    def stock(path: Path) -> None:
        with MDSWriter(columns=columns, out=str(path), size_limit=SHARD_BYTES) as writer:
            for row in table:
                writer.write({name: row[name] for name in columns})

    def ours(path: Path) -> None:
        writer = ShardWriter(path, ShardFormat(length=LENGTH, shard_bytes=SHARD_BYTES))
        for first in range(0, len(table), 8192):
            writer.write(table[first : first + 8192])
        writer.finish()

    seconds = interleave({"ours": afresh("ours", ours), "stock": afresh("stock", stock)}, ROUNDS)
    names = sorted(path.name for path in (directory / "stock").iterdir())
    same = filecmp.cmpfiles(directory / "ours", directory / "stock", names, shallow=False)
    assert same[0] == names, f"files differ: {same[1:]}"
    for split in ("ours", "out/train"):
        assert sorted(path.name for path in (directory / split).iterdir()) == names
    filecmp.clear_cache()
    converted = filecmp.cmpfiles(directory / "out/train", directory / "stock", names, False)
    assert converted[0] == names, f"the conversion's files differ: {converted[1:]}"
    print(f"conversion, writer and MDSWriter made the same {len(names)} files")
    for name, each in seconds.items():
        result(f"convert.write_{name}", each, len(table), "windows/s")
    ratio = statistics.median(seconds["stock"]) / statistics.median(seconds["ours"])
    print(f"RESULT convert.vs_mdswriter {ratio:.4g} x")


if __name__ == "__main__":
    main()
