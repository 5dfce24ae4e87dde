"""Training steps beside gpn 0.9.0's own: the same ByteNet, windows, weights and batch.

Both sides are whole training loops, data preparation included: `gpn ss train` (Hugging Face's
Trainer, AdamW, clipping; accelerate's autocast and torch.compile for bf16) in its own Python, and
ours (Composer's Trainer with all callbacks of a run). The processes take turns, so that other
load meets both alike. Needs data/yeast, and makes gpn's environment on first use.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import yaml
from measure import interleave, result
from turns import Side

from glm_composer.data.shards import Shards
from glm_composer.models.bytenet import ByteNetConfig, build_bytenet
from glm_composer.training.weights import export_gpn
from glm_composer.training.weights_file import Weights, write_weights_file

HERE = Path(__file__).parent
BATCH = 32
MODEL = ByteNetConfig(width=256, layers=8)
# More than a run takes; gpn reads blocks of 2,048 windows.
WINDOWS = 16_384
# Turns: the first compiles, too.
WARMUP = 2


def write_windows(path: Path) -> None:
    """Write yeast training windows as `load_dataset` reads them: id and seq, case kept."""
    shards = Shards(Path("data/yeast/train"))
    ids = np.linspace(0, len(shards) - 1, WINDOWS).astype(np.int64)
    with path.open("w") as file:
        for number, row in zip(ids.tolist(), shards.gather(ids)["sequence"], strict=True):
            file.write(json.dumps({"id": str(number), "seq": row.tobytes().decode()}) + "\n")


def write_start(directory: Path) -> None:
    """Write the weights both sides start from, as a GPN directory with its tokenizer."""
    torch.manual_seed(0)
    file = directory.with_suffix(".safetensors")
    weights = Weights(path=file, tensors=build_bytenet(MODEL).state_dict(), model=MODEL)
    write_weights_file(weights, file)
    export_gpn(file, directory)


def gpn_profile(here: Path, bf16: bool) -> dict[str, object]:
    """The recipe of gpn's repository, with this model, data and batch, without workers."""
    return {
        "dataset_name": str(here / "windows"),
        "model_name_or_path": str(here / "start"),
        "do_train": True,
        "use_cpu": True,
        "max_steps": 100_000,
        "per_device_train_batch_size": BATCH,
        "mlm_probability": 0.15,
        "soft_masked_loss_weight_train": 0.01,
        "learning_rate": 0.001,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.01,
        "optim": "adamw_torch",
        "dataloader_num_workers": 0,
        "remove_unused_columns": False,
        "save_strategy": "no",
        "logging_steps": 1,
        "report_to": [],
        "output_dir": str(here / f"gpn-{bf16}"),
        "bf16": bf16,
        "torch_compile": bf16,
    }


def our_settings(here: Path, bf16: bool, micro_batch: int) -> dict[str, object]:
    """A run as `glm train` takes it."""
    return {
        "run_name": f"ours-{bf16}",
        "runs_dir": str(here),
        "init_from": str(here / "start"),
        "max_duration": "100000ba",
        "save_interval": "100000ba",
        "eval_interval": "100000ba",
        "global_train_batch_size": BATCH,
        "device_train_microbatch_size": micro_batch,
        "precision": "amp_bf16" if bf16 else "fp32",
        "compile": bf16,
        "model": {"name": "bytenet", "width": MODEL.width, "layers": MODEL.layers},
        "data": {"path": "data/yeast", "eval_windows": BATCH},
        "loggers": {"progress_bar": False},
    }


def compare(name: str, here: Path, gpn_python: str, arguments: argparse.Namespace) -> None:
    """Print the RESULT line of one precision."""
    bf16, steps = name == "bf16", str(arguments.steps)
    files = {
        "ours": our_settings(here, bf16, arguments.micro_batch),
        "gpn": gpn_profile(here, bf16),
    }
    for side, settings in files.items():
        (here / f"{side}.yaml").write_text(yaml.safe_dump(settings))
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(arguments.threads),
        # As `glm` sets them, for both: threads that wait must not take the other's cores.
        "GOMP_SPINCOUNT": "10000",
        "THP_MEM_ALLOC_ENABLE": "1",
        "HF_HOME": str(here / "huggingface"),
        "HF_HUB_OFFLINE": "1",
    }
    without = {key: value for key, value in environment.items() if key != "PYTHONPATH"}
    ours = [sys.executable, str(HERE / "our_training.py"), str(here / "ours.yaml"), steps]
    theirs = [gpn_python, str(HERE / "gpn_training.py"), str(here / "gpn.yaml"), steps]
    sides = {
        "ours": Side(ours, environment, f"{here}/ours.log"),
        "gpn": Side(theirs, without, f"{here}/gpn.log"),
    }
    seconds = interleave(sides, arguments.rounds, warmup=WARMUP)
    for child in sides.values():
        child.close()
    for side, times in seconds.items():
        result(f"train.bytenet_{name}.{side}", times, BATCH * arguments.steps, "windows/s")
    ratios = [b / a for a, b in zip(seconds["ours"], seconds["gpn"], strict=True)]
    print(f"RESULT train.bytenet_{name}_vs_gpn {statistics.median(ratios):.4g} x")
    print(f"  (from {min(ratios):.4g} to {max(ratios):.4g} in {len(ratios)} rounds)")
    work = {side: statistics.median(child.processor[WARMUP:]) for side, child in sides.items()}
    a_step = ", ".join(f"{side} {work[side] / arguments.steps:.3f}" for side in sides)
    print(f"  processor seconds a step: {a_step}; ratio {work['gpn'] / work['ours']:.4g}")
    # Other masks and another order: equal within the noise of a batch's masked bases.
    for side, child in sides.items():
        tail = child.losses[WARMUP:]
        spread = statistics.stdev(tail) if len(tail) > 1 else float("nan")
        print(
            f"  losses, {side}: first turn {child.losses[0]:.4f}, "
            f"mean of the timed turns {statistics.mean(tail):.4f} +- {spread:.4f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=4, help="of a turn")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--micro-batch", type=int, default=16, help="of ours; it stays in cache")
    parser.add_argument("--cases", nargs="*", default=["fp32", "bf16"], choices=["fp32", "bf16"])
    arguments = parser.parse_args()
    made = subprocess.run([sys.executable, "tools/gpn_venv.py"], capture_output=True, text=True)
    if made.returncode:
        print(f"train.bytenet_*_vs_gpn left out: {made.stderr.strip()}")
        return
    with tempfile.TemporaryDirectory() as directory:
        here = Path(directory)
        (here / "windows").mkdir()
        write_windows(here / "windows/train.jsonl")
        write_start(here / "start")
        for name in arguments.cases:
            compare(name, here, made.stdout.strip(), arguments)


if __name__ == "__main__":
    main()
