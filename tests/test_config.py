"""The settings of a run: what cannot work is refused by the key that says it."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glm_composer.config import (
    Config,
    DataConfig,
    EvaluationConfig,
    LoggersConfig,
    StreamConfig,
    VariantTableConfig,
)
from glm_composer.data.objectives.mlm import MLMConfig
from glm_composer.errors import UserError
from glm_composer.models.bytenet import ByteNetConfig
from glm_composer.models.transformer import TransformerConfig
from glm_composer.settings import dump, load
from glm_composer.training.optimizers.adamw import AdamWConfig
from glm_composer.training.schedules import ConstantConfig, WSDConfig

SMALLEST = "run_name: r\nmodel: {name: transformer}\ndata: {path: d}\n"


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    path = tmp_path / "run.yaml"
    path.write_text(SMALLEST)
    return lambda *overrides: load(Config, path, overrides)


def test_a_section_with_a_default_name_needs_none(read):
    assert read("optimizer.lr=0.5").optimizer == AdamWConfig(lr=0.5)
    with pytest.raises(UserError, match="'model' needs a 'name'"):
        read("model=null")


def test_three_keys_are_enough(read):
    assert read() == Config(
        run_name="r",
        model=TransformerConfig(),
        data=DataConfig(path="d"),
        objective=MLMConfig(),
        optimizer=AdamWConfig(),
        scheduler=ConstantConfig(),
    )


@pytest.mark.parametrize("key", ["run_name", "data.path"])
def test_what_has_no_default_must_be_there(tmp_path, key):
    lines = [line for line in SMALLEST.splitlines() if key.partition(".")[0] not in line]
    (tmp_path / "run.yaml").write_text("\n".join(lines))
    with pytest.raises(UserError, match=rf"missing key '{key.partition('.')[0]}'$"):
        load(Config, tmp_path / "run.yaml")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        # Combinations.
        (["model.heads=5"], "model: heads (5) must divide width (768)"),
        (["model.width=12", "model.heads=4"], "model: width / heads (3) must be even"),
        (["model.kv_heads=5"], "model: kv_heads (5) must divide heads (12)"),
        (["model.stem_kernel=4"], "model: stem_kernel (4) must be odd, or 0 for none"),
        (["model.conv_kernel=2"], "model: conv_kernel (2) must be odd"),
        (["model.attention=[]"], "model: attention must name the reach"),
        (["model={name: bytenet, width: 15}"], "model: width (15) must be even"),
        (["model={name: bytenet, first_kernel: 8}"], "model: first_kernel (8) must be odd"),
        (["model={name: bytenet, kernel: 4}"], "model: kernel (4) must be odd"),
        (
            ["objective={name: mlm, mask: 0.9, random: 0.2}"],
            "objective: mask + random (1.1) must not exceed 1",
        ),
        (
            ["device_train_microbatch_size=3"],
            "global_train_batch_size (256) must be a multiple of ranks (1) x "
            "device_train_microbatch_size (3)",
        ),
        (
            ["evaluation.tables={a/b: {variants: v, genome: g}}"],
            "evaluation: tables: 'a/b' is not a plain name",
        ),
        (
            ["evaluation.tables={a: {variants: v, genome: g, subset: s}}"],
            "evaluation.tables.a: subset 's' is of a dataset of TraitGym: give `dataset`",
        ),
        (
            ["evaluation.tables={a: {variants: v, genome: 'ftp://host/g.fa'}}"],
            "evaluation.tables.a: genome 'ftp://host/g.fa' is an address: give its genome_sha256",
        ),
        (
            ["evaluation.tables={a: {variants: v, genome: g, scores: [influence, influence]}}"],
            "evaluation.tables.a: scores: one is there twice: influence, influence",
        ),
        (
            ["evaluation.tables={a: {variants: v, genome: g, scores: [LLR, LRR]}}"],
            "evaluation.tables.a.scores: unknown name 'LRR' in scores; valid names: "
            "Embeddings.minus.inner_product, ",
        ),
        (
            ["evaluation.tables={a: {variants: v, genome: g, scores: [window_llr]}}"],
            "evaluation.tables.a.scores: score 'window_llr' needs a causal model",
        ),
        (
            ["evaluation.tables={a: {variants: v, genome: g, scores: []}}"],
            "'evaluation.tables.a.scores' = []: list should have at least 1 item",
        ),
        (["scheduler={name: wsd, decay: soon}"], "scheduler.decay = 'soon': expected a duration"),
        (["scheduler={name: cosine, warmup: 5}"], "scheduler.warmup = '5': expected a duration"),
        (["scheduler={name: linear, warmup: -1ba}"], "scheduler.warmup = '-1ba': expected"),
        # Single values.
        (
            ["precision=bf16"],
            "'precision' = 'bf16': input should be 'fp32', 'amp_bf16' or 'pure_bf16'",
        ),
        (["model.attention=[local,near]"], "'model.attention[1]' = 'near': input should be"),
        (["model.backend=fast"], "'model.backend' = 'fast': input should be 'auto', 'flash'"),
        (["objective={name: mlm, rate: 0}"], "'objective.rate' = 0: input should be greater"),
        (["objective={name: mlm, rate: 1}"], "'objective.rate' = 1: input should be less"),
        (["optimizer={name: adamw, beta1: 1}"], "'optimizer.beta1' = 1: input should be less"),
        (["optimizer={name: adamw, lr: 0}"], "'optimizer.lr' = 0: input should be greater"),
        (["evaluation.mask_rate=0"], "'evaluation.mask_rate' = 0: input should be greater"),
        (["evaluation.mask_rate=1"], "'evaluation.mask_rate' = 1: input should be less"),
        (["global_train_batch_size=0"], "'global_train_batch_size' = 0: input should be greater"),
        (["gradient_clipping=0"], "'gradient_clipping' = 0: input should be greater"),
        (["seed=-1"], "'seed' = -1: input should be greater"),
        (["data.window=0"], "'data.window' = 0: input should be greater"),
        (["data.soft_mask_weight=-1"], "'data.soft_mask_weight' = -1: input should be greater"),
        (
            ["scheduler={name: cosin}"],
            "'scheduler.name': unknown name 'cosin' in schedules; valid names: constant, cosine, "
            "linear, wsd; did you mean 'cosine'?",
        ),
        (
            ["optimizer={name: adam}"],
            "'optimizer.name': unknown name 'adam' in optimizers; valid names: adamw, muon; did "
            "you mean 'adamw'?",
        ),
        (["model.name=roberta"], "'model.name': unknown name 'roberta' in models; valid names:"),
        (
            ["data.streams={a/b: {path: x}}"],
            "data: streams: 'a/b' is not a plain name",
        ),
        (
            ["data.streams={a: {path: x}}", "data.train_windows=5"],
            "data: train_windows is for a single stream; give epoch_windows instead",
        ),
        (
            ["data.epoch_windows=5"],
            "data: epoch_windows is for several streams; give train_windows instead",
        ),
        (["data.streams={a: {}}"], "missing key 'data.streams.a.path'"),
        (["data.shufle=false"], "unknown key 'data.shufle'; did you mean 'data.shuffle'?"),
    ],
)
def test_what_cannot_work(read, overrides, expected):
    with pytest.raises(UserError) as error:
        read(*overrides)
    message = str(error.value).partition("run.yaml: ")[2]
    assert message.startswith(expected)
    assert "\n" not in message


@pytest.mark.parametrize(
    "name", ["''", "..", "../up", "a/b", ".hidden", "-x", "'a b'", "ä", "'a\n'"]
)
def test_run_names_are_plain(read, name):
    with pytest.raises(UserError, match="'run_name' = "):
        read(f"run_name={name}")


@pytest.mark.parametrize("name", ["a", "2024-01-01", "v1.2_b-3", "7"])
def test_good_run_names(read, name):
    config = read(f"run_name={name}", "runs_dir=/tmp/x")
    assert config.run_dir == Path("/tmp/x") / name


@pytest.mark.parametrize("key", ["max_duration", "save_interval", "eval_interval"])
@pytest.mark.parametrize("value", ["3", "0ba", "1.5ep", "'10 ba'", "-1ba", "ba", "3dur", "3BA"])
def test_bad_durations(read, key, value):
    with pytest.raises(UserError, match=f"'{key}' = "):
        read(f"{key}={value}")


def test_units_of_durations(read):
    assert read("max_duration=1000tok", "save_interval=5ba").max_duration == "1000tok"
    # Composer saves and evaluates after batches and epochs, not in their midst.
    with pytest.raises(UserError, match="'save_interval' = '1000tok'"):
        read("save_interval=1000tok")


def test_a_rank_gets_its_share(read):
    config = read("global_train_batch_size=96", "device_train_microbatch_size=8")
    assert [config.rank_batch_size(ranks) for ranks in (1, 2, 3, 4, 6, 12)] == [
        96, 48, 32, 24, 16, 8,
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"\(96\) must be a multiple of the 5 ranks"):
        config.rank_batch_size(5)
    with pytest.raises(ValueError, match=r"ranks \(8\) x device_train_microbatch_size \(8\)"):
        config.rank_batch_size(8)


def test_the_launchers_ranks_are_known_before_any_work(read, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UserError, match=r"global_train_batch_size \(256\) .* the 3 ranks$"):
        read()
    assert read("global_train_batch_size=255").rank_batch_size(3) == 85


def test_settings_do_not_change(read):
    with pytest.raises(dataclasses.FrozenInstanceError):
        read().seed = 3


# No dollars, which begin an interpolation, and nothing a yaml file cannot hold.
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="$"), min_size=1)
texts = texts.filter(lambda text: text != "???")
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,12}", fullmatch=True)
counts = st.integers(1, 2**40)
fractions = st.floats(0, 0.5)
positive = st.floats(1e-30, 1e30)


def maybe(values):
    return st.none() | values


streams = st.builds(
    StreamConfig,
    path=texts,
    proportion=fractions
    | st.lists(st.tuples(st.sampled_from(["0ba", "2ep", "0.5dur"]), fractions), min_size=1),
)
tables = st.builds(
    VariantTableConfig,
    variants=texts,
    genome=texts,
    interval=st.sampled_from(["1ba", "20ep"]),
    chroms=maybe(st.lists(texts)),
    window=maybe(counts),
    strands=st.sampled_from(["both", "forward"]),
)
transformers = st.builds(
    TransformerConfig,
    width=st.sampled_from([64, 128]),
    heads=st.sampled_from([2, 4]),
    attention=st.lists(st.sampled_from(["global", "local", "none"]), min_size=1),
    rope_base=positive,
    stem_kernel=st.sampled_from([0, 9]),
)
configs = st.builds(
    Config,
    run_name=names,
    runs_dir=texts,
    seed=st.integers(0, 2**63),
    max_duration=st.sampled_from(["1ba", "3ep", "50sp", "999999999999tok"]),
    compile=st.booleans(),
    gradient_clipping=maybe(positive),
    model=transformers | st.builds(ByteNetConfig, layers=counts),
    objective=st.builds(MLMConfig, mask=fractions, random=fractions, gpn_exact=st.booleans()),
    data=st.builds(DataConfig, path=texts, train_split=texts, window=maybe(counts))
    | st.builds(
        DataConfig, path=texts, streams=st.dictionaries(names, streams, min_size=1, max_size=2)
    ),
    optimizer=st.builds(AdamWConfig, lr=positive, eps=positive),
    scheduler=st.builds(ConstantConfig) | st.builds(WSDConfig, warmup=st.just("0.05dur")),
    evaluation=st.builds(EvaluationConfig, tables=st.dictionaries(names, tables, max_size=2)),
    loggers=st.builds(LoggersConfig, wandb_project=texts),
)


@pytest.fixture(scope="module")
def dumped(tmp_path_factory):
    return tmp_path_factory.mktemp("dumps") / "config.yaml"


@given(config=configs)
@settings(max_examples=60, deadline=None, database=None)
def test_a_dump_reads_back_equal(dumped, config):
    dumped.write_text(dump(config), encoding="utf-8")
    assert load(Config, dumped) == config
