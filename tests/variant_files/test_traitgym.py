import logging
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from glm_composer.errors import UserError
from glm_composer.variant_files.columns import KEY
from glm_composer.variant_files.traitgym import load_traitgym

HUB = Path(__file__).parents[1] / "conversion" / "hub_server.py"
COMMIT = "5eed" * 10  # of the loopback Hub
SUBSET = "nonexonic_AND_proximal"
COLUMNS = {
    "mendelian_traits_matched_9": [
        *KEY, "OMIM", "consequence", "label", "tss_dist", "match_group",
    ],
    "complex_traits_matched_9": [
        *KEY, "pip", "trait", "label", "maf", "ld_score", "consequence", "tss_dist", "match_group",
    ],
}  # fmt: skip


def make_dataset(folder: Path, columns: list[str]) -> pl.DataFrame:
    """A dataset with the published columns: sorted by chromosome number and position."""
    count = 60
    values = {
        "chrom": ["2"] * 20 + ["10"] * 20 + ["X"] * 20,
        "pos": [95 + 7 * i for i in range(count)],
        "ref": ["ACGT"[i % 4] for i in range(count)],
        "alt": ["CGTA"[i % 4] for i in range(count)],
        "label": [i % 10 == 0 for i in range(count)],
        "tss_dist": list(range(count)),
        "match_group": [f"group_{i // 10}" for i in range(count)],
        "pip": [i / count for i in range(count)],
        "maf": [0.1] * count,
        "ld_score": [1.5] * count,
    }
    table = pl.DataFrame({name: values.get(name, ["x"] * count) for name in columns})
    (folder / "subset").mkdir(parents=True)
    table.write_parquet(folder / "test.parquet")
    # As published: sorted as text, so that 10 comes before 2 and 102 before 95.
    chosen = table.filter(pl.col("tss_dist") % 3 == 0).select(KEY)
    chosen = chosen.sort("chrom", pl.col("pos").cast(pl.String))
    assert chosen["chrom"][0] == "10"
    chosen.write_parquet(folder / "subset" / f"{SUBSET}.parquet")
    return table


@pytest.fixture
def copy(tmp_path):
    root = tmp_path / "songlab" / "TraitGym"
    for name, columns in COLUMNS.items():
        make_dataset(root / name, columns)
    return root


@pytest.mark.parametrize("name", list(COLUMNS))
def test_a_local_copy(copy, name):
    table = pl.read_parquet(copy / name / "test.parquet")
    assert load_traitgym(copy, name).equals(table)
    assert load_traitgym(copy, name.removesuffix("_matched_9")).equals(table)
    chosen = load_traitgym(copy, name, SUBSET)
    # Row i of the dataset has tss_dist i: the rows are the right ones, in the dataset's order.
    assert chosen["tss_dist"].to_list() == list(range(0, 60, 3))
    assert chosen.equals(table[::3])
    assert chosen.columns == COLUMNS[name]
    # A join by row would have given other rows.
    keys = pl.read_parquet(copy / name / "subset" / f"{SUBSET}.parquet")
    assert chosen["pos"].to_list() != keys["pos"].to_list()


def test_types_of_another_writer(copy):
    path = copy / "mendelian_traits_matched_9" / "test.parquet"
    table = pl.read_parquet(path)
    table.with_columns(
        pl.col("pos").cast(pl.Int32),
        pl.col("label").cast(pl.Int8),
        pl.col("ref").str.to_lowercase(),
    ).write_parquet(path)
    assert load_traitgym(copy, "mendelian_traits", SUBSET).equals(table[::3])


def test_what_is_wrong_is_named(copy):
    folder = copy / "mendelian_traits_matched_9"
    path = folder / "test.parquet"
    subset = folder / "subset" / f"{SUBSET}.parquet"
    table, keys = pl.read_parquet(path), pl.read_parquet(subset)
    for arguments, message in (
        (("mendelian_traits", "promoter"), rf"no such file; there is {SUBSET}$"),
        (("mendelian_traits", None, "train"), "no such file; there is test$"),
        (("mendelian",), "no such file; there is complex_traits_matched_9, mendelian_"),
    ):
        with pytest.raises(UserError, match=message):
            load_traitgym(copy, *arguments)
    keys.with_columns(pos=pl.col("pos") + 1).write_parquet(subset)
    with pytest.raises(UserError, match=rf"{SUBSET}.parquet: 20 of 20 variants are not in .*test"):
        load_traitgym(copy, "mendelian_traits", SUBSET)
    pl.concat([keys, keys[3:4]]).write_parquet(subset)
    with pytest.raises(UserError, match=r"row 21, .* is already in row 4"):
        load_traitgym(copy, "mendelian_traits", SUBSET)
    table.with_columns(label=pl.col("tss_dist")).write_parquet(path)
    with pytest.raises(UserError, match=r"row 3, column 'label': 2 is neither 0 nor 1 \(58 such"):
        load_traitgym(copy, "mendelian_traits")
    pl.concat([table, table[:1]]).write_parquet(path)
    with pytest.raises(UserError, match=r"row 61, .*: 2 95 A C is already in row 1"):
        load_traitgym(copy, "mendelian_traits")
    with pytest.raises(UserError, match="no such directory, and not a dataset of the Hub"):
        load_traitgym("/none/such")


SCRIPT = """
import logging, sys
from glm_composer.errors import UserError
from glm_composer.variant_files.traitgym import load_traitgym
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
for arguments, revision in (
    (("mendelian_traits", "nonexonic_AND_proximal"), None),
    (("mendelian_traits", "nothing"), None),
    (("mendelian_traits",), "v9"),
):
    try:
        print(load_traitgym("songlab/TraitGym", *arguments, revision=revision)["tss_dist"].sum())
    except UserError as error:
        print(error)
"""


@pytest.mark.slow
def test_the_hub_and_then_its_cache(copy, tmp_path):
    server = subprocess.Popen(
        [sys.executable, HUB, copy.parents[1]], stdout=subprocess.PIPE, text=True
    )
    try:
        port = server.stdout.readline().strip()
        environment = {
            **os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }  # fmt: skip

        def run(**more):
            return subprocess.run(
                [sys.executable, "-c", SCRIPT],
                env=environment | more,
                capture_output=True,
                text=True,
                check=True,
            ).stdout

        online = run(HF_ENDPOINT=f"http://127.0.0.1:{port}")
        assert f"\n{sum(range(0, 60, 3))}\n" in online
        assert f"test.parquet is of commit {COMMIT}" in online
        assert "no file 'mendelian_traits_matched_9/subset/nothing.parquet' in it" in online
        assert "at 'v9': no such revision" in online
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()
    offline = run(HF_HUB_OFFLINE="1")
    assert f"\n{sum(range(0, 60, 3))}\n" in offline
    assert "nothing.parquet' is not in the cache and the Hub cannot be reached" in offline


def test_nothing_is_said_of_a_local_copy(copy, caplog):
    with caplog.at_level(logging.INFO):
        load_traitgym(copy)
    assert caplog.records == []
