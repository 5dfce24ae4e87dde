"""Whole conversions: against the genome, refused when wrong, and all or nothing on the disk."""

import filecmp
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars
import pysam
import pytest

from glm_composer.conversion.config import ConvertConfig
from glm_composer.conversion.convert import convert
from glm_composer.conversion.manifest import read_manifest
from glm_composer.data.shards import Shards
from glm_composer.errors import UserError
from glm_composer.settings import load

REPOSITORY = Path(__file__).parents[2]
SCRIPT = REPOSITORY / "convert/to_mds.py"
YAML = """
name: toy
out: {out}
source: {{name: genome, fasta: {fasta}, annotation: {annotation}}}
windows: {{name: tiles, length: 8, stride: 4, max_unknown: 0.5}}
splits: {splits}
"""


@pytest.fixture
def toy(tmp_path):
    """Writes a toy genome; returns a function of overrides and splits that loads its yaml."""
    rng = np.random.default_rng(5)
    texts = {n: "".join(rng.choice(list("ACGTacgtN"), 200)) for n in "abc"}
    fasta = tmp_path / "toy.fa"
    fasta.write_text("".join(f">{name}\n{text}\n" for name, text in texts.items()))
    annotation = tmp_path / "toy.gff3"
    annotation.write_text("a\tx\tmRNA\t101\t150\t.\t+\t.\tID=t\n")
    path = tmp_path / "toy.yaml"

    def configure(*overrides: str, splits: str = "{train: ['*'], test: [b]}") -> ConvertConfig:
        out = tmp_path / "out"
        path.write_text(YAML.format(out=out, fasta=fasta, annotation=annotation, splits=splits))
        return load(ConvertConfig, path, overrides)

    return configure


def leftovers(directory: Path) -> list[str]:
    return sorted(p.name for p in directory.iterdir() if not p.name.startswith("toy."))


def test_yeast_windows_are_every_tile_of_every_chromosome(yeast):
    """Naive reference: slices of the genome in order, chromosome after chromosome."""
    contigs = [c.name for c in read_manifest(yeast).contigs]
    with pysam.FastaFile(str(yeast / "genome.fa")) as genome:
        assert list(genome.references) == contigs
        for split, stride, names in (
            ("train", 256, contigs[:14]),
            ("validation", 512, contigs[14:15]),
            ("test", 512, contigs[15:]),
        ):
            table = Shards(yeast / split).gather()
            rows = iter(table)
            for name in names:
                text = genome.fetch(name).encode()
                for start in range(0, len(text) - 511, stride):
                    row = next(rows)
                    assert row["sequence"].tobytes() == text[start : start + 512]
                    assert (contigs[row["contig"]], row["start"]) == (name, start)
            assert next(rows, None) is None


def test_yeast_variants_agree_with_its_genome(yeast):
    table = polars.read_parquet(yeast / "variants.parquet")
    assert set(table["chrom"]) == {"chr15", "chr16"}
    with pysam.FastaFile(str(yeast / "genome.fa")) as genome:
        for row in table.sample(50, seed=0).iter_rows(named=True):
            assert genome.fetch(row["chrom"], row["pos"] - 1, row["pos"]) == row["ref"]
    assert "derived, not clinical" in (yeast / "variants.md").read_text()


def test_case_and_unknown_bases_are_kept_and_counted(toy, tmp_path):
    out = convert(toy("save_genome=true"), progress=False)
    counts = read_manifest(out).splits["test"]
    table = Shards(out / "test").gather()
    text = np.frombuffer(b"".join(r.tobytes() for r in table["sequence"]), np.uint8)
    assert counts.soft_masked == np.isin(text, list(b"acgtn")).sum() > 0
    assert counts.unknown == np.isin(text, list(b"Nn")).sum() > 0
    with pysam.FastaFile(str(out / "genome.fa")) as genome:
        written = {name: genome.fetch(name) for name in genome.references}
    lines = (tmp_path / "toy.fa").read_text().split("\n")
    assert written == dict(zip("abc", lines[1::2], strict=False))


def test_the_same_configuration_gives_the_same_bytes(toy, tmp_path):
    first, second = (
        convert(toy("shard_bytes=1000", f"out={tmp_path / name}"), progress=False) for name in "xy"
    )
    names = [p.name for p in (first / "train").iterdir()]
    assert len(names) > 2
    compared = filecmp.cmpfiles(first / "train", second / "train", names, shallow=False)
    assert sorted(compared[0]) == sorted(names)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["windows.length=201"], "no window at all: windowing 'tiles' cuts 201 bases each, the longest contig has 200"),  # noqa: E501
        (["splits.test=[d]"], "'splits.test': 'd' matches no contig of a, b, c"),
        (["splits.train=[a]"], "contig 'toy/c' is in no split"),
        (["splits={'a/b': [a]}"], "'splits': 'a/b' must be letters"),
        (["windows.stride={train: 4}"], "'windows.stride' names train, but the splits are"),
        (["windows.max_unknown=1.5"], "'windows.max_unknown' = 1.5"),
        (["shard_bytes=100"], "'shard_bytes' = 100 does not hold one window"),
        (["windows.lenght=9"], "did you mean 'windows.length'?"),
        (["source.fasta=null"], "give either 'fasta' or 'genbank'"),
        (["source.annotation=x.txt"], "unknown annotation format '.txt'"),
        (["variants.contigs=[z]"], "'variants.contigs': 'z' matches no contig"),
        (["windows={name: promoters}", "source.annotation=null"], "the source has 0 transcripts, of which 'windows.coding_only' takes those with a CDS"),  # noqa: E501
    ],
)  # fmt: skip
def test_wrong_settings_are_refused_with_nothing_left(toy, tmp_path, overrides, message):
    with pytest.raises(UserError) as error:
        convert(toy(*overrides), progress=False)
    assert message in str(error.value)
    assert leftovers(tmp_path) == []


def test_a_configuration_without_splits(toy):
    with pytest.raises(UserError, match="'splits' is empty"):
        convert(toy(splits="{}"), progress=False)


def test_a_genome_without_the_annotated_contigs(toy, tmp_path):
    (tmp_path / "toy.gff3").write_text("z\tx\tmRNA\t101\t150\t.\t+\t.\tID=t\n")
    with pytest.raises(UserError, match=r"toy\.gff3, line 1: contig 'z' is not in the genome"):
        convert(toy(), progress=False)
    with pytest.raises(UserError, match="no annotated contig"):
        convert(toy("source.allow_missing_contigs=true"), progress=False)


def test_an_occupied_directory_is_refused_and_untouched(toy, tmp_path):
    out = convert(toy(), progress=False)
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    with pytest.raises(UserError, match=r"out: already holds a dataset; delete it, or choose"):
        convert(toy(), progress=False)
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*")} == before
    (tmp_path / "other").mkdir()
    assert convert(toy(f"out={tmp_path / 'other'}"), progress=False).name == "other"
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").touch()
    with pytest.raises(UserError, match="is not empty"):
        convert(toy(f"out={tmp_path / 'full'}"), progress=False)


def test_an_interrupt_leaves_finished_parts_and_nothing_else(toy, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        # The first wait for the disk comes after the parts, at the first shard.
        patch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            convert(toy(), progress=False)
    assert leftovers(tmp_path) == [".out.parts"]
    assert convert(toy(), progress=False) == tmp_path / "out"
    assert leftovers(tmp_path) == ["out"]


def command(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        capture_output=True, text=True, check=False, **options,
    )  # fmt: skip


def limit_file_size() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))


def test_a_write_that_fails_is_one_line_and_leaves_nothing(tmp_path, toy):
    """A limit on file sizes fails in the middle of writing, as a full disk does."""
    # Windows of 8 every 4 bases: rows of five times the genome.
    (tmp_path / "toy.fa").write_text(">a\n" + "ACGTTGCA" * 100_000 + "\n")
    toy(splits="{train: ['*']}")
    done = command(tmp_path / "toy.yaml", preexec_fn=limit_file_size)
    assert done.returncode == 2
    error = done.stderr.splitlines()[-1]
    assert error.startswith(f"error: {tmp_path / 'out'}: cannot be written: File too large;")
    assert "Traceback" not in done.stderr
    assert leftovers(tmp_path) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, toy):
    mount = tmp_path / "toy.disk"
    mount.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mount)]
    try:
        done = subprocess.run(mounted, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        done = False
    if not done:
        pytest.skip("this user may not mount a small tmpfs; RLIMIT_FSIZE stands in above")
    try:
        (tmp_path / "toy.fa").write_text(">a\n" + "ACGTTGCA" * 30_000 + "\n")
        toy(splits="{train: ['*']}")
        overrides = ["save_genome=true", f"out={mount / 'out'}"]
        done = command("--quiet", tmp_path / "toy.yaml", *overrides)
        assert done.returncode == 2
        assert "out: cannot be written: No space left on device" in done.stderr
        assert list(mount.iterdir()) == []
    finally:
        subprocess.run(["umount", str(mount)], check=True)


@pytest.mark.slow
def test_the_command_converts_says_so_and_refuses_the_second_time(toy, tmp_path):
    toy()
    first = command(tmp_path / "toy.yaml", "shard_bytes=4000")
    assert (first.returncode, first.stdout) == (0, f"wrote {tmp_path / 'out'}\n")
    assert "train: " in first.stderr
    second = command(tmp_path / "toy.yaml")
    assert second.returncode == 2
    assert second.stderr == (
        f"error: {tmp_path / 'out'}: already holds a dataset; delete it, or choose another 'out'\n"
    )


@pytest.mark.parametrize("name", ["yeast", "drosophila"])
def test_shipped_yamls_load(name):
    path = REPOSITORY / f"yamls/convert/{name}.yaml"
    config = load(ConvertConfig, path)
    assert path.read_text().startswith("# ")
    assert (config.name, config.out, config.windows.length) == (name, f"data/{name}", 512)
