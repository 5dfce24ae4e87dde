"""Upstream records -> merged pieces: by hand; test_drosophila.py has the real ones."""

import pytest

from glm_composer.conversion.upstreams import read_upstreams
from glm_composer.errors import UserError


def records(tmp_path, *pairs):
    path = tmp_path / "up.fa"
    path.write_text("".join(f">{name}\n{bases}\n" for name, bases in pairs))
    return path


def test_records_merge_on_the_plus_strand_in_upper_case(tmp_path):
    path = records(
        tmp_path,
        ("NM_1_up_6_chr10_3_f chr10:3-8", "acgtaa"),
        ("NM_2_up_6_chr10_3_f chr10:3-8", "acgtaa"),
        # 7-12 is aaccgg on the plus strand; touching and overlapping pieces become one.
        ("NM_3_up_6_chr10_7_r chr10:7-12", "ccggtt"),
        ("NM_4_up_6_chr10_13_f chr10:13-18", "tttttt"),
        ("NM_5_up_6_chr2_20_f chr2:20-25", "gggggn"),
        # Begins three bases before its contig: 1-3 remain.
        ("NM_6_up_6_chr2_-2_f chr2:-2-3", "cat"),
    )
    pieces = [(p.name, p.start, p.sequence.tobytes()) for p in read_upstreams(path)]
    assert pieces == [
        ("chr2", 0, b"CAT"),
        ("chr2", 19, b"GGGGGN"),
        ("chr10", 2, b"ACGTAACCGGTTTTTT"),
    ]


def test_contradictions_and_other_names_are_refused(tmp_path):
    path = records(tmp_path, ("a_up_4_c_1_f", "acgt"), ("b_up_4_c_3_f", "ggaa"))
    with pytest.raises(UserError, match="records on c:3-6 disagree about a base"):
        read_upstreams(path)
    with pytest.raises(UserError, match="record 'chr1' does not name its locus"):
        read_upstreams(records(tmp_path, ("chr1", "acgt")))
