"""Every way to spoil a dataset is found and named, and what is sound is called so."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xxhash

from glm_composer.cli import main
from glm_composer.data.shards import Shards
from glm_composer.data_tools.verify import count_windows, verify
from glm_composer.errors import UserError

SHARD = "train/shard.00001.mds"
Spoil = Callable[[Path], object]


def edit(path: Path, change: Callable[[Any], object]) -> None:
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))


def index(change: Callable[[Any], object]) -> Spoil:
    return lambda dataset: edit(dataset / "train/index.json", change)


def manifest(change: Callable[[Any], object]) -> Spoil:
    return lambda dataset: edit(dataset / "manifest.json", change)


def put(offset: int, byte: Callable[[int], int]) -> Spoil:
    """Change one byte of a shard; a negative offset counts from its end."""

    def spoil(dataset: Path) -> None:
        body = bytearray((dataset / SHARD).read_bytes())
        body[offset] = byte(body[offset])
        (dataset / SHARD).write_bytes(body)

    return spoil


def replace(old: bytes, new: bytes) -> Spoil:
    def spoil(dataset: Path) -> None:
        (dataset / SHARD).write_bytes((dataset / SHARD).read_bytes().replace(old, new))

    return spoil


def other_base(letter: int) -> int:
    return letter ^ (ord("A") ^ ord("C")) if chr(letter) in "ACac" else (letter & 0x20) | ord("A")


# A row is contig (4 bytes), sequence (128), start (8) and strand (1).
SPOILT: dict[str, tuple[Spoil, str]] = {
    "a base": (
        put(-10, other_base),
        SHARD + ", row {last}: bases other than genome.fa's (1 windows)",
    ),
    "a letter": (put(-10, lambda _: ord("!")), "letters that are no IUPAC nucleotide code"),
    "a case": (put(-10, lambda letter: letter ^ 0x20), "splits.train.soft_masked: says"),
    "a strand": (put(-1, lambda _: 3), "a strand that is neither 1 nor -1"),
    "a start": (put(-3, lambda _: 1), "a place beyond the ends of its contig"),
    "a start, a little": (put(-9, lambda start: start ^ 64), "bases other than genome.fa's"),
    "a contig": (put(-141, lambda _: 9), "a contig the manifest, which has 2, does not list"),
    "a held-out contig": (put(-141, lambda _: 1), "bases other than genome.fa's"),
    "the count": (
        put(1, lambda n: n ^ 1),
        SHARD + ": its header says {other} samples, its index {rows}",
    ),
    "an offset": (put(400, lambda n: n ^ 1), "header is damaged: the offset of sample 99 is wr"),
    "a column": (replace(b'"uint32"', b'"uint16"'), SHARD + ": its header has column_encodings ["),
    "no columns": (
        replace(b'"column_names"', b'column_names""'),
        SHARD + ": its header is damaged: the description of",
    ),
    "truncated": (
        lambda dataset: (dataset / SHARD).write_bytes((dataset / SHARD).read_bytes()[:-1]),
        f"{SHARD}: truncated: ",
    ),
    "grown": (
        lambda dataset: (dataset / SHARD).write_bytes((dataset / SHARD).read_bytes() + b"A"),
        f"{SHARD}: too long: ",
    ),
    "empty": (lambda dataset: (dataset / SHARD).write_bytes(b""), f"{SHARD}: truncated: 0 bytes"),
    "removed": (lambda dataset: (dataset / SHARD).unlink(), SHARD + ": missing ({rows} windows)"),
    "left over": (
        lambda dataset: shutil.copy(dataset / SHARD, dataset / "train/shard.00009.mds"),
        "train/shard.00009.mds: a shard that the index does not list",
    ),
    "swapped": (
        lambda dataset: shutil.copy(dataset / "train/shard.00002.mds", dataset / SHARD),
        "splits.train.covered: says",
    ),
    "samples": (
        index(lambda raw: raw["shards"][1].update(samples=raw["shards"][1]["samples"] - 1)),
        SHARD + ": its header says {rows} samples, its index {last}",
    ),
    "a shard less": (
        index(lambda raw: raw["shards"].pop()),
        "train/index.json: {fewer:,} windows, the manifest says {windows:,}",
    ),
    "bytes": (index(lambda raw: raw["shards"][1]["raw_data"].update(bytes=7)), "its index says 7"),
    "undescribed": (
        index(lambda raw: raw["shards"][1].pop("raw_data")),
        "train/index.json: shard 1 is not described as an MDS shard",
    ),
    "another place": (
        index(lambda raw: raw["shards"][1]["raw_data"].update(basename="../../etc/passwd")),
        "train/index.json: shard 1 is not described as an MDS shard",
    ),
    "an index and its header": (
        index(lambda raw: raw["shards"][1].update(compression="zstd")),
        SHARD + ": its header has compression None, its index zstd",
    ),
    "a hash gone": (
        index(lambda raw: raw["shards"][1].update(hashes=["xxh64"])),
        SHARD + ": its index lacks its xxh64",
    ),
    "encodings": (
        index(lambda raw: raw["shards"][1].update(column_encodings=["str"] * 4)),
        "its header has column_encodings ",
    ),
    "an encoding of nothing": (
        index(
            lambda raw: raw["shards"][1].update(column_encodings=["ndarray:x:1", 7, "", "int8"])
        ),
        "its columns cannot be read as windows: contig ndarray:x:1, sequence 7",
    ),
    "no shards": (index(lambda raw: raw.update(shards=[])), "train/index.json: lists no shards"),
    "no index": (
        lambda dataset: (dataset / "train/index.json").unlink(),
        "train/index.json: missing ({windows:,} windows)",
    ),
    "no json": (
        lambda dataset: (dataset / "train/index.json").write_text('{"shards": ['),
        "train/index.json: not a readable index",
    ),
    "windows": (
        manifest(lambda raw: raw["splits"]["train"].update(windows=1)),
        "train/index.json: {windows:,} windows, the manifest says 1",
    ),
    **{
        key: (
            manifest(lambda raw, key=key: raw["splits"]["train"].update({key: 1})),
            f"manifest.json, splits.train.{key}: says 1, the shards hold ",
        )
        for key in ("bases", "soft_masked", "unknown", "covered")
    },
    "window length": (manifest(lambda raw: raw.update(window_length=64)), "windows of 64 bases"),
    "contig length": (
        manifest(lambda raw: raw["contigs"][0].update(length=1_000)),
        "a place beyond the ends of its contig",
    ),
    "split gone": (
        manifest(lambda raw: raw["splits"].pop("validation")),
        "validation: a split that the manifest does not list",
    ),
    "alphabet": (manifest(lambda raw: raw.update(alphabet_hash="0")), "manifest.json: made with"),
    "no manifest": (
        lambda dataset: (dataset / "manifest.json").unlink(),
        "manifest.json: no such",
    ),
    "another genome": (
        lambda dataset: (dataset / "genome.fa").write_text(">chr01\nACGT\n"),
        "bases other than genome.fa's",
    ),
}


def test_what_was_converted_is_sound(made: Path) -> None:
    found = verify(made)
    assert found.defects == []
    listed = [len(Shards(made / split)) for split in ("train", "validation")]
    assert found.windows == found.compared == count_windows(made) == sum(listed)
    assert found.bytes == sum(file.stat().st_size for file in made.glob("*/*.mds"))
    assert found.shards == len(list(made.glob("*/*.mds"))) > 6


@pytest.mark.parametrize("what", SPOILT)
def test_what_is_spoilt_is_found_and_named(dataset: Path, what: str) -> None:
    shards = json.loads((dataset / "train/index.json").read_text())["shards"]
    counts = [shard["samples"] for shard in shards]
    spoil, message = SPOILT[what]
    spoil(dataset)
    message = message.format(
        rows=counts[1],
        last=counts[1] - 1,
        other=counts[1] ^ 256,
        windows=sum(counts),
        fewer=sum(counts[:-1]),
    )
    assert message in "\n".join(map(str, verify(dataset).defects))


@pytest.mark.parametrize("seed", range(8))
def test_any_one_flipped_bit_is_found_in_a_hashed_shard(
    made: Path, dataset: Path, seed: int
) -> None:
    body = bytearray((made / SHARD).read_bytes())
    digest = {"sha256": hashlib.sha256(body).hexdigest(), "xxh64": xxhash.xxh64(body).hexdigest()}
    edit(
        dataset / "train/index.json",
        lambda raw: raw["shards"][1]["raw_data"].update(hashes=digest),
    )
    assert verify(dataset).defects == []
    bit = np.random.default_rng(seed).integers(8 * len(body))
    body[bit // 8] ^= 1 << bit % 8
    (dataset / SHARD).write_bytes(body)
    assert str(verify(dataset).defects[0]).startswith(f"{SHARD}: its sha256 is ")
    assert verify(dataset).worst == verify(dataset).defects[0]


def test_the_window_in_a_damaged_shard_is_named(dataset: Path) -> None:
    digest = xxhash.xxh64((dataset / SHARD).read_bytes()).hexdigest()
    edit(
        dataset / "train/index.json",
        lambda raw: raw["shards"][1]["raw_data"].update(hashes={"xxh64": digest}),
    )
    last = json.loads((dataset / "train/index.json").read_text())["shards"][1]["samples"] - 1
    SPOILT["a base"][0](dataset)
    found = verify(dataset)
    assert [defect.where for defect in found.defects] == [SHARD, f"{SHARD}, row {last}"]
    assert found.hashed == 1


def test_compressed_shards_are_unpacked_and_checked(packed: Path) -> None:
    found = verify(packed)
    assert found.defects == []
    assert found.compared == found.windows == count_windows(packed)
    # Of each shard the compressed file and what it holds.
    assert found.hashed == 2 * found.shards
    file = packed / f"{SHARD}.zstd"
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 1
    file.write_bytes(body)
    assert str(verify(packed).defects[0]).startswith(f"{SHARD}.zstd: its sha1 is ")
    index(lambda raw: raw["shards"][1]["zip_data"].update(hashes={}))(packed)
    defects = "\n".join(map(str, verify(packed).defects))
    assert f"{SHARD}.zstd: its index lacks its sha1" in defects
    # The stream itself shows it, or what it holds.
    assert f"{SHARD}.zstd: cannot be decompressed" in defects or "unpacked: its sha1 is" in defects
    file.unlink()
    assert str(verify(packed).worst).startswith(f"{SHARD}.zstd: missing (")


def test_what_readers_have_unpacked_is_checked_too(packed: Path) -> None:
    Shards(packed / "train").gather()
    unpacked = packed / SHARD
    assert verify(packed).defects == []
    unpacked.write_bytes(unpacked.read_bytes()[:-1] + b"?")
    assert str(verify(packed).worst).startswith(f"{SHARD}: its sha1 is ")


def test_all_defects_are_listed_the_worst_is_named_and_the_exit_code_says_so(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last = json.loads((dataset / "train/index.json").read_text())["shards"][1]["samples"] - 1
    SPOILT["a strand"][0](dataset)
    (dataset / "train/shard.00002.mds").unlink()
    (dataset / "validation/index.json").write_text("")
    with pytest.raises(SystemExit) as stop:
        main(["data", "verify", str(dataset)])
    lines = capsys.readouterr().out.splitlines()
    assert stop.value.code == 1
    assert [line.partition(":")[0] for line in lines[:3]] == [
        f"{SHARD}, row {last}",
        "train/shard.00002.mds",
        "validation/index.json",
    ]
    assert lines[3].startswith("defects: 3 in ")
    assert lines[4].startswith("worst: validation/index.json: not a readable index")


def test_a_sound_dataset_exits_with_zero(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["data", "verify", str(made)])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith("sound: ")


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such directory"):
        verify(tmp_path / "nowhere")
