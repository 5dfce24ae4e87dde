"""The report as one HTML file: no script, no address outside it, the same in ten years."""

from datetime import datetime
from pathlib import Path

from glm_composer.report.document import document, replace_text
from glm_composer.report.held_out import held_out_section, held_out_verdict
from glm_composer.report.markup import Child, Markup, join, tag
from glm_composer.report.numbers import number
from glm_composer.report.provenance import (
    configuration_section,
    data_section,
    environment_section,
)
from glm_composer.report.record import MODEL, Run, read_run
from glm_composer.report.training import training_section, typical_throughput
from glm_composer.report.variants import best_auprc, counts, variant_section

FILE_NAME = "report.html"


def write_report(run_dir: Path) -> Path:
    """Write `report.html` into a run's directory, replacing an earlier one at once.

    Args:
        run_dir: as training or `glm evaluate` leaves it; only config.yaml must be there.

    Returns:
        The report's path.

    Raises:
        UserError: no run there, a damaged file in it, or the report cannot be written.
    """
    path = Path(run_dir) / FILE_NAME
    replace_text(path, page(read_run(run_dir)))
    return path


def page(run: Run) -> str:
    """Return the report of a run as HTML."""
    return document(run.name, header(run), body(run))


def body(run: Run) -> list[Child]:
    """Return the sections of a run's report, headline first."""
    return [
        tag("div", _headline(run), class_="keys"),
        _missing(run),
        training_section(run),
        held_out_section(run),
        [variant_section(run, scored) for scored in run.tables],
        data_section(run),
        configuration_section(run),
        environment_section(run),
    ]


def header(run: Run) -> Markup:
    """Return a run's name, when it started, its commit and its length."""
    environment = run.environment
    commit = environment.get("git_commit")
    changed = len(environment.get("git_changed_files") or [])
    parts: list[Child] = []
    if environment.get("started"):
        parts.append(f"started {_date(str(environment['started']))}")
    if commit:
        dirty = f" with {changed} changed file{'s' if changed > 1 else ''}" if changed else ""
        parts.append(join("git commit ", tag("code", str(commit)[:12], title=commit), dirty))
    elif environment:
        parts.append("git commit unknown")
    if run.metrics:
        wanted = run.setting("max_duration")
        parts.append(f"{number(run.metrics[-1]['step'], 0)} steps (max_duration {wanted})")
    if environment.get("glm_composer"):
        parts.append(f"glm_composer {environment['glm_composer']}")
    line = [(" · " if i else None, part) for i, part in enumerate(parts)]
    return tag("header", tag("h1", f"Run {run.name}"), tag("p", line))


def _date(written: str) -> str:
    try:
        return datetime.fromisoformat(written).strftime("%Y-%m-%d %H:%M %Z").strip()
    except ValueError:
        return written


def _headline(run: Run) -> list[Markup]:
    keys = []
    if run.held_out:
        nats = run.held_out.nats[MODEL]
        keys.append(
            _key(
                f"Held-out loss, {run.held_out.split} split",
                number(nats, 4),
                "nats per base",
                f"{held_out_verdict(run.held_out)}.",
                "Lower is better.",
            )
        )
    for scored in run.tables:
        figures = scored.figures[MODEL]
        keys.append(
            _key(
                f"Zero-shot AUPRC, {scored.name}",
                number(figures["auprc"], 3),
                f"± {number(figures['auprc_se'], 3)} SE",
                f"{best_auprc(scored)}; base rate {number(figures['base_rate'], 3)}.",
                f"{counts(scored).partition(', base')[0]}.",
            )
        )
    speed, logged = typical_throughput(run)
    if logged:
        keys.append(
            _key(
                "Training throughput",
                number(speed, 0),
                "bases/s",
                _windows_per_second(run, speed),
                f"Median over {number(logged, 0)} steps; {_machine(run)}.",
            )
        )
    return keys


def _key(name: str, figure: str, unit: str, *lines: str | None) -> Markup:
    value = tag("b", figure, " ", tag("small", unit))
    said = [tag("p", line[0].upper() + line[1:]) for line in lines if line]
    return tag("div", tag("h2", name), value, said, class_="key")


def _windows_per_second(run: Run, speed: float) -> str | None:
    length = run.setting("data.window") or (run.manifest and run.manifest.window_length)
    if not length:
        return None
    return f"{number(speed / length, 0)} windows of {length} bases a second."


def _machine(run: Run) -> str:
    devices = run.environment.get("devices") or []
    cores, ranks = run.environment.get("cores"), run.environment.get("ranks") or 1
    where = f"{cores} CPU cores" if cores else "machine unknown"
    if devices:
        where = ", ".join(f"{devices.count(name)} x {name}" for name in dict.fromkeys(devices))
    return f"{ranks} ranks, {where}" if ranks > 1 else where


def _missing(run: Run) -> Markup | None:
    if not run.missing:
        return None
    listed = tag("ul", [tag("li", sentence) for sentence in run.missing])
    return tag("div", tag("strong", "Not in this report"), listed, class_="note")
