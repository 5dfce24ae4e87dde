"""How long `glm runs ls` takes over ten thousand runs, and the index to be made."""

import copy
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import interleave

from glm_composer.config import Config
from glm_composer.runs.index import open_index, rebuild
from glm_composer.runs.known import names
from glm_composer.settings import dump, load

RUNS = 10_000
REPOSITORY = Path(__file__).parents[1]
GLM = str(Path(sys.executable).with_name("glm"))
FILTER = "model.name=bytenet and eval/coding/auprc>0.5"


def main() -> None:
    parent = Path(tempfile.mkdtemp(prefix="runs_index"))
    try:
        make_runs(parent, RUNS)
        # What has changed within two seconds is read once more.
        time.sleep(2.5)
        with open_index(parent):
            pass
        with open_index(parent) as index:
            start = time.perf_counter()
            rebuild(index)
            print(f"RESULT runs_index.rebuild {RUNS / (time.perf_counter() - start):.4g} runs/s")
            assert len(names(index)) == RUNS
        commands = {
            "help": ["--help"],
            "ls": ["runs", "ls", "--runs-dir", str(parent)],
            "where": ["runs", "ls", "--runs-dir", str(parent), "--where", FILTER],
            "best": ["runs", "best", "--runs-dir", str(parent), "--metric", "eval/coding/auprc"],
        }
        candidates = {name: lambda c=command: glm(*c) for name, command in commands.items()}
        for name, seconds in interleave(candidates, rounds=7).items():
            low, high = min(seconds), max(seconds)
            print(f"RESULT runs_index.{name} {sorted(seconds)[3]:.3f} s")
            print(f"  (from {low:.3f} to {high:.3f} in {len(seconds)} rounds)")
    finally:
        shutil.rmtree(parent)


def glm(*arguments: str) -> None:
    subprocess.run([GLM, *arguments], check=True, stdout=subprocess.DEVNULL)


def make_runs(parent: Path, count: int) -> None:
    """Write runs as training leaves them: settings of shipped files, made-up metrics."""
    rng = np.random.default_rng(0)
    files = [REPOSITORY / "yamls/quickstart.yaml", REPOSITORY / "yamls/gpn_promoter.yaml"]
    configs = [dump(load(Config, file)) for file in files]
    for number in range(count):
        name = f"run-{number:05d}"
        directory = parent / name
        directory.mkdir()
        config = configs[number % 2].replace("seed: 17", f"seed: {number}")
        (directory / "config.yaml").write_text(config)
        status = copy.deepcopy(STATUS)
        status |= {"run_name": name, "started": f"2026-{number % 12 + 1:02d}-01T00:00:00+00:00"}
        (directory / "status.json").write_text(json.dumps(status))
        auprc, loss = rng.uniform(0.1, 0.9), rng.uniform(1.2, 1.4)
        lines = [
            {"step": step, "train/loss": loss + 1 / step, "lr-AdamW/group0": 1e-3}
            for step in range(1, 21)
        ]
        lines[-1] |= {"eval/coding/auprc": auprc, "validation/loss": loss}
        (directory / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))


STATUS = {
    "state": "finished",
    "host": "node1",
    "pid": 1,
    "process_start": 1,
    "ranks": 1,
    "heartbeat": "2026-11-01T00:00:00+00:00",
    "step": 20,
    "max_duration": "20ba",
    "progress": 1.0,
    "reason": "finished",
    "code": 0,
}

if __name__ == "__main__":
    main()
