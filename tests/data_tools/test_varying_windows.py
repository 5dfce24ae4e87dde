"""What the tools say of windows of varying length."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from glm_composer.conversion.config import ConvertConfig
from glm_composer.conversion.convert import convert
from glm_composer.data.objectives.mlm import MaskedLanguageModel, MLMConfig
from glm_composer.data.prepare import Prepare
from glm_composer.data.shards import Shards
from glm_composer.data_tools.inspect import describe_window, overview, preparation
from glm_composer.data_tools.leakage import find_leakage
from glm_composer.data_tools.page import page
from glm_composer.data_tools.rows import open_splits
from glm_composer.data_tools.stats import BINS, count
from glm_composer.data_tools.verify import verify
from glm_composer.data_tools.window import as_prepared
from glm_composer.genome import Genome
from glm_composer.sequence import PAD, decode, encode, reverse_complement
from glm_composer.settings import load

YAML = """
name: ragged
out: {folder}/out
source: {{name: genome, fasta: {fasta}, annotation: {folder}/exons.bed, assembly: S288c}}
windows: {{name: exons, length: 200, varying: true, minimum: 20}}
splits: {{train: [chr01], validation: [chr06]}}
shard_bytes: 30000
save_genome: true
hashes: []
"""


@pytest.fixture(scope="module")
def ragged(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some hundred windows of 20 to 200 bases; tests must not write into it."""
    folder = tmp_path_factory.mktemp("ragged")
    rng = np.random.default_rng(0)
    starts = np.cumsum(rng.integers(40, 700, 150))
    lines = [
        f"{contig}\t{start}\t{start + rng.integers(20, 420)}\tt{contig}{start}\t0\t+\n"
        for contig in ("chr01", "chr06")
        for start in starts
    ]
    (folder / "exons.bed").write_text("".join(lines))
    yaml = folder / "ragged.yaml"
    yaml.write_text(YAML.format(folder=folder, fasta=made.parent / "two.fa"))
    return Path(convert(load(ConvertConfig, yaml), progress=False))


@pytest.fixture
def dataset(ragged: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(ragged, tmp_path / "ragged"))


def windows(path: Path) -> list[str]:
    rows = Shards(path).gather()
    return [row["sequence"][: row["length"]].tobytes().decode() for row in rows]


def test_what_was_converted_is_sound(ragged: Path) -> None:
    found = verify(ragged)
    assert found.defects == []
    assert (
        found.windows
        == found.compared
        == sum(len(windows(p.parent)) for p in ragged.glob("*/index.json"))
    )
    assert found.shards > 3


def first_row(body: bytes) -> int:
    """Place of the first row of a shard."""
    samples = int.from_bytes(body[:4], "little")
    return int.from_bytes(body[4:8], "little") if samples else 0


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, 255, "row 0 is damaged: its sizes do not add up"),
        (4, 9, "row 0: a contig the manifest, which has 2, does not list"),
        (8, ord("?"), "row 0: letters that are no IUPAC nucleotide code"),
        (8, 0, "row 0: letters that are no IUPAC nucleotide code"),
        (9, None, "row 0: bases other than genome.fa's"),
    ],
)
def test_what_is_spoilt_is_found_and_named(
    dataset: Path, at: int, value: int | None, message: str
) -> None:
    file = dataset / "train/shard.00000.mds"
    body = bytearray(file.read_bytes())
    place = first_row(body) + at
    body[place] = (
        {b: o for b, o in zip(b"ACGTacgtNn", b"CGTAcgtaAa", strict=True)}[body[place]]
        if value is None
        else value
    )
    file.write_bytes(body)
    assert message in "\n".join(map(str, verify(dataset).defects)).replace(
        "train/shard.00000.mds, ", ""
    )


def test_offsets_and_longer_windows_are_looked_at(dataset: Path) -> None:
    file = dataset / "train/shard.00000.mds"
    whole = file.read_bytes()
    file.write_bytes(whole[:12] + bytes(4) + whole[16:])
    assert "its header is damaged: the offset of sample 2 is wrong" in str(verify(dataset).worst)
    file.write_bytes(whole)
    manifest = json.loads((dataset / "manifest.json").read_text())
    manifest["window_length"] = 150
    (dataset / "manifest.json").write_text(json.dumps(manifest))
    assert "more bases than the manifest's 150" in "\n".join(map(str, verify(dataset).defects))


def test_counts_are_those_of_strings(ragged: Path) -> None:
    stats = count(ragged)
    assert stats.varies
    for group, spread in zip(stats.splits, stats.distributions, strict=True):
        found = windows(ragged / group.split)
        letters = Counter("".join(found))
        assert group.windows == len(found)
        assert group.bases == letters.total() < 200 * len(found)
        for base in "acgt":
            assert getattr(group, base) == letters[base] + letters[base.upper()]
        assert group.unknown == letters.total() - sum(letters[x] for x in "acgtACGT")
        assert group.soft_masked == sum(letters[x] for x in letters if x.islower()) > 0
        lengths = Counter(round(BINS * len(window) / 200) for window in found)
        assert spread.length == [lengths[i] for i in range(BINS + 1)]
    manifest = open_splits(ragged)["train"].manifest
    drawn = page(manifest, stats, None)
    assert "Lengths of windows" in drawn
    assert stats.lengths in drawn


@pytest.mark.parametrize("sample", [0, 33, 101])
def test_a_window_is_shown_as_it_is(ragged: Path, sample: int) -> None:
    split = open_splits(ragged)["train"]
    locus = split.locus(split.shards.gather(np.array([sample]))[0])
    lines = list(describe_window(ragged, "train", sample, None, 0))
    assert f"chr01:{locus.start:,}-{locus.end:,} (+)" in lines[0]
    shown = "".join("".join(line.split()[1:]) for line in lines[3:] if line)
    with Genome(ragged / "genome.fa") as genome:
        assert shown == genome.contig("chr01")[locus.start : locus.end].tobytes().decode()
    assert "windows of up to 200 bases" in next(overview(ragged))
    # As a run sees it, also with the command's own defaults.
    prepared = list(describe_window(ragged, "train", sample, preparation(ragged, "train"), 0))
    assert f"{locus.end - locus.start:,} bases, " in prepared[2]


@pytest.mark.parametrize("window", [200, 90])
@pytest.mark.parametrize("epoch", [0, 1])
def test_view_is_what_training_makes(ragged: Path, window: int, epoch: int) -> None:
    bases = windows(ragged / "train")
    prepare = Prepare(
        MaskedLanguageModel(MLMConfig(rate=0.3)), 5, window, 0.1,
        random_crop=True, random_strand=True,
    )  # fmt: skip
    for sample in range(0, 60, 7):
        stored = np.frombuffer(bases[sample].encode(), np.uint8)
        view = as_prepared(stored, sample, epoch, prepare, varies=True)
        batch = {
            "sequence": stored[None],
            "id": np.array([sample]),
            "epoch": epoch,
            "length": np.array([len(stored)]),
        }
        tensors = prepare(batch)
        size = min(window, len(stored))
        labels = tensors["labels"].numpy()[0, :size]
        inputs = tensors["input_ids"].numpy()[0, :size]
        assert len(view.letters) == size
        seen = stored[view.places]
        if view.turned:
            seen = reverse_complement(seen[::-1])
        np.testing.assert_array_equal(view.letters, seen)
        np.testing.assert_array_equal(
            encode(view.letters), np.where(labels == PAD, inputs, labels)
        )
        assert view.marks is not None
        assert [m == " " for m in view.marks] == (labels == PAD).tolist()
        assert decode(inputs).tobytes().decode().count("?") == view.marks.count("?")


def test_copies_in_train_are_counted(ragged: Path, tmp_path: Path) -> None:
    """Train is what it was; the held-out split is train's windows turned over, and longer ones."""
    train = windows(ragged / "train")[:40]
    turned = [reverse_complement(each).tobytes().decode() for each in train[:10]]
    longer = [each + "ACGTT" for each in train[10:30]]
    rows = [("train", f"t:{1000 * i}", each) for i, each in enumerate(train)]
    rows += [("test", f"h:{1000 * i}", each) for i, each in enumerate([*turned, *longer])]
    for split in ("train", "test"):
        lines = [
            json.dumps({"id": f"{place}-{int(place[2:]) + len(bases)}", "seq": bases}) + "\n"
            for owner, place, bases in rows
            if owner == split
        ]
        (tmp_path / f"{split}.jsonl").write_text("".join(lines))
    (tmp_path / "copies.yaml").write_text(f"""
name: copies
out: {tmp_path}/out
source:
  name: windows
  files: {{train: {tmp_path}/train.jsonl, test: {tmp_path}/test.jsonl}}
windows: {{name: ready, length: 205, varying: true}}
deduplicate: false
""")
    out = Path(convert(load(ConvertConfig, tmp_path / "copies.yaml"), progress=False))
    assert verify(out).defects == []
    (found,) = find_leakage(out, pairs=3).splits
    assert (found.windows, found.copies) == (30, 10)
    assert found.worst[0].containment == 1


def test_compressed_shards_are_the_same(ragged: Path, tmp_path: Path) -> None:
    overrides = [f"out={tmp_path / 'packed'}", "compression=zstd", "hashes=[xxh64]"]
    config = load(ConvertConfig, ragged.parent / "ragged.yaml", overrides)
    packed = Path(convert(config, progress=False))
    found = verify(packed)
    assert found.defects == []
    assert found.compared == found.windows == verify(ragged).windows
    assert count(packed).splits == count(ragged).splits
    assert windows(packed / "train") == windows(ragged / "train")
