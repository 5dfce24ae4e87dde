"""All parts -> the dataset: decide about windows, stream them into shards, tell what was done."""

import dataclasses
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from glm_composer import __version__
from glm_composer.conversion import manifest as manifests
from glm_composer.conversion.assembly import Assembly
from glm_composer.conversion.config import ConvertConfig
from glm_composer.conversion.contigs import Contigs, collect_contigs
from glm_composer.conversion.coverage import Coverage
from glm_composer.conversion.parts import Part
from glm_composer.conversion.plan import Plan
from glm_composer.conversion.selection import (
    DROPPED,
    Decisions,
    PlacedPart,
    drop_duplicates,
    is_training,
    place,
    thin,
)
from glm_composer.conversion.shards import ShardWriter
from glm_composer.conversion.varying import window_lengths
from glm_composer.errors import UserError
from glm_composer.sequence import ALPHABET_HASH

# Who does the work and where it goes changes no byte of the data, and is no part of its record.
NOT_RECORDED = ("out", "workers", "part")


def merge(
    config: ConvertConfig,
    plan: Plan,
    directory: Path,
    threads: int,
    advance: Callable[[int], None],
) -> manifests.Manifest:
    """Write shards and manifest of the dataset into an existing, empty directory.

    Memory holds a byte a window (9 for ready windows, 17 of varying length), and some shards.

    Args:
        config: what was converted.
        plan: its pieces; all parts must be there.
        directory: where to write.
        threads: how many hash, compress and write shards.
        advance: called with the number of windows that went by.

    Raises:
        UserError: a split has no window.
    """
    parts = place([Part(piece.path) for piece in plan.pieces])
    contigs = collect_contigs(config, plan, [each.part.info for each in parts])
    decisions = _initial_decisions(contigs, parts)
    counts = _leave_out(config, plan, parts, decisions)
    _check_splits(config, plan, parts, decisions)
    _count(parts, decisions, counts)
    held = _write_shards(config, plan, contigs, parts, decisions, directory, threads, advance)
    manifest = _manifest(config, plan, contigs, counts, held)
    manifests.write_manifest(directory, manifest)
    return manifest


def _initial_decisions(contigs: Contigs, parts: Sequence[PlacedPart]) -> Decisions:
    decisions = np.empty(sum(each.part.info.windows for each in parts), dtype=np.uint8)
    for each, codes in zip(parts, contigs.codes, strict=True):
        if len(codes) and (codes == codes[0]).all():
            decisions[each.place] = codes[0]
        elif len(codes):
            decisions[each.place] = codes[each.part.facts()["contig"]]
    return decisions


def _leave_out(
    config: ConvertConfig, plan: Plan, parts: Sequence[PlacedPart], decisions: Decisions
) -> dict[str, dict[str, int]]:
    """Drop duplicates, then what weights and caps leave out; return the counts of each split."""
    counts: dict[str, dict[str, int]] = {split: defaultdict(int) for split in plan.splits}
    if config.deduplicate:
        within, across = drop_duplicates(parts, decisions, plan.splits)
        for index, split in enumerate(plan.splits):
            counts[split]["duplicates_within"] = int(within[index])
            counts[split]["duplicates_across"] = int(across[index])
    by_source: dict[int, list[PlacedPart]] = defaultdict(list)
    for each, number in zip(parts, plan.source_of, strict=True):
        by_source[number].append(each)
    by_species: dict[str, list[PlacedPart]] = defaultdict(list)
    for index, source in enumerate(plan.sources):
        mine = by_source[index]
        if not isinstance(source, Assembly):
            by_species[source.assembly] += mine
            continue
        by_species[source.species or source.name] += mine
        for code, split in enumerate(plan.splits):
            if source.weight < 1 and is_training(split):
                there = sum(int((decisions[each.place] == code).sum()) for each in mine)
                most = round(source.weight * there)
                counts[split]["thinned"] += thin(mine, decisions, code, most, draw=0)
    for code, split in enumerate(plan.splits):
        if split in config.caps:
            for mine in by_species.values():
                counts[split]["thinned"] += thin(mine, decisions, code, config.caps[split], draw=1)
    return counts


def _check_splits(
    config: ConvertConfig, plan: Plan, parts: Sequence[PlacedPart], decisions: Decisions
) -> None:
    # Part by part: numpy makes eight bytes of each to count them.
    windows = np.zeros(DROPPED + 1, dtype=np.int64)
    for each in parts:
        windows += np.bincount(decisions[each.place], minlength=DROPPED + 1)
    empty = [split for split, count in zip(plan.splits, windows, strict=False) if not count]
    if not empty:
        return
    which = f"no window in '{empty[0]}'" if windows[:DROPPED].any() else "no window at all"
    if plan.contigs and empty[0] not in plan.split_of:
        raise UserError(
            f"no window in '{empty[0]}': none of the {len(plan.contigs):,} contigs falls to it; "
            "check 'splits', or draw otherwise with 'split_seed' or 'split_by'"
        )
    if windows[DROPPED]:
        raise UserError(
            f"{which}: {windows[DROPPED]:,} windows were left out as duplicates of others, by "
            "'exclude', caps or weights; check 'splits', or set deduplicate=false"
        )
    infos = [each.part.info for each in parts]
    longest = max((info.longest for info in infos), default=0)
    known = sum(info.transcripts for info in infos)
    coding = ", of which 'windows.coding_only' takes those with a CDS"
    raise UserError(
        f"{which}: windowing '{config.windows.name}' cuts {config.windows.length:,} bases each, "
        f"the longest contig has {longest:,}, and the source has {known:,} transcripts"
        f"{coding if getattr(config.windows, 'coding_only', False) else ''}; "
        "check 'windows.length', 'splits' and the annotation"
    )


def _count(
    parts: Sequence[PlacedPart], decisions: Decisions, counts: dict[str, dict[str, int]]
) -> None:
    for each in parts:
        facts = each.part.facts()
        for index, count in enumerate(counts.values()):
            mine = facts[decisions[each.place] == index]
            count["windows"] += len(mine)
            for key in ("soft_masked", "unknown"):
                count[key] += int(mine[key].sum(dtype=np.int64))


def _write_shards(
    config: ConvertConfig,
    plan: Plan,
    contigs: Contigs,
    parts: Sequence[PlacedPart],
    decisions: Decisions,
    directory: Path,
    threads: int,
    advance: Callable[[int], None],
) -> list[Coverage]:
    """Write the windows of every split in the order of the parts; return what they cover."""
    form = config.shard_format
    covered = [Coverage(in_order=not plan.files) for _ in plan.splits]
    with ThreadPoolExecutor(threads) as pool:
        writers = [
            ShardWriter(directory / split, form, threads=pool, most_ahead=threads + 1)
            for split in plan.splits
        ]
        for each, numbers in zip(parts, contigs.numbers, strict=True):
            here = decisions[each.place]
            for place_in_part, rows in each.part.blocks():
                rows["contig"] = numbers[rows["contig"]]
                wanted = here[place_in_part]
                for index, (writer, count) in enumerate(zip(writers, covered, strict=True)):
                    mine = rows if (wanted == index).all() else rows[wanted == index]
                    lengths = window_lengths(mine["sequence"]) if form.varying else form.length
                    count.add(mine["contig"], mine["start"], lengths)
                    writer.write(mine)
                advance(len(rows))
        for writer in writers:
            writer.finish()
    return covered


def _manifest(
    config: ConvertConfig,
    plan: Plan,
    contigs: Contigs,
    counts: dict[str, dict[str, int]],
    held: Sequence[Coverage],
) -> manifests.Manifest:
    parameters = dataclasses.asdict(config)
    files = [(each.name, file) for each in plan.assemblies for file in each.files]
    files += [(each.assembly, each.file) for each in plan.files]
    table = zip(contigs.names, contigs.lengths, contigs.splits, strict=True)
    species_of = {each.name: each.species for each in plan.assemblies}
    return manifests.Manifest(
        format_version=manifests.FORMAT_VERSION,
        name=config.name,
        window_length=config.windows.length,
        alphabet_hash=ALPHABET_HASH,
        code_version=__version__,
        created=_now().isoformat(timespec="seconds"),
        parameters={k: v for k, v in parameters.items() if k not in NOT_RECORDED},
        sources=[
            manifests.ManifestSource(assembly=assembly, **dataclasses.asdict(file))
            for assembly, file in files
        ],
        contigs=[
            manifests.ManifestContig(
                assembly=assembly,
                name=name,
                length=size,
                split=split,
                species=species_of.get(assembly),
            )
            for (assembly, name), size, split in table
        ],
        splits={
            split: manifests.SplitCounts(bases=mine.bases, covered=mine.finish(), **count)
            for (split, count), mine in zip(counts.items(), held, strict=True)
        },
    )


def _now() -> datetime:
    """The time, or SOURCE_DATE_EPOCH's, which makes two conversions equal to the last byte."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.now(UTC) if epoch is None else datetime.fromtimestamp(int(epoch), UTC)
