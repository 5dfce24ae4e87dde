"""Genome files: 2bit and FASTA agree, one contig is read without the others, damage is named."""

import gzip
import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from two_bit_writer import write_two_bit

from glm_composer.conversion import plan, pool
from glm_composer.conversion.config import ConvertConfig
from glm_composer.conversion.convert import convert
from glm_composer.conversion.fasta import read_fasta, read_record, scan_fasta
from glm_composer.conversion.fetch import fetch
from glm_composer.conversion.genbank import read_genbank
from glm_composer.conversion.genomes import TranscriptFile, genome_assembly
from glm_composer.conversion.sources.genome import GenomeFiles, genome
from glm_composer.conversion.sources.package import YEAST
from glm_composer.conversion.two_bit import read_two_bit, two_bit_lengths
from glm_composer.errors import UserError
from glm_composer.sequence import is_iupac
from glm_composer.settings import load

# The first word of a header; 2bit gives a name one byte for its length.
names = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=">"),
    min_size=1,
    max_size=20,
)


def contents(contigs) -> dict[str, str]:
    return {contig.name: contig.sequence.tobytes().decode() for contig in contigs}


YAML = """
name: toy
out: {folder}/out
source: {{name: genome, fasta: "{folder}/a.fa.gz"}}
windows: {{name: tiles, length: 4}}
splits: {{train: ["*"]}}
"""


@settings(max_examples=100, deadline=None)
@given(
    sequences=st.dictionaries(
        names, st.text("ACGTacgtN", min_size=1, max_size=50), min_size=1, max_size=5
    )
)
def test_two_bit_holds_what_was_written(sequences, tmp_path_factory):
    path = write_two_bit(tmp_path_factory.mktemp("2bit") / "a.2bit", sequences)
    assert two_bit_lengths(path) == {name: len(text) for name, text in sequences.items()}
    assert contents(read_two_bit(path, sequences)) == sequences
    last = list(sequences)[-1]
    assert contents(read_two_bit(path, [last])) == {last: sequences[last]}


@settings(max_examples=100, deadline=None)
@given(
    sequences=st.dictionaries(
        names,
        st.lists(st.text("ACGTacgtNRy", max_size=12), min_size=1, max_size=5).filter(any),
        min_size=1,
        max_size=5,
    ),
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=1, max_size=4),
)
def test_a_record_read_alone_is_the_record_read_along(sequences, ends, tmp_path_factory):
    lines = [line for name, rows in sequences.items() for line in (f">{name} x", *rows)]
    path = tmp_path_factory.mktemp("fasta") / "a.fa"
    text = "".join(line + ends[i % len(ends)] for i, line in enumerate(lines))
    path.write_bytes(text.encode())
    expected = {name: "".join(rows) for name, rows in sequences.items()}
    assert contents(read_fasta(path)) == expected
    records = scan_fasta(path)
    assert {name: record.length for name, record in records.items()} == {
        name: len(text) for name, text in expected.items()
    }
    for name, record in records.items():
        assert contents([read_record(path, name, record)]) == {name: expected[name]}


def test_every_format_gives_the_same_assembly_in_another_process_too(tmp_path):
    sequences = {"chr1": "ACGTnnACgt" * 9, "HLA*01:01|x": "acgT" * 7, "z": "N" * 5}
    fasta = tmp_path / "toy.fa"
    fasta.write_text("".join(f">{name} some words\n{s}\n" for name, s in sequences.items()))
    two_bit = write_two_bit(tmp_path / "toy.2bit", sequences)
    for path, expected in (
        (fasta, sequences),
        # 2bit's N has no case.
        (two_bit, {name: text.replace("n", "N") for name, text in sequences.items()}),
    ):
        (assembly,) = genome(GenomeFiles(fasta=str(path)))
        assert assembly.name == "toy"
        assert dict(assembly.lengths) == {name: len(text) for name, text in sequences.items()}
        assert contents(assembly.contigs()) == expected
        asked = ["HLA*01:01|x", "z"]
        alone = pickle.loads(pickle.dumps(assembly.only(asked)))
        assert contents(alone()) == {name: expected[name] for name in asked}


def test_compressed_fasta_is_read_along_only(tmp_path):
    path = tmp_path / "toy.fa.gz"
    path.write_bytes(gzip.compress(b">a\nACGT\n"))
    assembly = genome_assembly("toy", path)
    assert assembly.only is None
    assert contents(assembly.contigs()) == {"a": "ACGT"}


@pytest.mark.parametrize("workers", [1, 2])
def test_that_a_compressed_fasta_takes_one_process_is_said(workers, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(plan, "PIECE_BASES", 10)
    monkeypatch.setattr(pool, "_WORTH_PROCESSES", 1)
    (tmp_path / "a.fa.gz").write_bytes(gzip.compress(b">a\nACGTACGTACGT\n>b\nGGGTACGTACCC\n"))
    (tmp_path / "a.yaml").write_text(YAML.format(folder=tmp_path))
    with caplog.at_level("INFO"):
        convert(load(ConvertConfig, tmp_path / "a.yaml", [f"workers={workers}"]), progress=False)
    assert ("one process only: this source can only be" in caplog.text) == (workers == 2)


def test_what_is_no_two_bit_is_named(tmp_path):
    path = tmp_path / "a.2bit"
    whole = write_two_bit(path, {"chr1": "ACGTN" * 100, "chr2": "AC"}).read_bytes()
    with pytest.raises(UserError, match=r"b\.2bit: cannot be read: No such file"):
        two_bit_lengths(tmp_path / "b.2bit")
    path.write_bytes(b"")
    with pytest.raises(UserError, match=r"a\.2bit: the file is empty"):
        two_bit_lengths(path)
    path.write_bytes(b">chr1\nACGT\n")
    with pytest.raises(UserError, match=r"a\.2bit: not a 2bit file \(it begins with b'>chr'\)"):
        two_bit_lengths(path)
    # The first contig's length, behind 16 bytes of header and 18 of index.
    path.write_bytes(whole[:34] + b"\xff\xff\xff\x7f" + whole[38:])
    with pytest.raises(UserError, match=r"a\.2bit: truncated or damaged"):
        two_bit_lengths(path)
    # Wherever it is cut, it ends in an error: at once, or when the cut contig is read.
    for size in range(4, len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"a\.2bit: .*(truncated|damaged)"):
            list(read_two_bit(path, two_bit_lengths(path)))
        if size < 40:
            with pytest.raises(UserError, match=r"a\.2bit: truncated or damaged"):
                two_bit_lengths(path)


def test_a_fasta_that_changed_meanwhile_is_refused(tmp_path):
    path = tmp_path / "a.fa"
    path.write_text(">a\nACGT\n>b\nACGT\n")
    record = scan_fasta(path)["b"]
    path.write_text(">a\nAC\n>b\nACGTACGT\n")
    with pytest.raises(UserError, match=r"a\.fa: changed while it was converted, at record 'b'"):
        read_record(path, "b", record)
    # The same lengths, other bases.
    path.write_text(">a\nACGT\n>b\nTTTT\n")
    os.utime(path, ns=(record.file[1], record.file[1] + 1_000_000))
    with pytest.raises(UserError, match=r"a\.fa: changed while it was converted, at record 'b'"):
        read_record(path, "b", record)


def test_transcripts_are_read_when_asked_and_one_assembly_s_at_a_time(tmp_path):
    path = tmp_path / "a.bed"
    path.write_text("a\t0\t9\tt\t0\t+\n")
    read: list[str] = []

    def reader(name: str):
        def transcripts():
            read.append(name)
            from glm_composer.conversion.bed import read_bed

            return read_bed(path, {"a": 10})

        return transcripts

    first, second = (TranscriptFile(name, reader(name)) for name in "xy")
    assert read == []
    assert [t.name for t in first["a"]] == ["t"]
    assert first.get("b", ()) == ()
    assert list(second) == ["a"]
    assert len(first) == 1
    assert read == ["x", "y", "x"]
    path.write_text("a\t0\t99\tt\t0\t+\n")
    with pytest.raises(UserError, match=r"^z: .*a\.bed, line 1: 0-99 leaves contig 'a'"):
        len(TranscriptFile("z", reader("z")))


@pytest.mark.slow
def test_yeast_s_contigs_come_alone_too(yeast_zip: Path):
    from glm_composer.conversion.genomes import genbank_assembly

    assembly = genbank_assembly("S288c", yeast_zip, fetch(YEAST).source)
    (alone,) = assembly.only(["chr05"])()
    assert alone.name == "chr05"
    assert len(alone.sequence) == assembly.lengths["chr05"] == 576_874


GENBANK = b"""LOCUS       TOY                       60 bp    DNA     linear   PLN 01-JAN-2000
ACCESSION   TOY
FEATURES             Location/Qualifiers
     mRNA            complement(join(5..20,30..40))
                     /gene="a"
     CDS             complement(join(5..20,30..40))
                     /gene="a"
ORIGIN
        1 acgtacgtac gtacgtacgt acgtacgtac gtacgtacgt acgtacgtac gtacgtacnn
//
"""
FILES = {
    "a.gb": (GENBANK, lambda path: [contig for contig, _ in read_genbank(path)]),
    "a.fa": (b">a x\nACGT\nACgtN\n>b\nAC\n", lambda path: list(read_fasta(path))),
}


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(list(FILES)),
    at=st.integers(0, 480),
    gone=st.integers(0, 20),
    put=st.binary(max_size=4) | st.sampled_from([b"\r", b"\n", b">", b"999", b"join(", b"0..5"]),
)
def test_any_damage_gives_contigs_or_one_line(name, at, gone, put, tmp_path_factory):
    whole, read = FILES[name]
    path = tmp_path_factory.mktemp("any") / name
    at = at % len(whole)
    path.write_bytes(whole[:at] + put + whole[at + gone :])
    try:
        found, message = read(path), ""
    except UserError as error:
        found, message = [], str(error)
    assert bool(found) != message.startswith(str(path))
    assert "\n" not in message
    assert all(is_iupac(contig.sequence).all() and len(contig.sequence) for contig in found)


def test_a_feature_whose_location_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "a.gb"
    before, cds, after = GENBANK.partition(b"CDS             complement(join(")
    path.write_bytes(before + cds + b"x" + after)
    with pytest.raises(
        UserError, match=r"record 1 \(TOY\): the location of CDS 'a' cannot be rea"
    ):
        list(read_genbank(path))


def test_a_header_of_megabytes_is_a_header(tmp_path):
    path = tmp_path / "a.fa"
    path.write_bytes(b">a " + b"x" * (5 << 20) + b"\r\nACGT\n>" + b"y" * (3 << 20) + b"\rAC")
    assert contents(read_fasta(path)) == {"a": "ACGT", "y" * (3 << 20): "AC"}
    assert [record.length for record in scan_fasta(path).values()] == [4, 2]
