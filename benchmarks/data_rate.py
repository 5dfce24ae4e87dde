"""Windows a second from MDS shards to training tensors, beside the stock reader: make bench-data.

Needs data/yeast (`python convert/to_mds.py yamls/convert/yeast.yaml`).
"""

import tempfile
from pathlib import Path

import numpy as np
from measure import interleave, result
from streaming import StreamingDataset
from streaming.base.util import clean_stale_shared_memory

from glm_composer.data.dataset import WindowDataset, canonical_nodes
from glm_composer.data.objectives.mlm import MaskedLanguageModel, MLMConfig
from glm_composer.data.prepare import Prepare
from glm_composer.data.shards import Shards

SPLIT = Path("data/yeast/train")
BATCH = 256


def main() -> None:
    clean_stale_shared_memory()
    batched = WindowDataset(SPLIT, BATCH, BATCH, seed=1)
    samples = batched.epoch_samples
    with tempfile.TemporaryDirectory() as copy:
        # Streaming refuses two live datasets on one directory.
        (Path(copy) / "train").symlink_to(SPLIT.resolve())
        stock = StreamingDataset(
            local=copy,
            split="train",
            batch_size=BATCH,
            shuffle=True,
            shuffle_seed=1,
            num_canonical_nodes=canonical_nodes(BATCH),
            epoch_size=samples,
        )
        _check_equal(batched, stock)
        prepare = Prepare(
            MaskedLanguageModel(MLMConfig()), 1, 512, 0.01, random_crop=True, random_strand=True
        )
        rng = np.random.default_rng(0)
        shards = Shards(SPLIT)
        order = rng.permutation(len(shards))[: samples // BATCH * BATCH].reshape(-1, BATCH)
        candidates = {
            "stock_read": lambda: sum(1 for _ in stock),
            "read": lambda: sum(len(batch["id"]) for batch in batched),
            "gather": lambda: [shards.gather(ids) for ids in order],
            "train_ready": lambda: [prepare(batch) for batch in batched],
        }
        seconds = interleave(candidates, rounds=5)
    for name, times in seconds.items():
        result(f"data.{name}", times, samples, "windows/s")
    ratio = np.median(seconds["stock_read"]) / np.median(seconds["read"])
    print(f"RESULT data.read_vs_stock_read {ratio:.4g} x")


def _check_equal(batched: WindowDataset, stock: StreamingDataset) -> None:
    ours = np.concatenate([batch["sequence"] for batch in batched])
    theirs = np.stack([sample["sequence"] for sample in stock])
    assert np.array_equal(ours, theirs), "the readers disagree"
    print(f"both readers yield the same {len(ours):,} windows in the same order")


if __name__ == "__main__":
    main()
