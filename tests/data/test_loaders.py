"""Loaders as the Trainer gets them: counts of real windows, and errors of one line."""

import json
import shutil
import threading
from pathlib import Path

import pytest
import torch
from stock_shards import write

from glm_composer.data.batches import Place
from glm_composer.data.dataset import read_batch
from glm_composer.data.loaders import Loading, held_out_loader, train_loader
from glm_composer.data.objectives.mlm import MaskedLanguageModel, MLMConfig
from glm_composer.data.prepare import Prepare
from glm_composer.data.shards import Shards
from glm_composer.data.stream import Stream
from glm_composer.errors import UserError

PREPARE = Prepare(MaskedLanguageModel(MLMConfig()), 1, 512, 0.01, True, True)


def test_blanks_are_no_samples(split, capsys):
    spec = train_loader(Shards(split), Loading(prepare=PREPARE, batch=48, seed=1))
    assert "700 windows in 15 batches of 48, each window once" in capsys.readouterr().out
    assert spec.num_samples == 700
    assert len(spec.dataloader) == 15
    batches = list(spec.dataloader)
    assert [spec.get_num_samples_in_batch(batch) for batch in batches] == [48] * 14 + [28]
    assert spec.get_num_tokens_in_batch(batches[-1]) == 28 * 512
    for batch in (batches[0], batches[-1]):
        weight = spec.get_num_tokens_in_batch(batch, "loss_generating")
        assert weight == pytest.approx(batch["loss_weight"].sum().item())
    assert not batches[-1]["loss_weight"][batches[-1]["id"] < 0].any()


def test_what_is_loaded_ahead_is_what_is_read_in_order(split):
    shards, loading = Shards(split), Loading(prepare=PREPARE, batch=48, seed=1)
    spec = train_loader(shards, loading)
    for epoch in range(2):
        dealt = Stream(shards.counts, 1).deal(epoch, 0, 48, Place())
        for found, batch in zip(spec.dataloader, dealt, strict=True):
            expected = PREPARE(read_batch(shards, batch))
            assert found.keys() == expected.keys()
            for name, value in expected.items():
                assert torch.equal(found[name], value)


def test_a_batch_of_blanks_weighs_next_to_nothing(split):
    spec = held_out_loader(Shards(split), PREPARE, 8, limit=4)
    batch = next(iter(spec.dataloader))
    blanks = {name: value[4:] for name, value in batch.items()}
    assert spec.get_num_samples_in_batch(blanks) == 0
    assert spec.get_num_tokens_in_batch(blanks) == 0
    assert 0 < spec.get_num_tokens_in_batch(blanks, "loss_generating") < 1e-9


def test_errors_are_one_line(split, tmp_path):
    copy = Path(shutil.copytree(split, tmp_path / "copy"))
    index = json.loads((copy / "index.json").read_text())
    index["shards"][3]["samples"] = 96
    (copy / "index.json").write_text(json.dumps(index))
    loading = Loading(prepare=PREPARE, batch=48, seed=1)
    spec = train_loader(Shards(copy), loading)
    with pytest.raises(UserError, match=r"copy/shard\.00003\.mds: ") as error:
        list(spec.dataloader)
    assert str(error.value).startswith(str(copy))
    assert "\n" not in str(error.value)


def test_loading_leaves_random_state_as_it_was(split):
    loading = Loading(prepare=PREPARE, batch=48, seed=1)
    before = torch.get_rng_state()
    for spec in (
        train_loader(Shards(split), loading),
        held_out_loader(Shards(split), PREPARE, 48),
    ):
        assert len(list(spec.dataloader)) == 15
    assert torch.equal(torch.get_rng_state(), before)


def test_bases_of_ragged_windows_are_counted_without_padding(tmp_path):
    shards = Shards(write(tmp_path / "ragged", "bytes", 70, 20, longest=700))
    lengths = shards.gather()["length"]
    prepare = Prepare(MaskedLanguageModel(MLMConfig()), 1, 512, 0.01, True, True)
    for spec in (
        train_loader(shards, Loading(prepare=prepare, batch=16, seed=1)),
        held_out_loader(shards, prepare, 16),
    ):
        seen = {}
        for batch in spec.dataloader:
            assert batch["input_ids"].shape[1] % 64 == 0
            real = batch["id"] >= 0
            bases = batch["length"][real].tolist()
            assert spec.get_num_tokens_in_batch(batch) == sum(bases)
            assert not batch["loss_weight"][~real].any()
            seen |= dict(zip(batch["id"][real].tolist(), bases, strict=True))
        assert seen == {id_: min(512, n) for id_, n in enumerate(lengths.tolist())}


def test_preparing_later_is_preparing_ahead(split):
    specs = [
        train_loader(Shards(split), Loading(prepare=PREPARE, batch=48, seed=1, on_device=there))
        for there in (False, True)
    ]
    for ahead, moved in zip(*(spec.dataloader for spec in specs), strict=True):
        # A byte a base and two numbers a window: nothing else is moved.
        assert set(moved) == {"sequence", "id", "epoch"}
        later = specs[1].batch_transforms(moved)
        assert ahead.keys() == later.keys()
        for name, value in ahead.items():
            assert torch.equal(later[name], value)


def test_loading_leaves_the_number_of_threads_as_it_was(split):
    """What one thread sets, torch takes over in every other that has not computed yet."""
    found, before = [], torch.get_num_threads()

    def count():
        found.append(torch.get_num_threads())

    def use():
        torch.set_num_threads(3)
        list(train_loader(Shards(split), Loading(prepare=PREPARE, batch=48, seed=1)).dataloader)
        count()
        another = threading.Thread(target=count)
        another.start()
        another.join()

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    torch.set_num_threads(before)
    assert found == [3, 3]
