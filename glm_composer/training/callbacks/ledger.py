"""Writes the sample ids of every global batch, as they were trained on, into the run's ledger."""

from typing import Any

import torch
from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import dist

from glm_composer.config import Config
from glm_composer.data.ledger import FILE_NAME, LedgerFile, split_parts


class Ledger(Callback):
    """Appends a line a global batch to `ledger.jsonl`; rank 0 writes.

    Args:
        config: of the run.
        streams: `name`, `total` windows, windows in use (`windows`) and first sample id (`first`)
            of each stream.
    """

    def __init__(self, config: Config, streams: list[dict[str, Any]]):
        self._config, self._streams = config, streams
        self._file: LedgerFile | None = None

    def fit_start(self, state: State, logger: Logger) -> None:
        """Write where the run goes on from."""
        if dist.get_global_rank() == 0:
            self._file = LedgerFile(self._config.run_dir / FILE_NAME)
            self._file.start(
                state.timestamp.batch.value,
                [
                    {key: each[key] for key in ("name", "total", "windows")}
                    for each in self._streams
                ],
                seed=self._config.seed,
                global_train_batch_size=self._config.global_train_batch_size,
                ranks=dist.get_world_size(),
            )

    def batch_end(self, state: State, logger: Logger) -> None:
        """Write the global batch."""
        batch = state.batch
        stream = batch.get("stream", torch.zeros_like(batch["id"]))
        everywhere = dist.all_gather(torch.stack([batch["id"], batch["epoch"], stream]))
        if self._file is None:
            return
        ids, epochs, streams = torch.cat(list(everywhere), dim=1).cpu().numpy()
        first = torch.tensor([each["first"] for each in self._streams]).numpy()
        # Blanks stay negative.
        ids = ids - first[streams] * (ids >= 0)
        self._file.batch(state.timestamp.batch.value, split_parts(ids, epochs, streams))
