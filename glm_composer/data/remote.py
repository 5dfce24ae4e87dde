"""One file of a remote dataset, fetched to this machine; tried again where that can help.

`s3://` is read with boto3 (endpoint `S3_ENDPOINT_URL`), a plain path or `file://` is copied, and
every other address goes to Streaming's own downloader (`hf://`, `gs://`, `oci://`, ...).
"""

import errno
import logging
import os
import random
import shutil
import time
from pathlib import Path
from typing import Any

from glm_composer.errors import UserError

_LOG = logging.getLogger(__name__)

# What a second attempt does not mend.
_DISK_ERRORS = {
    errno.ENOSPC: "free space, or set cache_limit",
    errno.EDQUOT: "free space, or set cache_limit",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f)",
    errno.EROFS: "choose another directory",
    errno.EACCES: "check its permissions, or read what is here as `remote` of your own directory",
    errno.EPERM: "check its permissions",
}
_S3_RETRIED = {"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException"}
# Before the second attempt; doubled before each further one.
_FIRST_WAIT_S = 0.5
_CONNECT_S = 10.0
# Its own: a training run must find the global random state as it left it.
_JITTER = random.Random()
_PIECE = 1 << 20


class Remote:
    """A directory somewhere else.

    Args:
        address: `s3://bucket/dataset/split`, another address Streaming knows, or a directory.
        attempts: how often a file is tried for.
        timeout: seconds without an answer after which an attempt has failed.
    """

    def __init__(self, address: str, attempts: int, timeout: float):
        self.address = address.rstrip("/")
        self.attempts, self.timeout = attempts, timeout
        self._s3: Any = None
        self._s3_pid = 0
        self._unsigned = False

    @property
    def patience(self) -> float:
        """Seconds in which a fetch has at least made progress, or failed."""
        return self.attempts * self.timeout + _FIRST_WAIT_S * 2**self.attempts

    def fetch(self, name: str, target: Path) -> None:
        """Fetch the file `name` into the new file `target`.

        Raises:
            UserError: it is not there, access is denied, `target` cannot be written, or every
                attempt failed.
        """
        source = f"{self.address}/{name}"
        for attempt in range(1, self.attempts + 1):
            target.unlink(missing_ok=True)
            try:
                self._get(source, target)
                return
            except UserError:
                raise
            except Exception as error:  # of any of a dozen client libraries
                explain_disk_error(error, target)
                if isinstance(error, (FileNotFoundError, ImportError)):
                    raise UserError(f"{source}: cannot be fetched: {_brief(error)}") from None
                if attempt == self.attempts:
                    raise UserError(
                        f"{source}: cannot be fetched: {attempt} attempts failed, the last with: "
                        f"{_brief(error)}; check the address, its endpoint and the network"
                    ) from None
                # Many ranks fail at the same moment; they should not come back at the same one.
                wait = _FIRST_WAIT_S * 2 ** (attempt - 1) * _JITTER.uniform(0.75, 1.25)
                _LOG.warning(
                    "%s: attempt %d of %d failed, the next is in %.1f s: %s",
                    source, attempt, self.attempts, wait, _brief(error),
                )  # fmt: skip
                time.sleep(wait)

    def _get(self, source: str, target: Path) -> None:
        # Not urlparse: a name may hold `#` and `?`.
        scheme, rest = source.split("://", 1) if "://" in source else ("file", source)
        if scheme == "s3":
            bucket, _, key = rest.partition("/")
            self._get_s3(bucket, key, target)
        elif scheme == "file":
            if not os.access(rest, os.R_OK):
                raise UserError(f"{source}: cannot be fetched: not there, or not to be read")
            with Path(rest).open("rb") as original, target.open("xb") as copy:
                shutil.copyfileobj(original, copy, _PIECE)
        else:
            # Thirteen seconds of imports, hence only here.
            from streaming.base.storage.download import DOWNLOADER_MAPPINGS, CloudDownloader

            if scheme not in DOWNLOADER_MAPPINGS:
                known = ", ".join(sorted(name for name in DOWNLOADER_MAPPINGS if name))
                raise UserError(f"{source}: no such kind of address; known are file, {known}")
            # Some leave more behind than the file, or write it elsewhere first.
            scratch = target.with_name(f"{target.name}.d")
            shutil.rmtree(scratch, ignore_errors=True)
            try:
                CloudDownloader.direct_download(source, str(scratch / "file"), self.timeout)
                (scratch / "file").rename(target)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)

    def _get_s3(self, bucket: str, key: str, target: Path) -> None:
        from botocore.exceptions import (
            ClientError,
            NoCredentialsError,
            ParamValidationError,
            PartialCredentialsError,
        )

        # As Streaming names it: buckets whose traffic the reader pays.
        paid = os.environ.get("MOSAICML_STREAMING_AWS_REQUESTER_PAYS", "").split(",")
        extra = {"RequestPayer": "requester"} if bucket in paid else {}
        try:
            answer = self._s3_client().get_object(Bucket=bucket, Key=key, **extra)
        except NoCredentialsError:
            # A public bucket asks for none. A client without signature cannot end here again.
            self._unsigned, self._s3 = True, None
            return self._get_s3(bucket, key, target)
        except (ParamValidationError, PartialCredentialsError) as error:
            raise UserError(f"s3://{bucket}/{key}: {_brief(error)}") from None
        except ClientError as error:
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            code = error.response.get("Error", {}).get("Code")
            if 400 <= status < 500 and status not in (408, 429) and code not in _S3_RETRIED:
                raise UserError(
                    f"s3://{bucket}/{key}: cannot be fetched: {_brief(error)}; check the address, "
                    f"the credentials and S3_ENDPOINT_URL"
                ) from None
            raise
        with target.open("xb") as file:
            shutil.copyfileobj(answer["Body"], file, _PIECE)
        return None

    def _s3_client(self) -> Any:
        # Its connections must not be shared with a forked loader worker.
        if self._s3 is None or self._s3_pid != os.getpid():
            from boto3.session import Session
            from botocore import UNSIGNED
            from botocore.config import Config

            settings: dict[str, Any] = {"signature_version": UNSIGNED} if self._unsigned else {}
            config = Config(
                connect_timeout=min(self.timeout, _CONNECT_S),
                read_timeout=self.timeout,
                retries={"total_max_attempts": 1},  # attempts are counted and logged above
                **settings,
            )
            endpoint = os.environ.get("S3_ENDPOINT_URL")
            self._s3 = Session().client("s3", config=config, endpoint_url=endpoint)
            self._s3_pid = os.getpid()
        return self._s3

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_s3": None}


def explain_disk_error(error: Exception, target: Path) -> None:
    """Raise a UserError where `error` says that `target` cannot be written here."""
    if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
        raise UserError(
            f"{target}: cannot be written: {error.strerror}; {_DISK_ERRORS[error.errno]}"
        ) from None


def _brief(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
