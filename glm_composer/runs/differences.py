"""What is not the same in two records: settings, code, data, machine, packages, figures."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glm_composer.columns import print_columns
from glm_composer.errors import UserError
from glm_composer.runs.folder import CHANGES, CONFIG, DATA, ENVIRONMENT
from glm_composer.runs.reading import flat, read_json, read_yaml

ABSENT = "-"

# Never the same, or told elsewhere.
_NO_MATTER = (
    *("started", "command", "seed", "packages", "git_commit", "git_changed_files", "git_diff"),
    "parameters",
    # Of settings and data.
    "window",
)
# Of what a batch system sets, only this changes what is computed; places and numbers of jobs and
# ranks are never the same.
_COMPUTING = ("OMP_", "MKL_", "CUDA_", "CUBLAS_", "NCCL_", "TORCH_")
# Names of a run and its place.
_OWN = ("run_name", "runs_dir")


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a run leaves about itself before it trains.

    Attributes:
        settings: by dotted keys.
        environment: of environment.json, without packages and code.
        packages: version by name.
        code: git commit, and the changes since as one text.
        data: of data.json, by dotted keys; None where the run has none.
    """

    settings: dict[str, Any]
    environment: dict[str, Any]
    packages: dict[str, Any]
    code: dict[str, Any]
    data: dict[str, Any] | None


@dataclass(frozen=True)
class Difference:
    """Something that two records do not agree on.

    Attributes:
        part: settings, code, data, environment or packages.
        key: within that part.
        left: its value in the first record, `-` if it has none.
        right: its value in the second.
    """

    part: str
    key: str
    left: str
    right: str


def read_record(run_dir: Path) -> Record:
    """Read a run's record.

    Raises:
        UserError: there is none, or a file of it is damaged.
    """
    config = read_yaml(run_dir / CONFIG)
    if config is None:
        raise UserError(f"{run_dir / CONFIG}: no such file; was the run ever started?")
    environment = read_json(run_dir / ENVIRONMENT) or {}
    try:
        changes = (run_dir / CHANGES).read_text(errors="replace")
    except FileNotFoundError:
        changes = ""
    data = read_json(run_dir / DATA)
    return record(config, environment, changes, data)


def record(
    config: Mapping[str, Any],
    environment: Mapping[str, Any],
    changes: str,
    data: Mapping[str, Any] | None,
) -> Record:
    """Return a record of what its files hold: config.yaml, environment.json and so on."""
    machine = {key: value for key, value in environment.items() if key not in _NO_MATTER}
    variables = machine.pop("variables", None) or {}
    machine |= {key: value for key, value in variables.items() if key.startswith(_COMPUTING)}
    # A letter or two, a blank and the file, as `git status --porcelain` has them.
    changed = [line.split()[-1] for line in environment.get("git_changed_files") or [] if line]
    return Record(
        settings=flat(dict(config)),
        environment=flat(machine),
        packages=dict(environment.get("packages") or {}),
        code={
            "commit": environment.get("git_commit") or "unknown",
            "changed files": " ".join(changed) or "none",
            "changes": changes,
        },
        data=None if data is None else flat(dict(data)),
    )


def differences(left: Record, right: Record) -> list[Difference]:
    """Return all that two records do not agree on, apart from names of runs."""
    parts: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = [
        ("settings", left.settings, right.settings),
        ("code", left.code, right.code),
        ("environment", left.environment, right.environment),
        ("packages", left.packages, right.packages),
    ]
    # Of a run that did not write its data down, nothing can be said.
    if left.data is not None and right.data is not None:
        parts.insert(2, ("data", left.data, right.data))
    return [Difference(part, *each) for part, a, b in parts for each in _differing(a, b)]


def print_differences(found: list[Difference], left: str, right: str) -> None:
    """Print differences as a table, a part after the other."""
    rows = [[each.part, each.key, _short(each.left), _short(each.right)] for each in found]
    print_columns(("", "key", left, right), rows, words=4)


def _differing(
    left: Mapping[str, Any], right: Mapping[str, Any]
) -> Iterator[tuple[str, str, str]]:
    for key in dict.fromkeys([*left, *right]):
        if key in _OWN:
            continue
        if key == "changes":
            if left[key] != right[key]:
                yield key, _lines(left[key]), _lines(right[key])
            continue
        a, b = left.get(key, ABSENT), right.get(key, ABSENT)
        if a != b:
            yield key, _text(a), _text(b)


def _lines(changes: str) -> str:
    lines = [line for line in changes.split("\n") if line[:1] in ("+", "-")]
    count = sum(not line.startswith(("+++", "---")) for line in lines)
    return f"{count} changed lines" if changes else "none"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _short(text: str) -> str:
    # Hashes and lists of files are told apart by their beginnings.
    return text if len(text) <= 48 else f"{text[:45]}..."
