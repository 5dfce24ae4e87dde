"""The order of an epoch: Streaming's `py1br` shuffle over canonical nodes, every sample once.

Canonical nodes are equal parts of the shuffled shards, each shuffled in blocks; they take turns,
so neighbours in the order come from all over the data. The shuffle is Streaming's own, draw for
draw. The stock partition repeats or drops samples where the count does not divide; here a short
part just ends. Kept apart from Streaming, whose import takes longer than training's first batches,
and which needs 8 bytes of shared memory a sample where 4 on one rank do.

Why `py1br`: 1.7 s for 50M samples against 5.5 s of `py1e`, and blocks are shuffled through, where
`py1s` (0.6 s) only shuffles within shards.
"""

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

# They decide the order, so they must not depend on ranks or nodes; 64 parts divide among 1 to 64
# nodes, each of which then reads its own shards only.
CANONICAL_NODES = 64
# Streaming's default.
BLOCK = 1 << 18

Order = NDArray[np.unsignedinteger[Any]]


def epoch_order(
    counts: NDArray[np.int64],
    seed: int,
    epoch: int,
    *,
    shuffle: bool = True,
    first: int = 0,
    stride: int = 1,
) -> Order:
    """Return `order[first::stride]` of an epoch's order, a permutation of all samples.

    Only what is returned is kept in memory, 4 bytes a sample.

    Args:
        counts: [shards] samples of each shard.
        seed: of the shuffle.
        epoch: 0-based.
        shuffle: otherwise canonical nodes take turns, each through its part of the data in order.
        first: leave out so many at the start.
        stride: take every so-manieth; ranks take turns.
    """
    total = int(counts.sum())
    nodes = min(CANONICAL_NODES, total)
    kept = np.empty(max(0, -(-(total - first) // stride)), np.uint32 if total < 2**32 else "u8")
    parts = _shuffled(counts, seed, epoch, nodes) if shuffle else _in_order(total, nodes)
    # In a table with a column a node, position node + nodes x row is this node's. Those that are
    # also first + stride x i lie `step` rows apart, and `gap` apart in what is kept.
    gap, step = nodes // math.gcd(nodes, stride), stride // math.gcd(nodes, stride)
    rows = total // nodes
    tail = rows * nodes
    for node, part in enumerate(parts):
        begin = max(0, -(-(first - node) // nodes))
        for row in range(begin, min(begin + step, rows)):
            at, off = divmod(node + nodes * row - first, stride)
            if off == 0:
                mine = part[row:rows:step]
                kept[at : at + gap * len(mine) : gap] = mine
                break
        # The last row is short: only the longer parts have a sample for it.
        if len(part) > rows:
            at, off = divmod(tail - first, stride)
            if off == 0 and at >= 0:
                kept[at] = part[rows]
            tail += 1
    return kept


def _in_order(total: int, nodes: int) -> Any:
    for node in range(nodes):
        yield np.arange(total * node // nodes, total * (node + 1) // nodes)


def _shuffled(counts: NDArray[np.int64], seed: int, epoch: int, nodes: int) -> Any:
    """Yield each canonical node's samples, int64 [n], in shuffled order."""
    starts = np.concatenate([[0], np.cumsum(counts)]).tolist()
    spans = list(itertools.pairwise(starts))
    # Which shards are whose holds for the whole run.
    np.random.default_rng(seed).shuffle(spans)
    rng = np.random.default_rng(seed + epoch)
    divided = _divide(spans, starts[-1], nodes)
    for part in divided:
        rng.shuffle(part)
    # Blocks begin at different places in different nodes.
    staggers = rng.integers(0, int(0.75 * BLOCK), nodes).tolist()
    for part, stagger in zip(divided, staggers, strict=True):
        samples = np.concatenate([np.arange(start, stop) for start, stop in part])
        for start, stop in _blocks(rng, len(samples), stagger):
            rng.shuffle(samples[start:stop])
        yield samples


def _divide(spans: list[tuple[int, int]], total: int, nodes: int) -> list[list[tuple[int, int]]]:
    """Cut a row of spans into parts of equal size, give or take one sample."""
    parts: list[list[tuple[int, int]]] = [[] for _ in range(nodes)]
    node, room = 0, total // nodes
    for start, stop in spans:
        while start < stop:
            if room == 0:
                node += 1
                room = total * (node + 1) // nodes - total * node // nodes
            end = min(stop, start + room)
            parts[node].append((start, end))
            room -= end - start
            start = end
    return parts


def _blocks(rng: np.random.Generator, size: int, stagger: int) -> list[tuple[int, int]]:
    """Draw the blocks of a part, as Streaming does: they overlap by the stagger."""
    blocks, done = [], 0
    while done < size:
        length = int(rng.integers(int(0.75 * BLOCK), int(1.25 * BLOCK)))
        block = max(0, done - stagger), min(size, done + length - stagger)
        blocks.append(block)
        done += block[1] - block[0]
    return blocks
