"""A window as it is shown: its bases against the genome, its marks against what training makes."""

from pathlib import Path

import numpy as np
import pytest

from glm_composer.cli import main
from glm_composer.conversion.manifest import Locus, locate
from glm_composer.data.objectives.mlm import MaskedLanguageModel, MLMConfig
from glm_composer.data.prepare import Prepare
from glm_composer.data.shards import Shards
from glm_composer.data_tools.inspect import describe_window, preparation
from glm_composer.data_tools.window import View, as_prepared, as_stored, lines
from glm_composer.errors import UserError
from glm_composer.genome import Genome
from glm_composer.sequence import (
    MASK,
    PAD,
    as_ascii,
    decode,
    encode,
    reverse_complement,
)


def shown(text: list[str]) -> list[tuple[int, str]]:
    """The position and the bases of each line of bases."""
    found = []
    for line in text:
        place, _, rest = line.strip().partition("  ")
        if place.replace(",", "").isdigit():
            found.append((int(place.replace(",", "")), rest.replace(" ", "")))
    return found


@pytest.mark.parametrize("sample", [0, 77, 1_234, 2_000])
def test_bases_and_positions_are_the_genomes(made: Path, sample: int) -> None:
    text = list(describe_window(made, "train", sample, None, 0))
    locus = locate(made, "train", sample)
    assert f"S288c chr01:{locus.start:,}-{locus.end:,} (+)" in text[0]
    with Genome(made / "genome.fa") as genome:
        bases = genome.contig("chr01").tobytes().decode()
    parts = shown(text)
    assert "".join(part for _, part in parts) == bases[locus.start : locus.end]
    for place, part in parts:
        assert bases[place : place + len(part)] == part


def test_positions_of_a_minus_window_go_down() -> None:
    bases = "ACGTTGCAAC" * 13
    view = as_stored(reverse_complement(bases))
    text = [line for line, _ in lines(view, Locus("x", "c", 1_000, 1_130, -1))]
    for place, part in shown(text):
        last = place - 1_000 + 1
        assert reverse_complement(bases[last - len(part) : last]).tobytes().decode() == part


@pytest.mark.parametrize("window", [128, 100, 1])
@pytest.mark.parametrize("epoch", [0, 1, 2, 3])
def test_view_is_what_training_makes(made: Path, window: int, epoch: int) -> None:
    """Naive reference: the places at which what `Prepare` shows is the stored window."""
    sequence = Shards(made / "train").gather(np.array([700]))["sequence"][0]
    objective = MaskedLanguageModel(MLMConfig(rate=0.3, mask=0.5, random=0.3))
    prepare = Prepare(objective, 5, window, 0.1, random_crop=True, random_strand=True)
    view = as_prepared(sequence, 700, epoch, prepare)
    tensors = prepare({"sequence": sequence[None], "id": np.array([700]), "epoch": epoch})
    inputs, labels = tensors["input_ids"].numpy()[0], tensors["labels"].numpy()[0]
    stored = sequence[view.places]
    if view.turned:
        # The places go down already.
        stored = reverse_complement(stored[::-1])
    np.testing.assert_array_equal(view.letters, stored)
    np.testing.assert_array_equal(encode(view.letters)[labels != PAD], labels[labels != PAD])
    np.testing.assert_array_equal(encode(view.letters)[labels == PAD], inputs[labels == PAD])
    assert np.abs(np.diff(view.places)).tolist() == [1] * (window - 1)
    assert view.marks is not None
    for mark, seen, asked in zip(view.marks, inputs, labels, strict=True):
        if asked == PAD:
            assert mark == " "
        elif seen == MASK:
            assert mark == "?"
        else:
            assert mark == ("=" if seen == asked else decode(np.array([seen])).tobytes().decode())


def test_both_strands_and_several_crops_come_up(made: Path) -> None:
    sequence = Shards(made / "train").gather(np.array([3]))["sequence"][0]
    objective = MaskedLanguageModel(MLMConfig())
    prepare = Prepare(objective, 5, 100, 0.1, random_crop=True, random_strand=True)
    views = [as_prepared(sequence, 3, epoch, prepare) for epoch in range(20)]
    assert {view.turned for view in views} == {False, True}
    assert len({int(view.places.min()) for view in views}) > 5


def test_marks_stand_below_their_bases() -> None:
    view = View(as_ascii("ACGTacgtACGTACGT"), np.arange(16), "?  =  G         ")
    assert list(lines(view, Locus("x", "c", 90, 106, 1))) == [
        (" 90  ACGTacgtAC GTACGT", "     ?  =  G"),
    ]


def test_held_out_splits_are_shown_as_evaluation_sees_them(made: Path) -> None:
    prepare = preparation(made, "validation", seed=3)
    assert (prepare.seed, prepare.random_crop, prepare.random_strand) == (0, False, False)
    prepare = preparation(made, "train", seed=3)
    assert (prepare.seed, prepare.random_crop, prepare.random_strand) == (3, True, True)


def test_a_runs_configuration_decides(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(
        f"run_name: x\nseed: 8\nmodel: {{name: transformer}}\n"
        f"objective: {{name: mlm, rate: 0.5}}\n"
        f"data: {{path: {made}, train_split: validation, window: 64, reverse_complement: false}}\n"
    )
    prepare = preparation(made, "validation", path)
    assert (prepare.seed, prepare.window, prepare.random_strand) == (8, 64, False)
    text = list(describe_window(made, "validation", 9, prepare, 1))
    assert "seed 8, epoch 1: 64 bases, as stored; " in text[2]
    assert sum(len(part) for _, part in shown(text)) == 64


def run(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    return stop.value.code


def test_verb(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "inspect", str(made)) == 0
    text = capsys.readouterr().out
    assert "two: windows of 128 bases" in text
    assert f"validation: {len(Shards(made / 'validation')):,} windows" in text
    assert "sample 0: S288c chr06:0-128 (+)" in text
    assert run("data", "inspect", str(made), "2", "--split", "validation", "--epoch", "0") == 0
    text = capsys.readouterr().out
    assert "validation 2 of " in text
    assert "seed 0, epoch 0: 128 bases, as stored; " in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["99999"], "no sample 99999; there are"),
        (["1", "--split", "nowhere"], "no split 'nowhere'; it has train, validation"),
        (["1", "--config", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["1", "--epoch", "-1"], "'--epoch': Input should be greater"),
    ],
)
def test_what_is_not_there(
    made: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("data", "inspect", str(made), *arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("window: 129", r"data.window \(129\) is longer than the windows of"),
        ("streams: {a: {path: x}}", "trains on several streams"),
    ],
)
def test_runs_that_cannot_be_shown(
    made: Path, tmp_path: Path, settings: str, message: str
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(
        f"run_name: x\nmodel: {{name: transformer}}\ndata: {{path: {made}, {settings}}}\n"
    )
    with pytest.raises(UserError, match=message):
        preparation(made, "train", path)


def test_a_directory_without_dataset(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file; make the dataset"):
        list(describe_window(tmp_path, "train", 0, None, 0))
