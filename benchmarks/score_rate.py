"""Variants scored a second beside gpn 0.9.0's own VEP: same weights, genome, variants, threads.

Both sides cut windows of 512 bases out of the yeast genome, mask the site and read both strands.
They run in processes of their own and take turns, so that other load meets all alike. `forward` is
our network alone, on as many batches as `part` of the variants takes: what scoring these takes
beside it is overhead. `whole` scores the part by hidden states of whole windows, as embeddings
need them, and as every model is read that does not say what one position depends on. Needs
data/yeast, and makes gpn's environment on first use.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import torch
from measure import interleave, result
from questions import Child
from scipy.stats import spearmanr

from glm_composer import sequence
from glm_composer.genome import Genome
from glm_composer.models.bytenet import ByteNetConfig, build_bytenet
from glm_composer.training.weights import export_gpn
from glm_composer.training.weights_file import Weights, write_weights_file

HERE = Path(__file__).parent
GENOME = Path("data/yeast/genome.fa")
VARIANTS = Path("data/yeast/variants.parquet")
MODEL = ByteNetConfig(width=256, layers=8)
WINDOW = 512
# As in our_scoring.py.
PART = 512
CUT = 100_000


def write_model(directory: Path) -> None:
    """Write random weights as a GPN directory, large enough for scores that tell bases apart."""
    torch.manual_seed(0)
    network = build_bytenet(MODEL)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(3.0 if weight.ndim == 2 else 1.0)
    file = directory.with_suffix(".safetensors")
    weights = Weights(path=file, tensors=network.state_dict(), model=MODEL)
    write_weights_file(weights, file)
    export_gpn(file, directory)


def cut_windows() -> None:
    """Windows an indexed FASTA gives, encoded, on one core."""
    with Genome(GENOME) as genome:
        names = np.array(list(genome.lengths))
        lengths = np.array(list(genome.lengths.values()))
        starts = np.cumsum(lengths) - lengths
        places = np.sort(np.random.default_rng(0).integers(0, lengths.sum(), CUT))
        contigs = np.searchsorted(starts, places, side="right") - 1
        positions = places - starts[contigs]
    names_of_rows = names[contigs].tolist()

    def cut() -> None:
        with Genome(GENOME) as genome:
            sequence.encode(genome.windows(names_of_rows, positions, WINDOW))

    torch.set_num_threads(1)
    for seconds in interleave({"cut": cut}, rounds=5).values():
        result("score.windowing", seconds, CUT, "variants/s")


def start(here: Path, model: Path, gpn_python: str, arguments: argparse.Namespace) -> dict:
    """The sides, as child processes."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(arguments.threads),
        # As `glm` sets it, for both: threads that wait must not take the other's cores.
        "GOMP_SPINCOUNT": "10000",
        "HF_HOME": str(here / "huggingface"),
        "HF_HUB_OFFLINE": "1",
    }
    without = {key: value for key, value in environment.items() if key != "PYTHONPATH"}

    def command(side: str) -> list[str]:
        files = [
            str(model),
            str(here / "variants.parquet"),
            str(GENOME),
            str(here / f"{side}.npy"),
        ]
        if side == "gpn":
            return [gpn_python, str(HERE / "gpn_scoring.py"), *files, str(arguments.batch)]
        ours = [sys.executable, str(HERE / "our_scoring.py"), *files, str(arguments.our_batch)]
        return [*ours, side, str(side == "bf16")]

    return {
        side: Child(command(side), without if side == "gpn" else environment, f"{here}/{side}.log")
        for side in ("fp32", "bf16", "gpn")
    }


def compare(here: Path, children: dict[str, Child], arguments: argparse.Namespace) -> None:
    """Take turns, and print what came of it."""
    questions = [(side, "score") for side in children]
    questions += [(side, what) for side in ("fp32", "bf16") for what in ("part", "forward")]
    for side, child in children.items():
        print(f"  warm-up, {side}: {child.ask('warm up')['seconds']:.1f} s", flush=True)
    if arguments.whole:
        questions += [(side, "whole") for side in ("fp32", "bf16")]
        children["bf16"].ask("whole")
    took: dict[tuple[str, str], list[dict[str, float]]] = {each: [] for each in questions}
    for _ in range(arguments.rounds):
        for side, question in questions:
            took[side, question].append(children[side].ask(question))
    seconds = {each: [one["seconds"] for one in answers] for each, answers in took.items()}
    for side in children:
        result(f"score.{side}", seconds[side, "score"], arguments.variants, "variants/s")
        work = statistics.median(one["processor"] for one in took[side, "score"])
        print(f"  processor seconds a variant: {work / arguments.variants:.5f}")
    for side in ("fp32", "bf16"):
        ratios = [
            b / a for a, b in zip(seconds[side, "score"], seconds["gpn", "score"], strict=True)
        ]
        print(f"RESULT score.{side}_vs_gpn {statistics.median(ratios):.4g} x")
        print(f"  (from {min(ratios):.4g} to {max(ratios):.4g} in {len(ratios)} rounds)")
        overheads = [
            100 * (a / b - 1)
            for a, b in zip(seconds[side, "part"], seconds[side, "forward"], strict=True)
        ]
        print(f"RESULT score.{side}_overhead {statistics.median(overheads):.3g} %")
        print(f"  (from {min(overheads):.3g} to {max(overheads):.3g}, over the network alone)")
        if arguments.whole:
            rate = result(f"score.{side}_whole", seconds[side, "whole"], PART, "variants/s")
            theirs = arguments.variants / statistics.median(seconds["gpn", "score"])
            print(f"  {rate / theirs:.4g} x gpn's")
    check(here)


def check(here: Path) -> None:
    """Print how equal the scores are, and leave where they are not."""
    fp32, bf16, gpn = (np.load(here / f"{side}.npy") for side in ("fp32", "bf16", "gpn"))
    difference = float(np.abs(fp32 - gpn).max())
    correlation = float(spearmanr(bf16, fp32).statistic)
    print(f"  scores: standard deviation {gpn.std():.4f}; fp32 and gpn differ by {difference:.2g}")
    print(f"  Spearman of bf16 and fp32: {correlation:.6f}")
    if difference > 1e-4 or correlation < 0.999:
        sys.exit("the scores are not equal: nothing of the above counts")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variants", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64, help="windows at a time, of gpn's")
    parser.add_argument("--our-batch", type=int, default=64, help="windows at a time, of ours")
    parser.add_argument("--whole", action="store_true", help="also score by whole windows")
    parser.add_argument("--model", type=Path, help="GPN directory; random weights without")
    arguments = parser.parse_args()
    began = time.perf_counter()
    cut_windows()
    made = subprocess.run([sys.executable, "tools/gpn_venv.py"], capture_output=True, text=True)
    if made.returncode:
        print(f"score.*_vs_gpn left out: {made.stderr.strip()}")
        return
    with tempfile.TemporaryDirectory() as directory:
        here = Path(directory)
        table = pl.read_parquet(VARIANTS)
        if not PART <= arguments.variants <= len(table):
            sys.exit(f"--variants: from {PART} to {len(table)}")
        rows = np.linspace(0, len(table) - 1, arguments.variants).astype(int)
        table[rows].select("chrom", "pos", "ref", "alt").write_parquet(here / "variants.parquet")
        if arguments.model is None:
            write_model(here / "model")
        children = start(here, arguments.model or here / "model", made.stdout.strip(), arguments)
        compare(here, children, arguments)
        for child in children.values():
            child.close()
    print(f"  the whole of it: {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
