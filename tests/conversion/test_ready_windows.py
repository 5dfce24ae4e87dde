"""Ready windows from JSONL and Parquet: there and back, any layout of columns, every bad row."""

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from glm_composer.conversion.config import ConvertConfig
from glm_composer.conversion.convert import convert
from glm_composer.conversion.manifest import read_manifest
from glm_composer.conversion.ready_windows import BadRow, Columns, to_windows
from glm_composer.conversion.sources.windows import LocalWindows, windows
from glm_composer.conversion.window_files import read_jsonl, read_parquet, reader_of
from glm_composer.data.shards import Shards
from glm_composer.errors import UserError
from glm_composer.settings import load

# Names as RefSeq, HLA alleles and careless people give them.
names = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\x85\u2028\u2029"),
    min_size=1,
    max_size=12,
).filter(lambda name: name.strip())
rows = st.tuples(names, st.integers(0, 10**12), st.text("ACGTacgtNRYn", min_size=6, max_size=6))


def as_json(drawn) -> list[dict]:
    return [{"id": f"{c}:{start}-{start + 6}", "seq": seq} for c, start, seq in drawn]


def gather(batches) -> list[tuple]:
    return [
        (contig, int(start), int(strand), sequence.tobytes().decode())
        for batch in batches
        for contig, start, strand, sequence in zip(
            batch.contig, batch.start, batch.strand, batch.sequence, strict=True
        )
    ]


def write_jsonl(path: Path, content: list[dict] | str) -> Path:
    lines = content if isinstance(content, str) else "".join(json.dumps(r) + "\n" for r in content)
    data = lines.encode()
    if path.suffix == ".gz":
        data = gzip.compress(data)
    if path.suffix == ".zst":
        # Two frames, as pzstd and appending write them.
        half = len(data) // 2
        data = zstandard.compress(data[:half]) + zstandard.compress(data[half:])
    path.write_bytes(data)
    return path


@settings(max_examples=30, deadline=None)
@given(drawn=st.lists(rows, min_size=1, max_size=20), suffix=st.sampled_from(["", ".gz", ".zst"]))
def test_what_is_written_is_read_back(drawn, suffix, tmp_path_factory):
    folder = tmp_path_factory.mktemp("windows")
    expected = [(contig, start, 1, seq) for contig, start, seq in drawn]
    path = write_jsonl(folder / f"a.jsonl{suffix}", as_json(drawn))
    assert gather(reader_of(path)(path, Columns())) == expected
    parquet.write_table(pa.Table.from_pylist(as_json(drawn)), folder / "a.parquet")
    assert gather(read_parquet(folder / "a.parquet", Columns())) == expected


@settings(max_examples=100, deadline=None)
@given(
    at=st.integers(0, 200),
    gone=st.integers(0, 30),
    put=st.binary(max_size=8) | st.sampled_from([b"\n", b"\r", b'"', b"{}", b"\xef\xbb\xbf"]),
)
def test_any_damage_gives_windows_or_one_line(at, gone, put, tmp_path_factory):
    path = tmp_path_factory.mktemp("any") / "a.jsonl"
    whole = "".join(json.dumps({"id": f"a:{i}-{i + 4}", "seq": "ACGT"}) + "\n" for i in range(6))
    path.write_bytes(whole[:at].encode() + put + whole[at + gone :].encode())
    try:
        windows, message = gather(read_jsonl(path, Columns())), ""
    except UserError as error:
        windows, message = [], str(error)
    assert bool(windows) != message.startswith(str(path))
    assert "\n" not in message
    assert len({len(seq) for *_, seq in windows}) <= 1


def test_more_rows_than_a_block_and_a_batch(tmp_path):
    rng = np.random.default_rng(1)
    letters = rng.choice(list(b"ACGTacgt"), (20_000, 512)).astype(np.uint8)
    content = [
        {"id": f"chr{i % 3}:{i * 512}-{i * 512 + 512}", "seq": row.tobytes().decode()}
        for i, row in enumerate(letters)
    ]
    path = write_jsonl(tmp_path / "a.jsonl.zst", content)
    batches = list(read_jsonl(path, Columns()))
    assert len(batches) > 2
    assert (np.concatenate([b.sequence for b in batches]) == letters).all()
    starts = np.concatenate([b.start for b in batches])
    assert (starts == np.arange(20_000) * 512).all()
    assert [c for b in batches for c in b.contig] == [f"chr{i % 3}" for i in range(20_000)]
    # The line of a bad row in the third block of four megabytes.
    content[17_000]["id"] = "chr1"
    write_jsonl(path, content)
    with pytest.raises(UserError, match=r"a\.jsonl\.zst, line 17001: 'id' = 'chr1' is not contig"):
        list(read_jsonl(path, Columns()))


def test_the_row_is_named_also_behind_the_first_batches(tmp_path):
    content = [{"id": f"a:{i}-{i + 4}", "seq": "ACGT"} for i in range(20_000)]
    content[17_000]["seq"] = "AC!T"
    parquet.write_table(pa.Table.from_pylist(content), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"a\.parquet, row 17001: 'seq' holds '!' at base 3"):
        list(read_parquet(tmp_path / "a.parquet", Columns()))
    path = write_jsonl(tmp_path / "a.jsonl", content)
    with pytest.raises(UserError, match=r"a\.jsonl, line 17001: 'seq' holds '!' at base 3"):
        list(read_jsonl(path, Columns()))


def test_columns_of_any_name_one_based_and_on_both_strands(tmp_path):
    columns = Columns(seq="s", contig="chrom", start="pos", strand="way", first_base=1)
    table = pa.table(
        {
            "way": ["+", "-", "-"],
            "chrom": pa.array(["1", "X:2", "X:2"]).dictionary_encode(),
            "pos": pa.array([1, 7, 9], pa.int32()),
            "s": pa.array(["ACgt", "NNNN", "ryAA"], pa.large_string()),
            "other": [1.5, 2.5, 3.5],
        }
    )
    expected = [("1", 0, 1, "ACgt"), ("X:2", 6, -1, "NNNN"), ("X:2", 8, -1, "ryAA")]
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    assert gather(read_parquet(tmp_path / "a.parquet", columns)) == expected
    path = write_jsonl(tmp_path / "a.jsonl", table.to_pylist())
    assert gather(read_jsonl(path, columns)) == expected
    # Numbers for names and strands, and sliced batches.
    numbers = [
        {"s": "ACGT", "chrom": 7, "pos": 5, "way": 1},
        {"s": "ACGA", "chrom": 7, "pos": 6, "way": -1},
    ]
    path = write_jsonl(tmp_path / "b.jsonl", numbers)
    assert gather(read_jsonl(path, columns)) == [("7", 4, 1, "ACGT"), ("7", 5, -1, "ACGA")]
    assert gather([to_windows(table.slice(1, 2), columns)]) == expected[1:]


def test_ids_of_bedtools_and_of_samtools(tmp_path):
    path = write_jsonl(
        tmp_path / "a.jsonl",
        '{"id": "a:3-7(-)", "seq": "ACGT"}\r\n\n{"id": "a:0-4", "seq": "ACGT"}',
    )
    assert gather(read_jsonl(path, Columns())) == [("a", 3, -1, "ACGT"), ("a", 0, 1, "ACGT")]
    path = write_jsonl(tmp_path / "b.jsonl", '{"id": "a:4-7", "seq": "ACGT"}\n')
    assert gather(read_jsonl(path, Columns(first_base=1))) == [("a", 3, 1, "ACGT")]
    with pytest.raises(UserError, match=r"line 1: 'id' = 'a:4-7' spans 3 bases, not 4"):
        list(read_jsonl(path, Columns()))


GOOD = {"id": "a:0-4", "seq": "ACGT"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([GOOD, {"id": "a:4-7", "seq": "ACG"}], "line 2: 'seq' holds 3 bases, the rows"),
        ([GOOD, {"id": "a:4-8", "seq": "AC-T"}], "line 2: 'seq' holds '-' at base 3, not"),
        ([GOOD, {"id": "a:4-8"}], "line 2: no value of 'seq'"),
        ([{"id": "a:4-8", "seq": None}], "line 1: no value of 'seq'"),
        ([GOOD, {"id": None, "seq": "ACGT"}], "line 2: no value of 'id'"),
        ([{"id": "a:0-4", "sequence": "ACGT"}], "line 1: no column 'seq'; it has id, sequence"),
        ([{"seq": "ACGT"}], "line 1: no column 'id'; it has seq"),
        ([GOOD, {"id": "a:b-8", "seq": "ACGT"}], "line 2: 'id' = 'a:b-8' is not contig:start-end"),
        ([{"id": "a:0-0", "seq": ""}], "line 1: 'seq' is empty"),
        ([GOOD, {"id": 5, "seq": "ACGT"}], "line 2: 'id' = 5 is not of the column's type"),
        ('{"id": "a:0-4", "seq": "ACGT"}\n\n{"id": "a:4-8", "se', "line 3: not valid JSON"),
        ('{"id": "a:0-4", "seq": "ACGT"}\n7\n', "line 2: not a JSON object but int"),
        ("\n\n", ": no window in the file"),
        ("", ": the file is empty"),
        ('{"id": "' + "x" * 9_000_000, ": a line of more than 4,194,304 bytes"),
    ],
)  # fmt: skip
def test_bad_lines_are_named(content, message, tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", content)
    with pytest.raises(UserError) as error:
        gather(read_jsonl(path, Columns()))
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_bad_parquet_is_named(tmp_path):
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"id": ["a:0-4"] * 3, "seq": ["ACGT", "ACGT", None]}), path)
    with pytest.raises(UserError, match=r"a\.parquet, row 3: no value of 'seq'"):
        list(read_parquet(path, Columns()))
    parquet.write_table(pa.table({"id": ["a:0-4"], "seq": [5]}), path)
    with pytest.raises(UserError, match=r"row 1: 'seq' is a column of int64, not of text"):
        list(read_parquet(path, Columns()))
    with pytest.raises(UserError, match=r"no column 's'; it has id, seq"):
        list(read_parquet(path, Columns(seq="s")))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="not a readable Parquet file"):
        list(read_parquet(path, Columns()))


def test_a_strand_that_is_none_and_a_start_before_the_contig():
    table = pa.table({"c": ["a", "a"], "p": [1, 0], "w": ["+", "x"], "seq": ["A", "C"]})
    columns = {"contig": "c", "start": "p"}
    with pytest.raises(BadRow, match="strand 'x' is neither"):
        to_windows(table, Columns(**columns, strand="w"))
    with pytest.raises(BadRow, match="start 0 lies before the contig"):
        to_windows(table, Columns(**columns, first_base=1))
    with pytest.raises(ValueError, match="go together"):
        Columns(contig="c")


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_cut_or_damaged_file_is_no_short_one(suffix, tmp_path):
    content = [{"id": f"a:{i}-{i + 40}", "seq": "ACGT" * 10} for i in range(5000)]
    path = write_jsonl(tmp_path / f"a.jsonl{suffix}", content)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3])
    with pytest.raises(UserError, match="truncated"):
        list(read_jsonl(path, Columns()))
    path.write_bytes(whole[:1000] + bytes(200) + whole[1200:])
    with pytest.raises(UserError, match=r"damaged|truncated|not valid JSON"):
        list(read_jsonl(path, Columns()))


def test_the_source_finds_files_and_their_splits(tmp_path):
    for split in ("train", "test"):
        for number in (1, 0):
            folder = tmp_path / "data" / split
            folder.mkdir(parents=True, exist_ok=True)
            write_jsonl(folder / f"shard_{number}.jsonl.zst", [GOOD])
    layout = {s: f"{tmp_path}/data/{s}/*.jsonl.zst" for s in ("train", "test")}
    found = windows(LocalWindows(files=layout, assembly="gpn"))
    assert [(each.split, each.file.file) for each in found] == [
        ("train", "train/shard_0.jsonl.zst"),
        ("train", "train/shard_1.jsonl.zst"),
        ("test", "test/shard_0.jsonl.zst"),
        ("test", "test/shard_1.jsonl.zst"),
    ]
    assert {each.assembly for each in found} == {"gpn"}
    assert (
        gather(found[0].batches(None)) == gather(found[0].batches(None)) == [("a", 0, 1, "ACGT")]
    )
    every = windows(LocalWindows(files=f"{tmp_path}/**/*.zst"))
    assert [each.split for each in every] == [None] * 4
    with pytest.raises(UserError, match="no file matches"):
        windows(LocalWindows(files=f"{tmp_path}/*.parquet"))
    with pytest.raises(UserError, match="matched twice"):
        windows(LocalWindows(files=[f"{tmp_path}/**/*.zst"] * 2))
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(UserError, match=r"a\.txt: unknown format; use \.parquet, or \.jsonl"):
        windows(LocalWindows(files=f"{tmp_path}/a.txt"))


CONVERSION = """
name: toy
out: {folder}/out
source:
  name: windows
  files: ["{folder}/*.jsonl.gz", "{folder}/*.parquet"]
  assembly: hg38
windows: {{name: ready, length: 6}}
splits: {splits}
deduplicate: false
"""


def convert_toy(folder: Path, splits: str) -> Path:
    (folder / "toy.yaml").write_text(CONVERSION.format(folder=folder, splits=splits))
    return convert(load(ConvertConfig, folder / "toy.yaml"), progress=False)


def test_through_the_engine_with_splits_by_contig_and_by_hash(tmp_path):
    rng = np.random.default_rng(2)
    drawn = [
        (f"HLA*{i % 20:02}:01|é", 6 * i, "".join(rng.choice(list("ACGTacgtN"), 6)))
        for i in range(400)
    ]
    write_jsonl(tmp_path / "a.jsonl.gz", as_json(drawn[:200]))
    parquet.write_table(pa.Table.from_pylist(as_json(drawn[200:])), tmp_path / "b.parquet")
    for number, splits in enumerate(
        ('{train: ["*"], test: ["HLA[*]0?:*"]}', "{train: 0.5, test: 0.5}")
    ):
        out = convert_toy(tmp_path, splits)
        manifest = read_manifest(out)
        found = {}
        for split in ("train", "test"):
            for row in Shards(out / split).gather():
                contig = manifest.contigs[row["contig"]]
                assert (contig.assembly, contig.split) == ("hg38", split)
                found[contig.name, int(row["start"])] = row["sequence"].tobytes().decode(), split
        assert {place: seq for place, (seq, _) in found.items()} == {
            (contig, start): seq for contig, start, seq in drawn
        }
        if number == 0:
            assert all((split == "test") == (c < "HLA*10") for (c, _), (_, split) in found.items())
        out.rename(tmp_path / f"out-{number}")


def test_files_of_another_window_length_are_refused_by_name(tmp_path):
    write_jsonl(tmp_path / "a.jsonl.gz", [{"id": "a:0-6", "seq": "ACGTAC"}])
    table = pa.table({"id": ["a:6-10"], "seq": ["ACGT"]})
    parquet.write_table(table, tmp_path / "b.parquet")
    with pytest.raises(UserError, match=r"b\.parquet: its windows have 4 bases, and 'windows\.le"):
        convert_toy(tmp_path, '{train: ["*"]}')
    assert not (tmp_path / "out").exists()
