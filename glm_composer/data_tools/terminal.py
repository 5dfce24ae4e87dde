"""Figures of a dataset as text and cells of tables."""

from glm_composer.columns import print_columns
from glm_composer.data_tools.defects import Findings
from glm_composer.data_tools.leakage import LEVELS, Leakage, SplitLeakage
from glm_composer.data_tools.stats import GroupStats, Stats

# Species listed on the terminal; the page lists them all, and every assembly.
_SHOWN = 20

STATS_COLUMNS = (
    "split",
    "species",
    "assembly",
    "contigs",
    "windows",
    "bases",
    "A",
    "C",
    "G",
    "T",
    "GC",
    "N",
    "soft-masked",
)
LEAKAGE_COLUMNS = (
    "split",
    "windows",
    "copies",
    *(f"≥ {level:.0%}" for level in LEVELS),
    "not compared",
)
PAIR_COLUMNS = (
    "held-out window, its id first",
    "nearest train window",
    "estimated",
    "exact",
    "identical bases",
    "strands",
)


def stats_row(group: GroupStats) -> list[str]:
    """Return the cells of `STATS_COLUMNS`."""
    counts = (group.a, group.c, group.g, group.t)
    return [
        group.split,
        group.species or "all",
        group.assembly or "all",
        f"{group.contigs:,}",
        f"{group.windows:,}",
        f"{group.bases:,}",
        *(percent(count, group.bases) for count in counts),
        percent(group.g + group.c, group.bases - group.unknown),
        percent(group.unknown, group.bases),
        percent(group.soft_masked, group.bases),
    ]


def leakage_row(split: SplitLeakage) -> list[str]:
    """Return the cells of `LEAKAGE_COLUMNS`."""
    counts = (split.windows, split.copies, *split.levels.values(), split.not_compared)
    return [split.split, *(f"{count:,}" for count in counts)]


def pair_rows(split: SplitLeakage) -> list[list[str]]:
    """Return rows of the cells of `PAIR_COLUMNS`."""
    return [
        [
            f"{pair.held_out_id:,}: {pair.held_out}",
            f"{pair.train_id:,}: {pair.train}",
            f"{pair.estimated:.1%}",
            f"{pair.containment:.1%}",
            f"{pair.identical:,} of {pair.overlap:,}",
            "opposite" if pair.turned else "same",
        ]
        for pair in split.worst
    ]


def percent(part: int, whole: int) -> str:
    """Write a share with two decimals."""
    return f"{part / whole:.2%}" if whole else "n/a"


def print_stats(stats: Stats) -> None:
    """Print what a dataset is made of."""
    print(f"{stats.dataset}: windows of {stats.lengths}")
    groups = list(stats.splits)
    if len({group.species for group in stats.species}) > 1:
        groups += stats.species[:_SHOWN]
    print_columns(STATS_COLUMNS, [stats_row(group) for group in groups], words=3)
    left_out = len(stats.species) - _SHOWN
    if left_out > 0:
        print(f"and {left_out:,} more rows of species, see the report")


def print_leakage(found: Leakage) -> None:
    """Print what train knows of held-out splits."""
    print(
        f"{found.dataset}: held-out windows by the share of their {found.k}-mers that one "
        f"window of '{found.train}' holds"
    )
    print_columns(LEAKAGE_COLUMNS, [leakage_row(split) for split in found.splits], words=1)
    for split in found.splits:
        near = f"{split.near:,} of {split.windows:,} windows"
        print(f"\n{split.split}: {near} reach {found.threshold:.0%}")
        if split.worst:
            print("the most alike:")
            print_columns(PAIR_COLUMNS, pair_rows(split), words=2)


def print_findings(findings: Findings) -> None:
    """Print every defect, the worst one last, where it is read first."""
    for defect in findings.defects:
        print(defect)
    looked = (
        f"{findings.shards:,} shards, {findings.bytes:,} bytes, {findings.windows:,} windows; "
        f"hashes of {findings.hashed:,} files, {findings.compared:,} windows against genome.fa"
    )
    if findings.worst is None:
        print(f"sound: {looked}")
        return
    print(f"defects: {len(findings.defects):,} in {looked}")
    print(f"worst: {findings.worst}")
