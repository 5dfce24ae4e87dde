"""What `glm jobs set` may change in a running job, and to what."""

from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from glm_composer.errors import UserError
from glm_composer.runs.events import EVENTS, read_events
from glm_composer.runs.folder import CONFIG

LR_SCALE = "lr_scale"
EVAL_INTERVAL = "eval_interval"
SAVE_INTERVAL = "save_interval"
# Beyond it a mistyped value is likelier than a meant one.
_LARGEST_SCALE = 100.0


@dataclass(frozen=True, kw_only=True)
class Change:
    """A value changed while a run went on.

    Attributes:
        key: what.
        value: since then, as text.
        configured: what the settings said at that moment, as text; where they say something else
            now, they count.
        step: batches done at that moment.
    """

    key: str
    value: str
    configured: str
    step: int


def table_interval(name: str) -> str:
    """Return the key of the interval of the variant table `name`."""
    return f"evaluation.tables.{name}.interval"


def keys_of(run_dir: Path) -> list[str]:
    """Return the keys that can be changed in a run, from its settings.

    Raises:
        UserError: they cannot be read.
    """
    path = run_dir / CONFIG
    try:
        settings = yaml.safe_load(path.read_text())
        tables = list(settings["evaluation"]["tables"])
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, LookupError):
        raise UserError(f"{path}: missing, or no settings of a run") from None
    return [LR_SCALE, EVAL_INTERVAL, SAVE_INTERVAL, *map(table_interval, tables)]


def check_change(key: str, value: str, keys: Collection[str]) -> str:
    """Return the value in the one form that it has in records.

    Args:
        key: to change.
        value: to give it.
        keys: those that can be changed.

    Raises:
        UserError: the key is none of them, or the value is none for it.
    """
    if key not in keys:
        close = get_close_matches(key, keys, 1)
        meant = f"; did you mean '{close[0]}'?" if close else ""
        raise UserError(f"'{key}' cannot be set{meant} (can be: {', '.join(keys)})")
    if key == LR_SCALE:
        try:
            scale = float(value)
        except ValueError:
            scale = 0.0
        if not 0 < scale <= _LARGEST_SCALE:
            raise UserError(f"{key} '{value}': expected a number above 0, up to 100, like 0.5")
        return repr(scale)
    # Imported late: it takes longer than every other request.
    from glm_composer.config.values import Interval

    try:
        return TypeAdapter(Interval).validate_python(value)
    except ValidationError:
        raise UserError(f"{key} '{value}': expected an interval like 500ba or 1ep") from None


def set_since(run_dir: Path, step: int) -> list[Change]:
    """Return what was set in a run from batch `step` on, by its events, in their order.

    A run that goes on from an earlier checkpoint makes those changes again. One that was made
    later at an earlier batch counts instead of them; a run that starts afresh knows none.

    Raises:
        UserError: the events cannot be read.
    """
    found: list[Change] = []
    for event in read_events(run_dir):
        if event["event"] == "started" and not event.get("resumed_from"):
            found = []
        if event["event"] != "request" or event.get("kind") != "set" or not event.get("done"):
            continue
        missing = [name for name in Change.__dataclass_fields__ if name not in event]
        if missing:
            raise UserError(
                f"{run_dir / EVENTS}: what was set at {event['time']} has no {missing[0]}; mend "
                "or remove that line"
            )
        change = Change(**{name: event[name] for name in Change.__dataclass_fields__})
        found = [each for each in found if each.key != change.key or each.step < change.step]
        found.append(change)
    return [each for each in found if each.step >= step > 0]
