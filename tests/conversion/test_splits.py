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
