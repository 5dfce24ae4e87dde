"""Genome + annotation -> windows -> MDS shards + manifest: the whole of a conversion.

A source reads, a windowing cuts, and what comes of a piece of the input is a part, a file that
outlives a kill (`pieces`, `parts`). When all parts are there they are merged: duplicates, caps and
weights are decided over all of them, and rows stream into shards (`merge`). The dataset appears
under its name by one rename: it is there whole, or not at all.
"""

import dataclasses
import logging
import shutil
from contextlib import ExitStack
from pathlib import Path

from glm_composer.conversion.assembly import Assembly, WindowFile
from glm_composer.conversion.config import ConvertConfig
from glm_composer.conversion.files import explain_write_errors, locked, sync
from glm_composer.conversion.genome_file import GenomeFile
from glm_composer.conversion.manifest import Manifest
from glm_composer.conversion.merge import NOT_RECORDED, merge
from glm_composer.conversion.parts import Part
from glm_composer.conversion.pieces import Piece
from glm_composer.conversion.plan import Plan, digest, make_plan, make_tasks
from glm_composer.conversion.pool import available_cores, run
from glm_composer.conversion.splits import match_contigs
from glm_composer.conversion.targets import open_target
from glm_composer.conversion.variants_file import write_variants
from glm_composer.errors import UserError
from glm_composer.progress import progress_bar
from glm_composer.registry import sources, windowings
from glm_composer.sequence import Bytes

_LOG = logging.getLogger(__name__)
# Threads that hash, compress and write shards: more would not be faster, and each holds shards.
_MOST_THREADS = 4


def convert(config: ConvertConfig, progress: bool = True, merge_only: bool = False) -> Path | str:
    """Run a conversion.

    Args:
        config: what to convert, and how.
        progress: show a bar with rate and time left on stderr.
        merge_only: refuse to make parts that are missing.

    Returns:
        What was written: the directory of the dataset, or its s3:// address; the directory of the
        parts, where `config.part` asks for a slice only.

    Raises:
        UserError: whatever is wrong with the configuration, the input or the output; nothing is
            left under the final name. Finished parts stay where the same command can go on.
    """
    target = open_target(config.out)
    with explain_write_errors(target.name):
        target.refuse_occupied()
    found: list[Assembly] | list[WindowFile] = sources.get(config.source.name)(config.source)
    plan = make_plan(config, found, target.work)
    # Only to have its settings checked before any work.
    windowings.get(config.windows.name)(config.windows, list(plan.splits))
    variant_contigs = _check_extras(config, plan)
    with explain_write_errors(target.name):
        plan.directory.mkdir(parents=True, exist_ok=True)
        taken = f"{target.name}: another conversion is writing it; wait for its end"
        with locked(target.work / "lock", shared=config.part is not None, taken=taken):
            dataset = _dataset_path(config, plan)
            # It is there where only its publication was interrupted.
            if config.part is not None or not dataset.exists():
                try:
                    _make_parts(config, plan, progress, merge_only)
                except BaseException:
                    # Another slice may be about to write there.
                    if config.part is None:
                        _remove_if_empty(plan)
                    raise
                if config.part is not None:
                    return plan.directory
                try:
                    _merge(config, plan, variant_contigs, progress)
                except UserError:
                    # Other settings are needed. Slices of an array cost more than one run did.
                    if not merge_only:
                        shutil.rmtree(target.work, ignore_errors=True)
                    raise
            for piece in plan.pieces:
                piece.path.unlink(missing_ok=True)
            target.publish(dataset)
    return config.out if config.out.startswith("s3://") else Path(config.out).expanduser()


def _check_extras(config: ConvertConfig, plan: Plan) -> set[int]:
    """Check what only one whole genome allows; return the contigs that variants are wanted of."""
    assemblies = plan.assemblies
    for key, asked in (
        ("save_genome", config.save_genome),
        ("variants.contigs", bool(config.variants.contigs)),
    ):
        if asked and (len(assemblies) != 1 or assemblies[0].pieces):
            raise UserError(
                f"'{key}' needs one assembly of whole contigs, and source '{config.source.name}' "
                "gives several, or pieces; leave it out"
            )
    return match_contigs(plan.contigs, config.variants.contigs, "variants.contigs")


def _make_parts(config: ConvertConfig, plan: Plan, progress: bool, merge_only: bool) -> None:
    """Make the parts of this slice that are not there yet."""
    number, count = config.slice
    mine = plan.pieces[number::count]
    todo = [piece for piece in mine if not _is_finished(piece)]
    if todo and merge_only:
        raise UserError(
            f"{len(todo)} of {len(mine)} parts are missing in {plan.directory}; run the slices "
            "that make them (part=I/N) with the same settings and inputs first"
        )
    if len(todo) < len(mine):
        _LOG.info("going on: %d of %d parts are finished", len(mine) - len(todo), len(mine))
    unit = "B" if plan.files else "bp"
    size = sum(piece.size for piece in todo)
    with progress_bar("cutting windows", size, unit, progress) as advance:
        run(
            make_tasks(config, plan, todo),
            config.workers or available_cores(),
            lambda piece: advance(piece.size),
        )


def _is_finished(piece: Piece) -> bool:
    try:
        Part(piece.path).check()
    except FileNotFoundError:
        return False
    except (ValueError, TypeError) as error:
        _LOG.warning("%s: damaged (%s); it is made again", piece.path, error)
        piece.path.unlink()
        return False
    return True


def _dataset_path(config: ConvertConfig, plan: Plan) -> Path:
    """Return where the finished dataset waits for its publication, by all of its settings."""
    settings = {k: v for k, v in dataclasses.asdict(config).items() if k not in NOT_RECORDED}
    drawn_by = [(each.name, each.species, each.weight) for each in plan.assemblies]
    content = [settings, drawn_by, plan.split_of, [piece.path.name for piece in plan.pieces]]
    return plan.directory / f"dataset-{digest(content)}"


def _merge(config: ConvertConfig, plan: Plan, variant_contigs: set[int], progress: bool) -> None:
    """Make the dataset's directory among the parts, under its name when it is on the disk."""
    scratch = plan.directory / "merging"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        threads = min(config.workers or available_cores(), _MOST_THREADS)
        windows = sum(Part(piece.path).info.windows for piece in plan.pieces)
        with progress_bar("writing shards", windows, "windows", progress) as advance:
            manifest = merge(config, plan, scratch, threads, advance)
        if config.save_genome or variant_contigs:
            _write_extras(config, plan, variant_contigs, scratch)
        sync(scratch)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    scratch.rename(_dataset_path(config, plan))
    _report(manifest)


def _write_extras(
    config: ConvertConfig, plan: Plan, variant_contigs: set[int], directory: Path
) -> None:
    """Write what needs the genome once more: its copy, and the derived variants."""
    (assembly,) = plan.assemblies
    wanted = {plan.contigs[index][1] for index in variant_contigs}
    kept: dict[str, Bytes] = {}
    with ExitStack() as stack:
        genome = stack.enter_context(GenomeFile(directory)) if config.save_genome else None
        for contig in assembly.contigs():
            if genome is not None:
                genome.write(contig)
            if contig.name in wanted:
                kept[contig.name] = contig.sequence
    if kept:
        write_variants(directory, assembly, kept, config.variants)


def _report(manifest: Manifest) -> None:
    for split, count in manifest.splits.items():
        up_to = "" if count.bases == count.windows * manifest.window_length else "up to "
        bases = f"{count.windows:,} windows of {up_to}{manifest.window_length:,} bases"
        _LOG.info("%s: %s, %.2f Mbp of genome", split, bases, count.covered / 1e6)
        left = (count.duplicates_within, count.duplicates_across, count.thinned)
        if any(left):
            text = "%s: left out %s copies within it, %s of other splits, %s by caps or weights"
            _LOG.info(text, split, *(f"{number:,}" for number in left))


def _remove_if_empty(plan: Plan) -> None:
    """Leave nothing behind where not even one part was finished."""
    if {path.name for path in plan.directory.iterdir()} == {"lock"}:
        shutil.rmtree(plan.directory, ignore_errors=True)
