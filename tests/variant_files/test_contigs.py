import logging

import polars as pl
import pytest

from glm_composer.errors import UserError
from glm_composer.genome import Genome
from glm_composer.variant_files.assemblies import chromosomes
from glm_composer.variant_files.checks import row_problems
from glm_composer.variant_files.columns import KEY
from glm_composer.variant_files.contigs import ContigNames
from glm_composer.variant_files.reader import open_variants

HUMAN = {"chr1": 248956422, "chr2": 242193529, "chrX": 156040895, "chrM": 16569}


def test_every_naming_of_a_known_assembly():
    names = ContigNames.known()
    asked = ["1", "chr1", "NC_000001.11", "CM000663.2", "X", "NC_000024.10", "MT", "NC_012920.1"]
    expected = ["chr1", "chr1", "chr1", "chr1", "chrX", "NC_000024.10", "chrM", "chrM"]
    assert names.resolve(asked, HUMAN) == expected
    ensembl = {name.removeprefix("chr"): length for name, length in HUMAN.items()}
    assert names.resolve(["chr1", "NC_000002.12"], ensembl) == ["1", "2"]


def test_another_assembly_is_no_alias():
    names = ContigNames.known()
    # GRCh37's accession, mouse lengths, and a contig of no known assembly.
    assert names.renames(["NC_000001.10"], HUMAN) == {}
    assert names.renames(["1"], {"chr1": 248956421}) == {}
    assert names.resolve(["1", "NC_000067.7"], {"chr1": 195154279}) == ["chr1", "chr1"]
    # UCSC's hg19 has another mitochondrion under this name than GRCh37.
    assert names.renames(["MT"], {"chrM": 16571}) == {}


def test_what_is_renamed_is_said_once(caplog):
    names = ContigNames.known()
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            names.resolve(["1", "2", "2", "chrX"], HUMAN)
    assert [record.getMessage() for record in caplog.records] == [
        "contigs renamed as in GRCh38: 1 -> chr1, 2 -> chr2"
    ]


def test_the_yeast_genome_is_known_by_its_lengths(yeast):
    with Genome(yeast / "genome.fa") as genome:
        names = ContigNames.known()
        assert names.resolve(["I", "chrX", "NC_001148.4"], genome.lengths) == [
            "chr01", "chr10", "chr16",
        ]  # fmt: skip
        lengths = {each.length for each in chromosomes() if each.assembly == "R64"}
        assert set(genome.lengths.values()) < lengths


def test_yeast_variants_as_calls_in_ensembl_names(yeast, tmp_path):
    table = pl.read_parquet(yeast / "variants.parquet")
    ensembl = {name: each.names[0] for each in chromosomes() for name in each.names
               if each.assembly == "R64"}  # fmt: skip
    lines = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    for chrom, pos, ref, alt in table.select(KEY).iter_rows():
        lines.append(f"{ensembl[chrom]}\t{pos}\t.\t{ref.lower()}\t{alt}\t.\t.\t.")
    path = tmp_path / "yeast.vcf"
    path.write_text("\n".join(lines) + "\n")
    names, rows = ContigNames.known(), 0
    with Genome(yeast / "genome.fa") as genome, open_variants(path) as file:
        for piece in file.chunks(1_000):
            assert set(row_problems(piece, genome)) == {"unknown_contig"}
            piece = piece.with_columns(
                chrom=pl.Series(names.resolve(piece["chrom"], genome.lengths))
            )
            assert set(row_problems(piece, genome)) == {""}
            assert piece.select(KEY).equals(table[rows : rows + len(piece)].select(KEY))
            rows += len(piece)
    assert rows == len(table)


def test_the_table_has_no_name_or_length_twice_in_an_assembly():
    seen = set()
    for each in chromosomes():
        assert len(each.names) == len(set(each.names))
        for name in (*each.names, each.length):
            assert (each.assembly, name) not in seen, name
            seen.add((each.assembly, name))


def test_the_accessions_of_the_worm():
    worm = {each.names[0]: each.names for each in chromosomes() if each.assembly == "WBcel235"}
    versions = {"I": "1.5", "II": "2.5", "III": "3.4", "IV": "4.4", "V": "5.5", "X": "6.5"}
    for name, end in versions.items():
        assert [each for each in worm[name] if each.startswith("BX")] == [f"BX28460{end}"]


def test_two_answers_are_refused():
    with pytest.raises(UserError, match=r"contig 'NC_000001\.11' can be '1' or 'chr1'"):
        ContigNames.known().resolve(["NC_000001.11"], {"1": 248956422, "chr1": 248956422})


def test_a_table_of_the_user(tmp_path):
    path = tmp_path / "aliases.tsv"
    path.write_text("# ucsc\tgenbank\tours\nscaffold 1\tAB1.1\tone\n\ntwo\tAB2.1\n")
    names = ContigNames.from_file(path)
    assert names.resolve(["AB1.1", "AB2.1", "three"], {"one": 5, "two": 7}) == [
        "one", "two", "three",
    ]  # fmt: skip
    for content, message in (
        ("one\n", "line 1: 'one' alone"),
        ("a\tb\nc\ta\n", "line 2: 'a' is on line 1 as well"),
    ):
        path.write_text(content)
        with pytest.raises(UserError, match=rf"aliases.tsv, {message}"):
            ContigNames.from_file(path)
    with pytest.raises(UserError, match="cannot be read"):
        ContigNames.from_file(tmp_path / "none.tsv")
