"""A dataset in an S3 bucket: its files go up with retries, and what says "complete" goes last."""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from glm_composer.errors import UserError

# Tries of a request, with pauses that double up to 20 s between them (botocore's standard mode).
_ATTEMPTS = 6
_TIMEOUT = 30  # seconds
_UPLOADS = 8
# Ends the name of the list of files that an upload has sent.
_JOURNAL = ".uploaded"


class Bucket:
    """A prefix in a bucket. The endpoint is S3_ENDPOINT_URL's, as Streaming has it.

    Args:
        url: s3://BUCKET/PREFIX.

    Raises:
        UserError: the url has no bucket or no prefix.
    """

    def __init__(self, url: str):
        self.name = url.rstrip("/")
        bucket, _, prefix = self.name.removeprefix("s3://").partition("/")
        if not bucket or not prefix:
            raise UserError(f"'out' = '{url}' must be s3://BUCKET/PREFIX")
        self._bucket, self._prefix = bucket, prefix
        # There is no directory beside it, so parts wait in the current one.
        self.work = Path.cwd() / f".{PurePosixPath(prefix).name}.parts"

    def refuse_occupied(self) -> None:
        """Raise a UserError where the prefix holds a dataset, or what no earlier try put there."""
        with _explained(self.name):
            client = self._client()
            is_dataset = self._holds(client, f"{self._prefix}/manifest.json")
            is_mine = any(self.work.glob(f"*{_JOURNAL}"))
            if not is_dataset and (is_mine or not self._holds(client, f"{self._prefix}/")):
                return
        held = "already holds a dataset" if is_dataset else "is not empty"
        raise UserError(f"{self.name}: {held}; delete it, or choose another 'out'")

    def publish(self, dataset: Path) -> None:
        """Upload a finished directory; what went up in an earlier try is not sent again."""
        journal = self.work / f"{dataset.name}{_JOURNAL}"
        names = [str(path.relative_to(dataset)) for path in _in_order(dataset)]
        with journal.open("a+") as file, _explained(self.name):
            file.seek(0)
            sent = set(file.read().splitlines())
            client = self._client()

            def send(name: str) -> None:
                if name not in sent:
                    key = f"{self._prefix}/{name}"
                    client.upload_file(str(dataset / name), self._bucket, key)
                    file.write(f"{name}\n")
                    file.flush()

            # Shards at once, then what makes readers take a split, and the dataset, for whole.
            last = [name for name in names if name.endswith(".json")]
            with ThreadPoolExecutor(_UPLOADS) as pool:
                uploads = [pool.submit(send, name) for name in names[: len(names) - len(last)]]
                try:
                    for upload in uploads:
                        upload.result()
                finally:
                    pool.shutdown(cancel_futures=True)
            for name in last:
                send(name)
        shutil.rmtree(self.work, ignore_errors=True)

    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=os.environ.get("S3_ENDPOINT_URL"),
            config=Config(
                retries={"max_attempts": _ATTEMPTS, "mode": "standard"},
                connect_timeout=_TIMEOUT,
                read_timeout=_TIMEOUT,
                # Not every store but Amazon's knows the newer checksums.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def _holds(self, client: Any, prefix: str) -> bool:
        found = client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=1)
        return bool(found.get("KeyCount"))


def _in_order(dataset: Path) -> list[Path]:
    """All files: those that say "complete" last, and the manifest after every index."""
    files = sorted(path for path in dataset.rglob("*") if path.is_file())
    return sorted(files, key=lambda path: (path.suffix == ".json", path.name == "manifest.json"))


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn what boto3 raises, its retries spent, into a UserError."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (Boto3Error, BotoCoreError, ClientError) as error:
        raise UserError(
            f"{name}: {' '.join(str(error).split())}; check S3_ENDPOINT_URL, the credentials and "
            "the bucket, and run it again: finished work is kept"
        ) from None
