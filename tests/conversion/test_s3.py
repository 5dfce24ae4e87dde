"""A conversion into a bucket of an S3 server on loopback, read by the stock StreamingDataset."""

import http.client
import logging
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from glm_composer.conversion import s3
from glm_composer.conversion.config import ConvertConfig
from glm_composer.conversion.convert import convert
from glm_composer.data.shards import Shards
from glm_composer.errors import UserError
from glm_composer.settings import structure


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A function of `out` that gives a small conversion; the current directory is its own."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(2)
    text = "".join(f">{name}\n{''.join(rng.choice(list('ACGTacgt'), 50_000))}\n" for name in "ab")
    (tmp_path / "toy.fa").write_text(text)

    def configure(out: object, **changes: object) -> ConvertConfig:
        raw = {
            "name": "toy",
            "out": str(out),
            "source": {"name": "genome", "fasta": str(tmp_path / "toy.fa")},
            "windows": {"name": "tiles", "length": 64, "stride": 64},
            "splits": {"train": ["a"], "test": ["b"]},
            "shard_bytes": 20_000,
            "compression": "zstd",
            **changes,
        }
        return structure(ConvertConfig, raw, "test")

    return configure


@pytest.fixture
def server(monkeypatch):
    """An S3 server with an empty bucket; yields a client of it."""
    import boto3
    from moto.server import ThreadedMotoServer

    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto.start()
    host, port = moto.get_host_and_port()
    for key, value in (
        ("S3_ENDPOINT_URL", f"http://{host}:{port}"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(key, value)
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
    client.create_bucket(Bucket="genomes")
    yield client
    moto.stop()


def keys(client, prefix: str) -> list[str]:
    return [o["Key"] for o in client.list_objects_v2(Bucket="genomes", Prefix=prefix)["Contents"]]


@pytest.mark.slow
def test_round_trip_through_the_stock_reader(config, server, tmp_path):
    from streaming import StreamingDataset

    assert convert(config("s3://genomes/a/toy"), False) == "s3://genomes/a/toy"
    local = convert(config(tmp_path / "local"), False)
    names = sorted(str(p.relative_to(local)) for p in local.rglob("*") if p.is_file())
    assert sorted(keys(server, "a/")) == [f"a/toy/{name}" for name in names]
    assert len(names) > 10
    stock = StreamingDataset(
        remote="s3://genomes/a/toy/train",
        local=str(tmp_path / "cache"),
        batch_size=1,
        validate_hash="xxh64",
    )
    convert(config(tmp_path / "plain", compression=None), False)
    expected = Shards(tmp_path / "plain/train").gather()
    assert len(stock) == len(expected) == 781
    for sample, row in zip(stock, expected, strict=True):
        assert (sample["sequence"] == row["sequence"]).all()
        assert (sample["contig"], sample["start"]) == (row["contig"], row["start"])
    with pytest.raises(UserError, match="s3://genomes/a/toy: already holds a dataset"):
        convert(config("s3://genomes/a/toy"), False)
    with pytest.raises(UserError, match="s3://genomes/a: is not empty"):
        convert(config("s3://genomes/a"), False)
    assert not list(tmp_path.glob(".toy.parts"))


class Flaky(ThreadingHTTPServer):
    """A proxy of a server that answers 503 to every other upload, and to all after some.

    Args:
        address: of the server.
        most: uploads that go through; `went` has their paths, in order.
    """

    def __init__(self, address: str, most: int):
        self.address, self.most = address, most
        self.went: list[str] = []
        self.refused = 0
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _FlakyHandler)


class _FlakyHandler(BaseHTTPRequestHandler):
    server: Flaky

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.command == "PUT":
            with self.server.lock:
                went = self.server.went
                even = (len(went) + self.server.refused) % 2 == 0
                refuse = even or len(went) == self.server.most
                self.server.refused += refuse
                went += [] if refuse else [self.path]
            if refuse:
                self.send_response(503)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        connection = http.client.HTTPConnection(self.server.address)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_HEAD = do_POST = _answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.slow
def test_errors_are_tried_again_and_a_broken_upload_goes_on(config, server, tmp_path, monkeypatch):
    address = os.environ["S3_ENDPOINT_URL"].removeprefix("http://")

    def upload(most: int) -> tuple[list[str], str]:
        with Flaky(address, most) as proxy, monkeypatch.context() as patch:
            threading.Thread(target=proxy.serve_forever, daemon=True).start()
            patch.setenv("S3_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_port}")
            patch.setattr(s3, "_ATTEMPTS", 4)
            error = ""
            try:
                convert(config("s3://genomes/toy"), False)
            except UserError as caught:
                error = str(caught)
            proxy.shutdown()
            return proxy.went, error

    first, error = upload(most=5)
    assert error.startswith("s3://genomes/toy: ")
    assert "503" in error
    assert "finished work is kept" in error
    assert len(first) == 5
    assert not any(key.endswith(".json") for key in first)
    second, error = upload(most=99)
    assert error == ""
    assert not set(first) & set(second)
    assert [key for key in second if key.endswith(".json")] == second[-3:]
    assert second[-1].endswith("toy/manifest.json")
    assert len(keys(server, "toy/")) == len(first) + len(second) > 8
    assert not (tmp_path / ".toy.parts").exists()


def test_no_server_there_ends_in_one_line(config, tmp_path, monkeypatch):
    monkeypatch.setattr(s3, "_ATTEMPTS", 1)
    for key, value in (
        ("S3_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ):
        monkeypatch.setenv(key, value)
    with pytest.raises(UserError, match=r"s3://genomes/toy: Could not connect to the endpoint"):
        convert(config("s3://genomes/toy"), False)
    assert sorted(path.name for path in Path(tmp_path).iterdir()) == ["toy.fa"]


def test_an_address_without_a_prefix(config):
    with pytest.raises(UserError, match="'out' = 's3://genomes/' must be s3://BUCKET/PREFIX"):
        convert(config("s3://genomes/"), False)
