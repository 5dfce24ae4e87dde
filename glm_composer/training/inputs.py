"""What a run reads, checked before anything heavy is imported or done: no torch, no Composer."""

from pathlib import Path

from glm_composer.config import Config
from glm_composer.conversion.manifest import read_manifest
from glm_composer.errors import UserError
from glm_composer.evaluation.baselines import NAMES as BASELINES
from glm_composer.evaluation.table import VariantWindows, check_rankable, load_variant_windows

CONFIG_FILE = "config.yaml"
LATEST = "latest-rank0.pt"
# Directory beside the checkpoints that holds the one being written.
ASIDE = "partial"


def check_data(config: Config) -> int:
    """Check that the dataset is there and fits; return the number of bases a model sees.

    Raises:
        UserError: what is missing and the command that makes it, or the key that does not fit.
    """
    path = Path(config.data.path)
    if not path.exists():
        known = Path("yamls/convert") / f"{path.name}.yaml"
        recipe = str(known) if known.exists() else f"YAML out={path}"
        raise UserError(
            f"data.path '{path}': no dataset there; make it with "
            f"`python convert/to_mds.py {recipe}`"
        )
    manifest = read_manifest(path)
    window = config.data.window or manifest.window_length
    if window > manifest.window_length:
        raise UserError(
            f"data.window ({window}) is longer than the windows of {path}, which have "
            f"{manifest.window_length} bases"
        )
    for key, split in (
        ("data.train_split", config.data.train_split),
        ("data.eval_split", config.data.eval_split),
        ("evaluation.report_split", config.evaluation.report_split),
    ):
        if split not in manifest.splits:
            raise UserError(f"{key} '{split}': {path} has the splits {', '.join(manifest.splits)}")
    return window


def load_tables(config: Config, window: int) -> dict[str, VariantWindows]:
    """Read every variant table of a run, with windows of its own width or else `window`."""
    tables = {}
    for name, table in config.evaluation.tables.items():
        tables[name] = load_variant_windows(
            table.variants, table.genome, table.window or window, table.allow_mismatch
        )
        # Scores are written beside the table's own columns.
        taken = sorted({"model", *BASELINES} & set(tables[name].table.columns))
        if taken:
            raise UserError(
                f"{table.variants}: column '{taken[0]}' is named as a predictor whose scores are "
                "written beside it; rename it"
            )
        for key in ("chroms", "report_chroms"):
            where = f"evaluation.tables.{name}.{key}"
            check_rankable(tables[name], getattr(table, key), table.variants, where)
    return tables


def find_checkpoint(path: Path) -> tuple[Path, Path]:
    """Return a checkpoint file and the directory of its run.

    Args:
        path: a file in a run's `checkpoints`, or the run's directory for its latest.

    Raises:
        UserError: there is none, or it does not lie in a run.
    """
    if path.is_dir():
        path = path / "checkpoints" / LATEST
    if not path.exists():
        raise UserError(f"{path}: no such checkpoint")
    path = path.resolve()
    run_dir = path.parent.parent
    if not (run_dir / CONFIG_FILE).exists():
        raise UserError(f"{path}: not in a run's checkpoints: {run_dir / CONFIG_FILE} is missing")
    return path, run_dir
