"""Counts against strings, and what the verb prints and writes."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from glm_composer.cli import main
from glm_composer.conversion.config import ConvertConfig
from glm_composer.conversion.convert import convert
from glm_composer.conversion.manifest import read_manifest
from glm_composer.data.shards import Shards
from glm_composer.data_tools.rows import open_splits
from glm_composer.data_tools.stats import BINS, count
from glm_composer.errors import UserError
from glm_composer.genome import Genome
from glm_composer.settings import load


def run(*arguments: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0


def test_counts_are_those_of_strings(made: Path) -> None:
    stats = count(made)
    assert [group.split for group in stats.splits] == ["train", "validation"]
    for group, spread in zip(stats.splits, stats.distributions, strict=True):
        windows = [w.tobytes().decode() for w in Shards(made / group.split).gather()["sequence"]]
        letters = Counter("".join(windows))
        assert group.windows == len(windows)
        assert group.bases == letters.total() == 128 * len(windows)
        for base in "acgt":
            assert getattr(group, base) == letters[base] + letters[base.upper()]
        assert group.unknown == sum(letters[letter] for letter in "nNrR") > 0
        assert group.soft_masked == sum(letters[x] for x in letters if x.islower()) > 0
        assert group.masked_windows == sum(window.islower() for window in windows) > 0
        assert group.minus_windows == 0
        assert group.contigs == 1
        gc = Counter()
        for window in windows:
            known = sum(window.upper().count(base) for base in "ACGT")
            share = sum(window.upper().count(base) for base in "CG") / known
            gc[round(BINS * share)] += 1
        assert spread.gc == [gc[i] for i in range(BINS + 1)]
        masked = Counter(round(BINS * sum(map(str.islower, w)) / 128) for w in windows)
        assert spread.soft_masked == [masked[i] for i in range(BINS + 1)]
        assert sum(spread.unknown) == len(windows)
        counts = read_manifest(made).splits[group.split]
        assert (counts.soft_masked, counts.unknown) == (group.soft_masked, group.unknown)


def test_species_and_assemblies_are_counted_apart(
    yeast: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sheet of three assemblies, two of them of one species."""
    rows = ["assembly\tfasta\tspecies"]
    bases = {}
    with Genome(yeast / "genome.fa") as genome:
        for name, species in (("chr01", "one"), ("chr03", "two"), ("chr06", "one")):
            bases[name] = genome.contig(name).tobytes().decode()
            (tmp_path / f"{name}.fa").write_text(f">x\n{bases[name]}\n>y\n{bases[name][:1_024]}\n")
            rows.append(f"{name}\t{name}.fa\t{species}")
    (tmp_path / "sheet.tsv").write_text("\n".join(rows) + "\n")
    (tmp_path / "set.yaml").write_text(
        f"name: set\nout: {tmp_path}/out\nsource: {{name: sheet, path: {tmp_path}/sheet.tsv}}\n"
        "windows: {name: tiles, length: 512, stride: 512}\ndeduplicate: false\n"
        "splits: {train: [x], test: [y]}\n"
    )
    out = convert(load(ConvertConfig, tmp_path / "set.yaml"), progress=False)
    stats = count(Path(out))
    tiles = {name: len(text) // 512 for name, text in bases.items()}
    assert [(g.split, g.species, g.assembly, g.contigs, g.windows) for g in stats.species] == [
        ("train", "one", None, 2, tiles["chr01"] + tiles["chr06"]),
        ("train", "two", None, 1, tiles["chr03"]),
        ("test", "one", None, 2, 4),
        ("test", "two", None, 1, 2),
    ]
    assert [(g.split, g.assembly, g.species) for g in stats.assemblies[:3]] == [
        ("train", "chr01", "one"),
        ("train", "chr03", "two"),
        ("train", "chr06", "one"),
    ]
    assert stats.assemblies[1].a == bases["chr03"][: 512 * tiles["chr03"]].count("A")
    run("data", "stats", str(out))
    printed = [line.split()[:5] for line in capsys.readouterr().out.splitlines()]
    assert ["train", "two", "all", "1", str(tiles["chr03"])] in printed
    page = (Path(out) / "data.html").read_text()
    assert "By species" in page
    assert "By assembly" in page


def test_verb_writes_figures_and_a_page_of_them(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("data", "leakage", str(dataset), "--threshold", "0.5")
    run("data", "stats", str(dataset))
    printed = capsys.readouterr().out
    group = count(dataset).splits[0]
    page = (dataset / "data.html").read_text()
    assert json.loads((dataset / "stats.json").read_text())["splits"][0]["g"] == group.g
    for text in (f"{group.windows:,}", f"{group.g / group.bases:.2%}"):
        assert text in printed
        assert text in page
    assert "<h2>Leakage from train</h2>" in page
    assert "<h2>Composition</h2>" in page
    # Figures of a dataset that lay here before are not shown.
    file = dataset / "manifest.json"
    file.write_text(file.read_text().replace('"created": "20', '"created": "19'))
    run("data", "stats", str(dataset))
    assert "Leakage" not in (dataset / "data.html").read_text()


def test_files_that_hold_no_figures_and_places_that_take_none(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (dataset / "leakage.json").write_text("{}")
    with pytest.raises(SystemExit) as stop:
        main(["data", "stats", str(dataset)])
    assert stop.value.code == 2
    assert "leakage.json: not the figures of a dataset" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(["data", "stats", str(dataset), "--out", str(dataset / "manifest.json")])
    assert stop.value.code == 2
    assert "manifest.json: cannot be written" in capsys.readouterr().err


def test_a_contig_that_is_not_listed(dataset: Path) -> None:
    file = dataset / "train/shard.00001.mds"
    body = bytearray(file.read_bytes())
    body[-141] = 9
    file.write_bytes(body)
    with pytest.raises(UserError, match=r"train: a window among samples .* see `glm data verify`"):
        count(dataset)


def test_no_splits(dataset: Path) -> None:
    file = dataset / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"splits": {}}))
    with pytest.raises(UserError, match="its manifest has no splits"):
        open_splits(dataset)


def test_blocks_hold_every_window_in_order(made: Path) -> None:
    split = open_splits(made)["train"]
    seen: list[int] = []
    starts = np.concatenate([rows["start"] for rows in split.blocks(100, 2_500, seen.append)])
    np.testing.assert_array_equal(starts, split.shards.gather()["start"][100:2_500])
    assert sum(seen) == 2_400
    assert len(seen) > 1


def test_a_damaged_shard_is_not_counted(made: Path, tmp_path: Path) -> None:
    overrides = [f"out={tmp_path / 'hashed'}", "hashes=[xxh64]"]
    config = load(ConvertConfig, made.parent / "two.yaml", overrides)
    hashed = Path(convert(config, progress=False))
    count(hashed)
    file = hashed / "train/shard.00001.mds"
    body = bytearray(file.read_bytes())
    body[-50] ^= 1
    file.write_bytes(body)
    with pytest.raises(UserError, match=r"train/shard\.00001\.mds: its xxh64 is "):
        count(hashed)
