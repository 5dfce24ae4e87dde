"""Peak memory of whole conversions of human chromosome 20: below 1 GB, and flat as input grows."""

import gzip
import json
import shutil
import subprocess
import sys

import pytest

from glm_composer.conversion.sources.package import HUMAN_CHR20

SCRIPT = """
import json, resource, sys
from glm_composer.conversion.config import ConvertConfig
from glm_composer.conversion.convert import convert
from glm_composer.settings import structure

if __name__ == "__main__":
    convert(structure(ConvertConfig, json.loads(sys.argv[1]), "test"), progress=False)
    # Not ru_maxrss, which begins at what the process had that started this one.
    lines = open("/proc/self/status").read().splitlines()
    own = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
    print(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.fixture(scope="module")
def chr20(debian) -> bytes:
    return gzip.decompress(debian(HUMAN_CHR20).read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_chromosome_20_once_and_four_times(workers, chr20, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    peaks = []
    for copies in (1, 4):
        with (tmp_path / "genome.fa").open("wb") as file:
            for number in range(copies):
                file.write(chr20.replace(b">20", b">copy%d" % number))
        raw = {
            "name": "chr20",
            "out": str(tmp_path / f"out{copies}"),
            "source": {"name": "genome", "fasta": str(tmp_path / "genome.fa")},
            "windows": {"name": "tiles"},
            "splits": {"train": ["*"]},
            "deduplicate": False,
            "workers": workers,
        }
        done = subprocess.run(
            [sys.executable, str(script), json.dumps(raw)],
            capture_output=True,
            text=True,
            check=True,
        )
        own, worker = map(int, done.stdout.split())
        # Children are counted by the largest one.
        peaks.append((own + (workers if workers > 1 else 0) * worker) * 1024)
        shutil.rmtree(tmp_path / f"out{copies}")
    assert max(peaks) < 1e9
    if workers == 1:
        assert peaks[1] < 1.25 * peaks[0]
