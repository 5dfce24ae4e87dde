"""Every named score against its definition, one variant and one strand at a time."""

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from glm_composer import sequence
from glm_composer.errors import UserError
from glm_composer.evaluation.predict import Predictor, evaluating
from glm_composer.evaluation.scores import WindowPairs, score_names, score_variants
from glm_composer.evaluation.scores.embeddings import cosine_distance
from glm_composer.evaluation.scores.influence import influence
from glm_composer.evaluation.scores.likelihood import window_ratio
from glm_composer.evaluation.variants import allele_ids, read_variants
from glm_composer.genome import Genome
from glm_composer.models.bytenet import ByteNetConfig, build_bytenet
from glm_composer.models.language_model import LanguageModel
from glm_composer.models.transformer import TransformerConfig, build_transformer
from glm_composer.sequence import FIRST_BASE, MASK

TINY = {"width": 16, "layers": 2, "heads": 2, "mlp_width": 24, "window": 8}
MODELS: dict[str, Callable[[], LanguageModel]] = {
    "bytenet": lambda: build_bytenet(ByteNetConfig(width=16, layers=6, dilation_cycle=4)),
    "rope": lambda: build_transformer(
        TransformerConfig(**TINY, stem_kernel=5, attention=["local", "global"])
    ),
    "causal": lambda: build_transformer(TransformerConfig(**TINY, causal=True)),
}
NAMES = [
    "Embeddings.minus.inner_product",
    "Embeddings.plus.cosine_distance",
    "Embeddings.plus.euclidean_distance",
    "LLR",
    "LLR.minus.score",
    "absLLR.plus.score",
    "influence",
]


def build(kind: str) -> LanguageModel:
    torch.manual_seed(0)
    model = MODELS[kind]()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            # GPN's small initial weights make every score nearly 0.
            torch.nn.init.normal_(parameter, std=0.4)
    return model


def predictor_of(model: LanguageModel, batch_size: int = 8) -> Predictor:
    return Predictor(model.embed, model.decoder, batch_size, causal=model.causal)


def variants(n: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windows ASCII [n, width], ref and alt [n]; the last three are at the first one's site."""
    rng = np.random.default_rng(0)
    windows = rng.choice(np.frombuffer(b"ACGTacgtN", np.uint8), size=(n, width))
    windows[-3:] = windows[0]
    ref = rng.integers(3, 7, n).astype(np.uint8)
    ref[-3:] = ref[0]
    windows[:, width // 2] = sequence.decode(ref)
    shift = rng.integers(1, 4, n)
    shift[-3:] = [1, 2, 3]
    return windows, ref, (FIRST_BASE + (ref - FIRST_BASE + shift) % 4).astype(np.uint8)


def brute_force(model: LanguageModel, window: str, ref: str, alt: str) -> dict[str, list[float]]:
    """Scores of one variant on both strands, from strings, in float64, as the sources define."""
    model = copy.deepcopy(model).double()

    def run(letters: str) -> tuple[Tensor, Tensor, Tensor]:
        ids = torch.tensor([[{"A": 3, "C": 4, "G": 5, "T": 6, "?": 1}.get(c, 2) for c in letters]])
        hidden = model.embed(ids)
        return ids[0], hidden[0], model.decoder(hidden)[0, :, 3:]

    found: dict[str, list[float]] = {}
    for strand in ("forward", "reverse"):
        letters, centre, one, other = window.upper(), len(window) // 2, ref, alt
        if strand == "reverse":
            other_strand = str.maketrans("ACGT", "TGCA")
            letters, centre = letters.translate(other_strand)[::-1], len(letters) - 1 - centre
            one, other = ref.translate(other_strand), alt.translate(other_strand)
        seen = [letters[:centre] + base + letters[centre + 1 :] for base in (one, other, "?")]
        (ids, hidden, logits), (alt_ids, alt_hidden, alt_logits), masked = map(run, seen)
        values = {
            "euclidean": (hidden - alt_hidden).norm(),
            "inner": (hidden * alt_hidden).sum(),
            "cosine": 1 - F.cosine_similarity(hidden.flatten(), alt_hidden.flatten(), dim=0),
        }
        if model.causal:
            likelihoods = []
            for each, says in ((ids, logits), (alt_ids, alt_logits)):
                terms = [
                    says[i].log_softmax(-1)[each[i + 1] - 3]
                    for i in range(len(each) - 1)
                    if each[i + 1] >= 3
                ]
                likelihoods.append(sum(terms, torch.tensor(0.0)))
            values["llr"] = likelihoods[1] - likelihoods[0]
            predicted = [i for i in range(len(ids) - 1) if i + 1 != centre]
        else:
            at = masked[2][centre]
            values["llr"] = at["ACGT".index(other)] - at["ACGT".index(one)]
            predicted = [i for i in range(len(ids)) if i != centre]
        changes = []
        for i in predicted:
            p, q = logits[i].softmax(-1), alt_logits[i].softmax(-1)
            changes.append((torch.log(p / (1 - p)) - torch.log(q / (1 - q))).abs().max())
        values["influence"] = sum(changes, torch.tensor(0.0)) / max(len(ids) - 1, 1)
        for name, value in values.items():
            found.setdefault(name, []).append(float(value))
    return found


def expected(model: LanguageModel, window: str, ref: str, alt: str, strands: str) -> list[float]:
    """What NAMES must give for one variant."""
    found = brute_force(model, window, ref, alt)
    used = slice(1) if strands == "forward" else slice(2)
    mean = {name: float(np.mean(values[used])) for name, values in found.items()}
    return [
        -mean["inner"],
        mean["cosine"],
        mean["euclidean"],
        mean["llr"],
        -mean["llr"],
        abs(mean["llr"]),
        mean["influence"],
    ]


@pytest.mark.parametrize("strands", ["both", pytest.param("forward", marks=pytest.mark.slow)])
@pytest.mark.parametrize("width", [1, 24, 31])
@pytest.mark.parametrize("kind", MODELS)
def test_every_score_equals_the_brute_force_one(kind: str, width: int, strands: str) -> None:
    model = build(kind)
    windows, ref, alt = variants(11, width)
    with evaluating(model):
        found = score_variants(predictor_of(model), windows, ref, alt, NAMES, strands=strands)
        by_hand = [
            expected(
                model,
                bytes(windows[i]).decode(),
                bytes(sequence.decode(ref[[i]])).decode(),
                bytes(sequence.decode(alt[[i]])).decode(),
                strands,
            )
            for i in range(len(windows))
        ]
    assert list(found) == NAMES
    for name, column in zip(NAMES, np.transpose(by_hand), strict=True):
        assert found[name].dtype == np.float32
        assert found[name].shape == (11,)
        np.testing.assert_allclose(found[name], column, rtol=1e-5, atol=1e-5, err_msg=name)
    if width > 1:
        # Not equal because all are alike, nor because both strands are.
        for name in ("LLR", "influence", "Embeddings.plus.euclidean_distance"):
            assert found[name].std() > 0.01
        with evaluating(model):
            other = "forward" if strands == "both" else "both"
            others = score_variants(predictor_of(model), windows, ref, alt, NAMES, strands=other)
        assert not np.allclose(found["LLR"], others["LLR"], rtol=1e-3, atol=1e-3)


def test_a_causal_model_has_the_ratio_of_its_window_and_no_other_model_has() -> None:
    model = build("causal")
    windows, ref, alt = variants(5, 12)
    with evaluating(model):
        found = score_variants(predictor_of(model), windows, ref, alt, ["window_llr", "LLR"])
    np.testing.assert_array_equal(found["window_llr"], found["LLR"])
    with pytest.raises(UserError, match=r"'window_llr' needs a causal model .*ask for 'LLR'"):
        score_variants(predictor_of(build("rope")), windows, ref, alt, ["window_llr"])


def test_names() -> None:
    assert set(NAMES) | {"window_llr"} <= set(score_names())
    windows, ref, alt = variants(4, 6)
    predictor = predictor_of(build("bytenet"))
    with pytest.raises(UserError, match=r"unknown name 'LLRR' in scores; valid names: .*absLLR"):
        score_variants(predictor, windows, ref, alt, ["LLRR"])
    assert score_variants(predictor, windows, ref, alt, []) == {}
    with pytest.raises(ValueError, match="strands"):
        score_variants(predictor, windows, ref, alt, ["LLR"], strands="reverse")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="batch_size"):
        score_variants(predictor, windows, ref, alt, ["LLR"], batch_size=0)


def test_no_variants_have_no_scores() -> None:
    predictor = predictor_of(build("bytenet"))
    nothing = np.empty(0, np.uint8)
    found = score_variants(predictor, np.empty((0, 8), np.uint8), nothing, nothing, NAMES)
    assert {name: values.shape for name, values in found.items()} == dict.fromkeys(NAMES, (0,))


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8, 40])
def test_however_it_is_cut_into_batches(batch_size: int) -> None:
    model = build("rope")
    windows, ref, alt = variants(17, 20)
    order = np.random.default_rng(1).permutation(17)
    with evaluating(model):
        whole = score_variants(predictor_of(model, 64), windows, ref, alt, NAMES)
        cut = score_variants(
            predictor_of(model),
            windows[order],
            ref[order],
            alt[order],
            NAMES,
            batch_size=batch_size,
        )
    for name in NAMES:
        np.testing.assert_allclose(cut[name], whole[name][order], rtol=1e-5, atol=1e-5)


def test_what_is_asked_of_the_model() -> None:
    """A masked window a site and strand; a reference window a site, and one an alt, a strand."""
    model = build("rope")
    asked: list[np.ndarray] = []

    def embed(ids: Tensor, lengths: Tensor | None, position: int | None) -> Tensor:
        asked.append(ids.numpy())
        return model.embed(ids, lengths, position)

    windows, ref, alt = variants(9, 12)  # 6 sites: the last three rows are the first one's
    predictor = Predictor(embed, model.decoder, 64, causal=False)
    with evaluating(model):
        score_variants(predictor, windows, ref, alt, [n for n in NAMES if "LLR" in n])
        masked, asked = asked, []
        score_variants(predictor, windows, ref, alt, [n for n in NAMES if "LLR" not in n])
    real = [[row for row in ids if row.any()] for ids in masked]
    assert [len(rows) for rows in real] == [6, 6]
    assert all(row[6] == MASK for row in real[0])
    assert all(row[5] == MASK for row in real[1])
    real = [[row for row in ids if row.any()] for ids in asked]
    assert [len(rows) for rows in real] == [6 + 9, 6 + 9]
    assert not any((row == MASK).any() for rows in real for row in rows)


def test_the_reference_allele_is_the_tables_where_the_genome_has_another() -> None:
    model = build("bytenet")
    windows, ref, alt = variants(6, 10)
    wrong = windows.copy()
    wrong[:, 5] = ord("N")
    with evaluating(model):
        there = score_variants(predictor_of(model), windows, ref, alt, NAMES)
        here = score_variants(predictor_of(model), wrong, ref, alt, NAMES)
    for name in NAMES:
        np.testing.assert_array_equal(here[name], there[name])


def pairs(position: int, causal: bool) -> WindowPairs:
    """Three positions whose hidden states are the logits themselves."""
    logits = torch.tensor([[[1.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 0, 3.0]]])
    changed = logits.clone()
    changed[0, 0, 0] += 0.5
    changed[0, 1, 2] -= 5
    changed[0, 2, 3] += 1
    ids = torch.tensor([[3, 4, 6]])
    other = ids.clone()
    other[0, position] = 5
    return WindowPairs(logits, changed, ids, other, position, causal, lambda hidden: hidden)


def test_influence_by_hand() -> None:
    # Log odds of a base: its logit less the log-sum-exp of the other three.
    first = max(0.5, math.log(math.exp(1.5) + 2) - math.log(math.exp(1) + 2))
    last = max(1.0, math.log(math.exp(4) + 2) - math.log(math.exp(3) + 2))
    assert influence(pairs(1, causal=False)).tolist() == pytest.approx([(first + last) / 2])
    # Position 1 is the largest change; it counts where the variant is elsewhere.
    middle = max(5.0, math.log(math.exp(2) + 2) - math.log(math.exp(2) + 1 + math.exp(-5)))
    assert influence(pairs(2, causal=False)).tolist() == pytest.approx([(first + middle) / 2])
    # Row 2 of a causal model is of the base after the window.
    assert influence(pairs(1, causal=True)).tolist() == pytest.approx([(first + middle) / 2])


def test_window_ratio_by_hand() -> None:
    def log_p(logits: list[float], base: int) -> float:
        return logits[base] - math.log(sum(map(math.exp, logits)))

    ref = log_p([1, 0, 0, 0], 1) + log_p([0, 2, 0, 0], 3)
    alt = log_p([1.5, 0, 0, 0], 2) + log_p([0, 2, -5, 0], 3)
    assert window_ratio(pairs(1, causal=True)).tolist() == pytest.approx([alt - ref], rel=1e-5)


def test_the_cosine_of_nearly_equal_windows_keeps_its_digits() -> None:
    generator = torch.Generator().manual_seed(0)
    ref = torch.randn(4, 64, 32, generator=generator, dtype=torch.float64)
    alt = ref + 1e-4 * torch.randn(4, 64, 32, generator=generator, dtype=torch.float64)
    ref, alt = ref.float().double(), alt.float().double()
    exact = 1 - F.cosine_similarity(ref.flatten(1), alt.flatten(1))
    ids = torch.zeros(4, 64)

    def found(one: Tensor, other: Tensor) -> Tensor:
        return cosine_distance(WindowPairs(one, other, ids, ids, 0, False, lambda hidden: hidden))

    assert exact.max() < 1e-8
    torch.testing.assert_close(found(ref.float(), alt.float()).double(), exact, rtol=1e-5, atol=0)


@pytest.mark.slow
def test_yeast_rows_keep_their_order(yeast) -> None:
    model = build("bytenet")
    table = read_variants(yeast / "variants.parquet").sample(40, shuffle=True, seed=0)
    with Genome(yeast / "genome.fa") as genome:
        windows = genome.windows(table["chrom"].to_list(), table["pos"].to_numpy() - 1, 64)
    ref, alt = allele_ids(table)
    with evaluating(model):
        found = score_variants(predictor_of(model), windows, ref, alt, NAMES)
        for row in (0, 17, 39):
            letters = bytes(windows[row]).decode()
            assert letters[32].upper() == table["ref"][row]
            by_hand = expected(model, letters, table["ref"][row], table["alt"][row], "both")
            values = [found[name][row] for name in NAMES]
            np.testing.assert_allclose(values, by_hand, rtol=1e-5, atol=1e-5)
