"""Which contig goes where, and every contradiction that is refused."""

import pytest

from glm_composer.conversion.splits import assign_splits, match_contigs
from glm_composer.errors import UserError

CONTIGS = [("hg", "chr1"), ("hg", "chr2"), ("mm", "chr1"), ("mm", "chrM")]


def test_patterns_qualified_names_rest_and_exclusion():
    splits = {"train": ["*"], "test": ["hg/chr2", "mm/chr1"]}
    assert assign_splits(CONTIGS, splits, ["chrM"]) == ["train", "test", "test", None]
    assert assign_splits(CONTIGS, {"a": ["hg/*"], "b": ["mm/chr?"]}) == ["a", "a", "b", "b"]
    assert assign_splits(CONTIGS, {"a": ["chr[12]"]}, ["*"]) == ["a", "a", "a", None]


@pytest.mark.parametrize(
    ("splits", "exclude", "message"),
    [
        (
            {"train": ["chr1", "chr9"]},
            [],
            r"'splits.train': 'chr9' matches no contig of chr1, chr2",
        ),
        ({"train": ["*"]}, ["chrX"], "'exclude': 'chrX' matches no contig"),
        (
            {"a": ["chr1", "chr2"], "b": ["hg/*"], "c": ["*"]},
            [],
            "contig 'hg/chr1' matches 'splits.a' and 'splits.b'",
        ),
        ({"train": ["chr1"]}, [], "contig 'hg/chr2' is in no split"),
        ({"a": ["*"], "b": ["*"]}, [], "'\\*' stands in 'splits.a' and 'splits.b'"),
    ],
)
def test_contradictions(splits, exclude, message):
    with pytest.raises(UserError, match=message):
        assign_splits(CONTIGS, splits, exclude)


def test_match_contigs():
    assert match_contigs(CONTIGS, ["chr1", "mm/*"], "k") == {0, 2, 3}
    with pytest.raises(UserError, match=r"'variants.contigs': 'chr7' matches no contig"):
        match_contigs(CONTIGS, ["chr7"], "variants.contigs")


MANY = [(f"genome{a}", f"chr{c}") for a in range(40) for c in range(50)]
FRACTIONS = {"train": 0.8, "validation": 0.05, "test": 0.15}


def test_fractions_are_kept_and_every_contig_has_its_own_draw():
    assigned = assign_splits(MANY, FRACTIONS)
    for split, share in FRACTIONS.items():
        # Five standard deviations of 2,000 draws.
        spread = 5 * (share * (1 - share) / len(MANY)) ** 0.5
        assert abs(assigned.count(split) / len(MANY) - share) < spread
    # A contig's split stays when others come or go, and whatever their order.
    alone = {contig: assign_splits([contig], FRACTIONS)[0] for contig in MANY}
    assert [alone[contig] for contig in MANY] == assigned
    assert assign_splits(MANY, FRACTIONS, seed=1) != assigned


def test_fractions_of_assemblies_keep_them_whole():
    assigned = assign_splits(MANY, FRACTIONS, unit="assembly")
    by_assembly = {}
    for (assembly, _), split in zip(MANY, assigned, strict=True):
        by_assembly.setdefault(assembly, set()).add(split)
    assert all(len(found) == 1 for found in by_assembly.values())
    assert len(set(assigned)) > 1


def test_patterns_and_exclusion_come_before_fractions():
    splits = {"train": 1.0, "validation": ["chr1"], "test": ["genome3/*"]}
    # What two patterns name is refused; here it is not there.
    contigs = [(a, c) for a, c in MANY if a != "genome3" or not c.startswith(("chr1", "chr2"))]
    for (assembly, name), split in zip(
        contigs, assign_splits(contigs, splits, ["chr2?"]), strict=True
    ):
        if name.startswith("chr2") and len(name) == 5:
            assert split is None
        elif name == "chr1":
            assert split == "validation"
        else:
            assert split == ("test" if assembly == "genome3" else "train")


def test_the_source_s_word_counts_and_may_not_be_contradicted():
    given = {"mm": "test"}
    assert assign_splits(CONTIGS, {"train": ["*"]}, ["chrM"], given=given) == [
        "train", "train", "test", None,
    ]  # fmt: skip
    assert assign_splits(CONTIGS[2:], {}, given=given) == ["test", "test"]
    with pytest.raises(UserError, match=r"'mm/chr1' matches 'splits.test' and 'splits.train'"):
        assign_splits(CONTIGS, {"train": ["chr1", "*"]}, given=given)


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"a": 0.5, "b": 0.4}, "add up to 1, not a: 0.5, b: 0.4"),
        ({"a": 1.5, "b": -0.5}, "fractions must be above 0"),
        ({"a": 1.0, "b": ["*"]}, "'\\*' in 'splits.b' and a fraction in 'splits.a'"),
    ],
)
def test_fractions_that_make_no_sense(splits, message):
    with pytest.raises(UserError, match=message):
        assign_splits(CONTIGS, splits)
