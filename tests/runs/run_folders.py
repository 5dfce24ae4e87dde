"""Directories of runs as training leaves them, for tests of what reads them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

STATUS = {
    "state": "finished",
    "host": "elsewhere",
    "pid": 1,
    "process_start": 1,
    "ranks": 1,
    "started": "2026-11-01T00:00:00+00:00",
    "heartbeat": "2026-11-01T00:00:00+00:00",
    "step": 3,
    "progress": 1.0,
}
CONFIG = """\
run_name: {name}
runs_dir: runs
seed: {seed}
max_duration: 500ba
gradient_clipping: null
compile: false
model: {{name: {model}, width: 64, attention: [local, global]}}
optimizer: {{name: adamw, lr: {lr}}}
data: {{path: data/yeast, eval_split: validation}}
"""


def write_run(
    parent: Path,
    name: str,
    metrics: Sequence[Mapping[str, float]] = (),
    *,
    status: Mapping[str, Any] | None = None,
    model: str = "transformer",
    seed: int = 1,
    lr: float = 1e-3,
) -> Path:
    """Write a run: settings, status, and a line of metrics a step."""
    run_dir = parent / name
    run_dir.mkdir(parents=True, exist_ok=True)
    text = CONFIG.format(name=name, model=model, seed=seed, lr=lr)
    (run_dir / "config.yaml").write_text(text)
    rows = [{"step": step, **values} for step, values in enumerate(metrics, start=1)]
    (run_dir / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    whole = {**STATUS, "run_name": name, **(status or {})}
    aside = run_dir / ".status.partial"
    aside.write_text(json.dumps(whole))
    aside.rename(run_dir / "status.json")
    return run_dir
