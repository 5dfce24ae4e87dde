"""Sends checkpoints to another place as well, while training goes on.

`s3://` goes through boto3 (endpoint `S3_ENDPOINT_URL`), as shards do; every other address through
fsspec. A checkpoint that does not arrive is reported; the run goes on, and its own copy stays.
"""

import contextlib
import logging
import os
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from glm_composer.errors import UserError
from glm_composer.runs.events import append_event
from glm_composer.runs.folder import CHECKPOINTS, CONFIG
from glm_composer.training.checkpoint_manifest import manifest_path

_LOG = logging.getLogger(__name__)
_ATTEMPTS = 4
# Before the second attempt; doubled before each further one.
_FIRST_WAIT_S = 0.5


@dataclass(frozen=True)
class _Sending:
    """A checkpoint's files in order, each by its path below the run's directory.

    They are open: rotation may remove them meanwhile.
    """

    name: str
    files: dict[str, BinaryIO]

    def close(self) -> None:
        for file in self.files.values():
            file.close()


class Uploads:
    """Sends one checkpoint after the other in a thread of its own.

    Where checkpoints come faster than they go, the last one waits and those between are skipped.
    The process ends only when what waits is sent or has failed.

    Args:
        address: a place of fsspec's, or `s3://bucket/prefix`; files land below `RUN_NAME/`.
        run_dir: the run's directory.

    Raises:
        UserError: no such kind of place, or the library for it is missing.
    """

    def __init__(self, address: str, run_dir: Path):
        self._place = _open_place(f"{address.rstrip('/')}/{run_dir.name}")
        self._run_dir = run_dir
        self._lock = threading.Lock()
        self._waiting: _Sending | None = None
        self._thread: threading.Thread | None = None

    def put(self, checkpoint: Path) -> None:
        """Send a checkpoint, its manifest last."""
        names = [CONFIG, f"{CHECKPOINTS}/{checkpoint.name}"]
        names.append(f"{CHECKPOINTS}/{manifest_path(checkpoint).name}")
        files = {name: self._run_dir / name for name in names}
        sending = _Sending(
            checkpoint.name,
            {name: path.open("rb") for name, path in files.items() if path.exists()},
        )
        with self._lock:
            skipped, self._waiting = self._waiting, sending
            if self._thread is None:
                # Not a daemon: Python waits for it before the process ends.
                self._thread = threading.Thread(target=self._work, name="upload")
                self._thread.start()
        if skipped is not None:
            skipped.close()
            if skipped.name != checkpoint.name:
                self._failed(skipped.name, "the one before was still on its way")

    def wait(self) -> None:
        """Wait until nothing is on its way."""
        while (thread := self._thread) is not None:
            thread.join()

    def _work(self) -> None:
        while True:
            with self._lock:
                sending, self._waiting = self._waiting, None
                if sending is None:
                    self._thread = None
                    return
            try:
                self._send(sending)
            finally:
                sending.close()

    def _send(self, sending: _Sending) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                for name, file in sending.files.items():
                    file.seek(0)
                    self._place.write(name, file)
            except Exception as error:  # of any of a dozen client libraries
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                if attempt == _ATTEMPTS:
                    self._failed(sending.name, f"{attempt} attempts failed, the last: {reason}")
                    return
                time.sleep(_FIRST_WAIT_S * 2 ** (attempt - 1))
            else:
                self._tell("uploaded", sending.name)
                return

    def _failed(self, name: str, reason: str) -> None:
        _LOG.warning("%s: not uploaded to %s: %s", name, self._place.address, reason)
        self._tell("upload_failed", name, reason=reason)

    def _tell(self, event: str, name: str, **facts: str) -> None:
        with contextlib.suppress(OSError):
            append_event(self._run_dir, event, file=name, to=self._place.address, **facts)


class _Bucket:
    """A prefix in an S3 bucket."""

    def __init__(self, address: str):
        import boto3

        self.address = address
        self._bucket, _, self._prefix = address.removeprefix("s3://").partition("/")
        self._client = boto3.client("s3", endpoint_url=os.environ.get("S3_ENDPOINT_URL"))

    def write(self, name: str, file: BinaryIO) -> None:
        # boto3 closes what it has sent.
        with os.fdopen(os.dup(file.fileno()), "rb") as copy:
            self._client.upload_fileobj(copy, self._bucket, f"{self._prefix}/{name}")


class _Folder:
    """A folder of one of fsspec's file systems."""

    def __init__(self, address: str):
        from fsspec.core import url_to_fs

        self.address = address
        try:
            self._system, self._root = url_to_fs(address)
        except (ImportError, ValueError) as error:
            raise UserError(f"save_upload '{address}': {error}") from None

    def write(self, name: str, file: BinaryIO) -> None:
        path = f"{self._root}/{name}"
        self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
        with self._system.open(path, "wb") as out:
            shutil.copyfileobj(file, out, 1 << 20)


def _open_place(address: str) -> Any:
    return _Bucket(address) if address.startswith("s3://") else _Folder(address)
