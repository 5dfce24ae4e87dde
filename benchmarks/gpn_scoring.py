"""gpn's own VEP: `gpn_scoring.py MODEL VARIANTS GENOME OUT BATCH`, in gpn's Python."""

import sys

import numpy as np
import torch
from gpn.data import load_dataset_from_file_or_dir
from gpn.inference import run_inference
from gpn.ss.data import Genome
from gpn.ss.inference import VEPInference
from questions import answer
from transformers import AutoTokenizer, TrainingArguments

WINDOW = 512


def main() -> None:
    model, variants, genome, out, batch = sys.argv[1:]
    torch.set_grad_enabled(False)
    dataset = load_dataset_from_file_or_dir(variants, is_file=True)
    tokenizer = AutoTokenizer.from_pretrained(model)
    inference = VEPInference(model, Genome(genome), WINDOW, tokenizer)
    arguments = TrainingArguments(
        output_dir=f"{out}.trainer",
        per_device_eval_batch_size=int(batch),
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
    )

    def score(rows: range) -> None:
        found = run_inference(dataset.select(rows), inference, arguments, output_prefix="gpn-")
        np.save(out, found["score"].to_numpy())

    everything = range(len(dataset))
    answer({"warm up": lambda: score(everything[:128]), "score": lambda: score(everything)})


if __name__ == "__main__":
    main()
