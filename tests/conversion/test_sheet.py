"""A sheet of assemblies: every format in one, through the command; and every wrong row."""

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from two_bit_writer import write_two_bit

from glm_composer.conversion.config import ConvertConfig
from glm_composer.conversion.convert import convert
from glm_composer.conversion.manifest import read_manifest
from glm_composer.conversion.sources.sheet import SampleSheet, sheet
from glm_composer.data.shards import Shards
from glm_composer.errors import UserError
from glm_composer.settings import load

REPOSITORY = Path(__file__).parents[2]
HEADER = "assembly\tfasta\tannotation\tspecies\tweight\tsplit\n"
GENBANK = """LOCUS       G                        120 bp    DNA     linear   PLN 01-JAN-2000
FEATURES             Location/Qualifiers
     CDS             31..60
                     /gene="g"
ORIGIN
{origin}
//
"""
CONVERSION = """
name: toy
out: {out}
source:
  name: sheet
  path: {sheet}
windows:
  name: cds
  length: 10
splits: {{train: ["*"], test: [two/c2]}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three assemblies, with 30 coding bases each: FASTA and GFF3, 2bit and GTF, GenBank."""
    rng = np.random.default_rng(7)
    texts = ["".join(rng.choice(list("ACGT"), 120)) for _ in range(4)]
    (tmp_path / "genomes").mkdir()
    (tmp_path / "genomes/one.fa.gz").write_bytes(gzip.compress(f">c1\n{texts[0]}\n".encode()))
    (tmp_path / "one.gff3").write_text(
        "c1\tx\tmRNA\t31\t60\t.\t+\t.\tID=t\nc1\tx\tCDS\t31\t60\t.\t+\t0\tParent=t\n"
    )
    write_two_bit(tmp_path / "two.2bit", {"c1": texts[1], "c2": texts[2]})
    (tmp_path / "two.gtf").write_text(
        "".join(
            f'{c}\tx\tCDS\t31\t60\t.\t-\t0\tgene_id "g"; transcript_id "{c}";\n'
            for c in ("c1", "c2")
        )
    )
    origin = "".join(f"{i + 1:>9} {texts[3][i : i + 60].lower()}\n" for i in range(0, 120, 60))
    (tmp_path / "three.gb").write_text(GENBANK.format(origin=origin.rstrip()))
    (tmp_path / "sheet.tsv").write_text(
        HEADER
        + "one\tgenomes/one.fa.gz\tone.gff3\tHomo sapiens\t1\t\n"
        + "\n"
        + "two\ttwo.2bit\ttwo.gtf\tMus musculus\t0.5\t\n"
        + f"three\t{tmp_path}/three.gb\t\t\t\tvalidation\n"
    )
    return tmp_path


def test_the_sheet_s_assemblies(folder):
    one, two, three = sheet(SampleSheet(path=str(folder / "sheet.tsv"), licence="CC0"))
    assert [each.name for each in (one, two, three)] == ["one", "two", "three"]
    assert (one.species, one.weight, one.split) == ("Homo sapiens", 1.0, None)
    assert (two.species, two.weight, two.split) == ("Mus musculus", 0.5, None)
    assert (three.species, three.weight, three.split) == (None, 1.0, "validation")
    assert [file.file for file in two.files] == ["two.2bit", "two.gtf"]
    assert two.files[0].licence == "CC0"
    # Its annotation is read once, by the one process that goes through its contigs.
    assert two.only is None
    assert two.transcripts["c2"][0].cds == ((30, 60),)
    assert three.transcripts["three"][0].cds == ((30, 60),)


def test_through_the_command(folder):
    out = folder / "out"
    yaml = folder / "toy.yaml"
    yaml.write_text(CONVERSION.format(out=out, sheet=folder / "sheet.tsv"))
    command = [sys.executable, REPOSITORY / "convert/to_mds.py", "--quiet", yaml]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    manifest = read_manifest(out)
    assert {(c.assembly, c.name): c.split for c in manifest.contigs} == {
        ("one", "c1"): "train",
        ("two", "c1"): "train",
        ("two", "c2"): "test",
        ("three", "three"): "validation",
    }
    by_split = {
        split: [
            (manifest.contigs[row["contig"]].assembly, int(row["start"]))
            for row in Shards(out / split).gather()
        ]
        for split in ("validation", "test")
    }
    # Three windows over thirty coding bases; all three of the 2bit's contig in a held-out split.
    assert by_split == {
        "validation": [("three", 30), ("three", 40), ("three", 50)],
        "test": [("two", 30), ("two", 40), ("two", 50)],
    }


def test_an_annotation_that_is_wrong_is_named_with_the_sheet_s_line(folder):
    (folder / "two.gtf").write_text(
        'c1\tx\tCDS\t31\t600\t.\t-\t0\tgene_id "g"; transcript_id "t";\n'
    )
    yaml = folder / "toy.yaml"
    yaml.write_text(CONVERSION.format(out=folder / "out", sheet=folder / "sheet.tsv"))
    with pytest.raises(UserError) as error:
        convert(load(ConvertConfig, yaml, ["workers=1"]), progress=False)
    message = str(error.value)
    assert message.startswith(f"{folder}/sheet.tsv, line 4: {folder}/two.gtf, line 1: 31-600 lea")
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": the file is empty"),
        ("assembly\tfata\n", "line 1: unknown column 'fata'; tab-separated columns are assembly"),
        ("assembly fasta\n", "line 1: unknown column 'assembly fasta'"),
        ("assembly\n", "line 1: no column 'fasta'"),
        ("assembly\tfasta\tfasta\n", "line 1: a column twice"),
        (HEADER, ": no assembly in the sheet"),
        (HEADER + "a\ttwo.2bit\n", "line 2: 2 tab-separated fields, 6 columns"),
        (HEADER + "\ttwo.2bit\t\t\t\t\n", "line 2: assembly '' must be a name"),
        (HEADER + "a/b\ttwo.2bit\t\t\t\t\n", "line 2: assembly 'a/b' must be a name"),
        (HEADER + "a\t\t\t\t\t\n", "line 2: no 'fasta' for assembly 'a'"),
        (HEADER + "a\tno.fa\t\t\t\t\n", "no.fa: no such file; paths are relative to the sheet"),
        (HEADER + "a\ttwo.2bit\tno.gtf\t\t\t\n", "no.gtf: no such file"),
        (HEADER + "a\ttwo.2bit\ttwo.txt\t\t\t\n", "two.txt: unknown annotation format '.txt'"),
        (HEADER + "a\tthree.gb\ttwo.gtf\t\t\t\n", "line 2: a GenBank file carries its annotation"),
        (HEADER + "a\ttwo.2bit\t\t\t0\t\n", "line 2: weight '0' must be a number above 0"),
        (HEADER + "a\ttwo.2bit\t\t\tnan\t\n", "line 2: weight 'nan' must be"),
        (HEADER + "a\ttwo.2bit\t\t\tx\t\nb\tno.fa\t\t\t\t\n", "(2 rows of the sheet are wrong)"),
        (HEADER + "a\ttwo.2bit\t\t\t\t\n" * 2, "line 3: assembly 'a' is on line 2 already"),
        (HEADER + "a\tone.gff3\t\t\t\t\n", "line 2: "),
    ],
)
def test_wrong_rows_are_named_before_any_work(text, message, folder):
    path = folder / "wrong.tsv"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        sheet(SampleSheet(path=str(path)))
    assert message in str(error.value)
    assert str(error.value).startswith(str(path))


@settings(
    max_examples=30,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    at=st.floats(0, 1),
    gone=st.integers(0, 30),
    put=st.binary(max_size=4)
    | st.sampled_from([b"\t", b"\n", b"\r", b"/", b"nan", b"1e9", b"\0"]),
)
def test_any_damage_gives_assemblies_or_one_line(at, gone, put, folder):
    # The folder is the same every time; only this file is another.
    whole = (folder / "sheet.tsv").read_bytes()
    place = int(at * len(whole))
    path = folder / "damaged.tsv"
    path.write_bytes(whole[:place] + put + whole[place + gone :])
    try:
        found, message = sheet(SampleSheet(path=str(path))), ""
    except UserError as error:
        found, message = [], str(error)
    assert bool(found) != message.startswith(str(path))
    assert "\n" not in message
    assert all(0 < each.weight <= 1 for each in found)
