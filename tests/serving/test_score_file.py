"""glm score in one process: numbers, rows and what is refused; see test_score_kill for kills."""

import json
import resource
from pathlib import Path

import numpy as np
import polars as pl
import pysam
import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from small_models import network, write_run

from glm_composer.errors import UserError
from glm_composer.evaluation.metrics import summarize
from glm_composer.genome import Genome
from glm_composer.report.command import metrics
from glm_composer.serving.command import score
from glm_composer.serving.model import load_model
from glm_composer.serving.plan import digest_file
from glm_composer.serving.repeats import repeated_rows

WINDOW = 64
COMPLEMENT = str.maketrans("ACGT", "TGCA")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", window=WINDOW)


@pytest.fixture
def genome(yeast: Path) -> Path:
    return yeast / "genome.fa"


@pytest.fixture
def table(yeast: Path, tmp_path: Path) -> Path:
    """120 labelled variants of two chromosomes, in whole match groups."""
    path = tmp_path / "variants.parquet"
    groups = [*range(6), *range(294, 300)]
    rows = pl.read_parquet(yeast / "variants.parquet")
    rows.filter(pl.col("match_group").is_in(groups)).write_parquet(path)
    return path


def one_at_a_time(genome: Path, chrom: str, pos: int, ref: str, alt: str, strands: str) -> float:
    """-LLR from the definition: strings, one window at a time, no code of ours but the network."""
    with Genome(genome) as bases:
        contig = bytes(bases.contig(chrom)).decode().upper()
    begin = pos - 1 - WINDOW // 2
    letters = "".join(
        contig[i] if 0 <= i < len(contig) else "N" for i in range(begin, begin + WINDOW)
    )
    assert letters[WINDOW // 2] == ref
    ratios = []
    for strand in ("forward", "reverse") if strands == "both" else ("forward",):
        at, pair = WINDOW // 2, (ref, alt)
        if strand == "reverse":
            letters = letters.translate(COMPLEMENT)[::-1]
            at, pair = WINDOW // 2 - 1, tuple(base.translate(COMPLEMENT) for base in pair)
        ids = [3 + "ACGT".index(x) if x in "ACGT" else 2 for x in letters]
        ids[at] = 1
        with torch.no_grad():
            logits = network().eval()(torch.tensor([ids]))[0, at]
        ratios.append(float(logits[3 + "ACGT".index(pair[1])] - logits[3 + "ACGT".index(pair[0])]))
    return -float(np.mean(ratios))


@pytest.mark.parametrize("strands", ["both", "forward"])
def test_scores_rows_and_metrics(run, table, genome, tmp_path, strands):
    out = tmp_path / "out.parquet"
    names = ["LLR.minus.score", "absLLR.plus.score"]
    options = {"scores": names, "strands": strands, "chunk_rows": 50, "batch_size": 7}
    score(run, table, genome, out, options, quiet=True)
    given, found = pl.read_parquet(table), pl.read_parquet(out)
    assert found.columns == [*given.columns, *names, "problem"]
    assert found.select(given.columns).equals(given)
    assert found["problem"].null_count() == len(given)
    for row in (0, 49, 50, 99, 119):
        expected = one_at_a_time(
            genome, *given.select("chrom", "pos", "ref", "alt").row(row), strands
        )
        assert found[names[0]][row] == pytest.approx(expected, abs=1e-5)
    assert found[names[1]].equals(found[names[0]].abs().alias(names[1]))

    metadata = pl.read_parquet_metadata(out)
    assert metadata["glm_composer.model"] == load_model(run).digest
    assert metadata["glm_composer.genome"] == digest_file(genome)
    assert (metadata["glm_composer.window"], metadata["glm_composer.strands"]) == ("64", strands)
    figures = json.loads((tmp_path / "out.metrics.json").read_text())
    assert figures["scores"].keys() == set(names)
    assert figures["scores"][names[0]] == summarize(given, found[names[0]].to_numpy())
    assert figures["no_metrics"] == {}
    assert sorted(path.name for path in tmp_path.glob("out*")) == [
        "out.metrics.json",
        "out.parquet",
    ]


def test_rows_that_cannot_be_scored_are_marked(run, table, genome, tmp_path, capsys):
    good = pl.read_parquet(table).drop("label").head(3)
    other = {"A": "C", "C": "A", "G": "A", "T": "A"}
    first = good.row(0, named=True)
    wrong = other[first["ref"]]
    instead = "G" if wrong == "T" else "T"
    bad = [
        {**first, "ref": first["ref"] + "A"},
        {**first, "alt": "<DEL>"},
        {**first, "ref": wrong, "alt": instead},
        {**first, "chrom": "chrZ"},
        {**first, "pos": 99_999_999},
        first,
    ]
    pl.concat([good, pl.DataFrame(bad, schema=good.schema), good[1:2]]).write_csv(
        tmp_path / "mixed.tsv", separator="\t"
    )
    out = tmp_path / "out.parquet"
    arguments = (run, tmp_path / "mixed.tsv", genome, out)
    with pytest.raises(UserError) as caught:
        score(*arguments, {"chunk_rows": 4}, quiet=True)
    at = f"{first['chrom']}:{first['pos']}"
    for part in (
        "mixed.tsv: 3 of 10 rows do not fit",
        "1 ref_mismatch",
        "1 unknown_contig",
        "1 outside",
        f"row 6: {at} {wrong}>{instead} where the genome has {first['ref']}: ref_mismatch",
        "2 of 10 rows have the variant of an earlier row",
        f"row 9: {at} {first['ref']}>{first['alt']} as in row 1",
        "use the genome of the table; remove the repeated rows, or give --allow-mismatch",
    ):
        assert part in str(caught.value)
    assert list(tmp_path.glob("out*")) == []

    score(*arguments, {"chunk_rows": 4, "allow_mismatch": True})
    found = pl.read_parquet(out)
    problems = ["not_snv", "symbolic", "ref_mismatch", "unknown_contig", "outside"]
    problems += ["duplicate", "duplicate"]
    assert found["problem"].to_list() == [None, None, None, *problems]
    assert found["LLR.minus.score"].is_null().to_list() == [False] * 3 + [True] * 7
    score(run, table, genome, tmp_path / "all.parquet", {}, quiet=True)
    all_scores = pl.read_parquet(tmp_path / "all.parquet")["LLR.minus.score"]
    np.testing.assert_allclose(found["LLR.minus.score"][:3], all_scores[:3], rtol=1e-5)
    printed = capsys.readouterr().out
    assert "scored 3 of 10 variants" in printed
    assert f"not scored: 1 not_snv (row 4: {at} {first['ref']}A>{first['alt']})" in printed


def test_a_vcf_keeps_its_header_and_gets_scores(run, table, genome, tmp_path):
    known = pl.read_parquet(table).filter(pl.col("chrom") == "chr15").head(3)
    (first, second, third) = known.select("pos", "ref", "alt").rows()
    instead = next(base for base in "ACGT" if base not in first[1:])
    header = [
        "##fileformat=VCFv4.3",
        '##INFO=<ID=AC,Number=A,Type=Integer,Description="Count">',
        "##contig=<ID=XV>",
    ]
    rows = [
        (first[0], "rs1", first[1], f"{first[2]},{instead}", "AC=1,2"),
        (second[0], ".", second[1], f"{second[2]},<DEL>", "."),
        (third[0], ".", third[1], third[1] + "A", "AC=7"),
    ]
    source = tmp_path / "calls.vcf"
    lines = [
        f"XV\t{pos}\t{name}\t{ref}\t{alt}\t.\tPASS\t{info}" for pos, name, ref, alt, info in rows
    ]
    columns = "#CHROM POS ID REF ALT QUAL FILTER INFO".replace(" ", "\t")
    source.write_text("\n".join([*header, columns, *lines]) + "\n")

    score(run, source, genome, tmp_path / "out.vcf.gz", {"chunk_rows": 2}, quiet=True)
    score(run, source, genome, tmp_path / "rows.parquet", {}, quiet=True)
    score(run, table, genome, tmp_path / "known.parquet", {}, quiet=True)
    expected = pl.read_parquet(tmp_path / "rows.parquet")
    assert expected["chrom"].unique().to_list() == ["XV"]
    assert expected["problem"].to_list() == [None, None, None, "symbolic", "not_snv"]
    same = pl.read_parquet(tmp_path / "known.parquet").filter(pl.col("chrom") == "chr15")
    values = expected["LLR.minus.score"]
    np.testing.assert_allclose(
        values.gather([0, 2]), same["LLR.minus.score"][:2], rtol=1e-5, atol=1e-6
    )
    with pysam.VariantFile(str(tmp_path / "out.vcf.gz")) as file:
        assert [line for line in header if line in str(file.header).splitlines()] == header
        assert f"##glm_composer.model={load_model(run).digest}" in str(file.header)
        found = list(file)
    assert [record.info.get("AC") for record in found] == [(1, 2), None, (7,)]
    assert found[0].info["LLR.minus.score"] == pytest.approx(
        values[:2].to_list(), rel=1e-5, abs=1e-6
    )
    assert found[1].info["LLR.minus.score"][0] == pytest.approx(values[2], rel=1e-5, abs=1e-6)
    assert found[1].info["LLR.minus.score"][1] is None
    assert "LLR.minus.score" not in found[2].info
    assert [record.info.get("problem") for record in found[1:]] == [
        (".", "symbolic"),
        ("not_snv",),
    ]
    assert not list(tmp_path.glob("*.parts"))
    with pytest.raises(UserError, match=r"variants.parquet has no VCF header to keep"):
        score(run, table, genome, tmp_path / "no.vcf.gz", {}, quiet=True)
    with pytest.raises(UserError, match=r"out.vcf.gz: has 'problem' already"):
        score(run, tmp_path / "out.vcf.gz", genome, tmp_path / "no.vcf.gz", {}, quiet=True)


def test_what_is_refused_before_anything_is_scored(run, table, genome, tmp_path):
    frame = pl.read_parquet(table)
    out = tmp_path / "out.parquet"

    def refused(match: str, rows: pl.DataFrame = frame, to: Path = out, **options: object) -> None:
        rows.write_parquet(tmp_path / "asked.parquet")
        with pytest.raises(UserError, match=match):
            score(run, tmp_path / "asked.parquet", genome, to, options, quiet=True)
        assert not to.exists()
        assert list(tmp_path.glob("*.parts")) == []

    refused("unknown name 'LRR' in scores", scores=["LRR"])
    with pytest.raises(UserError, match="unknown name 'LRR' in scores"):
        # Before the model is looked for.
        score(tmp_path / "none", table, genome, out, {"scores": ["LRR"]}, quiet=True)
    refused("score 'window_llr' needs a causal model", scores=["window_llr"])
    refused(
        "has 'problem' already, which is to be written", frame.with_columns(problem=pl.lit(""))
    )
    refused("row 2, column 'label': 7 is neither", frame[:2].with_columns(label=pl.Series([1, 7])))
    refused("1.5 is neither 0 nor 1; .*--quantity", frame.with_columns(label=pl.lit(1.5)))
    alone = frame.with_columns(pl.col("label") & (pl.col("match_group") != 294))
    number = 1 + frame["match_group"].index_of(294)
    for chunk_rows in (7, 500):
        refused(
            rf"asked.parquet: match_group '294' .row {number} is its first. has no positive .1 of",
            alone,
            chunk_rows=chunk_rows,
            allow_mismatch=True,
        )
    refused(
        "row 4 has no match_group .1 of 120 rows",
        frame.with_columns(pl.when(pl.int_range(pl.len()) != 3).then("match_group")),
    )
    refused(
        "none of its 2 rows can be scored .2 not_snv", frame[:2].with_columns(alt=pl.lit("AC"))
    )
    refused("a header but no rows", frame[:0])
    refused("out.txt: an output ends in .parquet", to=tmp_path / "out.txt")
    refused("'batch_size' = 0", batch_size=0)
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(UserError, match=r"folder.parquet: is a directory"):
        score(run, table, genome, tmp_path / "folder.parquet", {"overwrite": True}, quiet=True)
    with pytest.raises(UserError, match=r"absent.fa: "):
        score(run, table, tmp_path / "absent.fa", out, {}, quiet=True)
    out.write_text("mine")
    with pytest.raises(UserError, match=r"out.parquet: exists already"):
        score(run, table, genome, out, {}, quiet=True)
    assert out.read_text() == "mine"
    score(run, table, genome, out, {"overwrite": True}, quiet=True)
    assert len(pl.read_parquet(out)) == 120
    mine, link = tmp_path / "mine.parquet", tmp_path / "link.parquet"
    frame.write_parquet(mine)
    link.symlink_to(mine)
    with pytest.raises(UserError, match=r"mine.parquet: is the file of the variants itself"):
        score(run, link, genome, mine, {"overwrite": True}, quiet=True)
    assert pl.read_parquet(mine).equals(frame)


@pytest.mark.slow
def test_a_full_disk_leaves_what_is_finished(run, table, genome, tmp_path):
    """A limit on file sizes, as a full disk: parts fit, the output does not."""
    out, whole = tmp_path / "out.parquet", tmp_path / "whole.parquet"
    padded = pl.read_parquet(table).with_columns(
        note=pl.Series([np.random.default_rng(i).bytes(400).hex() for i in range(120)])
    )
    padded.write_parquet(table)
    options = {"chunk_rows": 8}
    score(run, table, genome, whole, options, quiet=True)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    try:
        with pytest.raises(UserError, match=r"out.parquet: cannot be written: .*too large"):
            score(run, table, genome, out, options, quiet=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not out.exists()
    parts = tmp_path / "out.parquet.parts"
    done = sorted(parts.glob("*.scores"))
    assert len(done) == 15
    assert not list(parts.glob("joined*"))

    for key, before_now, options_now in (
        ("strands", "both, now forward", {"strands": "forward"}),
        ("window", "64, now 32", {"window": 32}),
        ("scores", "LLR.minus.score, now absLLR", {"scores": ["absLLR.plus.score"]}),
    ):
        with pytest.raises(UserError, match=f"another {key}: begun with {before_now}"):
            score(run, table, genome, out, {**options, **options_now}, quiet=True)
    other = write_run(tmp_path / "other", seed=1, window=WINDOW)
    with pytest.raises(
        UserError, match=f"another model: begun with {load_model(run).digest}, now"
    ):
        score(other, table, genome, out, options, quiet=True)
    # Two are lost: only they are scored again.
    for lost in (done[3], done[14]):
        lost.unlink()
    kept = {path: path.stat().st_mtime_ns for path in parts.glob("*.scores")}
    assert len(kept) == 13
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    try:
        with pytest.raises(UserError, match="too large"):
            score(run, table, genome, out, options, quiet=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert all(path.stat().st_mtime_ns == at for path, at in kept.items())
    score(run, table, genome, out, options, quiet=True)
    assert out.read_bytes() == whole.read_bytes()
    assert not parts.exists()


def test_repeated_rows_are_found_in_any_number_of_shares(tmp_path):
    keys = np.random.default_rng(0).integers(0, 300, 1000).astype(np.uint64)
    (tmp_path / "keys").write_bytes(keys.tobytes())
    seen: set[int] = set()
    expected = [row for row, key in enumerate(keys.tolist()) if key in seen or seen.add(key)]
    earliest = [keys.tolist().index(key) for key in keys[expected]]
    for at_once in (90, 250, 5000):
        with (tmp_path / "keys").open("r+b") as file:
            rows, firsts, values = repeated_rows(file, 1000, at_once)
        assert rows == expected
        assert firsts == earliest
        assert values == keys[expected].tolist()


def test_metrics_of_a_labelled_table_do_not_outlive_its_scores(run, table, genome, tmp_path):
    rows = pl.read_parquet(table).drop("match_group").head(20)
    rows.write_parquet(tmp_path / "labelled.parquet")
    rows.drop("label").write_parquet(tmp_path / "unlabelled.parquet")
    out, figures = tmp_path / "out.parquet", tmp_path / "out.metrics.json"
    score(run, tmp_path / "labelled.parquet", genome, out, {}, quiet=True)
    assert figures.exists()

    arguments = (run, tmp_path / "unlabelled.parquet", genome, out)
    out.unlink()
    with pytest.raises(UserError, match=r"out.metrics.json: exists already"):
        score(*arguments, {}, quiet=True)
    assert figures.exists()
    score(*arguments, {"overwrite": True}, quiet=True)
    assert len(pl.read_parquet(out)) == 20
    assert [path.name for path in tmp_path.glob("out*")] == ["out.parquet"]


@pytest.mark.parametrize("chunk_rows", [3, 50])
def test_repeated_variants_are_no_fault_of_the_genome(run, table, genome, tmp_path, chunk_rows):
    rows = pl.read_parquet(table).head(6)
    twice = pl.concat([rows, rows[4:5], rows[1:2]])
    twice.write_parquet(tmp_path / "twice.parquet")
    out = tmp_path / "out.parquet"
    with pytest.raises(UserError) as caught:
        score(run, tmp_path / "twice.parquet", genome, out, {"chunk_rows": chunk_rows}, quiet=True)
    (first, second) = (
        f"row {row}: {chrom}:{pos} {ref}>{alt} as in row {of}"
        for row, of, (chrom, pos, ref, alt) in (
            (7, 5, rows.select("chrom", "pos", "ref", "alt").row(4)),
            (8, 2, rows.select("chrom", "pos", "ref", "alt").row(1)),
        )
    )
    assert str(caught.value) == (
        f"{tmp_path / 'twice.parquet'}: 2 of 8 rows have the variant of an earlier row; {first}; "
        f"{second}; remove the repeated rows, or give --allow-mismatch to mark these rows and "
        "score the others"
    )


def test_n_at_the_site_is_refused_or_marked(run, genome, tmp_path):
    with Genome(genome) as bases:
        letters = bytearray(bytes(bases.contig("chr01"))[5_000:5_400].upper())
    ref = chr(letters[200])
    letters[200] = ord("n")
    (tmp_path / "n.fa").write_bytes(b">short\n" + bytes(letters) + b"\n")
    refs = [chr(letters[99]), ref]
    alts = [base.translate(COMPLEMENT) for base in refs]
    rows = pl.DataFrame({"chrom": "short", "pos": [100, 201], "ref": refs, "alt": alts})
    rows.write_parquet(tmp_path / "rows.parquet")
    arguments = (run, tmp_path / "rows.parquet", tmp_path / "n.fa", tmp_path / "out.parquet")
    with pytest.raises(UserError, match=rf"1 n_at_site\); row 2: short:201 {ref}>.: n_at_site"):
        score(*arguments, {}, quiet=True)
    assert list(tmp_path.glob("out*")) == []
    score(*arguments, {"allow_mismatch": True}, quiet=True)
    found = pl.read_parquet(tmp_path / "out.parquet")
    assert found["problem"].to_list() == [None, "n_at_site"]
    assert found["LLR.minus.score"].is_null().to_list() == [False, True]


def test_a_measured_quantity_goes_by_another_name(run, table, genome, tmp_path):
    """The documented way of labels that are no 0/1."""
    effect = np.random.default_rng(0).normal(size=120)
    rows = pl.read_parquet(table).with_columns(label=pl.Series(effect))
    rows.write_parquet(table)
    out = tmp_path / "out.parquet"
    with pytest.raises(UserError, match=r"row 1, column 'label': .*rename the column.*--quantity"):
        score(run, table, genome, out, {}, quiet=True)
    rows.rename({"label": "effect"}).write_parquet(table)
    score(run, table, genome, out, {}, quiet=True)
    metrics(out, tmp_path / "metrics", quantity="effect")
    found = json.loads((tmp_path / "metrics/metrics.json").read_text())["scores"]
    scored = pl.read_parquet(out)["LLR.minus.score"]
    assert found.keys() == {"LLR.minus.score"}
    assert found["LLR.minus.score"].keys() == {"spearman", "pearson"}
    for name, expected in (("spearman", spearmanr), ("pearson", pearsonr)):
        assert found["LLR.minus.score"][name]["value"] == pytest.approx(
            expected(effect, scored).statistic, abs=1e-6
        )
