import polars as pl

from glm_composer.evaluation.strata import MINIMUM, strata


def table(groups):
    """One positive and two controls a group; `groups`: (consequence, tss_dist) of each."""
    rows = []
    for number, (consequence, distance) in enumerate(groups):
        for member in range(3):
            rows.append((member == 0, consequence, distance + member, f"g{number}"))
    names = ["label", "consequence", "tss_dist", "match_group"]
    return pl.DataFrame(rows, schema=names, orient="row")


def described(found, column):
    return [(s.name, s.positives, s.controls, s.reason) for s in found if s.column == column]


def test_positives_meet_the_controls_of_their_own_groups():
    # The positive lies on the near side of a boundary, its controls beyond it.
    data = table([("PLS", 99)] * 12 + [("intron_variant", 1_000)] * 4 + [("PLS", 250_000)] * 10)
    found = strata(data, labelled=True)
    few = f"fewer than {MINIMUM} positives and fewer than {MINIMUM} controls"
    assert described(found, "consequence") == [
        ("PLS", 22, 44, ""),
        ("intron_variant", 4, 8, few),
    ]
    assert described(found, "tss_dist") == [
        ("up to 100 bp", 12, 24, ""),
        ("over 100 to 1,000 bp", 4, 8, few),
        ("over 1,000 to 10,000 bp", 0, 8, "no positive"),
        ("over 100,000 bp", 10, 20, ""),
    ]
    nearest = next(s for s in found if s.name == "up to 100 bp")
    assert nearest.rows.tolist() == list(range(36))


def test_without_groups_all_controls_count():
    data = table([("PLS", 5)] * 10 + [("intron_variant", 5_000)] * 10).drop("match_group")
    found = strata(data, labelled=True)
    assert described(found, "consequence") == [
        ("PLS", 10, 40, ""),
        ("intron_variant", 10, 40, ""),
    ]


def test_what_is_not_given_keeps_its_place():
    data = table([("PLS", 5)] * 10 + [(None, -50_000)] * 10)
    data = data.with_columns(
        tss_dist=pl.when(pl.col("match_group") != "g0").then(pl.col("tss_dist"))
    )
    found = strata(data, labelled=True)
    assert ("(none given)", 10, 20, "") in described(found, "consequence")
    # A signed distance counts by its size; the group whose distance is not given comes last.
    assert described(found, "tss_dist")[1:] == [
        ("over 10,000 to 100,000 bp", 10, 20, ""),
        ("(none given)", 1, 2, "fewer than 10 positives and fewer than 10 controls"),
    ]


def test_without_labels_a_stratum_is_its_rows():
    found = strata(table([("PLS", 5)] * 4 + [("other", 5)]), labelled=False)
    assert described(found, "consequence") == [
        ("PLS", 0, 12, ""),
        ("other", 0, 3, "fewer than 10 rows"),
    ]


def test_a_table_with_neither_column_has_none():
    assert strata(pl.DataFrame({"label": [True, False]}), labelled=True) == []
