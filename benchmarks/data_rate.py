"""Windows a second from MDS shards to training tensors, beside the stock reader: make bench-data.

Needs data/yeast (`python convert/to_mds.py yamls/convert/yeast.yaml`), tiled here to 235k windows.
The stock road: StreamingDataset, a string a window, Hugging Face's tokenizer and its
DataCollatorForLanguageModeling, in batches; both roads in this process, on one core.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import interleave, result
from streaming import StreamingDataset
from streaming.base.util import clean_stale_shared_memory
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from torch.utils.data import DataLoader
from transformers import DataCollatorForLanguageModeling, PreTrainedTokenizerFast

from glm_composer import sequence
from glm_composer.data.batches import GlobalBatches, Place
from glm_composer.data.dataset import WindowDataset
from glm_composer.data.objectives.mlm import MaskedLanguageModel, MLMConfig
from glm_composer.data.prepare import Prepare
from glm_composer.data.shards import Shards
from glm_composer.data.stream import Stream

SPLIT = Path("data/yeast/train")
TILES = 6
BATCH = 256
# The stock road takes so many windows a round, ours an epoch.
STOCK_WINDOWS = 40 * BATCH
COMPLEMENT = str.maketrans("ACGTNacgtn", "TGCANtgcan")
MILLION = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", type=int, help="only: peak memory on one of so many ranks")
    arguments = parser.parse_args()
    if arguments.memory:
        print_memory(arguments.memory)
        return
    torch.set_num_threads(1)
    clean_stale_shared_memory()
    with tempfile.TemporaryDirectory() as directory:
        tiled = tile(Path(directory) / "train")
        stock = StreamingDataset(
            local=str(tiled),
            batch_size=BATCH,
            shuffle=True,
            shuffle_algo="py1br",
            shuffle_seed=1,
            num_canonical_nodes=64,
        )
        shards = Shards(tiled)
        rates(stock, shards, arguments.rounds)
        starts(shards)
        pauses(shards)
    for ranks in (1, 8):
        subprocess.run([sys.executable, __file__, "--memory", str(ranks)], check=True)


def tile(path: Path) -> Path:
    """List the yeast shards several times over in one index."""
    path.mkdir()
    index = json.loads((SPLIT / "index.json").read_text())
    shards = []
    for tile in range(TILES):
        for shard in index["shards"]:
            raw = shard["raw_data"]
            name = f"{tile}.{raw['basename']}"
            (path / name).symlink_to((SPLIT / raw["basename"]).resolve())
            shards.append({**shard, "raw_data": {**raw, "basename": name}})
    (path / "index.json").write_text(json.dumps({**index, "shards": shards}))
    return path


def loader(shards: Shards, collate: Any) -> DataLoader:
    batches = GlobalBatches(Stream(shards.counts, 1), BATCH, Place())
    dataset = WindowDataset(shards, batches)
    return DataLoader(dataset, batch_size=None, sampler=batches, collate_fn=collate)


def rates(stock: StreamingDataset, shards: Shards, rounds: int) -> None:
    prepare = Prepare(
        MaskedLanguageModel(MLMConfig()), 1, 512, 0.01, random_crop=True, random_strand=True
    )
    collator = make_collator()
    read, ready = loader(shards, lambda batch: batch), loader(shards, prepare)
    check_equal(shards, stock, prepare, collator)
    candidates = {
        "stock_read": lambda: sum(1 for _ in islice(stock, STOCK_WINDOWS)),
        "stock": lambda: sum(1 for _ in islice(stock_batches(stock, collator), 40)),
        "read": lambda: sum(len(batch["id"]) for batch in read),
        "train_ready": lambda: sum(len(batch["id"]) for batch in ready),
    }
    seconds = interleave(candidates, rounds)
    rate = {}
    for name, times in seconds.items():
        work = STOCK_WINDOWS if name.startswith("stock") else len(shards)
        rate[name] = result(f"data.{name}", times, work, "windows/s")
    print(f"RESULT data.vs_stock {rate['train_ready'] / rate['stock']:.4g} x")
    print(f"RESULT data.read_vs_stock_read {rate['read'] / rate['stock_read']:.4g} x")


def make_collator() -> DataCollatorForLanguageModeling:
    vocabulary = {token: id_ for id_, token in enumerate(sequence.TOKENS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", mask_token="[MASK]", unk_token="[UNK]"
    )
    return DataCollatorForLanguageModeling(fast, mlm_probability=0.15)


def stock_batches(
    stock: StreamingDataset, collator: DataCollatorForLanguageModeling, strands: bool = True
) -> Iterator[dict[str, torch.Tensor]]:
    """The same work in the usual way: strand, tokens, corruption, loss weights by case."""
    samples = iter(stock)
    while chunk := list(islice(samples, BATCH)):
        texts = [sample["sequence"].tobytes().decode() for sample in chunk]
        if strands:
            texts = [
                text.translate(COMPLEMENT)[::-1] if random.random() < 0.5 else text
                for text in texts
            ]
        tokens = collator.tokenizer(texts, return_token_type_ids=False)["input_ids"]
        batch = collator([{"input_ids": each} for each in tokens])
        lower = np.array([list(text.encode()) for text in texts], dtype=np.uint8) >= ord("a")
        weight = torch.from_numpy(np.where(lower, np.float32(0.01), np.float32(1)))
        yield {**batch, "loss_weight": weight * (batch["labels"] != -100)}


def check_equal(
    shards: Shards,
    stock: StreamingDataset,
    prepare: Prepare,
    collator: DataCollatorForLanguageModeling,
) -> None:
    """Show that both roads read the same windows in the same order, as the same tokens."""
    ours = [batch["sequence"] for batch in islice(loader(shards, lambda batch: batch), 40)]
    # Labels hold the bases that were corrupted.
    theirs = [
        torch.where(batch["labels"] == -100, batch["input_ids"], batch["labels"]).numpy()
        for batch in islice(stock_batches(stock, collator, False), 40)
    ]
    assert np.array_equal(sequence.encode(np.concatenate(ours)), np.concatenate(theirs))
    batch = next(iter(loader(shards, prepare)))
    other = next(stock_batches(stock, collator))
    ours_asked = float((batch["labels"] != sequence.PAD).float().mean())
    theirs_asked = float((other["labels"] != -100).float().mean())
    print(
        f"both roads read the same {STOCK_WINDOWS:,} of {len(shards):,} windows in the same "
        f"order; they ask for {ours_asked:.4f} and {theirs_asked:.4f} of the bases"
    )


def starts(shards: Shards) -> None:
    """Seconds from nothing to a first batch read, by the number of windows in the index."""
    for name, total in (("1m", MILLION), ("50m", 50 * MILLION)):
        seconds = []
        for _ in range(3):
            begin = time.perf_counter()
            batches = synthetic(total)
            first = next(iter(batches))
            shards.gather(first.ids % len(shards))
            seconds.append(time.perf_counter() - begin)
        print(f"RESULT data.first_batch_{name} {np.median(seconds):.3g} s")


def pauses(shards: Shards) -> None:
    """The longest wait for the first batch of an epoch after the last of the one before.

    Of the yeast windows, read as fast as they come (a quarter of a second an epoch), and of 50M
    windows that are not read, after ten seconds (5M windows/s).
    """
    longest = 0.0
    for each, seconds in ((loader(shards, lambda batch: batch), 0), (synthetic(50 * MILLION), 10)):
        running = iter(each)
        next(running)
        time.sleep(seconds)
        for _ in running:
            end = time.perf_counter()
        next(iter(each))
        longest = max(longest, time.perf_counter() - end)
    print(f"RESULT data.epoch_pause {longest:.3g} s")


def synthetic(total: int, ranks: int = 1) -> GlobalBatches:
    """The batches of one rank of so many windows, in shards of 125,000."""
    counts = np.full(total // 125_000, 125_000)
    return GlobalBatches(Stream(counts, 1), BATCH * ranks, Place(0, ranks, ranks))


def print_memory(ranks: int) -> None:
    before = memory("VmRSS")
    batches = synthetic(50 * MILLION, ranks)
    running = iter(batches)
    next(running)
    time.sleep(8)  # the next epoch's order is made meanwhile
    print(
        f"RESULT data.rss_50m_{ranks} {memory('VmRSS') - before:.0f} MB "
        f"(at most {memory('VmHWM') - before:.0f}) on each of {ranks} ranks"
    )


def memory(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1000


if __name__ == "__main__":
    main()
