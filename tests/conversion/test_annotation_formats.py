"""GFF3, GTF and BED: yeast's transcripts there and back, the dialects of others, bad rows."""

import gzip
import logging
import re
from dataclasses import replace

import pytest
from Bio.Seq import Seq
from hypothesis import given, settings
from hypothesis import strategies as st

from glm_composer.conversion.annotation import Transcript
from glm_composer.conversion.bed import read_bed
from glm_composer.conversion.fasta import read_fasta
from glm_composer.conversion.genbank import read_genbank
from glm_composer.conversion.gff import read_gff3, read_gtf
from glm_composer.conversion.sources.package import DROSOPHILA_CHR2R
from glm_composer.errors import UserError

LENGTHS = {"chr1": 1000, "chr2": 500}
AUGUSTUS = replace(
    DROSOPHILA_CHR2R,
    member="usr/share/doc/augustus/tutorial/results/augustus.abinitio.gff",
    member_sha256="fbf05a49b5148562a4f86795fb439122f2032cf515d7f590f08fbe5d6653f277",
)
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


def test_biotypes_decide_and_the_transcript_s_own_comes_first(tmp_path):
    path = tmp_path / "a.gtf"
    ensembl = (
        'gene_id "g"; gene_biotype "protein_coding"; transcript_id "{}"; transcript_biotype "{}";'
    )
    rows = [
        ("exon", ensembl.format("kept", "protein_coding")),
        ("exon", ensembl.format("intron", "retained_intron")),
        ("CDS", ensembl.format("decay", "nonsense_mediated_decay")),
        # NCBI's word, and a segment that has a CDS but is no mRNA.
        ("exon", 'gene_id "g"; transcript_id "ncbi"; transcript_biotype "mRNA";'),
        ("CDS", 'gene_id "g"; transcript_id "v"; transcript_biotype "V_gene_segment";'),
        ("CDS", 'gene_id "g"; transcript_id "plain";'),
    ]
    path.write_text("".join(gff_row("chr1", kind, 0, 9, "+", about) for kind, about in rows))
    coding = {t.name: t.coding for t in read_gtf(path, LENGTHS)}
    assert [name for name, is_coding in coding.items() if is_coding] == ["kept", "ncbi", "plain"]
    assert len(coding) == 6


def test_utr_rows_make_exons_where_there_are_none(tmp_path):
    path = tmp_path / "a.gff3"
    path.write_text(
        gff_row("chr1", "mRNA", 0, 90, "+", "ID=t")
        + gff_row("chr1", "five_prime_UTR", 0, 20, "+", "Parent=t")
        + gff_row("chr1", "CDS", 20, 30, "+", "Parent=t")
        + gff_row("chr1", "CDS", 50, 60, "+", "Parent=t")
        + gff_row("chr1", "three_prime_UTR", 60, 70, "+", "Parent=t")
        + gff_row("chr1", "three_prime_UTR", 80, 90, "+", "Parent=t")
        # Where there are exons they are what counts.
        + gff_row("chr2", "mRNA", 0, 40, "-", "ID=u")
        + gff_row("chr2", "exon", 0, 40, "-", "Parent=u")
        + gff_row("chr2", "five_prime_UTR", 30, 40, "-", "Parent=u")
        + gff_row("chr2", "CDS", 0, 30, "-", "Parent=u")
    )
    first, second = read_gff3(path, LENGTHS)
    assert first.exons == ((0, 30), (50, 70), (80, 90))
    assert first.cds == ((20, 30), (50, 60))
    assert second.exons == ((0, 40),)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", None])
def test_line_ends_of_any_kind_and_mixed(end, tmp_path):
    lines = [gff_row("chr1", "mRNA", i, i + 9, "+", f"ID=t{i}").strip() for i in range(9)]
    ends = [end] * 9 if end else ["\n", "\r\n", "\r"] * 3
    path = tmp_path / "a.gff3"
    path.write_bytes(
        b"\xef\xbb\xbf"
        + b"##"
        # A header of a megabyte.
        + b"x" * (1 << 20)
        + b"\n"
        + "".join(line + e for line, e in zip(lines, ends, strict=True)).encode()
    )
    assert [t.name for t in read_gff3(path, LENGTHS)] == [f"t{i}" for i in range(9)]
    path.write_bytes(path.read_bytes() + b"chr1\tx\n")
    with pytest.raises(UserError, match=r"line 11: 2 tab-separated columns instead of 9"):
        read_gff3(path, LENGTHS)


READERS = {"gff3": read_gff3, "gtf": read_gtf, "bed": read_bed}
WHOLE = {
    "gff3": OK
    + gff_row("chr1", "mRNA", 100, 200, "+", "ID=t;Parent=g")
    + gff_row("chr1", "exon", 100, 150, "+", "Parent=t")
    + gff_row("chr1", "CDS", 120, 150, "+", "Parent=t"),
    "gtf": gff_row("chr2", "exon", 10, 90, "-", 'gene_id "g"; transcript_id "t";')
    + gff_row("chr2", "CDS", 20, 80, "-", 'gene_id "g"; transcript_id "t";')
    + gff_row("chr2", "stop_codon", 17, 20, "-", 'gene_id "g"; transcript_id "t";'),
    "bed": "chr1\t0\t100\tt\t0\t+\t10\t90\t0\t2\t30,40,\t0,60,\nchr2\t5\t9\tu\t0\t-\n",
}


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(list(READERS)),
    at=st.integers(0, 250),
    gone=st.integers(0, 20),
    put=st.binary(max_size=6) | st.sampled_from([b"\t", b"\r", b"\n", b"-1", b"99999", b"chr9"]),
)
def test_any_damage_gives_transcripts_on_the_genome_or_one_line(
    kind, at, gone, put, tmp_path_factory
):
    path = tmp_path_factory.mktemp("any") / f"a.{kind}"
    whole = WHOLE[kind].encode()
    path.write_bytes(whole[:at] + put + whole[at + gone :] or b"x")
    try:
        found, message = READERS[kind](path, LENGTHS), ""
    except UserError as error:
        found, message = [], str(error)
    assert bool(found) != message.startswith(str(path))
    assert "\n" not in message
    for t in found:
        assert 0 <= t.start < t.end <= LENGTHS[t.contig]
        assert t.strand in (1, -1)
        for segments in (t.exons, t.cds):
            assert list(segments) == sorted(segments)
            assert all(t.start <= s < e <= t.end for s, e in segments)


def test_gtf_called_gff3_is_not_taken_for_a_thousand_genes(tmp_path):
    path = tmp_path / "a.gff"
    path.write_text(OK + gff_row("chr1", "exon", 0, 9, "+", TX))
    with pytest.raises(UserError, match=r"line 2: attributes 'gene_id .* name the file \.gtf"):
        read_gff3(path, LENGTHS)


@pytest.mark.slow
def test_augustus_s_genes_translate_to_its_own_proteins(debian, tmp_path):
    """Both strands, introns, UTRs and its bare identifiers, on the fly's chromosome."""
    fasta, predicted = debian(DROSOPHILA_CHR2R), debian(AUGUSTUS)
    (contig,) = read_fasta(fasta)
    text = predicted.read_text()
    comments = "".join(line.removeprefix("# ") for line in text.split("\n") if line[:2] == "# ")
    proteins = re.findall(r"protein sequence = \[([A-Z]+)\]", comments)
    path = tmp_path / "augustus.gtf"
    path.write_text(text)
    found = {t.name: t for t in read_gtf(path, {"chr2R": len(contig.sequence)})}
    assert len(found) == len(proteins) == 77
    with_utrs = 0
    for number, protein in enumerate(proteins, start=1):
        t = found[f"g{number}.t1"]
        assert (t.gene, t.coding) == (f"g{number}", True)
        bases = Seq(b"".join(contig.sequence[s:e].tobytes() for s, e in t.cds))
        coding = bases if t.strand > 0 else bases.reverse_complement()
        assert str(coding.translate(to_stop=True)) == protein
        with_utrs += t.exons[0][0] < t.cds[0][0] and t.cds[-1][1] < t.exons[-1][1]
    assert with_utrs > 60
