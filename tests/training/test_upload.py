"""Checkpoints sent elsewhere while training goes on: whole, or reported."""

import os
import time
from pathlib import Path

import boto3
import fsspec
import pytest
from moto.server import ThreadedMotoServer

from glm_composer.errors import UserError
from glm_composer.runs.events import read_events
from glm_composer.training.checkpoint_manifest import Manifest, manifest_path, write_manifest
from glm_composer.training.upload import Uploads


def save(run: Path, batch: int, content: bytes = b"weights") -> Path:
    file = run / f"checkpoints/ep0-ba{batch}-rank0.pt"
    file.parent.mkdir(parents=True, exist_ok=True)
    (run / "config.yaml").write_text("seed: 1\n")
    file.write_bytes(content)
    facts = {"bytes": len(content), "sha256": "", "saved": ""}
    write_manifest(manifest_path(file), Manifest(epoch=0, batch=batch, **facts))
    return file


def events(run: Path) -> list[tuple[str, str]]:
    return [(each["event"], each["file"]) for each in read_events(run)]


NAMES = [
    "checkpoints/ep0-ba1-rank0.pt",
    "checkpoints/ep0-ba1-rank0.pt.json",
    "config.yaml",
]


@pytest.mark.parametrize("address", ["file://{}/away", "{}/away", "memory://away"])
def test_a_checkpoint_arrives_with_its_manifest_and_the_settings(tmp_path, address):
    address = address.format(tmp_path)
    run = tmp_path / "run"
    file = save(run, 1)
    uploads = Uploads(address, run)
    uploads.put(file)
    # Rotation need not wait for it.
    file.unlink()
    uploads.wait()
    system, root = fsspec.core.url_to_fs(address)
    found = sorted(path.removeprefix(f"{root}/run/") for path in system.find(root))
    assert found == NAMES
    assert system.cat(f"{root}/run/{NAMES[0]}") == b"weights"
    assert events(run) == [("uploaded", "ep0-ba1-rank0.pt")]


def test_a_bucket_takes_them_too(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("S3_ENDPOINT_URL", f"http://{host}:{port}")
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
        client.create_bucket(Bucket="models")
        uploads = Uploads("s3://models/yeast/", tmp_path / "run")
        uploads.put(save(tmp_path / "run", 1))
        uploads.wait()
        listed = client.list_objects_v2(Bucket="models")["Contents"]
        assert sorted(each["Key"] for each in listed) == [f"yeast/run/{name}" for name in NAMES]
        body = client.get_object(Bucket="models", Key=f"yeast/run/{NAMES[0]}")["Body"]
        assert body.read() == b"weights"
    finally:
        server.stop()


def test_what_does_not_arrive_is_reported_and_tried_again(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("glm_composer.training.upload._FIRST_WAIT_S", 0.05)
    run, taken = tmp_path / "run", tmp_path / "away"
    # A file where a directory must be; then somebody mends it.
    taken.write_text("in the way")
    uploads = Uploads(str(taken), run)
    uploads.put(save(run, 1))
    uploads.wait()
    assert events(run) == [("upload_failed", "ep0-ba1-rank0.pt")]
    assert "ep0-ba1-rank0.pt: not uploaded to" in caplog.text
    assert "4 attempts failed, the last: " in caplog.text
    uploads.put(save(run, 2))
    taken.unlink()
    uploads.wait()
    assert events(run)[1:] == [("uploaded", "ep0-ba2-rank0.pt")]


def test_the_newest_waits_and_those_between_are_skipped(tmp_path):
    run, pipe = tmp_path / "run", tmp_path / "away/run/config.yaml"
    # A place that takes nothing until somebody reads.
    pipe.parent.mkdir(parents=True)
    os.mkfifo(pipe)
    uploads = Uploads(str(tmp_path / "away"), run)
    uploads.put(save(run, 1))
    end = time.monotonic() + 30
    while uploads._waiting is not None and time.monotonic() < end:
        time.sleep(0.001)
    began = time.monotonic()
    for batch in (2, 3):
        uploads.put(save(run, batch))
    assert time.monotonic() - began < 1, "training waits for an upload"
    with pipe.open("rb") as reader:
        # The first has opened it; the last finds a file, or was as quick.
        pipe.unlink()
        assert reader.read() in (b"seed: 1\n", b"seed: 1\n" * 2)
    uploads.wait()
    assert events(run) == [
        ("upload_failed", "ep0-ba2-rank0.pt"),
        ("uploaded", "ep0-ba1-rank0.pt"),
        ("uploaded", "ep0-ba3-rank0.pt"),
    ]


def test_an_unknown_kind_of_place_is_refused_at_the_start(tmp_path):
    with pytest.raises(UserError, match=r"save_upload 'nowhere://x/run': Protocol not known"):
        Uploads("nowhere://x", tmp_path / "run")
