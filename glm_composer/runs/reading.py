"""A run's directory -> what the index knows of it: settings, status, environment, tags, metrics.

A run of which one file is damaged is still a run: the rest of it is known, and `damaged` says what
is not.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from glm_composer.errors import UserError
from glm_composer.runs.folder import CONFIG, DATA, ENVIRONMENT, EVENTS, STATUS
from glm_composer.runs.metric_log import is_figure
from glm_composer.runs.status import ENDED
from glm_composer.runs.tags import read_tags

SUMMARY = "evaluation/summary.json"

# The most that fits an integer of SQLite; larger ones, which seeds may be, are kept as text.
_LARGEST = 2**63 - 1
_STATUS = (
    *("state", "reason", "message", "code", "host", "pid", "process_start", "ranks"),
    *("started", "heartbeat", "step", "epoch", "progress", "loss", "tokens_per_second"),
    "seconds_left",
)
_ENVIRONMENT = ("host", "ranks", "started", "cores", "parameters", "glm_composer", "python")

Plain = int | float | str


def read_facts(run_dir: Path) -> dict[str, Plain] | None:
    """Read all but the metrics of a run; None where the directory holds no run.

    Returns:
        Values by key. Settings have their dotted keys, lists as JSON, booleans and null as yaml
        spells them; tags are joined by commas under `tag`.
    """
    config = _attempt(lambda: read_yaml(run_dir / CONFIG))
    status = _attempt(lambda: read_json(run_dir / STATUS))
    if config is None and status is None:
        return None
    environment = _attempt(lambda: read_json(run_dir / ENVIRONMENT))
    summary = _attempt(lambda: read_json(run_dir / SUMMARY))
    data = _attempt(lambda: read_json(run_dir / DATA))
    tags = _attempt(lambda: {"tag": ",".join(read_tags(run_dir))})
    found = [each for each in (config, status, environment, summary, data, tags) if each]
    known: dict[str, Any] = {}
    known |= flat(config) if isinstance(config, dict) else {}
    known |= _environment_facts(environment) if isinstance(environment, dict) else {}
    known |= _final_figures(summary) if isinstance(summary, dict) else {}
    # Without a status, which earlier versions did not write: the final evaluation ends a run.
    known["state"] = "finished" if isinstance(summary, dict) else "unknown"
    if isinstance(status, dict):
        known |= {key: status[key] for key in _STATUS if status.get(key) is not None}
    known["started"] = _first_start(run_dir) or known.get("started")
    if isinstance(tags, dict):
        known |= {key: value for key, value in tags.items() if value}
    damaged = [each for each in found if isinstance(each, str)]
    if damaged:
        known["damaged"] = "; ".join(damaged)
    return {key: plain(value) for key, value in known.items() if value is not None}


def is_over(facts: dict[str, Plain]) -> bool:
    """Return whether a run's record says that it has ended."""
    return facts.get("state") in ENDED


def flat(settings: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Return nested settings by dotted keys; None becomes `null`, an empty section `{}`."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{above}{key}.")
        else:
            found[f"{above}{key}"] = plain(value)
    return found


def plain(value: Any) -> Plain:
    """Return a value of yaml or JSON as a number or a text that SQLite can hold."""
    if isinstance(value, bool | list | dict) or value is None:
        value = json.dumps(value, ensure_ascii=False)
    elif isinstance(value, int):
        value = value if abs(value) <= _LARGEST else str(value)
    elif not (isinstance(value, float) and math.isfinite(value)):
        value = str(value)
    # JSON can spell halves of letters, which no file can hold.
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


def _attempt(read: Callable[[], dict[str, Any] | None]) -> dict[str, Any] | str | None:
    """What a file holds, None without one, or what is wrong with it."""
    try:
        return read()
    except UserError as error:
        return str(error)


def read_yaml(path: Path) -> dict[str, Any] | None:
    """Read settings from a yaml file; None without one.

    Raises:
        UserError: they cannot be read, or are no mapping.
    """
    import yaml

    # libyaml takes a millisecond a file, and Python ten.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        content = yaml.load(path.read_bytes(), loader)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        raise UserError(f"{path.name}: cannot be read") from None
    if not isinstance(content, dict):
        raise UserError(f"{path.name}: no settings")
    return content


def read_json(path: Path) -> dict[str, Any] | None:
    """Read an object from a JSON file; None without one.

    Raises:
        UserError: it cannot be read, or is no object.
    """
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError):
        raise UserError(f"{path.name}: cannot be read") from None
    if not isinstance(content, dict):
        raise UserError(f"{path.name}: no JSON object")
    return content


def _environment_facts(environment: dict[str, Any]) -> dict[str, Any]:
    facts = {key: environment.get(key) for key in _ENVIRONMENT}
    packages = environment.get("packages")
    devices = environment.get("devices")
    command = environment.get("command")
    facts["commit"] = environment.get("git_commit")
    facts["changed_files"] = len(environment.get("git_changed_files") or [])
    facts["torch"] = packages.get("torch") if isinstance(packages, dict) else None
    if isinstance(devices, list):
        facts["device"] = str(devices[0]) if devices else "cpu"
    if isinstance(command, list):
        facts["command"] = " ".join(map(str, command))
    return facts


def _final_figures(summary: dict[str, Any]) -> dict[str, Any]:
    """The model's figures of the final evaluation: `final/held_out/loss`, `final/TABLE/METRIC`."""
    found: dict[str, Any] = {}
    held_out, tables = summary.get("held_out"), summary.get("tables")
    if isinstance(held_out, dict):
        found["final/held_out/loss"] = held_out.get("model")
    for name, table in tables.items() if isinstance(tables, dict) else ():
        figures = table.get("figures") if isinstance(table, dict) else None
        of_model = figures.get("model") if isinstance(figures, dict) else None
        for metric, value in of_model.items() if isinstance(of_model, dict) else ():
            found[f"final/{name}/{metric}"] = value
    return {name: value for name, value in found.items() if is_figure(value)}


def _first_start(run_dir: Path) -> str | None:
    """When a run was started for the first time; None where its events do not say."""
    try:
        with (run_dir / EVENTS).open("rb") as file:
            event = json.loads(file.readline())
    except (OSError, ValueError):
        return None
    return str(event.get("time")) if isinstance(event, dict) and event.get("time") else None
