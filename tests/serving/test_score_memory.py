"""Peak memory of glm score: ten times as many rows take no more."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from small_models import write_run

from glm_composer.genome import Genome

SCORE = """
import sys
from pathlib import Path
from glm_composer.serving import join
from glm_composer.serving.command import score
# Rows that the output holds back until they are a row group; as few as the tables are short.
join._GROUP = 4096
*files, out = map(Path, sys.argv[1:])
score(*files, out, {"chunk_rows": 4096, "batch_size": 2048}, quiet=True)
# Not ru_maxrss, which begins at what the process had that started this one.
lines = open("/proc/self/status").read().splitlines()
print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024)
"""


def variants(genome: Path, count: int) -> pl.DataFrame:
    """Variants of the first positions of a chromosome, each with a long text beside it."""
    with Genome(genome) as bases:
        ref = bytes(bases.contig("chr04"))[1_000 : 1_000 + count].decode().upper()
    rng = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "chrom": "chr04",
            "pos": np.arange(count) + 1_001,
            "ref": list(ref),
            "alt": list(ref.translate(str.maketrans("ACGT", "CGTA"))),
            "note": [rng.bytes(600).hex() for _ in range(count)],
        }
    )


@pytest.mark.slow
def test_ten_times_as_many_rows_take_no_more_memory(yeast, tmp_path):
    run = write_run(tmp_path / "run", window=16)
    genome, peak = yeast / "genome.fa", {}
    rows = variants(genome, 200_000)
    # MiB in memory as a whole, of which a tenth is there in either case.
    assert rows.estimated_size("mb") > 200
    for count in (20_000, 200_000):
        table, out = tmp_path / f"{count}.parquet", tmp_path / f"{count}.out.parquet"
        rows.head(count).write_parquet(table, row_group_size=4096)
        done = subprocess.run(
            [sys.executable, "-c", SCORE, *map(str, (run, table, genome, out))],
            capture_output=True,
            text=True,
            check=True,
        )
        peak[count] = float(done.stdout)
        assert pl.scan_parquet(out).select("LLR.minus.score").count().collect().item() == count
    # The allocator's slack takes some 25 to 45 MiB, and no more after a million rows.
    assert peak[200_000] < peak[20_000] + 90
