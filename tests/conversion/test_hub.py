"""A Hub dataset in GPN's layout, through `datasets`, from a Hub that runs on loopback."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hub_server import COMMIT

from glm_composer.conversion.manifest import read_manifest
from glm_composer.data.shards import Shards

REPOSITORY = Path(__file__).parents[2]
SPLITS = {"train": 3, "validation": 1, "test": 2}
ERRORS = """
import sys
from glm_composer.conversion.ready_windows import Columns
from glm_composer.conversion.sources.hub import HubDataset, hub
from glm_composer.errors import UserError

def say(owner_name, revision="main"):
    try:
        for file in hub(HubDataset(dataset=owner_name, revision=revision)):
            for _ in file.batches(None):
                pass
    except UserError as error:
        print(error)
    else:
        print("no error")

for name in ("no-seq", "unequal", "cut", "nothing", "absent"):
    say(f"songlab/{name}")
say("songlab/toy", "v9")
"""


def rows(split: str, shard: int) -> list[dict]:
    rng = np.random.default_rng([len(split), shard])
    letters = rng.choice(list("ACGTacgtN"), (200, 512))
    return [
        {"id": f"NC_{shard}.{len(split)}:{i * 512}-{i * 512 + 512}", "seq": "".join(text)}
        for i, text in enumerate(letters)
    ]


def put(folder: Path, content: list[dict]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in content)
    folder.write_bytes(zstandard.compress(text.encode()))


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Iterator[dict[str, str]]:
    """The environment of a process that takes our server for the Hub."""
    root = tmp_path_factory.mktemp("hub")
    for split, shards in SPLITS.items():
        for shard in range(shards):
            put(root / f"songlab/toy/data/{split}/shard_{shard:04}.jsonl.zst", rows(split, shard))
    one = "data/train/shard_0000.jsonl.zst"
    put(root / "songlab/no-seq" / one, [{"id": "a:0-4", "sequence": "ACGT"}])
    put(root / "songlab/unequal" / one, [*rows("train", 0)[:9], {"id": "a:0-4", "seq": "ACGT"}])
    put(root / "songlab/cut" / one, rows("train", 0))
    whole = (root / "songlab/cut" / one).read_bytes()
    (root / "songlab/cut" / one).write_bytes(whole[: len(whole) // 2])
    (root / "songlab/nothing").mkdir()
    command = [sys.executable, Path(__file__).with_name("hub_server.py"), root]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        yield {
            **os.environ,
            "HF_ENDPOINT": f"http://127.0.0.1:{port}",
            "HF_HOME": str(tmp_path_factory.mktemp("home")),
        }
        server.terminate()


@pytest.mark.slow
def test_gpn_promoter_yaml_converts_what_the_hub_has(environment, tmp_path):
    out = tmp_path / "out"
    command = [
        sys.executable, REPOSITORY / "convert/to_mds.py",
        REPOSITORY / "yamls/convert/gpn_promoter.yaml", "source.dataset=songlab/toy",
        f"out={out}", "workers=1",
    ]  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"pin it: source.revision={COMMIT}" in done.stderr
    manifest = read_manifest(out)
    assert {(s.package, s.version, s.licence) for s in manifest.sources} == {
        ("songlab/toy", COMMIT, "mit")
    }
    assert len(manifest.sources) == sum(SPLITS.values())
    for split, shards in SPLITS.items():
        expected = [row for shard in range(shards) for row in rows(split, shard)]
        table = Shards(out / split).gather()
        found = [
            {
                "id": f"{manifest.contigs[r['contig']].name}:{r['start']}-{r['start'] + 512}",
                "seq": r["sequence"].tobytes().decode(),
            }
            for r in table
        ]
        assert found == expected
        assert (table["strand"] == 1).all()


@pytest.mark.slow
def test_what_is_wrong_is_one_line(environment):
    done = subprocess.run(
        [sys.executable, "-c", ERRORS], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    one = "data/train/shard_0000.jsonl.zst"
    for line, part in zip(
        said,
        [
            f"dataset 'songlab/no-seq' at 'main', {one}: no column 'seq'; it has id, sequence",
            f"dataset 'songlab/unequal' at 'main', {one}, row 10: 'seq' holds 4 bases",
            "dataset 'songlab/cut' at 'main': cannot be read (StopIteration); is a file",
            "dataset 'songlab/nothing' at 'main': ",
            "dataset 'songlab/absent' at 'main': no such dataset, or it is private",
            "dataset 'songlab/toy' at 'v9': no such revision",
        ],
        strict=True,
    ):
        assert line.startswith(part), line


@pytest.mark.slow
def test_a_hub_that_is_not_there_is_one_line(tmp_path):
    script = ERRORS[: ERRORS.index("for name")] + 'say("songlab/toy")'
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("dataset 'songlab/toy' at 'main': the Hub cannot be reached")
