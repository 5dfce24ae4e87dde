"""The engine of conversions: killed and resumed, sliced, in processes, with caps and weights.

One genome of 60 contigs in 20 pieces; whatever the road, the dataset must be the same to the byte.
"""

import filecmp
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from glm_composer.conversion import plan, pool
from glm_composer.conversion.config import ConvertConfig
from glm_composer.conversion.convert import _dataset_path, convert
from glm_composer.conversion.manifest import read_manifest
from glm_composer.conversion.plan import make_plan
from glm_composer.data.shards import Shards
from glm_composer.errors import UserError
from glm_composer.registry import sources
from glm_composer.sequence import reverse_complement
from glm_composer.settings import load, structure

CONTIGS, SIZE, PIECE = 60, 100_000, 300_000
# The command, with pieces small enough for a genome of six million bases to have twenty.
COMMAND = f"""
import sys
from glm_composer.conversion import plan, pool
plan.PIECE_BASES, pool._WORTH_PROCESSES = {PIECE}, 0
if __name__ == "__main__":
    from glm_composer.cli import main
    main(sys.argv[1:])
"""


@pytest.fixture(autouse=True, scope="module")
def small_pieces():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "PIECE_BASES", PIECE)
        patch.setattr(pool, "_WORTH_PROCESSES", 0)
        patch.setenv("SOURCE_DATE_EPOCH", "0")
        yield


@pytest.fixture(scope="module")
def fasta(tmp_path_factory):
    """Contigs that share bases: every tenth holds a stretch of the first, turned over."""
    rng = np.random.default_rng(7)
    path = tmp_path_factory.mktemp("genome") / "toy.fa"
    letters = np.frombuffer(b"ACGTacgt", np.uint8)
    first = rng.choice(letters, SIZE)
    with path.open("wb") as file:
        for number in range(CONTIGS):
            sequence = first if number == 0 else rng.choice(letters, SIZE)
            if number % 10 == 5:
                sequence[512 * 20 : 512 * 30] = reverse_complement(first[512 * 5 : 512 * 15])
            file.write(b">c%02d\n" % number + sequence.tobytes() + b"\n")
    return path


def write_settings(directory: Path, fasta: Path) -> Path:
    path = directory / "toy.yaml"
    path.write_text(
        f"name: toy\nout: {directory}/out\nsource: {{name: genome, fasta: {fasta}}}\n"
        "windows: {name: tiles, length: 512, stride: 64}\nshard_bytes: 2000000\n"
        "splits: {train: ['*'], validation: ['c?5'], test: [c03, c14]}\n"
    )
    return path


@pytest.fixture
def settings(fasta, tmp_path):
    return write_settings(tmp_path, fasta)


@pytest.fixture(scope="module")
def whole(fasta, small_pieces, tmp_path_factory):
    """The dataset of one uninterrupted run in one process; not to be written into."""
    path = write_settings(tmp_path_factory.mktemp("whole"), fasta)
    return convert(load(ConvertConfig, path, ["workers=1"]), False)


def files(directory: Path) -> list[str]:
    return sorted(str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file())


def assert_equal(one: Path, other: Path) -> None:
    names = files(one)
    assert files(other) == names
    assert filecmp.cmpfiles(one, other, names, shallow=False) == (names, [], [])


def command(script: Path, *arguments: object, **options) -> subprocess.Popen:
    script.write_text(COMMAND)
    return subprocess.Popen(
        [sys.executable, str(script), *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def parts(directory: Path) -> dict[str, int]:
    found = directory.glob(".out.parts/part-*")
    return {path.name: path.stat().st_mtime_ns for path in found}


def kill_when(process: subprocess.Popen, condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("moment", ["first part", "tenth part", "merging"])
def test_killed_and_resumed(moment, settings, whole, tmp_path):
    conditions = {
        "first part": lambda: len(parts(tmp_path)) >= 1,
        "tenth part": lambda: len(parts(tmp_path)) >= 10,
        "merging": lambda: any(tmp_path.glob(".out.parts/merging/train/shard*")),
    }
    process = command(tmp_path / "toy.py", "convert", settings, "workers=1")
    kill_when(process, conditions[moment])
    finished = parts(tmp_path)
    assert not (tmp_path / "out").exists()
    assert len(finished) >= {"first part": 1, "tenth part": 10, "merging": 20}[moment]
    # All parts, and no merge, to see which ones were made.
    convert(load(ConvertConfig, settings, ["workers=1", "part=1/1"]), False)
    after = parts(tmp_path)
    assert len(after) == 20
    assert {name: after[name] for name in finished} == finished
    out = convert(load(ConvertConfig, settings, []), False, merge_only=True)
    assert_equal(out, whole)
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.slow
def test_killed_with_its_workers_and_resumed(settings, whole, tmp_path):
    process = command(tmp_path / "toy.py", "convert", settings, "workers=2")
    children: set[str] = set()

    def condition() -> bool:
        tasks = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        children.update(tasks.read_text().split())
        return len(parts(tmp_path)) >= 5

    kill_when(process, condition)
    assert len(children) >= 2
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline, "workers outlive their parent"
        time.sleep(0.05)
    finished = parts(tmp_path)
    convert(load(ConvertConfig, settings, ["workers=1", "part=1/1"]), False)
    assert {name: parts(tmp_path)[name] for name in finished} == finished
    assert_equal(convert(load(ConvertConfig, settings, ["workers=2"]), False), whole)


@pytest.mark.parametrize("workers", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_processes_change_no_byte(workers, settings, whole):
    assert_equal(convert(load(ConvertConfig, settings, [f"workers={workers}"]), False), whole)


@pytest.mark.slow
def test_a_worker_that_is_killed_ends_the_run_in_one_line(settings, whole, tmp_path):
    """What the kernel does to the largest process when memory runs out."""
    process = command(tmp_path / "toy.py", "convert", settings, "workers=2")
    tasks = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while len(parts(tmp_path)) < 3:
        assert process.poll() is None, process.stderr.read()
        children = tasks.read_text().split()
        time.sleep(0.001)
    workers = [c for c in children if b"spawn_main" in Path(f"/proc/{c}/cmdline").read_bytes()]
    os.kill(int(workers[0]), signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == 2
    assert errors.splitlines()[-1].startswith("error: a worker process was killed, perhaps for")
    assert "Traceback" not in errors
    assert len(parts(tmp_path)) >= 3
    assert_equal(convert(load(ConvertConfig, settings, ["workers=1"]), False), whole)


@pytest.mark.slow
def test_slices_join_to_what_one_run_writes(settings, whole, tmp_path):
    for number in (3, 1):
        config = load(ConvertConfig, settings, [f"part={number}/3", "workers=1"])
        assert convert(config, False) == tmp_path / ".out.parts"
    with pytest.raises(UserError, match=r"7 of 20 parts are missing in .*run the slices"):
        convert(load(ConvertConfig, settings, []), False, merge_only=True)
    # The last one as a cluster would run it, and the merge as its user would.
    for arguments in (["convert", settings, "part=2/3"], ["data", "merge", settings]):
        process = command(tmp_path / "toy.py", *arguments)
        output, errors = process.communicate()
        assert process.returncode == 0, errors
    assert output == f"wrote {tmp_path}/out\n"
    assert_equal(tmp_path / "out", whole)
    assert not list(tmp_path.glob(".out*"))


def test_a_changed_yaml_does_not_take_up_old_parts(settings, tmp_path):
    convert(load(ConvertConfig, settings, ["part=1/2"]), False)
    changed = ["windows.stride=128", f"out={tmp_path}/out"]
    with pytest.raises(UserError, match="20 of 20 parts are missing"):
        convert(load(ConvertConfig, settings, changed), False, merge_only=True)
    # What only the merge decides leaves parts as they are.
    again = ["deduplicate=false", "compression=zstd", "caps={train: 5}"]
    with pytest.raises(UserError, match="10 of 20 parts are missing"):
        convert(load(ConvertConfig, settings, again), False, merge_only=True)


@pytest.mark.slow
def test_a_damaged_part_is_made_again(settings, whole, tmp_path, caplog):
    convert(load(ConvertConfig, settings, ["part=1/1"]), False)
    damaged = sorted(tmp_path.glob(".out.parts/part-*"))[4]
    with damaged.open("r+b") as file:
        file.seek(1_000)
        file.write(b"torn")
    assert_equal(convert(load(ConvertConfig, settings, []), False), whole)
    assert f"{damaged}: damaged (its checksum is another); it is made again" in caplog.text


def test_killed_before_the_rename_and_published(settings, whole, tmp_path):
    """What is left of a run whose dataset was finished, and its parts deleted, but not renamed."""
    config = load(ConvertConfig, settings, [])
    convert(config, False)
    work = tmp_path / ".out.parts"
    waiting = _dataset_path(config, make_plan(config, sources.get("genome")(config.source), work))
    work.mkdir()
    (tmp_path / "out").rename(waiting)
    before = {path: path.stat().st_mtime_ns for path in waiting.rglob("*.mds")}
    assert_equal(convert(config, False), whole)
    assert {path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.mds")} == set(
        before.values()
    )
    assert not work.exists()


@pytest.mark.slow
def test_two_runs_on_one_output(settings, tmp_path):
    process = command(tmp_path / "toy.py", "convert", settings, "workers=1")
    while not parts(tmp_path):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.001)
    with pytest.raises(UserError, match="out: another conversion is writing it"):
        convert(load(ConvertConfig, settings, []), False)
    process.communicate()
    assert process.returncode == 0


@pytest.mark.slow
def test_a_disk_that_fills_up_at_the_merge_keeps_finished_parts(settings, whole, tmp_path):
    def limit() -> None:
        # Every part is smaller than a shard.
        resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))

    arguments = ["convert", settings, "workers=1", "shard_bytes=4000000"]
    process = command(tmp_path / "toy.py", *arguments, preexec_fn=limit)
    _, errors = process.communicate()
    assert process.returncode == 2
    assert errors.splitlines()[-1].endswith(
        "out: cannot be written: File too large; raise the limit of file sizes (ulimit -f) and "
        "run it again: it goes on from its finished parts"
    )
    assert "Traceback" not in errors
    assert not (tmp_path / "out").exists()
    assert len(parts(tmp_path)) == 20
    assert_equal(convert(load(ConvertConfig, settings, []), False), whole)


def test_duplicates_stay_in_the_held_out_split_and_are_counted(settings, whole):
    manifest = read_manifest(whole)
    tables = {split: Shards(whole / split).gather() for split in manifest.splits}
    seen = Counter()
    for table in tables.values():
        upper = table["sequence"] & 0xDF
        turned = reverse_complement(upper)
        seen.update(min(a.tobytes(), b.tobytes()) for a, b in zip(upper, turned, strict=True))
    assert set(seen.values()) == {1}
    # Ten tiles of 512 bases, windows every 64: the first contig has 73 of its windows again in
    # each of the six contigs of validation.
    counts = manifest.splits
    per_contig = (SIZE - 512) // 64 + 1
    for split, contigs, within, across in (
        ("train", 52, 0, 73),
        ("validation", 6, 5 * 73, 0),
        ("test", 2, 0, 0),
    ):
        count = counts[split]
        assert (count.duplicates_within, count.duplicates_across) == (within, across)
        assert count.windows == contigs * per_contig - within - across
    for split, count in counts.items():
        assert count.windows == len(tables[split])
        assert count.soft_masked == (tables[split]["sequence"] >= ord("a")).sum()


def sheet(directory: Path, fasta: Path, rows: list[tuple[str, str, float, str]]) -> Path:
    path = directory / "sheet.tsv"
    lines = ["assembly\tfasta\tspecies\tweight\tsplit"]
    for number, row in enumerate(rows):
        text = fasta.read_bytes().split(b"\n")
        own = directory / f"{row[0]}.fa"
        own.write_bytes(b"\n".join(text[8 * number : 8 * number + 8]) + b"\n")
        lines.append(f"{row[0]}\t{own}\t{row[1]}\t{row[2]}\t{row[3]}")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_weights_and_caps_are_exact(fasta, tmp_path):
    rows = [
        ("a1", "a", 0.25, "train"),
        ("a2", "a", 1, "train"),
        ("b1", "b", 1, "train"),
        ("c1", "c", 0.1, "test"),
    ]
    raw = {
        "name": "sheet",
        "out": str(tmp_path / "sheet"),
        "source": {"name": "sheet", "path": str(sheet(tmp_path, fasta, rows))},
        "windows": {"name": "tiles"},
        "deduplicate": False,
        "caps": {"train": 900},
    }
    out = convert(structure(ConvertConfig, raw, "test"), False)
    manifest = read_manifest(out)
    all_of_one = 4 * (SIZE // 512)
    table = Shards(out / "train").gather()
    assemblies = [manifest.contigs[contig].assembly for contig in table["contig"]]
    kept = Counter(assemblies)
    # The weight leaves 195 of a1's 780 windows; with a2's 780, the cap then leaves 900 of both.
    assert kept["a1"] + kept["a2"] == 900
    assert kept["b1"] == all_of_one
    assert 0 < kept["a1"] < round(0.25 * all_of_one)
    assert manifest.splits["train"].thinned == 585 + 75
    # Held-out splits have all their windows, whatever the weight.
    assert manifest.splits["test"].windows == all_of_one
    assert manifest.splits["test"].thinned == 0


@pytest.mark.slow
def test_one_more_assembly_leaves_the_parts_of_the_others(fasta, tmp_path):
    rows = [("a1", "a", 1, "train"), ("b1", "b", 1, "train"), ("c1", "c", 1, "test")]
    raw = {
        "name": "sheet",
        "out": str(tmp_path / "out"),
        "source": {"name": "sheet", "path": str(sheet(tmp_path, fasta, rows))},
        "windows": {"name": "tiles"},
        "part": "1/1",
    }
    convert(structure(ConvertConfig, raw, "test"), False)
    before = parts(tmp_path)
    sheet(tmp_path, fasta, [*rows, ("d1", "d", 1, "train")])
    convert(structure(ConvertConfig, raw, "test"), False)
    after = parts(tmp_path)
    assert len(after) > len(before) == 6
    assert {name: after[name] for name in before} == before


def test_one_window(tmp_path):
    (tmp_path / "one.fa").write_text(">a\n" + "ACGT" * 128 + "\n>b\n" + "ACGT" * 128 + "\n")
    raw = {
        "name": "one",
        "out": str(tmp_path / "one"),
        "source": {"name": "genome", "fasta": str(tmp_path / "one.fa")},
        "windows": {"name": "tiles"},
        "splits": {"train": ["*"]},
    }
    out = convert(structure(ConvertConfig, raw, "test"), False)
    assert len(Shards(out / "train").gather()) == 1
    counts = read_manifest(out).splits["train"]
    assert (counts.windows, counts.duplicates_within, counts.covered) == (1, 1, 512)
    raw |= {"splits": {"train": ["a"], "test": ["b"]}, "out": str(tmp_path / "two")}
    with pytest.raises(UserError, match="no window in 'train': 1 windows were left out as dupl"):
        convert(structure(ConvertConfig, raw, "test"), False)
    raw["splits"] = {"train": 0.999999, "test": 0.000001}
    with pytest.raises(UserError, match="no window in 'test': none of the 2 contigs falls to it"):
        convert(structure(ConvertConfig, raw, "test"), False)


@pytest.mark.slow
def test_ready_windows_make_the_same_dataset(settings, tmp_path):
    """Rows of a dataset written as JSONL, a file a split, and converted once more."""
    overrides = ["windows.stride=500", f"out={tmp_path}/cut", "workers=1"]
    cut = convert(load(ConvertConfig, settings, overrides), False)
    manifest = read_manifest(cut)
    tables = {split: Shards(cut / split).gather() for split in manifest.splits}
    for split, table in tables.items():
        with (tmp_path / f"{split}.jsonl").open("w") as file:
            for row in table:
                name, start = manifest.contigs[row["contig"]].name, int(row["start"])
                seq = row["sequence"].tobytes().decode()
                file.write(json.dumps({"id": f"{name}:{start}-{start + 512}", "seq": seq}) + "\n")
    raw = {
        "name": "ready",
        "out": str(tmp_path / "ready"),
        "source": {
            "name": "windows",
            "files": {split: str(tmp_path / f"{split}.jsonl") for split in tables},
        },
        "windows": {"name": "tiles"},
        "shard_bytes": 2_000_000,
    }
    out = convert(structure(ConvertConfig, raw, "test"), False)
    again = read_manifest(out)
    old, new = ([contig.name for contig in m.contigs] for m in (manifest, again))
    for split, table in tables.items():
        found = Shards(out / split).gather()
        for column in ("sequence", "start", "strand"):
            assert (found[column] == table[column]).all()
        assert [new[c] for c in found["contig"]] == [old[c] for c in table["contig"]]
        for key in ("windows", "covered", "soft_masked", "unknown"):
            assert getattr(again.splits[split], key) == getattr(manifest.splits[split], key)
    raw |= {"windows": {"name": "tiles", "length": 500}, "out": str(tmp_path / "short")}
    with pytest.raises(UserError, match=r"\.jsonl: its windows have 512 bases, and"):
        convert(structure(ConvertConfig, raw, "test"), False)
