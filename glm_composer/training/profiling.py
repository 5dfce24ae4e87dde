"""A few steps under torch's profiler."""

import torch
from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import dist
from torch.profiler import ProfilerActivity, profile

from glm_composer.config import Config
from glm_composer.training.callbacks.profiler import ProfilerConfig


class Profiler(Callback):
    """Writes `profile/trace.json` (for a trace viewer) and `profile/table.txt` of rank 0."""

    def __init__(self, config: ProfilerConfig, run: Config):
        self.config = config
        self._directory = run.run_dir / "profile"
        self._profile: profile | None = None

    def batch_start(self, state: State, logger: Logger) -> None:
        """Start profiling after the skipped steps."""
        first = self._profile is None and state.timestamp.batch.value == self.config.skip
        if first and dist.get_global_rank() == 0:
            activities = [ProfilerActivity.CPU]
            if torch.cuda.is_available():
                activities.append(ProfilerActivity.CUDA)
            self._profile = profile(activities=activities, record_shapes=True)
            self._profile.start()

    def batch_end(self, state: State, logger: Logger) -> None:
        """Stop and write after the profiled steps."""
        done = state.timestamp.batch.value == self.config.skip + self.config.steps
        if self._profile is None or not done:
            return
        self._profile.stop()
        self._directory.mkdir(parents=True, exist_ok=True)
        self._profile.export_chrome_trace(str(self._directory / "trace.json"))
        key = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        averages = self._profile.key_averages()
        table = averages.table(sort_by=key, row_limit=self.config.rows)
        (self._directory / "table.txt").write_text(table)
        self._profile = None
