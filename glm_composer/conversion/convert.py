"""Genome + annotation -> windows -> MDS shards + manifest: the whole of a conversion.

A source reads, a windowing cuts, a writer a split takes the tables. One contig is in memory at a
time. All is written into a sibling directory and renamed at the end: a dataset is there whole, or
not at all.
"""

import dataclasses
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from glm_composer import __version__
from glm_composer.conversion import manifest as manifests
from glm_composer.conversion.assembly import Assembly, Contig
from glm_composer.conversion.config import ConvertConfig
from glm_composer.conversion.files import explain_write_errors, refuse_occupied, written_aside
from glm_composer.conversion.genome_file import GenomeFile
from glm_composer.conversion.progress import contigs_with_progress
from glm_composer.conversion.shards import ShardWriter, cut
from glm_composer.conversion.splits import assign_splits, match_contigs
from glm_composer.conversion.variants_file import write_variants
from glm_composer.conversion.windowings import Cut
from glm_composer.conversion.windows import covered
from glm_composer.errors import UserError
from glm_composer.registry import sources, windowings
from glm_composer.sequence import ALPHABET_HASH, UNK, Bytes, encode, is_soft_masked

_LOG = logging.getLogger(__name__)
# Windows cut at a time: a few MiB, whatever the contig's length.
_BLOCK = 8192


def convert(config: ConvertConfig, progress: bool = True) -> Path:
    """Run a conversion and return the directory of the dataset.

    Args:
        config: what to convert, and how.
        progress: show a bar with rate and time left on stderr.

    Raises:
        UserError: whatever is wrong with the configuration, the input or the output; nothing is
            left under the final name, nor beside it.
    """
    out = Path(config.out).expanduser()
    with explain_write_errors(out):
        refuse_occupied(out)
    windowing = windowings.get(config.windows.name)(config.windows, list(config.splits))
    assemblies: list[Assembly] = sources.get(config.source.name)(config.source)
    _check_sources(config, assemblies)
    contigs = [(assembly.name, name) for assembly in assemblies for name in assembly.lengths]
    split_of = assign_splits(contigs, config.splits, config.exclude)
    variant_contigs = match_contigs(contigs, config.variants.contigs, "variants.contigs")

    with explain_write_errors(out), written_aside(out) as directory:
        writers = {
            split: _SplitWriter(directory / split, config.windows.length, config.shard_bytes)
            for split in config.splits
        }
        kept: dict[str, Bytes] = {}
        index_of = {contig: index for index, contig in enumerate(contigs)}
        with ExitStack() as stack:
            genome = stack.enter_context(GenomeFile(directory)) if config.save_genome else None
            for assembly, contig in stack.enter_context(
                contigs_with_progress(assemblies, progress)
            ):
                index = index_of[assembly.name, contig.name]
                if genome is not None:
                    genome.write(contig)
                if index in variant_contigs:
                    kept[contig.name] = contig.sequence
                split = split_of[index]
                if split is not None:
                    transcripts = assembly.transcripts.get(contig.name, ())
                    writers[split].write(contig, index, windowing(contig, transcripts, split))
        counts = {split: writer.finish() for split, writer in writers.items()}
        _check_windows(config, assemblies, counts, writers)
        if kept:
            write_variants(directory, assemblies[0], kept, config.variants)
        manifests.write_manifest(directory, _manifest(config, assemblies, split_of, counts))
    for split, count in counts.items():
        bases = f"{count.windows:,} windows of {config.windows.length:,} bases"
        _LOG.info("%s: %s, %.2f Mbp of genome", split, bases, count.covered / 1e6)
    return out


def _check_sources(config: ConvertConfig, assemblies: Sequence[Assembly]) -> None:
    names = [assembly.name for assembly in assemblies]
    if len(set(names)) < len(names):
        raise UserError(f"two assemblies of one name among {', '.join(names)}; rename one")
    for key, asked in (
        ("save_genome", config.save_genome),
        ("variants.contigs", bool(config.variants.contigs)),
    ):
        if asked and (len(assemblies) > 1 or assemblies[0].pieces):
            raise UserError(
                f"'{key}' needs one assembly of whole contigs, and source '{config.source.name}' "
                "gives several, or pieces; leave it out"
            )


class _SplitWriter:
    """The shards of one split, and the counts of what went into them."""

    def __init__(self, directory: Path, length: int, shard_bytes: int):
        self._length = length
        self._shards = ShardWriter(directory, length, shard_bytes)
        self._windows = self._soft_masked = self._unknown = self._covered = 0
        self.longest = 0

    def write(self, contig: Contig, index: int, chosen: Cut) -> None:
        self.longest = max(self.longest, len(contig.sequence))
        self._covered += covered(chosen.starts, self._length)
        for first in range(0, len(chosen.starts), _BLOCK):
            starts = chosen.starts[first : first + _BLOCK]
            table = cut(chosen.sequence, starts, self._length, contig=index, offset=contig.start)
            self._windows += len(table)
            self._soft_masked += int(is_soft_masked(table["sequence"]).sum())
            self._unknown += int((encode(table["sequence"]) == UNK).sum())
            self._shards.write(table)

    def finish(self) -> manifests.SplitCounts:
        self._shards.finish()
        return manifests.SplitCounts(
            windows=self._windows,
            bases=self._windows * self._length,
            soft_masked=self._soft_masked,
            unknown=self._unknown,
            covered=self._covered,
        )


def _check_windows(
    config: ConvertConfig,
    assemblies: Sequence[Assembly],
    counts: dict[str, manifests.SplitCounts],
    writers: dict[str, _SplitWriter],
) -> None:
    empty = [split for split, count in counts.items() if not count.windows]
    if not empty:
        return
    which = "no window at all" if len(empty) == len(counts) else f"no window in '{empty[0]}'"
    longest = max(writers[split].longest for split in empty)
    known = sum(len(ts) for assembly in assemblies for ts in assembly.transcripts.values())
    raise UserError(
        f"{which}: windowing '{config.windows.name}' cuts {config.windows.length:,} bases each, "
        f"the longest contig there has {longest:,}, and the source has {known:,} transcripts; "
        "check 'windows.length', 'splits' and the annotation"
    )


def _manifest(
    config: ConvertConfig,
    assemblies: Sequence[Assembly],
    split_of: Sequence[str | None],
    counts: dict[str, manifests.SplitCounts],
) -> manifests.Manifest:
    lengths = [(a.name, name, size) for a in assemblies for name, size in a.lengths.items()]
    return manifests.Manifest(
        format_version=manifests.FORMAT_VERSION,
        name=config.name,
        window_length=config.windows.length,
        alphabet_hash=ALPHABET_HASH,
        code_version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        parameters=dataclasses.asdict(config),
        sources=[
            manifests.ManifestSource(assembly=assembly.name, **dataclasses.asdict(file))
            for assembly in assemblies
            for file in assembly.files
        ],
        contigs=[
            manifests.ManifestContig(assembly=assembly, name=name, length=size, split=split)
            for (assembly, name, size), split in zip(lengths, split_of, strict=True)
        ],
        splits=counts,
    )
