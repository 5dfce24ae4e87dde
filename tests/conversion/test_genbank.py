"""GenBank against the files themselves: bases letter by letter, CDS by the proteins they note."""

import gzip
import io
import logging
import re
import zipfile

import pytest
from Bio import SeqIO
from Bio.Seq import Seq

from glm_composer.conversion.annotation import Transcript
from glm_composer.conversion.genbank import read_genbank
from glm_composer.errors import UserError

RECORD = """LOCUS       TOY                       60 bp    DNA     linear   PLN 01-JAN-2000
DEFINITION  toy.
ACCESSION   TOY
VERSION     TOY.1
FEATURES             Location/Qualifiers
     source          1..60
{features}ORIGIN
        1 acgtacgtac gtacgtacgt acgtacgtac gtacgtacgt acgtacgtac gtacgtacnn
//
"""


def feature(kind: str, location: str, **qualifiers: str) -> str:
    lines = [f"     {kind:<16}{location}"]
    lines += [" " * 21 + (f'/{k}="{v}"' if v else f"/{k}") for k, v in qualifiers.items()]
    return "\n".join(lines) + "\n"


def write(directory, *features: str, name: str = "toy.gb", copies: int = 1):
    path = directory / name
    path.write_text(RECORD.format(features="".join(features)) * copies)
    return path


@pytest.fixture(scope="module")
def genome(yeast_zip):
    return {contig.name: (contig, transcripts) for contig, transcripts in read_genbank(yeast_zip)}


def test_yeast_contigs_are_named_by_file_and_complete(genome):
    assert list(genome) == [f"chr{n:02}" for n in range(1, 17)]
    assert sum(len(contig.sequence) for contig, _ in genome.values()) == 12_071_326


def test_yeast_bases_equal_the_text_of_the_file(genome, yeast_zip):
    with zipfile.ZipFile(yeast_zip) as archive:
        text = archive.read("chr03.gb").decode()
    origin = text[text.index("ORIGIN") : text.rindex("//")]
    expected = re.sub(r"[^acgtn]", "", origin.removeprefix("ORIGIN")).upper()
    assert genome["chr03"][0].sequence.tobytes().decode() == expected


def test_yeast_cds_translate_to_the_proteins_in_the_file(genome, yeast_zip):
    """Both strands, introns and frames at once; a base off anywhere would show."""
    with zipfile.ZipFile(yeast_zip) as archive:
        record = SeqIO.read(io.StringIO(archive.read("chr04.gb").decode()), "genbank")
    proteins = {
        f.qualifiers["locus_tag"][0]: f.qualifiers["translation"][0]
        for f in record.features
        if f.type == "CDS" and "translation" in f.qualifiers
    }
    contig, transcripts = genome["chr04"]
    coding = [t for t in transcripts if t.coding]
    assert len(coding) == len(proteins) > 700
    assert {t.strand for t in coding} == {1, -1}
    for transcript in coding:
        bases = b"".join(contig.sequence[s:e].tobytes() for s, e in transcript.cds)
        message = Seq(bases) if transcript.strand > 0 else Seq(bases).reverse_complement()
        assert str(message.translate(to_stop=True)) == proteins[transcript.gene]


def test_yeast_counts(genome):
    """5,995 mRNA, and six CDS without one, all of them /pseudo."""
    transcripts = [t for _, ts in genome.values() for t in ts]
    assert len(transcripts) == 5_995 + 6
    assert sum(t.coding for t in transcripts) == 5_989 - 6
    assert all(
        t.exons and t.start == t.exons[0][0] and t.end == t.exons[-1][1] for t in transcripts
    )


def test_join_and_complement_by_hand(tmp_path):
    path = write(
        tmp_path,
        feature("mRNA", "complement(join(3..10,21..40))", locus_tag="g1"),
        feature("CDS", "complement(join(5..10,21..30))", locus_tag="g1"),
        feature("mRNA", "41..50", locus_tag="g2", pseudo=""),
    )
    ((contig, transcripts),) = read_genbank(path)
    assert contig.name == "toy"
    assert transcripts == [
        Transcript("toy", 2, 40, -1, "g1", "g1", True, ((2, 10), (20, 40)), ((4, 10), (20, 30))),
        Transcript("toy", 40, 50, 1, "g2", "g2", False, ((40, 50),), ()),
    ]
    assert transcripts[0].tss == 39


def test_isoforms_get_the_cds_that_fits_their_exons(tmp_path):
    path = write(
        tmp_path,
        feature("mRNA", "join(1..10,21..30)", gene="g", transcript_id="a"),
        feature("mRNA", "join(1..10,41..50)", gene="g", transcript_id="b"),
        feature("CDS", "join(4..10,41..45)", gene="g"),
        feature("CDS", "join(4..10,21..25)", gene="g"),
    )
    ((_, transcripts),) = read_genbank(path)
    assert {t.name: t.cds for t in transcripts} == {
        "a": ((3, 10), (20, 25)),
        "b": ((3, 10), (40, 45)),
    }


def test_records_of_a_longer_file_are_named_by_version(tmp_path):
    path = tmp_path / "two.gb.gz"
    text = RECORD.format(features="") + RECORD.format(features="").replace("TOY.1", "TOY.2")
    path.write_bytes(gzip.compress(text.encode()))
    assert [contig.name for contig, _ in read_genbank(path)] == ["TOY.1", "TOY.2"]


def test_a_feature_on_both_strands_is_left_out_and_said(tmp_path, caplog):
    path = write(tmp_path, feature("CDS", "join(1..9,complement(20..30))", gene="trans"))
    with caplog.at_level(logging.WARNING):
        ((_, transcripts),) = read_genbank(path)
    assert transcripts == []
    assert "left out" in caplog.text


def test_bad_files(tmp_path, yeast_zip):
    whole = RECORD.format(features="")
    cases = {
        "none.gb": (None, "no such file"),
        "empty.gb": (b"", "empty"),
        "text.gb": (b"hello\n", "no GenBank record"),
        "cut1.gb": (whole[:-80].encode(), "not a readable GenBank file: Premature end"),
        "cut2.gb": (whole[:-30].encode(), "truncated"),
        "cut3.gb": (whole[:-3].encode(), "truncated"),
        "short.gb": (whole.replace(" 60 bp", " 61 bp").encode(), "Expected sequence length 61"),
        "cut.gb.gz": (gzip.compress(whole.encode())[:-30], "truncated"),
        "letters.gb": (whole.replace("gtacgtacnn", "gtacgta-nn").encode(), "IUPAC"),
        "twice.gb": (whole.encode() * 2, "second record named 'TOY.1'"),
        "cut.zip": (yeast_zip.read_bytes()[:5000], "damaged or truncated archive"),
        "none.zip": (None, "no such file"),
    }
    for name, (content, message) in cases.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UserError, match=message) as error:
            list(read_genbank(path))
        assert str(path) in str(error.value)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "x")
    with pytest.raises(UserError, match="no GenBank file"):
        list(read_genbank(tmp_path / "other.zip"))
