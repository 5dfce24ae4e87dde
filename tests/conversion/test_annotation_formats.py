"""GFF3, GTF and BED: yeast's transcripts there and back, the dialects of others, bad rows."""

import gzip
import logging

import pytest

from glm_composer.conversion.annotation import Transcript
from glm_composer.conversion.bed import read_bed
from glm_composer.conversion.genbank import read_genbank
from glm_composer.conversion.gff import read_gff3, read_gtf
from glm_composer.errors import UserError

LENGTHS = {"chr1": 1000, "chr2": 500}
SIGN = {1: "+", -1: "-"}


def gff_row(contig, kind, start, end, strand, attributes) -> str:
    """One row of GFF3 or GTF from 0-based half-open coordinates."""
    columns = (contig, "x", kind, start + 1, end, ".", strand, ".", attributes)
    return "\t".join(map(str, columns)) + "\n"


@pytest.fixture(scope="module")
def chromosome(yeast_zip):
    for contig, transcripts in read_genbank(yeast_zip):
        if contig.name == "chr02":
            return {"chr02": len(contig.sequence)}, transcripts
    raise AssertionError


def test_yeast_through_gff3(chromosome, tmp_path):
    lengths, transcripts = chromosome
    text = "##gff-version 3\n"
    for t in transcripts:
        text += gff_row(t.contig, "gene", t.start, t.end, SIGN[t.strand], f"ID=gene:{t.gene}")
        about = f"ID={t.name};Parent=gene:{t.gene}"
        text += gff_row(t.contig, "mRNA", t.start, t.end, SIGN[t.strand], about)
        for kind, segments in (("exon", t.exons), ("CDS", t.cds)):
            for s, e in segments:
                text += gff_row(t.contig, kind, s, e, SIGN[t.strand], f"Parent={t.name}")
    path = tmp_path / "a.gff3.gz"
    path.write_bytes(gzip.compress(text.encode()))
    expected = [dict_of(t, gene=f"gene:{t.gene}") for t in transcripts]
    assert [dict_of(t) for t in read_gff3(path, lengths)] == expected


def test_yeast_through_gtf_whose_cds_stops_before_the_stop_codon(chromosome, tmp_path):
    lengths, transcripts = chromosome
    text = ""
    for t in transcripts:
        about = f'gene_id "{t.gene}"; transcript_id "{t.name}"; note "a; b";'
        for s, e in t.exons:
            text += gff_row(t.contig, "exon", s, e, SIGN[t.strand], about)
        cds = list(t.cds)
        if cds and t.strand > 0:
            (s, e) = cds[-1]
            cds[-1], stop = (s, e - 3), (e - 3, e)
        elif cds:
            (s, e) = cds[0]
            cds[0], stop = (s + 3, e), (s, s + 3)
        for s, e in cds:
            text += gff_row(t.contig, "CDS", s, e, SIGN[t.strand], about)
        if cds:
            text += gff_row(t.contig, "stop_codon", *stop, SIGN[t.strand], about)
    path = tmp_path / "a.gtf"
    path.write_text(text)
    assert [dict_of(t) for t in read_gtf(path, lengths)] == [dict_of(t) for t in transcripts]


def test_yeast_through_bed12(chromosome, tmp_path):
    lengths, transcripts = chromosome
    # BED's thick part says nothing of a frameshift between two CDS segments in one exon.
    plain = [t for t in transcripts if t.cds in ((), t.exons)]
    assert len(plain) > 0.9 * len(transcripts)
    text = "track name=x\n"
    for t in plain:
        thick = (t.cds[0][0], t.cds[-1][1]) if t.cds else (t.start, t.start)
        sizes = ",".join(str(e - s) for s, e in t.exons) + ","
        offsets = ",".join(str(s - t.start) for s, _ in t.exons) + ","
        text += (
            f"{t.contig}\t{t.start}\t{t.end}\t{t.name}\t0\t{SIGN[t.strand]}\t"
            f"{thick[0]}\t{thick[1]}\t0\t{len(t.exons)}\t{sizes}\t{offsets}\n"
        )
    path = tmp_path / "a.bed"
    path.write_text(text)
    assert [dict_of(t) for t in read_bed(path, lengths)] == [
        dict_of(t, gene=t.name) for t in plain
    ]


def dict_of(t: Transcript, gene: str | None = None) -> tuple:
    return (
        t.contig, t.start, t.end, t.strand, t.name, gene or t.gene, t.coding, t.exons, t.cds
    )  # fmt: skip


def test_gff3_dialects(tmp_path):
    path = tmp_path / "a.gff"
    path.write_text(
        "#comment\n"
        # A gene without transcripts stands for one; prokaryotic CDS hang on their gene.
        + gff_row("chr1", "gene", 10, 40, "+", "ID=g1;biotype=protein_coding")
        + gff_row("chr1", "gene", 50, 80, "-", "ID=g2")
        + gff_row("chr1", "CDS", 50, 80, "-", "ID=c2;Parent=g2")
        # Rows without a strand are fine where nothing is read from it.
        + gff_row("chr1", "region", 0, 1000, ".", "ID=chr1")
        # One exon, two parents; escapes in identifiers.
        + gff_row("chr2", "ncRNA_gene", 0, 100, "+", "ID=g%3B3")
        + gff_row("chr2", "lnc_RNA", 0, 100, "+", "ID=t3;Parent=g%3B3")
        + gff_row("chr2", "lnc_RNA", 0, 50, "+", "ID=t4;Parent=g%3B3")
        + gff_row("chr2", "exon", 0, 50, "+", "Parent=t3,t4")
        # CDS segments that touch are a frameshift, and stay two.
        + gff_row("chr2", "mRNA", 200, 300, "+", "ID=t5;Parent=g5")
        + gff_row("chr2", "CDS", 200, 250, "+", "ID=c5;Parent=t5")
        + gff_row("chr2", "CDS", 249, 300, "+", "ID=c5;Parent=t5")
        + "##FASTA\n>chr1\nACGT\n"
    )
    assert [dict_of(t) for t in read_gff3(path, LENGTHS)] == [
        ("chr1", 10, 40, 1, "g1", "g1", True, (), ()),
        ("chr1", 50, 80, -1, "g2", "g2", True, ((50, 80),), ((50, 80),)),
        ("chr2", 0, 50, 1, "t4", "g;3", False, ((0, 50),), ()),
        ("chr2", 0, 100, 1, "t3", "g;3", False, ((0, 50),), ()),
        (
            "chr2",
            200,
            300,
            1,
            "t5",
            "g5",
            True,
            ((200, 250), (249, 300)),
            ((200, 250), (249, 300)),
        ),
    ]


def test_gtf_dialects(tmp_path):
    path = tmp_path / "a.gtf"
    path.write_text(
        gff_row("chr1", "gene", 10, 40, "+", 'gene_id "g"; gene_type "lncRNA"; transcript_id "";')
        # A transcript may carry its gene's identifier; a stop codon may be split by an intron.
        + gff_row("chr1", "transcript", 10, 40, "-", 'gene_id "h"; transcript_id "h";')
        + gff_row("chr1", "CDS", 22, 40, "-", 'gene_id "h"; transcript_id "h";')
        + gff_row("chr1", "stop_codon", 20, 22, "-", 'gene_id "h"; transcript_id "h";')
        + gff_row("chr1", "stop_codon", 12, 13, "-", 'gene_id "h"; transcript_id "h";')
    )
    assert [dict_of(t) for t in read_gtf(path, LENGTHS)] == [
        ("chr1", 10, 40, 1, "g", "g", False, (), ()),
        ("chr1", 10, 40, -1, "h", "h", True, ((12, 13), (20, 40)), ((12, 13), (20, 40))),
    ]


def test_bed6_is_coding_without_cds(tmp_path):
    path = tmp_path / "a.bed"
    path.write_text("# c\nchr1 5 20 tx 0 -\n")
    (transcript,) = read_bed(path, LENGTHS)
    assert (transcript.coding, transcript.cds, transcript.tss) == (True, (), 19)


ID = "ID=t"
OK = gff_row("chr1", "mRNA", 0, 10, "+", "ID=ok")
TX = 'gene_id "g"; transcript_id "t";'


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("gff3", [OK, gff_row("chr1", "mRNA", 990, 1001, "+", ID)], "line 2: 991-1001 leaves contig 'chr1' of 1,000 bases"),  # noqa: E501
        ("gff3", [OK, gff_row("chr1", "mRNA", -1, 10, "+", ID)], "line 2: 0-10 leaves contig"),
        ("gff3", [gff_row("chr1", "mRNA", 20, 10, "+", ID)], "start 21 lies behind end 10"),
        ("gff3", [gff_row("chr1", "mRNA", 0, 10, "x", ID)], "line 1: unknown strand 'x'"),
        ("gff3", [OK, gff_row("chr1", "mRNA", 0, 10, ".", ID)], "line 2: unknown strand of a"),
        ("gff3", [OK, gff_row("chr9", "mRNA", 0, 10, "+", ID)], "line 2: contig 'chr9' is not in the genome"),  # noqa: E501
        ("gff3", [OK, "chr1\tx\tmRNA\n"], "line 2: 3 tab-separated columns instead of 9"),
        ("gff3", [OK, OK], "line 2: second mRNA with ID 'ok'"),
        ("gff3", [OK, gff_row("chr1", "exon", 5, 15, "+", "Parent=ok")], "line 2: exon leaves its transcript 'ok'"),  # noqa: E501
        ("gff3", [OK, gff_row("chr1", "exon", 5, 9, "-", "Parent=ok")], "line 2: exon of 'ok' lies on another contig or strand"),  # noqa: E501
        ("gff3", ["##gff-version 3\n"], "no transcript or gene"),
        ("gff3", [gff_row("chr1", "mRNA", 0, 10, "+", ID).replace("\t1\t", "\tone\t")], "line 1: start 'one' and end '10' must be whole numbers"),  # noqa: E501
        ("gtf", [gff_row("chr1", "exon", 0, 10, "+", 'gene_id "g";')], "line 1: a exon row without gene_id and transcript_id"),  # noqa: E501
        ("gtf", [gff_row("chr1", "transcript", 0, 10, "+", TX)] * 2, "line 2: second transcript row of 't'"),  # noqa: E501
        ("bed", ["chr1\t0\t10\n"], "line 1: 3 columns; 6 are needed"),
        ("bed", ["chr1\t0\t10\tt\t0\t.\n"], "line 1: unknown strand of a BED row"),
        ("bed", ["chr1\t10\t10\tt\t0\t+\n"], "line 1: start 10 lies behind end 10"),
        ("bed", ["chr2\t0\t501\tt\t0\t+\n"], "line 1: 0-501 leaves contig 'chr2'"),
        ("bed", ["chr1\t0\t10\tt\t0\t+\t0\t11\n"], "line 1: blocks or thick part leave the row"),
        ("bed", ["chr1\t0\t10\tt\t0\t+\t0\t9\t0\t2\t5,5\t0\n"], "line 1: thick or block columns"),
        ("bed", ["chr1\t0\t10\tt\t0\t+\t0\t9\t0\t2\t5,6,\t0,5,\n"], "line 1: blocks or thick"),
    ],
)  # fmt: skip
def test_bad_rows(name, rows, message, tmp_path):
    path = tmp_path / f"a.{name}"
    path.write_text("".join(rows))
    reader = {"gff3": read_gff3, "gtf": read_gtf, "bed": read_bed}[name]
    with pytest.raises(UserError) as error:
        reader(path, LENGTHS)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_missing_contigs_may_be_left_out_but_not_all(tmp_path, caplog):
    path = tmp_path / "a.gff3"
    path.write_text(OK + gff_row("chr9", "mRNA", 0, 10, "+", ID))
    with caplog.at_level(logging.WARNING):
        assert [t.name for t in read_gff3(path, LENGTHS, allow_missing_contigs=True)] == ["ok"]
    assert (
        "1 rows left out, on contigs that the genome lacks (first 'chr9', line 2)" in caplog.text
    )
    with pytest.raises(UserError, match=r"line 1: no annotated contig \('chr1', ...\) is in the"):
        read_gff3(path, {"chrZ": 100}, allow_missing_contigs=True)


def test_truncated_gzip_and_binary(tmp_path):
    path = tmp_path / "a.gff3.gz"
    path.write_bytes(gzip.compress(OK.encode() * 1000)[:-9])
    with pytest.raises(UserError, match="truncated"):
        read_gff3(path, LENGTHS)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="line 1: not UTF-8"):
        read_gff3(path, LENGTHS)
