"""Settings of the data section: what a run learns from."""

from dataclasses import dataclass, field
from typing import Literal

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from glm_composer.config.values import Moment, NonEmpty, check_plain


@dataclass(frozen=True, kw_only=True)
class StreamConfig:
    """One of several streams to train on.

    Attributes:
        path: dataset directory that a conversion wrote.
        remote: as `data.remote`.
        split: its split to train on.
        proportion: windows of this stream for so many of the others'; or points [TIME, PROPORTION]
            that straight lines join over training, TIME as `1000ba`, `2ep` or `0.5dur`.
    """

    path: NonEmpty
    remote: str | None = None
    split: str = "train"
    proportion: NonNegativeFloat | list[tuple[Moment, NonNegativeFloat]] = 1.0

    def __post_init__(self) -> None:
        if self.proportion == []:
            raise ValueError("proportion must have at least one point")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What to train on.

    Attributes:
        path: dataset directory that a conversion wrote.
        remote: where the dataset lies, if elsewhere (`s3://bucket/dataset`, `hf://`, `gs://`); its
            shards are then fetched into `path` when they are needed, a little ahead.
        cache_limit: bytes that fetched shards of a split may take; null for no limit.
        validate_hash: compare every shard with its hash when a process first reads it: 6 ms for
            32 MiB in memory, 2% of a first epoch on one core, or as long as the disk takes to
            read it whole. Auto does where the dataset has hashes, true refuses one without, false
            leaves a changed letter unseen until `glm data verify` (sizes, headers and bytes that
            are no ASCII are looked at in any case). What is fetched is always compared.
        download_retry: attempts to fetch a file, with growing pauses.
        download_timeout: seconds without an answer after which an attempt has failed.
        train_split: split to train on.
        streams: several streams to train on instead, by name; `path` is then what is evaluated.
        epoch_windows: windows of an epoch of several streams, rounded up to whole batches; null
            for as many as they have together.
        eval_split: split whose loss is logged during training.
        train_windows: train on only so many windows, evenly spaced, the same every epoch; null
            for all.
        eval_windows: use only its first so many windows; null for all.
        window: bases a model sees, at most the stored length; null for that length. Training crops
            stored windows at random, evaluation crops their middle. Where stored lengths vary,
            shorter windows stay as they are, and batches are padded.
        soft_mask_weight: loss weight of soft-masked (lower-case) positions in training.
        eval_soft_mask_weight: the same in evaluation.
        reverse_complement: turn half of the training windows over.
        shuffle: draw a new order every epoch.
        prepare_on_device: crop, turn over and corrupt windows on the device that trains, where
            the loader only moves bytes, and not ahead of time on the CPU; auto does on a GPU. The
            batches are the same.
    """

    path: NonEmpty
    remote: str | None = None
    cache_limit: PositiveInt | None = None
    validate_hash: bool | Literal["auto"] = "auto"
    download_retry: PositiveInt = 7
    download_timeout: PositiveFloat = 60.0
    train_split: str = "train"
    streams: dict[str, StreamConfig] = field(default_factory=dict)
    epoch_windows: PositiveInt | None = None
    eval_split: str = "validation"
    train_windows: PositiveInt | None = None
    eval_windows: PositiveInt | None = None
    window: PositiveInt | None = None
    soft_mask_weight: NonNegativeFloat = 0.01
    eval_soft_mask_weight: NonNegativeFloat = 0.0
    reverse_complement: bool = True
    shuffle: bool = True
    prepare_on_device: bool | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        for name in self.streams:
            check_plain("streams", name)
        if self.streams and self.train_windows:
            raise ValueError("train_windows is for a single stream; give epoch_windows instead")
        if self.epoch_windows and not self.streams:
            raise ValueError("epoch_windows is for several streams; give train_windows instead")
