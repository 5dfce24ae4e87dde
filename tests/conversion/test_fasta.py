"""read_fasta against a line-by-line reader, and every way a FASTA can be wrong."""

import gzip
from pathlib import Path

import numpy as np
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glm_composer.conversion import fasta
from glm_composer.conversion.fasta import read_fasta
from glm_composer.errors import UserError

LETTERS = "ACGTURYSWKMBDHVNacgturyswkmbdhvn"


def naive(text: str) -> list[tuple[str, str]]:
    records: list[tuple[str, str]] = []
    for line in text.splitlines():
        if line.startswith(">"):
            records.append((line[1:].split()[0], ""))
        elif records:
            records[-1] = (records[-1][0], records[-1][1] + line)
    return records


def read(path: Path) -> list[tuple[str, str]]:
    return [(c.name, c.sequence.tobytes().decode()) for c in read_fasta(path)]


def write(directory: Path, text: str | bytes, name: str = "g.fa") -> Path:
    path = directory / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


line_ends = st.sampled_from(["\n", "\r\n", "\r"])
bodies = st.lists(st.tuples(st.text(LETTERS, max_size=12), line_ends), max_size=6)


@settings(deadline=None, max_examples=150)
@given(
    records=st.lists(
        st.tuples(st.text(">abc |", max_size=8), line_ends, bodies, st.text(LETTERS, min_size=1)),
        min_size=1,
        max_size=5,
    ),
    last_end=st.sampled_from(["", "\n", "\r\n\r\n"]),
    block=st.integers(1, 40),
)
def test_any_lines_in_any_blocks_read_like_line_by_line(
    records, last_end, block, tmp_path_factory
):
    text = ""
    for number, (comment, end, body, last) in enumerate(records):
        ends = "\n" if text else ""
        text += f"{ends}>r{number} {comment}{end}" + "".join(a + b for a, b in body) + last
    text += last_end
    path = write(tmp_path_factory.mktemp("fasta"), text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fasta, "_BLOCK", block)
        assert read(path) == naive(text)


def test_plain_gzip_and_bgzip_read_alike_with_case(tmp_path):
    text = ">one first record\nACGTacgtNNryk\nAC\n\n>two\r\nacgt\r\n"
    expected = [("one", "ACGTacgtNNrykAC"), ("two", "acgt")]
    plain = write(tmp_path, text)
    zipped = write(tmp_path, gzip.compress(text.encode()), "g.fa.gz")
    blocked = tmp_path / "b.fa.gz"
    with pysam.BGZFile(str(blocked), "w") as file:
        file.write(text.encode())
    assert read(plain) == read(zipped) == read(blocked) == expected


def test_sequences_are_uint8_ascii(tmp_path):
    (contig,) = read_fasta(write(tmp_path, ">a\nAc\n"))
    assert contig.sequence.dtype == np.uint8
    assert contig.sequence.tolist() == [65, 99]
    assert (contig.start, contig.end) == (0, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("\n\r\n", "no record in the file"),
        ("ACGT\n", "line 1: text before the first '>' header"),
        ("\n\nACGT\n>a\nAC\n", "line 3: text before the first '>' header"),
        (">a\nAC\n> \nGT\n", "line 3: header without a name"),
        (">a\r\nAC\r\n>b\r\n", "line 3: record 'b' has no sequence"),
        (">a\n\n>b\nAC\n", "line 1: record 'a' has no sequence"),
        (">a\nAC\n>b\nAC\n>a x\nGT\n", "line 5: second record named 'a'"),
        (">a\nACGT\r\nAC-T\n", "line 3: record 'a' holds '-', not an IUPAC"),
        (">a\nACGT\rAC\rAZ\n", "line 4: record 'a' holds 'Z', not an IUPAC"),
        (">a\nAC>b\nGT\n", "line 2: record 'a' holds '>', not an IUPAC"),
        (">a\nAC GT\n", "line 2: record 'a' holds ' ', not an IUPAC"),
        (">a\nAC\n>b\n{\n", "line 4: record 'b' holds '{', not an IUPAC"),
    ],
)
@pytest.mark.parametrize("block", [1, 3, 1 << 22])
def test_errors_name_file_line_and_record(text, message, block, tmp_path, monkeypatch):
    monkeypatch.setattr(fasta, "_BLOCK", block)
    path = write(tmp_path, text)
    with pytest.raises(UserError) as error:
        read(path)
    assert str(path) in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_file_and_directory(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read(tmp_path / "none.fa")
    with pytest.raises(UserError, match="cannot be read"):
        read(tmp_path)


def test_truncated_gzip(tmp_path):
    bases = np.random.default_rng(0).choice(list(b"ACGT"), 200_000).astype(np.uint8).tobytes()
    packed = gzip.compress(b">a\n" + bases)
    for length in (len(packed) // 2, len(packed) - 4, 12):
        with pytest.raises(UserError, match="truncated"):
            read(write(tmp_path, packed[:length]))


def test_bgzip_cut_between_two_blocks_is_truncated_though_valid_gzip(tmp_path):
    path = tmp_path / "b.fa.gz"
    with pysam.BGZFile(str(path), "w") as file:
        file.write(b">a\n" + b"ACGT\n" * 40_000)
    whole = path.read_bytes()
    first_block = int.from_bytes(whole[16:18], "little") + 1
    cut = write(tmp_path, whole[:first_block], "cut.fa.gz")
    assert gzip.decompress(cut.read_bytes()).startswith(b">a\nACGT")
    with pytest.raises(UserError, match="truncated: the bgzip end-of-file block is missing"):
        read(cut)


def test_damaged_gzip(tmp_path):
    packed = bytearray(gzip.compress(b">a\n" + bytes(range(65, 91)) * 1000))
    packed[30] ^= 0xFF
    with pytest.raises(UserError, match=r"damaged gzip|truncated|not an IUPAC"):
        read(write(tmp_path, bytes(packed)))
