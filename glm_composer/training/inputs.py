"""What a run reads, checked before anything heavy is imported or done: no torch, no Composer."""

from pathlib import Path

from glm_composer.config import Config, DataConfig, StreamConfig
from glm_composer.conversion.manifest import FILE_NAME, Manifest, read_manifest
from glm_composer.data.cache import bring_file
from glm_composer.data.columns import check_split
from glm_composer.data.remote import Remote
from glm_composer.data.shards import Shards
from glm_composer.errors import UserError
from glm_composer.training.checkpoint_folder import LATEST, list_checkpoints

CONFIG_FILE = "config.yaml"
# By it a GPN checkpoint directory is told from a run's.
GPN_CONFIG = "config.json"


def check_data(config: Config) -> int:
    """Check that the dataset is there and fits; return the number of bases a model sees.

    Raises:
        UserError: what is missing and the command that makes it, or the key that does not fit.
    """
    manifest = _manifest(config, config.data, "data")
    window = config.data.window or manifest.window_length
    _check_length(config.data.path, manifest, window)
    lengths: dict[str, int] = {}
    for name, stream in config.data.streams.items():
        key = f"data.streams.{name}"
        mixed = _manifest(config, stream, key)
        lengths[stream.path] = mixed.window_length
        _check_length(stream.path, mixed, window)
        if stream.split not in mixed.splits:
            splits = ", ".join(mixed.splits)
            raise UserError(f"{key}.split '{stream.split}': {stream.path} has the splits {splits}")
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{path} {length}" for path, length in lengths.items())
        raise UserError(f"data.streams: windows must be of one length; bases stored: {found}")
    for key, split in (
        ("data.train_split", config.data.train_split),
        ("data.eval_split", config.data.eval_split),
        ("evaluation.report_split", config.evaluation.report_split),
    ):
        if split not in manifest.splits:
            splits = ", ".join(manifest.splits)
            raise UserError(f"{key} '{split}': {config.data.path} has the splits {splits}")
    return window


def open_split(config: Config, split: str, stream: StreamConfig | None = None) -> Shards:
    """Open a split of a run's dataset, or of one of its streams.

    Raises:
        UserError: it cannot be read, or is not what the manifest says.
    """
    data, where = config.data, stream or config.data
    shards = Shards(
        Path(where.path) / split,
        remote=f"{where.remote.rstrip('/')}/{split}" if where.remote else None,
        cache_limit=data.cache_limit,
        validate_hash=data.validate_hash,
        download_retry=data.download_retry,
        download_timeout=data.download_timeout,
    )
    manifest = read_manifest(where.path)
    check_split(shards.path, manifest.splits[split].windows, manifest.window_length)
    return shards


def _manifest(config: Config, where: DataConfig | StreamConfig, key: str) -> Manifest:
    path = Path(where.path)
    if where.remote:
        data = config.data
        remote = Remote(where.remote, data.download_retry, data.download_timeout)
        bring_file(path, FILE_NAME, remote)
    if not path.exists():
        known = Path("yamls/convert") / f"{path.name}.yaml"
        recipe = str(known) if known.exists() else f"YAML out={path}"
        raise UserError(
            f"{key}.path '{path}': no dataset there; make it with "
            f"`python convert/to_mds.py {recipe}`"
        )
    return read_manifest(path)


def _check_length(path: str, manifest: Manifest, window: int) -> None:
    if window > manifest.window_length:
        raise UserError(
            f"data.window ({window}) is longer than the windows of {path}, which have "
            f"{manifest.window_length} bases"
        )


def check_init(config: Config) -> None:
    """Check that the weights to start from are there, unless the run goes on from its own.

    Raises:
        UserError: they are not.
    """
    if config.init_from and not list_checkpoints(config.run_dir / "checkpoints"):
        find_weights(Path(config.init_from))


def find_weights(path: Path) -> Path:
    """Return the checkpoint, the weights file or the GPN directory that a path stands for.

    Args:
        path: one of them, or a run's directory for its latest checkpoint.

    Raises:
        UserError: there is none.
    """
    if path.is_dir() and not (path / GPN_CONFIG).exists():
        latest = path / "checkpoints" / LATEST
        if not latest.exists():
            raise UserError(
                f"{path}: neither a run's directory ({latest.relative_to(path)} is missing) nor a "
                f"GPN checkpoint ({GPN_CONFIG} is missing)"
            )
        path = latest
    if not path.exists():
        raise UserError(f"{path}: no such checkpoint or weights file")
    return path.resolve()


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
