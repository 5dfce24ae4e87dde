"""A predictor's answers, however many windows and positions it is asked for at once."""

import numpy as np
import pytest
import torch
from torch import Tensor

from glm_composer.evaluation.predict import Predictor, evaluating
from glm_composer.models.bytenet import ByteNetConfig, build_bytenet
from glm_composer.sequence import PAD


@pytest.mark.parametrize("rows", [0, 1, 4, 11])
@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("ragged", [True, False])
def test_logits_at_positions_are_the_models(rows: int, same: bool, ragged: bool) -> None:
    torch.manual_seed(0)
    model = build_bytenet(ByteNetConfig(width=8, layers=3))
    shapes = []

    def embed(ids: Tensor, lengths: Tensor | None, position: int | None) -> Tensor:
        shapes.append(tuple(ids.shape))
        return model.embed(ids, lengths, position)

    rng = np.random.default_rng(0)
    ids = rng.integers(1, 7, (rows, 20)).astype(np.uint8)
    lengths = np.full(rows, 20)
    if ragged:
        lengths[::2] = 13
        ids[::2, 13:] = PAD
    positions = np.full(rows, 9) if same else rng.integers(0, 13, rows)
    predictor = Predictor(embed, model.decoder, 4, causal=False)
    with evaluating(model):
        found = predictor.at(ids, positions)
        everywhere = predictor.everywhere(ids)
        expected = [
            model(torch.from_numpy(row[None, :length]))[0, :, 3:]
            for row, length in zip(ids, lengths, strict=True)
        ]
    assert set(shapes) == {(4, 20)}
    assert found.shape == (rows, 4)
    for i, logits in enumerate(expected):
        np.testing.assert_allclose(found[i], logits[positions[i]], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            everywhere[i, : lengths[i]], logits.log_softmax(-1), rtol=1e-5, atol=1e-6
        )
