"""Where a run comes from: its data, its configuration, its environment."""

from typing import Any

from glm_composer.conversion.manifest import Manifest, ManifestContig
from glm_composer.report.blocks import facts, folded, section, table
from glm_composer.report.markup import Child, Markup, tag
from glm_composer.report.numbers import number
from glm_composer.report.record import Run

# Longer lists are folded; contigs of a draft assembly are only counted.
_OPEN_ROWS = 12
_LISTED_CONTIGS = 1_000


def data_section(run: Run) -> Markup | None:
    """The dataset's manifest: sources, splits, contigs; None where it is gone."""
    manifest = run.manifest
    if manifest is None:
        return None
    started = str(run.environment.get("started", ""))
    late = (
        tag(
            "p",
            f"This dataset was made at {manifest.created}, after the run was started at "
            f"{started}: the run may have been trained on another.",
            class_="note",
        )
        if started and manifest.created > started
        else None
    )
    return section(
        "Data",
        late,
        facts(
            [
                ("dataset", f"{manifest.name}, in {run.setting('data.path')}"),
                ("windows", f"{number(manifest.window_length, 0)} bases"),
                ("made", f"{manifest.created}, glm_composer {manifest.code_version}"),
                ("alphabet", tag("code", manifest.alphabet_hash)),
            ]
        ),
        tag("h3", "Splits"),
        _splits(manifest),
        tag("h3", "Sources"),
        _sources(manifest),
        _contigs(manifest.contigs),
    )


def _splits(manifest: Manifest) -> Markup:
    rows = []
    for name, split in manifest.splits.items():
        contigs = [contig for contig in manifest.contigs if contig.split == name]
        rows.append(
            (
                name,
                number(len(contigs), 0),
                number(sum(contig.length for contig in contigs), 0),
                number(split.windows, 0),
                number(split.bases, 0),
                number(split.covered, 0),
                _percent(split.soft_masked, split.bases),
                _percent(split.unknown, split.bases),
            )
        )
    header = (
        "split",
        "contigs",
        "their length, bp",
        "windows",
        "bases in windows",
        "distinct, bp",
        "soft-masked",
        "unknown",
    )
    return table(header, rows)


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "n/a"


def _sources(manifest: Manifest) -> Markup:
    rows = [
        (
            source.assembly,
            source.file,
            " ".join(filter(None, (source.package, source.version))) or "n/a",
            source.licence or "not recorded",
            tag("code", source.sha256, class_="hash"),
            number(source.bytes, 0),
        )
        for source in manifest.sources
    ]
    header = ("assembly", "file", "package", "licence", "SHA-256", "bytes")
    drawn = table(header, rows, words=5)
    return folded(f"{number(len(rows), 0)} files", drawn) if len(rows) > _OPEN_ROWS else drawn


def _contigs(contigs: list[ManifestContig]) -> Markup:
    count = number(len(contigs), 0)
    if len(contigs) > _LISTED_CONTIGS:
        return tag("p", f"{count} contigs; the dataset's manifest.json lists them.")
    rows = [
        (c.assembly, c.name, "left out" if c.split is None else c.split, number(c.length, 0))
        for c in contigs
    ]
    listed = table(("assembly", "contig", "split", "length, bp"), rows, words=3)
    return folded(f"{count} contigs", listed)


def configuration_section(run: Run) -> Markup:
    """The resolved settings, as the run wrote them."""
    return section(
        "Configuration", folded("Resolved configuration, config.yaml", tag("pre", run.config_text))
    )


def environment_section(run: Run) -> Markup | None:
    """Command, versions and machine; None where they are unknown."""
    if not run.environment:
        return None
    environment = run.environment
    changed = environment.get("git_changed_files") or []
    packages = environment.get("packages") or {}
    plain = {
        key: value
        for key, value in environment.items()
        if key not in ("git_changed_files", "packages")
    }
    return section(
        "Environment",
        folded(
            "Machine and versions, environment.json",
            facts((key.replace("_", " "), _plain(value)) for key, value in plain.items()),
        ),
        folded(f"{len(packages)} packages", _lines(f"{k} {v}" for k, v in packages.items()))
        if packages
        else None,
        folded(f"{len(changed)} files changed since the commit", _lines(changed))
        if changed
        else None,
    )


def _plain(value: Any) -> Child:
    if value is None:
        return "unknown"
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return str(value)


def _lines(lines: Any) -> Markup:
    return tag("pre", "\n".join(map(str, lines)), class_="columns")
