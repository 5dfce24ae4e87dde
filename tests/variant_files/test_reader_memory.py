"""Peak memory: of reading a million rows, and of windows of contigs as long as human ones."""

import subprocess
import sys

import numpy as np
import polars as pl
import pysam
import pytest

PEAK = """
def peak():
    # Not ru_maxrss, which begins at what the process had that started this one.
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
"""
READ = (
    PEAK
    + """
import sys
from glm_composer.variant_files.reader import open_variants
rows = 0
with open_variants(sys.argv[1]) as file:
    for piece in file.chunks(10_000):
        rows += len(piece)
print(rows, peak())
"""
)
WINDOWS = (
    PEAK
    + """
import sys
import numpy as np
import polars as pl
from glm_composer.genome import Genome
from glm_composer.variant_files.checks import row_problems
rng = np.random.default_rng(0)
with Genome(sys.argv[1]) as genome:
    before = peak()
    contigs = list(genome.lengths)
    chrom = [contigs[i] for i in rng.integers(len(contigs), size=60_000)]
    pos = rng.integers(1, min(genome.lengths.values()), size=60_000)
    table = pl.DataFrame({"chrom": chrom, "pos": pos, "ref": "A", "alt": "C"})
    problems = row_problems(table, genome)
    windows = genome.windows(chrom, pos - 1, 512)
    differs = (windows[:, 256] & 0xDF) != ord("A")
    assert (differs == (problems == "ref_mismatch").to_numpy()).all()
    assert 0.7 < differs.mean() < 0.8
print(peak() - before)
"""
)


def run(script, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(word) for word in done.stdout.split()]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Two hundred thousand and a million rows in every format; Parquet in one row group."""
    root = tmp_path_factory.mktemp("tables")
    rng = np.random.default_rng(0)
    for count in (200_000, 1_000_000):
        table = pl.DataFrame(
            {
                "chrom": "chr1",
                "pos": np.sort(rng.integers(1, 2 * 10**8, count)),
                "id": ".",
                "ref": rng.choice(list("ACGT"), count),
                "alt": "N",
                "qual": rng.integers(10**9, size=count),
                "filter": ".",
                "info": "AC=1;AF=0.5;DP=" + pl.Series(rng.integers(1000, size=count)).cast(str),
            }
        )
        table.write_parquet(root / f"{count}.parquet", row_group_size=count)
        table.write_csv(root / f"{count}.tsv", separator="\t")
        head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        text = table.write_csv(separator="\t", include_header=False)
        (root / f"{count}.vcf").write_text(head + text)
        pysam.tabix_compress(str(root / f"{count}.vcf"), str(root / f"{count}.vcf.gz"))
    return root


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["parquet", "tsv", "vcf.gz"])
def test_a_million_rows_take_no_more_than_some(kind, tables):
    (few, some), (many, most) = (
        run(READ, tables / f"{count}.{kind}") for count in (200_000, 1_000_000)
    )
    assert (few, many) == (200_000, 1_000_000)
    # MiB; the text has 50, and its columns take 120 in memory. Arrow reads some blocks ahead.
    assert most < some + 60
    assert (tables / "1000000.tsv").stat().st_size > 45e6


@pytest.mark.slow
def test_windows_of_contigs_as_long_as_human_ones(tmp_path):
    path = tmp_path / "genome.fa"
    bases = np.random.default_rng(0).choice(np.frombuffer(b"ACGTacgt", np.uint8), 2**20)
    lines = np.full((len(bases) // 64, 65), ord("\n"), np.uint8)
    lines[:, :64] = bases.reshape(-1, 64)
    with path.open("wb") as file:
        for contig in range(3):
            file.write(b">%d\n" % contig)
            for _ in range(237):  # 248.5 Mb, as human chromosome 1
                file.write(lines.data)
    (grown,) = run(WINDOWS, path)
    assert grown < 500  # MiB: one contig of 237, and windows; all three would take 711
