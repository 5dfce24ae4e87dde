"""Writes a project's folder from the template beside this file."""

import importlib.util
import keyword
import os
import re
import shutil
import tempfile
from importlib.resources import as_file, files
from pathlib import Path
from string import Template

from glm_composer.errors import UserError

_SUFFIX = ".template"


def write_project(directory: Path) -> list[Path]:
    """Write a new project; its name is the directory's, its package's the same with `_` for `-`.

    Args:
        directory: to make; it may be there if it is empty.

    Returns:
        The files, relative to it.

    Raises:
        UserError: no name for a package, one that is taken, or a directory that is in use or
            cannot be written.
    """
    directory = directory.absolute()
    project = directory.name
    package = _package(project)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UserError(f"{directory}: exists and is not empty; choose another name")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{project}.", dir=directory.parent))
    except OSError as error:
        raise UserError(f"{directory}: cannot be made: {error.strerror}") from None
    try:
        written = _fill(aside, project=project, package=package)
        aside.chmod(0o777 & ~_umask())
        os.replace(aside, directory)
    except OSError as error:
        raise UserError(f"{directory}: cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return written


def _package(project: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", project):
        raise UserError(
            f"'{project}' cannot name a project: give lower-case letters, digits, - and _, a "
            "letter first, for instance my-genomes"
        )
    package = project.replace("-", "_")
    spec = None if keyword.iskeyword(package) else importlib.util.find_spec(package)
    # A bare directory of that name is a module of sorts, without an origin.
    if keyword.iskeyword(package) or (spec is not None and spec.origin is not None):
        raise UserError(
            f"'{package}' is a name of Python's or of an installed package; choose another"
        )
    return package


def _fill(directory: Path, **names: str) -> list[Path]:
    written = []
    with as_file(files(__package__) / "template") as template:
        for source in sorted(template.rglob(f"*{_SUFFIX}")):
            place = source.relative_to(template).with_name(source.name.removesuffix(_SUFFIX))
            # A file of that name within the library would be git's own business.
            if place.name == "gitignore":
                place = place.with_name(".gitignore")
            if place.parts[0] == "package":
                place = Path(names["package"], *place.parts[1:])
            target = directory / place
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(Template(source.read_text()).substitute(names))
            written.append(place)
    return written


def _umask() -> int:
    # There is no way to read it but to set it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
