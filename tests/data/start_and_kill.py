"""Starts readers of one split and kills them at any moment; says what that leaves behind.

    python tests/data/start_and_kill.py SPLIT CYCLES

A cycle is two processes on the same directory, killed with SIGKILL before their first
batch or after it. Exits with 1 if /dev/shm or the temporary folder holds a file more afterwards
than before.
"""

import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from glm_composer.data.loaders import Loading, train_loader
from glm_composer.data.objectives.mlm import MaskedLanguageModel, MLMConfig
from glm_composer.data.prepare import Prepare
from glm_composer.data.shards import Shards


def read_forever(split: Path, ready: int) -> None:
    prepare = Prepare(MaskedLanguageModel(MLMConfig()), 1, 512, 0.01, True, True)
    loader = train_loader(Shards(split), Loading(prepare=prepare, batch=16, seed=1)).dataloader
    while True:
        for number, _ in enumerate(loader):
            if number == 0:
                os.write(ready, b".")


def start(split: Path) -> tuple[int, int]:
    """Process id of a reader, which leads a process group, and a pipe that tells of its epochs."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.close(readable)
        read_forever(split, writable)
    os.close(writable)
    return pid, readable


def files() -> set[str]:
    places = (Path("/dev/shm"), Path(tempfile.gettempdir()))
    return {str(path) for place in places for path in place.iterdir()}


def main(split: Path, cycles: int) -> int:
    before = files()
    for cycle in range(cycles):
        readers = [start(split), start(split)]
        if cycle % 2:
            for _, told in readers:
                assert os.read(told, 1) == b".", "a reader ended by itself"
        time.sleep(random.uniform(0, 0.05))
        for pid, told in readers:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(told)
    left = files() - before
    if left:
        # Others come and go on a machine; what a kill leaves behind stays.
        time.sleep(5)
        left &= files()
    print(f"{cycles} cycles of two readers; left behind: {', '.join(sorted(left)) or 'nothing'}")
    return bool(left)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
