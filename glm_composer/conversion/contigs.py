"""The table of all contigs of a dataset, put together from what the parts saw."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glm_composer.conversion.config import ConvertConfig
from glm_composer.conversion.parts import PartInfo
from glm_composer.conversion.plan import Plan, choose_splits
from glm_composer.conversion.selection import DROPPED
from glm_composer.conversion.splits import match_contigs


@dataclass(frozen=True, kw_only=True)
class Contigs:
    """Every contig of a dataset, and what the parts' own numbers of contigs mean.

    Attributes:
        names: (assembly, contig).
        lengths: in bases; for ready windows, one past the last position that one covers.
        splits: of each; None for those left out.
        numbers: for each part, the index into `names` of its contigs: uint32 [its contigs].
        codes: for each part, the split's number of its contigs, or `DROPPED`: uint8 [the same].
    """

    names: list[tuple[str, str]]
    lengths: list[int]
    splits: list[str | None]
    numbers: list[NDArray[np.uint32]]
    codes: list[NDArray[np.uint8]]


def collect_contigs(config: ConvertConfig, plan: Plan, parts: Sequence[PartInfo]) -> Contigs:
    """Return the table of contigs: those of the assemblies, or those that files of windows name.

    Raises:
        UserError: a contig of ready windows in no split or in two; a pattern that matches none.
    """
    return _of_files(config, plan, parts) if plan.files else _of_assemblies(plan, parts)


def _of_assemblies(plan: Plan, parts: Sequence[PartInfo]) -> Contigs:
    index_of = {contig: index for index, contig in enumerate(plan.contigs)}
    codes = _codes(plan, plan.split_of)
    assemblies = plan.assemblies
    numbers = []
    for source, info in zip(plan.source_of, parts, strict=True):
        own = [index_of[assemblies[source].name, name] for name in info.contigs]
        numbers.append(np.array(own, dtype=np.uint32))
    return Contigs(
        names=plan.contigs,
        lengths=[size for assembly in plan.assemblies for size in assembly.lengths.values()],
        splits=plan.split_of,
        numbers=numbers,
        codes=[codes[each] for each in numbers],
    )


def _of_files(config: ConvertConfig, plan: Plan, parts: Sequence[PartInfo]) -> Contigs:
    length_of: dict[tuple[str, str], int] = {}
    split_of: dict[tuple[str, str], str | None] = {}
    for file, info in zip(plan.files, parts, strict=True):
        for name, end in zip(info.contigs, info.ends, strict=True):
            contig = (file.assembly, name)
            length_of[contig] = max(end, length_of.get(contig, 0))
            split_of.setdefault(contig, file.split)
    names = list(length_of)
    index_of = {contig: index for index, contig in enumerate(names)}
    undecided = [contig for contig in names if split_of[contig] is None]
    excluded: set[int] = set()
    if undecided:
        decided = choose_splits(config, undecided)
        split_of.update(zip(undecided, decided, strict=True))
    else:
        excluded = match_contigs(names, config.exclude, "exclude")
    splits = [None if i in excluded else split_of[contig] for i, contig in enumerate(names)]
    by_contig = _codes(plan, splits)
    numbers, codes = [], []
    for file, info in zip(plan.files, parts, strict=True):
        own = np.array([index_of[file.assembly, name] for name in info.contigs], np.uint32)
        numbers.append(own)
        mine = by_contig[own]
        # The file's own word goes: a contig may stand in files of several splits.
        if file.split is not None:
            mine = np.where(mine == DROPPED, DROPPED, plan.splits.index(file.split))
        codes.append(mine.astype(np.uint8))
    return Contigs(
        names=names, lengths=list(length_of.values()), splits=splits, numbers=numbers, codes=codes
    )


def _codes(plan: Plan, splits: Sequence[str | None]) -> NDArray[np.uint8]:
    number = {split: index for index, split in enumerate(plan.splits)}
    return np.array([DROPPED if s is None else number[s] for s in splits], dtype=np.uint8)
