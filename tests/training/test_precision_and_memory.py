"""Precisions, automatic micro-batches, and the rates that every run logs."""

from dataclasses import dataclass

import pytest
import torch
from test_parallel import rows

from glm_composer.errors import UserError
from glm_composer.models.language_model import LanguageModel
from glm_composer.models.transformer import TransformerConfig, build_transformer
from glm_composer.registry import models
from glm_composer.training.build import build_model, build_trainer
from glm_composer.training.memory import training_memory
from glm_composer.training.peak import matmul_peak


@dataclass(frozen=True, kw_only=True)
class CrampedConfig(TransformerConfig):
    """A transformer that a device has no room for: the second batch of more than four rows."""

    name: str = "cramped_for_tests"


class Cramped(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += len(x) > 4
        if self.calls > 1 and len(x) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return x


@models.register("cramped_for_tests")
def build_cramped(config: CrampedConfig) -> LanguageModel:
    """Build it."""
    model = build_transformer(config)
    model.embedding = torch.nn.Sequential(model.embedding, Cramped())
    return model


@pytest.mark.slow
def test_a_batch_that_ran_out_of_memory_is_counted_once(configure):
    common = ["max_duration=2ba", "eval_interval=9ba", "data.eval_windows=4"]
    common += ["device_eval_batch_size=4"]
    # A model of another name takes nothing from the yaml.
    sizes = "width: 16, layers: 2, heads: 2, mlp_width: 32, conv_layers: 0, attention: [global]"
    roomy = configure("run_name=roomy", *common, f"model={{name: transformer, {sizes}}}")
    trainer = build_trainer(roomy)
    trainer.fit()
    trainer.close()
    model = f"model={{name: cramped_for_tests, {sizes}}}"
    cramped = configure("run_name=cramped", *common, model)
    trainer = build_trainer(cramped)
    # As Composer does on a GPU with `auto`; on a CPU it refuses to.
    trainer.state.auto_microbatching = True
    trainer.state.device_train_microbatch_size = 8
    trainer.fit()
    trainer.close()
    assert trainer.state.device_train_microbatch_size == 4
    assert rows(cramped.run_dir) == pytest.approx(rows(roomy.run_dir), rel=1e-6)


def test_automatic_micro_batches_need_a_gpu(configure):
    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(UserError, match=r"device_train_microbatch_size=auto needs a GPU"):
        build_trainer(configure("device_train_microbatch_size=auto"))


@pytest.mark.slow
def test_pure_bf16_halves_weights_and_what_hangs_on_them(configure):
    config = configure("run_name=pure", "precision=pure_bf16", "max_duration=2ba")
    trainer = build_trainer(config)
    trainer.fit()
    trainer.close()
    model, optimizer = trainer.state.model, trainer.state.optimizers[0]
    for name, parameter in model.named_parameters():
        wanted = torch.float32 if "decoder" in name else torch.bfloat16
        state = optimizer.state[parameter]
        assert {parameter.dtype, state["exp_avg"].dtype, state["exp_avg_sq"].dtype} == {wanted}
    ids = torch.randint(3, 7, (2, 64))
    assert model.embed(ids).dtype == torch.bfloat16
    # The weights are not the model's whole precision: it stays near the fp32 network.
    exact = build_model(configure())
    exact.load_state_dict(model.state_dict())
    assert torch.allclose(exact.embed(ids), model.embed(ids).float(), atol=0.1)
    assert rows(config.run_dir)[2] < 2.0


@pytest.mark.slow
def test_a_run_logs_bases_a_second_and_mfu(configure):
    config = configure("max_duration=24ba", "eval_interval=24ba")
    trainer = build_trainer(config)
    trainer.fit()
    trainer.close()
    rate = rows(config.run_dir, "throughput/device/flops_per_sec")
    bases = rows(config.run_dir, "throughput/tokens_per_sec")
    mfu = rows(config.run_dir, "throughput/device/mfu")
    assert mfu.keys() == rate.keys() == bases.keys() == {21, 22, 23, 24}
    shape = (16, 64)
    some = torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.15
    batch = {"input_ids": torch.zeros(shape), "labels": some}
    step = trainer.state.model.flops_per_batch(batch)
    for at, share in mfu.items():
        assert share == pytest.approx(rate[at] / matmul_peak("cpu", torch.float32))
        assert rate[at] == pytest.approx(bases[at] / (16 * 64) * step, rel=1e-3)


def test_the_peak_is_measured_once_and_leaves_random_state_alone():
    matmul_peak.cache_clear()
    before = torch.get_rng_state()
    peak = matmul_peak("cpu", torch.float32)
    assert torch.equal(torch.get_rng_state(), before)
    assert matmul_peak("cpu", torch.float32) == peak
    # A core multiplies and adds thousands of millions of numbers a second, not millions of them.
    assert 1e9 < peak < 1e14


@pytest.mark.parametrize("precision", ["fp32", "amp_bf16", "pure_bf16"])
def test_memory_is_what_a_step_on_real_tensors_keeps(configure, precision):
    config = configure(f"precision={precision}")
    found = training_memory(config, windows=4, length=64)
    model = build_model(config)
    assert found.weights == sum(p.numel() * p.element_size() for p in model.parameters())
    weights = {p.data_ptr() for p in model.parameters()}
    kept = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    # Asked for all, so that nothing is left out.
    labels = torch.ones(4, 64, dtype=torch.uint8)
    batch = {"input_ids": labels, "labels": labels, "loss_weight": labels.float()}
    batch["soft_masked"] = labels.bool()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = model(batch)
    assert outputs["loss"].requires_grad
    # Without contents attention's small by-products may have another type.
    real = sum(size for at, size in kept.items() if at not in weights)
    assert found.activations == pytest.approx(real, rel=0.01)


@pytest.mark.slow
def test_activations_grow_with_the_batch_and_nothing_else_does(configure):
    one, two = (training_memory(configure(), windows, 64) for windows in (8, 16))
    assert one.total - one.activations == two.total - two.activations == 4 * one.weights
    # Rotary tables do not depend on the batch.
    assert 1.9 < two.activations / one.activations <= 2
