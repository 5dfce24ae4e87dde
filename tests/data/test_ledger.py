"""The ledger: proves permutations over kills and changes of ranks, and names what is wrong."""

import base64
import json

import numpy as np
import pytest

from glm_composer.data.batches import GlobalBatches, Place
from glm_composer.data.ledger import LedgerFile, Part, audit, digest, split_parts
from glm_composer.data.mixture import Mixture, Proportion
from glm_composer.data.stream import Stream
from glm_composer.errors import UserError

BATCH = 16


def single(limit=None):
    return Stream(np.array([60, 43]), 5, limit=limit)


def mixed():
    streams = [Stream(np.array([70]), 5), Stream(np.array([33]), 5)]
    return Mixture(streams, [Proportion((0,), (0.6,)), Proportion((0,), (0.4,))], BATCH)


def write(path, source, first, last, ranks=1):
    """Batches `first` + 1 to `last` as a run on so many ranks writes them."""
    streams = source.streams if isinstance(source, Mixture) else [source]
    starts = np.cumsum([0, *(stream.total for stream in streams)])
    table = [
        {"name": f"s{number}", "total": stream.total, "windows": stream.samples}
        for number, stream in enumerate(streams)
    ]
    file = LedgerFile(path)
    file.start(first, table)
    dealers = [GlobalBatches(source, BATCH, Place(rank, ranks, ranks)) for rank in range(ranks)]
    size = len(dealers[0])
    for dealer in dealers:
        epoch, done = divmod(first, size)
        state = {"epoch": epoch, "samples": done * BATCH, "identity": dealer.identity}
        dealer.load_state_dict(state)
    number = first
    while number < last:
        for shares in zip(*dealers, strict=True):
            ids = np.concatenate([share.ids for share in shares])
            epochs = np.concatenate(
                [np.broadcast_to(share.epoch, share.ids.shape) for share in shares]
            )
            stream = np.maximum(np.searchsorted(starts, ids, side="right") - 1, 0)
            number += 1
            if number <= last:
                file.batch(number, split_parts(ids - starts[stream] * (ids >= 0), epochs, stream))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.jsonl"


@pytest.mark.parametrize("limit", [None, 50])
def test_proves_permutations_over_kills_and_ranks(path, limit):
    size = 7 if limit is None else 4
    windows = limit or 103
    write(path, single(limit), 0, size + 3)
    # Killed after a checkpoint at the epoch's end, its last line half written.
    with path.open("a") as file:
        file.write('{"batch": 99, "dig')
    write(path, single(limit), size, 2 * size + 1, ranks=2)
    write(path, single(limit), 2 * size + 1, 3 * size, ranks=4)
    found = audit(path)
    assert (found.starts, found.batches, found.redone, found.changed) == (3, 3 * size, 3, 0)
    assert found.epochs == [f"s0, epoch {epoch}: all {windows} windows once" for epoch in range(3)]


def test_proves_each_streams_own_epochs(path):
    write(path, mixed(), 0, 9)
    write(path, mixed(), 8, 15, ranks=2)
    found = audit(path)
    assert found.redone == 1
    assert found.epochs == [
        "s0, epoch 0: all 70 windows once",
        "s0, epoch 1: all 70 windows once",
        "s0, epoch 2: 4 of 70 windows so far, each once",
        "s1, epoch 0: all 33 windows once",
        "s1, epoch 1: all 33 windows once",
        "s1, epoch 2: 30 of 33 windows so far, each once",
    ]


def test_digests_do_not_depend_on_order():
    ids, zeros = np.array([5, 3, -1, 9]), np.zeros(4, dtype=np.int64)
    one = split_parts(ids, zeros, zeros)
    other = split_parts(ids[::-1], zeros, zeros)
    assert [part.ids.tolist() for part in one] == [[3, 5, 9]]
    assert digest(one) == digest(other)
    assert digest(one) != digest([Part(0, 1, one[0].ids)])


def rewrite(path, change):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    change(lines)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def put(lines, batch, ids, epoch=0):
    """Forge a batch, with the right digest."""
    part = Part(0, epoch, np.sort(np.array(ids)))
    file = {"batch": batch, "digest": digest([part])}
    packed = part.ids.astype("<u4").tobytes()
    lines[batch] = {**file, "parts": [[0, epoch, base64.b64encode(packed).decode()]]}


def first_ids(lines, batch):
    return np.frombuffer(base64.b64decode(lines[batch]["parts"][0][2]), "<u4").tolist()


def swap_in(batch, choose):
    """A change that puts another window in the place of a batch's first."""

    def change(lines):
        ids = first_ids(lines, batch)
        put(lines, batch, [choose(lines), *ids[1:]])

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines.pop(4), "line 5: batch 5 follows batch 3"),
        (lambda lines: lines.insert(3, lines[3]), "line 5: batch 3 follows batch 3"),
        (lambda lines: lines[3].update(digest="0" * 16), "batch 3: its windows do not match"),
        (lambda lines: lines[3]["parts"][0].__setitem__(2, "?"), "batch 3: its windows do not"),
        (lambda lines: lines[2].pop("batch"), "line 3: not a line of a ledger"),
        (lambda lines: lines[9].update(start=9), "line 10: the run goes on from batch 9, but"),
        (
            swap_in(3, lambda lines: first_ids(lines, 1)[0]),
            r"batch 3, s0, epoch 0: window \d+ was seen in batch 1 already",
        ),
        (swap_in(3, lambda lines: 103), "batch 3, s0, epoch 0: window 103 is not one of the 103"),
        (
            swap_in(3, lambda lines: first_ids(lines, 3)[1]),
            r"batch 3, s0, epoch 0: window \d+ is in the batch twice",
        ),
        (
            lambda lines: put(lines, 7, first_ids(lines, 7)[1:]),
            r"s0, epoch 0: 1 of 103 windows were never seen, the first is \d+",
        ),
    ],
)
def test_names_the_first_defect(path, change, message):
    write(path, single(), 0, 8)
    write(path, single(), 7, 9)
    rewrite(path, change)
    with pytest.raises(UserError, match=f"ledger.jsonl[:,] {message}") as error:
        audit(path)
    assert "\n" not in str(error.value)


def test_other_windows_the_second_time_are_counted(path):
    write(path, single(), 0, 5)
    rewrite(path, lambda lines: put(lines, 5, [1, 2, 3]))
    write(path, single(), 4, 7)
    found = audit(path)
    assert (found.redone, found.changed) == (1, 1)


def test_a_run_without_a_ledger(tmp_path):
    with pytest.raises(UserError, match="a run writes it with ledger=true"):
        audit(tmp_path / "ledger.jsonl")
