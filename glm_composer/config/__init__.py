"""The settings of a training run: one dataclass a section, the one home of every default.

`settings.load(Config, path, overrides)` reads a file and refuses what cannot work before anything
heavy is imported or done.
"""

from glm_composer.config.data import DataConfig, StreamConfig
from glm_composer.config.evaluation import EvaluationConfig, VariantTableConfig
from glm_composer.config.run import Config, EMAConfig, LoggersConfig, SaveBestConfig

__all__ = [
    "Config",
    "DataConfig",
    "EMAConfig",
    "EvaluationConfig",
    "LoggersConfig",
    "SaveBestConfig",
    "StreamConfig",
    "VariantTableConfig",
]
