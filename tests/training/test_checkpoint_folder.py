"""Which checkpoint is whole, which is the best, which goes: on files, without training."""

import dataclasses
import json
import os
import random
import signal
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glm_composer.errors import UserError
from glm_composer.training.checkpoint_file import read_weights
from glm_composer.training.checkpoint_folder import (
    ASIDE,
    LATEST,
    find_best,
    is_interrupted,
    known,
    link,
    list_checkpoints,
    newest_whole,
    rotate,
    set_aside,
    tidy,
)
from glm_composer.training.checkpoint_manifest import (
    Manifest,
    defect,
    digest,
    manifest_path,
    read_manifest,
    write_manifest,
)
from glm_composer.training.checkpoint_write import publish


def save(folder: Path, batch: int, *, manifest: bool = True, **facts) -> Path:
    """A file named as a checkpoint, with its manifest."""
    file = folder / f"ep{batch // 10}-ba{batch}-rank0.pt"
    torch.save({"state": {"model": {"w": torch.full((300,), float(batch))}}, "rng": []}, file)
    if manifest:
        write_manifest(manifest_path(file), manifest_of(file, batch, **facts))
    return file


def manifest_of(file: Path, batch: int, **facts) -> Manifest:
    found = {"bytes": file.stat().st_size, "sha256": digest(file), "saved": "2026-01-01"}
    return Manifest(epoch=batch // 10, batch=batch, **{**found, **facts})


def flip(file: Path, position: int) -> None:
    content = bytearray(file.read_bytes())
    content[position] ^= 1 << position % 8
    file.write_bytes(content)


@pytest.mark.parametrize("with_manifest", [True, False])
def test_any_flipped_byte_is_detected_and_named(tmp_path, with_manifest):
    file = save(tmp_path, 4, manifest=with_manifest)
    content = file.read_bytes()
    # Without a manifest the file's own checksums tell, of what it stores: headers are not stored.
    at = content.index(torch.full((300,), 4.0).numpy().tobytes())
    dice, size = random.Random(0), len(content)
    places = (
        dice.sample(range(size), 25) if with_manifest else dice.sample(range(at, at + 1200), 25)
    )
    for position in places:
        flip(file, position)
        with pytest.raises(UserError, match=r"ep0-ba4-rank0\.pt: (damaged: |not a)"):
            read_weights(file)
        file.write_bytes(content)
    # Back as it was it reads.
    assert read_weights(file)["w"].sum() == 1200


def test_the_newest_whole_one_is_gone_on_from(tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    assert newest_whole(folder) == (None, {})
    # By number, not by name: 100 comes after 20.
    first, second, third = (save(folder, batch) for batch in (9, 20, 100))
    assert newest_whole(folder) == (third, {})
    flip(third, 700)
    found, wrong = newest_whole(folder)
    assert found == second
    assert wrong == {third: "damaged: its sha256 is not the one it was saved with"}
    manifest_path(second).unlink()
    found, wrong = newest_whole(folder)
    assert found == first
    assert wrong[second] == "incomplete: it has no manifest"
    os.truncate(first, 100)
    with pytest.raises(UserError, match=r"ba9-rank0\.pt is damaged: it has 100 bytes, not \d+"):
        newest_whole(folder)
    assert not list_checkpoints(folder / "nowhere")


FIELDS = '{"bytes": 3, "sha256": "x", "epoch": 0, "batch": 1, "saved": "", "metrics": {}}'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "not the manifest of a checkpoint"),
        ("{}", "not the manifest of a checkpoint"),
        ('{"format": 2}', "format 2; this version reads 1"),
        ('{"bytes": 1, "sha": 2}', "not the manifest of a checkpoint"),
        (FIELDS, None),
        (FIELDS.replace("3", "3.5"), "not the manifest of a checkpoint"),
        (FIELDS.replace("{}", '{"m": "1"}'), "not the manifest of a checkpoint"),
        (FIELDS.replace('"x"', "1"), "not the manifest of a checkpoint"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_a_defect(tmp_path, content, message):
    file = save(tmp_path, 1)
    manifest_path(file).write_text(content)
    if message is None:
        assert read_manifest(file).metrics == {}
    else:
        assert f"damaged: {manifest_path(file)}: {message}" in defect(file, thorough=False)


def test_a_damaged_one_set_aside_is_no_checkpoint_any_more(tmp_path):
    file = save(tmp_path, 3)
    assert set_aside(file).name == "ep0-ba3-rank0.pt.damaged"
    assert not list_checkpoints(tmp_path)
    assert not list(tmp_path.glob("*.json"))
    # Whatever lies there of another time.
    set_aside(save(tmp_path, 3))
    assert len(list(tmp_path.iterdir())) == 2


TOUCHES = ("open", "os.rename", "os.remove", "os.symlink", "os.rmdir")


def save_in_a_fork(folder: Path, batch: int, dies_at: int) -> bool:
    """Save, link and rotate as the saver does, killed before the n-th touch of a file."""
    process = os.fork()
    if process == 0:
        left = [dies_at]

        def hook(event, arguments):
            if event in TOUCHES and str(folder) in str(arguments[0]):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        (folder / ASIDE).mkdir(exist_ok=True)
        aside = save(folder / ASIDE, batch, manifest=False)
        final = folder / aside.name
        publish(aside, final, manifest_of(aside, batch))
        link(folder, LATEST, final)
        (folder / ASIDE).rmdir()
        rotate(known(folder), 2, [])
        os._exit(0)
    return os.waitpid(process, 0)[1] == signal.SIGKILL


@pytest.mark.parametrize("earlier", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_kill_before_any_touch_of_a_file_leaves_a_folder_to_go_on_from(tmp_path, earlier):
    kills, seen = 0, set()
    for touch in range(1, 100):
        folder = tmp_path / str(touch)
        folder.mkdir()
        saved = [save(folder, batch) for batch in range(1, earlier + 1)]
        killed = save_in_a_fork(folder, 5, touch)
        found, wrong = newest_whole(folder)
        seen.update(wrong.values())
        new = "ep0-ba5-rank0.pt"
        assert found in (saved[-1] if saved else None, folder / new)
        # Starting again clears up, loses nothing, and saves as if nothing had been.
        tidy(folder)
        assert newest_whole(folder) == (found, {})
        assert not save_in_a_fork(folder, 5, 1000)
        assert newest_whole(folder) == (folder / new, {})
        assert os.readlink(folder / LATEST) == new
        assert len(list(folder.iterdir())) == 1 + 2 * min(earlier + 1, 2)
        kills += killed
        if not killed:
            break
    assert kills >= 12
    assert seen == {"incomplete: it has no manifest"}


SAVES = st.lists(
    st.tuples(st.booleans(), st.none() | st.integers(0, 3).map(float)), min_size=1, max_size=12
)


@settings(max_examples=40, deadline=None)
@given(SAVES, st.integers(1, 4), st.sampled_from(["minimize", "maximize"]))
def test_rotation_keeps_the_last_the_best_and_what_is_kept_for_good(
    tmp_path_factory, saves, last, direction
):
    folder = tmp_path_factory.mktemp("rotation")
    written = []
    for number, (keep, value) in enumerate(saves):
        file = folder / f"ep0-ba{number}-rank0.pt"
        file.touch()
        metrics = {} if value is None else {"m": value}
        manifest = Manifest(
            bytes=0, sha256="", epoch=0, batch=number, saved="", keep=keep, metrics=metrics
        )
        manifest_path(file).write_text(json.dumps(dataclasses.asdict(manifest)))
        written.append(manifest)
        # As a run that was started anew before each save would: from the files alone.
        best = find_best(known(folder), "m", direction)
        rotate(known(folder), last, [best[0]] if best else [])
    values = [each.metrics["m"] for each in written if each.metrics]
    chosen = (min if direction == "minimize" else max)(values, default=None)
    bests = [each.batch for each in written if each.metrics.get("m", None) == chosen is not None]
    expected = {each.batch for each in written if each.keep}
    expected |= {each.batch for each in written[-last:]} | set(bests[:1])
    left = {json.loads(path.read_text())["batch"] for path in folder.glob("*.json")}
    assert left == expected == {m.batch for m in known(folder).values()}


def test_a_manifest_says_what_it_was_given(tmp_path):
    file = save(tmp_path, 12, keep=True, ranks=2, torch="2.7.0", metrics={"a/b": 0.1})
    manifest = read_manifest(file)
    assert manifest == manifest_of(
        file, 12, keep=True, ranks=2, torch="2.7.0", metrics={"a/b": 0.1}
    )
    assert dataclasses.asdict(manifest)["format"] == 1
    assert not is_interrupted(file)
