import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import polars
import pytest
from Bio.Seq import Seq
from sklearn.metrics import average_precision_score

from glm_composer.conversion.annotation import Transcript
from glm_composer.conversion.coding_snvs import CONSEQUENCES, coding_snvs
from glm_composer.conversion.coding_variants import card, coding_variants, derive
from glm_composer.conversion.genbank import read_genbank
from glm_composer.errors import UserError
from glm_composer.sequence import as_ascii

BASES = "ACGT"
STOPS = {"TAA", "TAG", "TGA"}
SENSE = [a + b + c for a in BASES for b in BASES for c in BASES if a + b + c not in STOPS]
COMPLEMENT = str.maketrans(BASES, BASES[::-1])


def flipped(text):
    return text.translate(COMPLEMENT)[::-1]


def gene(name, *cds, strand=1, contig="c"):
    return Transcript(
        contig, cds[0][0], cds[-1][1], strand, f"{name}-t", name, True, tuple(cds), tuple(cds)
    )


def made_up_genome(codons=40, count=6, seed=0):
    """A contig of genes on alternating strands with spacers; returns its text and transcripts."""
    rng = np.random.default_rng(seed)
    text, transcripts = "", []
    for number in range(count):
        text += "".join(rng.choice(list(BASES), 7))
        coding = "ATG" + "".join(rng.choice(SENSE, codons)) + rng.choice(sorted(STOPS))
        strand = 1 if number % 2 == 0 else -1
        transcripts.append(gene(f"g{number}", (len(text), len(text) + len(coding)), strand=strand))
        text += coding if strand > 0 else flipped(coding)
    return text + "ACG", transcripts


def naive_snvs(text, transcripts, contig="c", table=1):
    """One SNV at a time, over strings: {(pos, ref, alt): (consequence, gene, codon position)}."""
    text, found = text.upper(), {}
    segments = {(*segment, t.strand) for t in transcripts for segment in t.cds}
    for transcript in transcripts:
        if len(transcript.cds) != 1:
            continue
        (start, end), strand = transcript.cds[0], transcript.strand
        coding = text[start:end] if strand > 0 else flipped(text[start:end])
        protein = str(Seq(coding).translate(table=table))
        if len(coding) % 3 or set(coding) - set(BASES):
            continue
        if not coding.startswith("ATG") or protein.find("*") != len(protein) - 1:
            continue
        for at in range(start, end):
            covering = sum(s <= at < e for s, e, _ in segments)
            around = text[max(at - 1, 0) : at + 2]
            if covering > 1 or len(around) < 3 or set(around) - set(BASES):
                continue
            offset = at - start if strand > 0 else end - 1 - at
            if offset >= len(coding) - 3:
                continue
            for alt in set(BASES) - {text[at]}:
                read = alt if strand > 0 else alt.translate(COMPLEMENT)
                mutant = coding[:offset] + read + coding[offset + 1 :]
                changed = str(Seq(mutant).translate(table=table))
                if offset < 3:
                    consequence = "start_lost"
                elif "*" in changed[:-1]:
                    consequence = "stop_gained"
                elif changed == protein:
                    consequence = "synonymous_variant"
                else:
                    continue
                found[at, text[at], alt] = (consequence, transcript.gene, offset % 3 + 1, around)
    return found


def listed(snvs):
    return {
        (row["position"], BASES[row["trinucleotide"] // 4 % 4], BASES[row["alt"]]): (
            CONSEQUENCES[row["consequence"]],
            row["gene"],
            row["codon_position"],
            "".join(BASES[row["trinucleotide"] // place % 4] for place in (16, 4, 1)),
        )
        for row in snvs.iter_rows(named=True)
    }


def test_a_gene_by_hand():
    #       0123456789012
    text = "CATGTATTGGTAAC"  # ATG TAT TGG TAA from 1 to 13
    snvs, fates = coding_snvs({"c": as_ascii(text)}, [gene("g", (1, 13))])
    found = {key: value[0] for key, value in listed(snvs).items()}
    starts = {(at, text[at], alt) for at in (1, 2, 3) for alt in set(BASES) - {text[at]}}
    assert found == {key: "start_lost" for key in starts} | {
        (6, "T", "A"): "stop_gained",  # TAA
        (6, "T", "G"): "stop_gained",  # TAG
        (6, "T", "C"): "synonymous_variant",  # TAC
        (8, "G", "A"): "stop_gained",  # TAG
        (9, "G", "A"): "stop_gained",  # TGA
    }
    assert fates["used"] == 1


@pytest.mark.parametrize("table", [1, 2, 11])
@pytest.mark.parametrize("seed", [0, 1])
def test_snvs_are_those_of_the_naive_reading(seed, table):
    text, transcripts = made_up_genome(seed=seed)
    end = transcripts[2].end
    # Overlaps: the tail of one gene, another one on the opposite strand, an isoform of one gene.
    transcripts += [
        gene("spliced", (end - 20, end - 4), (end + 30, end + 60), strand=-1),
        replace(transcripts[4], name="isoform"),
    ]
    text = text[:end] + "N" + text[end + 1 :]
    text = text[:50].lower() + text[50:]
    snvs, fates = coding_snvs({"c": as_ascii(text)}, transcripts, table)
    expected = naive_snvs(text, transcripts, table=table)
    assert listed(snvs) == expected
    assert len(snvs) == len(expected) > 100
    assert fates["several coding segments"] == fates["same coding segment as another"] == 1
    assert snvs["position"].is_sorted()


def test_a_gene_at_the_very_ends_of_its_contig():
    coding = "ATGGCTTGGGCATAA"
    for strand, text in ((1, coding), (-1, flipped(coding))):
        transcripts = [gene("g", (0, len(text)), strand=strand)]
        snvs, fates = coding_snvs({"c": as_ascii(text)}, transcripts)
        assert listed(snvs) == naive_snvs(text, transcripts)
        assert fates["positions left out"] == 1  # the start codon's first base has one neighbour


@pytest.mark.parametrize(
    ("coding", "fate"),
    [
        ("ATGGCTTA", "not whole codons"),
        ("CTGGCTTAA", "no ATG at the start"),
        ("ATGGCTGCA", "no stop at the end"),
        ("ATGTGAGCTTAA", "stop inside"),
        ("ATGGCNTAA", "base outside acgt"),
        ("CTGTAGGCTGCA", "no ATG at the start"),  # several faults: counted once
    ],
)
@pytest.mark.parametrize("strand", [1, -1])
def test_unclean_genes_are_dropped_and_counted(coding, fate, strand):
    good, transcripts = made_up_genome(count=1)
    body = coding if strand > 0 else coding[::-1].translate(COMPLEMENT)
    text = good + "AC" + body + "GT"
    at = len(good) + 2
    snvs, fates = coding_snvs(
        {"c": as_ascii(text)}, [*transcripts, gene("bad", (at, at + len(body)), strand=strand)]
    )
    assert snvs["gene"].unique().to_list() == ["g0"]
    assert {name: count for name, count in fates.items() if count and name != "positions left out"}
    assert fates[fate] == fates["used"] == 1


def test_transcripts_elsewhere_and_noncoding_ones():
    text, transcripts = made_up_genome(count=2)
    noncoding = replace(transcripts[0], name="nc", coding=False, cds=())
    elsewhere = replace(transcripts[0], contig="d")
    snvs, fates = coding_snvs({"c": as_ascii(text)}, [*transcripts, noncoding, elsewhere])
    assert listed(snvs) == naive_snvs(text, transcripts)
    assert fates["other contig"] == 1
    assert fates["used"] == 2


def test_genetic_codes_differ():
    text, transcripts = "CATGTGGTAAC", [gene("g", (1, 10))]
    assert listed(coding_snvs({"c": as_ascii(text)}, transcripts, 1)[0])[6, "G", "A"][0] == (
        "stop_gained"
    )
    assert listed(coding_snvs({"c": as_ascii(text)}, transcripts, 2)[0])[6, "G", "A"][0] == (
        "synonymous_variant"  # TGA is Trp in vertebrate mitochondria
    )


@pytest.mark.parametrize(("table", "message"), [(99, "no such NCBI"), (27, "both stop and amino")])
def test_genetic_codes_that_decide_nothing_are_refused(table, message):
    text, transcripts = made_up_genome(count=1)
    with pytest.raises(UserError, match=message):
        coding_snvs({"c": as_ascii(text)}, transcripts, table)


def test_a_segment_outside_its_contig_is_named():
    with pytest.raises(UserError, match=r"g-t.*\[3, 12\).*c of 10 bases"):
        coding_variants({"c": as_ascii("ACGTACGTAC")}, [gene("g", (3, 12))])


@pytest.fixture(scope="module")
def made_up():
    parts = {name: made_up_genome(150, 12, seed) for seed, name in enumerate(("x", "y"))}
    sequences = {name: as_ascii(text) for name, (text, _) in parts.items()}
    transcripts = [
        replace(t, contig=name, gene=f"{name}{t.gene}")
        for name, (_, ts) in parts.items()
        for t in ts
    ]
    return sequences, transcripts


@pytest.fixture(scope="module")
def naively(made_up):
    """(chrom, pos, ref, alt) -> (consequence, gene) of every candidate, one at a time."""
    sequences, transcripts = made_up
    return {
        (contig, at + 1, ref, alt): (consequence, name)
        for contig, letters in sequences.items()
        for (at, ref, alt), (consequence, name, *_) in naive_snvs(
            letters.tobytes().decode(), [t for t in transcripts if t.contig == contig]
        ).items()
    }


def check_table(table, sequences, controls, balanced=False):
    """What holds for every table, read back from the genome."""
    assert table.columns == [
        *("chrom", "pos", "ref", "alt", "label", "consequence", "match_group", "gene", "strand")
    ]
    assert table["label"].dtype == polars.Boolean
    assert table.equals(table.sort("chrom", "pos", "alt"))
    assert not table.select("chrom", "pos", "alt").is_duplicated().any()
    assert table["label"].sum() * (1 + controls) == len(table)
    assert (table["label"] == (table["consequence"] != "synonymous_variant")).all()
    texts = {name: letters.tobytes().decode().upper() for name, letters in sequences.items()}
    around = [texts[c][p - 2 : p + 1] for c, p in table.select("chrom", "pos").iter_rows()]
    assert [text[1] for text in around] == table["ref"].to_list()
    groups = (
        table.with_columns(around=polars.Series(around))
        .group_by("match_group")
        .agg(
            polars.col("label").sum(),
            polars.len(),
            polars.col("around", "alt", "chrom", "strand").n_unique(),
        )
    )
    assert (groups["label"] == 1).all()
    assert (groups["len"] == 1 + controls).all()
    for column in ("around", "alt", "chrom", "strand"):
        assert (groups[column] == 1).all(), column
    positives = table.filter("label")
    assert positives["match_group"].to_list() == list(range(len(positives)))
    once = ["gene", "consequence"] if balanced else ["gene"]
    assert not positives.select(once).is_duplicated().any()


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("maximum", [None, 7])
def test_groups_are_matched(made_up, naively, maximum, balanced):
    sequences, transcripts = made_up
    table, statistics = derive(
        sequences, transcripts, controls=3, maximum_positives=maximum, balanced=balanced
    )
    check_table(table, sequences, 3, balanced)
    if maximum:
        assert table["label"].sum() == maximum
    else:
        assert set(table["chrom"]) == {"x", "y"}
        assert set(table["consequence"]) == set(CONSEQUENCES)
        assert sum(statistics.unmatched.values()) > 0
    for row in table.iter_rows(named=True):
        key = (row["chrom"], row["pos"], row["ref"], row["alt"])
        assert naively[key] == (row["consequence"], row["gene"])


def check_nearest(table, snvs):
    """No control that was never used lies in a nearer gene than one that was."""
    keyed = snvs.with_columns(
        pos=polars.col("position") + 1,
        stratum=polars.struct("chrom", "strand", "trinucleotide", "alt").rank("dense"),
        alt=polars.Series(list(BASES)).gather(snvs["alt"]),
    ).select("chrom", "pos", "alt", "rank", "stratum", "consequence")
    drawn = table.drop("consequence").join(keyed, on=["chrom", "pos", "alt"], how="left")
    unused = keyed.join(table, on=["chrom", "pos", "alt"], how="anti")
    unused = unused.filter(polars.col("consequence") == CONSEQUENCES.index("synonymous_variant"))
    compared = 0
    for _, group in drawn.group_by("match_group"):
        ranks, label = group["rank"].to_numpy(), group["label"].to_numpy()
        free = unused.filter(stratum=group["stratum"][0])["rank"].to_numpy()
        if len(free):
            farthest = np.abs(ranks[~label] - ranks[label]).max()
            assert farthest <= np.abs(free - ranks[label]).min()
            compared += 1
    return compared


def test_controls_come_from_the_nearest_genes(made_up):
    sequences, transcripts = made_up
    table = coding_variants(sequences, transcripts, controls=3)
    assert check_nearest(table, coding_snvs(sequences, transcripts)[0]) > 5


def test_isoforms_are_one_gene():
    text, transcripts = made_up_genome(150, 8)
    # Coding segments apart, of one gene; and an isoform that shares its end with another.
    transcripts[2] = replace(transcripts[2], gene="g0")
    start, end = transcripts[4].cds[0]
    text = text[: start + 60] + "ATG" + text[start + 63 :]
    transcripts.append(replace(transcripts[4], name="short", cds=((start + 60, end),)))
    table = coding_variants({"c": as_ascii(text)}, transcripts, controls=2)
    assert len(table.filter("label", gene="g0")) == 1
    # What two isoforms read is left out.
    assert len(table.filter(gene="g4")) > 0
    assert table.filter(gene="g4")["pos"].max() <= start + 60


def test_the_seed_decides_and_nothing_else(made_up):
    sequences, transcripts = made_up
    table = coding_variants(sequences, transcripts, controls=3, seed=5)
    shuffled = dict(reversed(sequences.items())), transcripts[::-1]
    assert table.equals(coding_variants(*shuffled, controls=3, seed=5))
    assert not table.equals(coding_variants(sequences, transcripts, controls=3, seed=6))


def test_statistics_count_what_the_table_holds(made_up, naively):
    sequences, transcripts = made_up
    table, statistics = derive(sequences, transcripts, controls=3)
    assert statistics.candidates == {
        term: sum(value[0] == term for value in naively.values()) for term in CONSEQUENCES
    }
    assert statistics.transcripts["used"] == len(transcripts)
    genes = table.filter("label").select("match_group", positive="gene")
    same = table.filter(~polars.col("label")).join(genes, on="match_group")
    assert statistics.same_gene == (same["gene"] == same["positive"]).sum()
    assert sum(statistics.codon_positions[True]) == table["label"].sum()
    assert sum(statistics.codon_positions[False]) == (~table["label"]).sum()


def test_the_card_says_what_the_labels_are(made_up):
    sequences, transcripts = made_up
    table, statistics = derive(sequences, transcripts, controls=3, maximum_positives=20)
    text = card(table, statistics, genome="nowhere 1.0")
    assert text.startswith("# Derived coding variants of nowhere 1.0\n")
    assert "derived, not clinical" in text
    assert "80 SNVs: 20 positives and 60 controls, base rate 0.2500." in text
    for chrom, part in table.group_by("chrom"):
        starts, stops, silent = ((part["consequence"] == t).sum() for t in CONSEQUENCES)
        assert (
            f"| {chrom[0]} | {part['gene'].n_unique()} | {starts} | {stops} | {silent} |" in text
        )
    # The ranking that a reader of the frame alone would give, scored by someone else.
    snvs = coding_snvs(sequences, transcripts)[0].select(
        "chrom",
        "codon_position",
        pos=polars.col("position") + 1,
        alt=polars.col("alt").replace_strict(dict(enumerate(BASES))),
    )
    drawn = table.join(snvs, on=["chrom", "pos", "alt"])
    score = drawn["codon_position"].replace_strict({2: 2, 1: 1, 3: 0})
    assert f"AUPRC of {average_precision_score(drawn['label'], score):.3f}:" in text
    assert max(map(len, text.splitlines())) < 120


def test_nothing_to_match_is_an_error(made_up):
    sequences, transcripts = made_up
    with pytest.raises(UserError, match=r"10000 synonymous controls.*used 24.*fewer controls"):
        coding_variants(sequences, transcripts, controls=10_000)
    with pytest.raises(UserError, match=r"contigs x, y: .*fate: none"):
        coding_variants(sequences, [])
    with pytest.raises(ValueError, match="at least one"):
        coding_variants(sequences, transcripts, controls=0)


@pytest.fixture(scope="module")
def yeast_genes(yeast_zip, tmp_path_factory):
    """The sequences of chr15 and chr16, and their transcripts."""
    directory = tmp_path_factory.mktemp("genbank")
    with zipfile.ZipFile(yeast_zip) as archive:
        paths = [archive.extract(f"chr{number}.gb", directory) for number in (15, 16)]
    held_out = [each for path in paths for each in read_genbank(Path(path))]
    return {c.name: c.sequence for c, _ in held_out}, [t for _, ts in held_out for t in ts]


@cache
def protein(coding: str) -> str:
    return str(Seq(coding).translate())


def test_yeast_variants_are_what_they_say(yeast_genes):
    sequences, transcripts = yeast_genes
    table, statistics = derive(sequences, transcripts, maximum_positives=300)
    assert len(table) == 3_000
    check_table(table, sequences, 9)
    snvs, fates = coding_snvs(sequences, transcripts)
    assert check_nearest(table, snvs) > 200
    assert 900 < fates["used"] < 1_000
    assert statistics.candidates["start_lost"] > 8_000
    assert table["consequence"].to_list().count("stop_gained") > 270

    genes = {(t.contig, t.gene): t for t in transcripts if len(t.cds) == 1}
    texts = {name: letters.tobytes().decode() for name, letters in sequences.items()}
    for row in table.iter_rows(named=True):
        transcript, text = genes[row["chrom"], row["gene"]], texts[row["chrom"]]
        (start, end), at = transcript.cds[0], row["pos"] - 1
        mutant = text[start:at] + row["alt"] + text[at + 1 : end]
        coding = text[start:end]
        if row["strand"] == "-":
            coding, mutant = flipped(coding), flipped(mutant)
        before, after = protein(coding), protein(mutant)
        match row["consequence"]:
            case "start_lost":
                assert coding[:3] == "ATG" != mutant[:3]
            case "stop_gained":
                assert after.index("*") < before.index("*") == len(before) - 1
            case "synonymous_variant":
                assert after == before
                assert mutant != coding


@pytest.mark.slow
def test_both_consequences_in_equal_parts(yeast_genes):
    table, _ = derive(*yeast_genes, maximum_positives=300, balanced=True)
    positives = table.filter("label")["consequence"].to_list()
    assert 120 < positives.count("start_lost") < 180
