"""Windows of their own lengths: every base of an interval once, in the stock writer's bytes."""

import filecmp
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from glm_composer.conversion.annotation import Transcript
from glm_composer.conversion.assembly import Contig
from glm_composer.conversion.config import ConvertConfig
from glm_composer.conversion.convert import convert
from glm_composer.conversion.coverage import Coverage
from glm_composer.conversion.leakage import window_hashes
from glm_composer.conversion.manifest import locate, read_manifest
from glm_composer.conversion.shard_format import ShardFormat, row_type
from glm_composer.conversion.shards import ShardWriter, cut
from glm_composer.conversion.windowings.exons import Exons, exons
from glm_composer.conversion.windows import divide
from glm_composer.data.shards import Shards
from glm_composer.errors import UserError
from glm_composer.settings import load

LONGEST = 40


@pytest.fixture(scope="module")
def table():
    """500 windows of 1 to 40 bases."""
    rng = np.random.default_rng(4)
    rows = np.zeros(500, dtype=row_type(LONGEST))
    letters = rng.choice(np.frombuffer(b"ACGTacgtN", np.uint8), (500, LONGEST))
    lengths = rng.integers(1, LONGEST + 1, 500)
    rows["sequence"] = letters * (np.arange(LONGEST) < lengths[:, None])
    rows["contig"] = rng.integers(0, 2**32, 500, dtype=np.uint32)
    rows["start"] = rng.integers(0, 2**40, 500)
    rows["strand"] = rng.choice(np.array([1, -1], np.int8), 500)
    return rows


def text(row) -> str:
    return row["sequence"].tobytes().rstrip(b"\0").decode()


@pytest.mark.parametrize("shard_bytes", [600, 5_000, 1 << 20])
@pytest.mark.parametrize(
    ("batch", "threads", "options"),
    [(1, 0, {}), (170, 2, {"compression": "zstd:7", "hashes": ("sha1", "xxh64")})],
)
def test_files_equal_those_of_the_stock_writer(
    table, shard_bytes, batch, threads, options, tmp_path
):
    from streaming import MDSWriter

    form = ShardFormat(length=LONGEST, shard_bytes=shard_bytes, varying=True, **options)
    with ThreadPoolExecutor(2) as pool:
        writer = ShardWriter(tmp_path / "ours", form, threads=pool if threads else None)
        for first in range(0, len(table), batch):
            writer.write(table[first : first + batch])
        writer.finish()
    columns = {"sequence": "bytes", "contig": "uint32", "start": "int64", "strand": "int8"}
    stock = str(tmp_path / "stock")
    with MDSWriter(columns=columns, out=stock, size_limit=shard_bytes, **options) as writer:
        for row in table:
            values = {name: row[name] for name in columns}
            writer.write({**values, "sequence": text(row).encode()})
    names = sorted(p.name for p in (tmp_path / "stock").iterdir())
    assert sorted(p.name for p in (tmp_path / "ours").iterdir()) == names
    different = filecmp.cmpfiles(tmp_path / "ours", tmp_path / "stock", names, shallow=False)
    assert different == (names, [], [])


def test_a_window_of_full_length_must_fit_a_shard():
    def rows(shard_bytes):
        form = ShardFormat(length=512, shard_bytes=shard_bytes, varying=True)
        return form.rows_per_shard()

    assert rows(600) < 1 <= rows(1000)


intervals = st.lists(st.integers(0, 200), min_size=2, max_size=12, unique=True).map(
    lambda edges: np.array(sorted(edges)[: len(edges) // 2 * 2], np.int64).reshape(-1, 2)
)


@given(intervals, st.integers(1, 50))
@settings(database=None)
def test_parts_are_whole_few_and_alike(found, most):
    starts, lengths = divide(found, most)
    parts = iter(zip(starts.tolist(), lengths.tolist(), strict=True))
    for start, end in found.tolist():
        mine = [next(parts) for _ in range(-(-(end - start) // most))]
        assert [s for s, _ in mine] == [start, *(s + n for s, n in mine)][:-1]
        assert sum(mine[-1]) == end
        assert max(n for _, n in mine) - min(n for _, n in mine) <= 1
        assert max(n for _, n in mine) <= most
    assert next(parts, None) is None


@given(
    found=intervals,
    holes=st.lists(st.integers(0, 199), max_size=5),
    longest=st.integers(1, 60),
    minimum=st.integers(1, 20),
    flank=st.integers(0, 5),
)
@settings(database=None, deadline=None)
def test_every_base_of_an_interval_lies_in_one_window(found, holes, longest, minimum, flank):
    letters = np.frombuffer(b"ACgt" * 50, np.uint8).copy()
    letters[holes] = ord("N")
    transcripts = [
        Transcript("c", int(s), int(e), 1, f"t{s}", "g", False, ((int(s), int(e)),), ())
        for s, e in found
    ]
    asked = Exons(length=longest, varying=True, minimum=minimum, flank=flank)
    chosen = exons(asked, ["train"])(Contig("c", letters), transcripts, "train")
    rows = cut(chosen.sequence, chosen.starts, longest, contig=0, lengths=chosen.lengths)
    for row, start, length in zip(rows, chosen.starts, chosen.lengths, strict=True):
        assert text(row) == letters[start : start + length].tobytes().decode()
    times = np.zeros(len(letters), int)
    for start, length in zip(chosen.starts, chosen.lengths, strict=True):
        times[start : start + length] += 1
    wide = np.zeros(len(letters) + 2 * flank, bool)  # an interval counts beyond the contig
    for start, end in found:
        wide[start : end + 2 * flank] = True
    edges = np.flatnonzero(np.diff(wide, prepend=False, append=False)).reshape(-1, 2) - flank
    expected = np.zeros(len(letters), int)
    for start, end in edges[edges[:, 1] - edges[:, 0] >= minimum]:
        expected[max(0, start) : end] = 1
    expected[letters == ord("N")] = 0
    edges = np.flatnonzero(np.diff(expected, prepend=0, append=0)).reshape(-1, 2)
    for start, end in edges[edges[:, 1] - edges[:, 0] < minimum]:
        expected[start:end] = 0
    assert times.tolist() == expected.tolist()


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60), st.integers(1, 30)), min_size=1),
    st.booleans(),
    st.integers(1, 9),
)
@settings(database=None)
def test_coverage_equals_marked_positions(windows, in_order, block):
    windows = sorted(windows) if in_order else windows
    contig, start, length = np.array(windows, np.int64).T
    coverage = Coverage(in_order)
    for first in range(0, len(windows), block):
        here = slice(first, first + block)
        coverage.add(contig[here].astype(np.uint32), start[here], length[here])
    marks = np.zeros((3, 90), bool)
    for c, s, n in windows:
        marks[c, s : s + n] = True
    assert coverage.finish() == marks.sum()
    assert coverage.bases == length.sum()


def test_windows_hash_as_if_they_stood_alone(table):
    lengths = np.array([len(text(row)) for row in table])
    hashes = window_hashes(table["sequence"], lengths)
    for row, length, found in zip(table[:50], lengths, hashes, strict=False):
        assert (window_hashes(row["sequence"][None, :length])[0] == found).all()


YAML = """
name: toy
out: {folder}/out
source: {{name: windows, files: "{folder}/windows.*"}}
windows: {{name: ready, length: {longest}, varying: true}}
splits: {{train: ["a*"], test: ["b*"]}}
shard_bytes: 3000
{more}
"""


def convert_windows(folder, windows, longest=30, suffix="jsonl", more=""):
    path = folder / f"windows.{suffix}"
    if suffix == "parquet":
        parquet.write_table(pa.Table.from_pylist(windows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in windows))
    (folder / "toy.yaml").write_text(YAML.format(folder=folder, longest=longest, more=more))
    return convert(load(ConvertConfig, folder / "toy.yaml"), progress=False)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_ready_windows_keep_their_lengths(suffix, tmp_path):
    rng = np.random.default_rng(1)
    drawn = {}
    for number in range(300):
        bases = "".join(rng.choice(list("ACGTacgtN"), rng.integers(1, 31)))
        strand = "+-"[number % 2]
        place = f"{'ab'[number % 3 == 0]}{number % 7}", 50 * number, strand
        drawn[place] = bases
    rows = [
        {"id": f"{contig}:{start}-{start + len(bases)}({strand})", "seq": bases}
        for (contig, start, strand), bases in drawn.items()
    ]
    out = convert_windows(tmp_path, rows, suffix=suffix, more="deduplicate: false")
    manifest = read_manifest(out)
    found = {}
    for split, counts in manifest.splits.items():
        shards = Shards(out / split)
        assert len(shards.counts) > 1
        for number, row in enumerate(shards.gather()):
            bases = row["sequence"][: row["length"]].tobytes().decode()
            contig = manifest.contigs[row["contig"]].name
            found[contig, int(row["start"]), "+ -"[1 - row["strand"]]] = bases
            if number < 5:
                locus = locate(out, split, number)
                assert (locus.start, locus.end) == (row["start"], row["start"] + row["length"])
        mine = [
            bases for (contig, *_), bases in drawn.items() if ("a" in contig) == (split == "train")
        ]
        assert counts.windows == len(mine)
        assert counts.bases == counts.covered == sum(map(len, mine))
        assert counts.soft_masked == sum(map(str.islower, "".join(mine)))
        assert counts.unknown == "".join(mine).count("N")
    assert found == drawn


def test_copies_are_of_one_length(tmp_path):
    rows = [("a:0-6", "ACGTAA"), ("a:10-15", "ACGTA"), ("a:20-25", "tacgt"), ("b:0-6", "ttacgt")]
    out = convert_windows(tmp_path, [{"id": place, "seq": bases} for place, bases in rows])
    assert [Shards(out / split).gather()["length"].tolist() for split in ("train", "test")] == [
        [5],
        [6],
    ]
    counts = read_manifest(out).splits["train"]
    assert (counts.duplicates_within, counts.duplicates_across) == (1, 1)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            ("a:0-31", "A" * 31),
            r"line 2: 'seq' holds 31 bases, more than 'windows\.length' \(30\)",
        ),
        (("a:0-0", ""), "line 2: 'seq' is empty"),
        (("a:0-4", "ACG"), "line 2: 'id' = 'a:0-4' spans 4 bases, not 3"),
        (("a:0-4", "AC-G"), "line 2: 'seq' holds '-' at base 3, not an IUPAC"),
    ],
)
def test_bad_rows_are_named(row, message, tmp_path):
    rows = [{"id": "b:0-2", "seq": "AC"}, {"id": row[0], "seq": row[1]}]
    with pytest.raises(UserError, match=rf"windows\.jsonl, {message}"):
        convert_windows(tmp_path, rows)
    assert not (tmp_path / "out").exists()
