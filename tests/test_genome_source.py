import gzip
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pysam
import pytest

from glm_composer import genome_source
from glm_composer.errors import UserError
from glm_composer.genome import Genome
from glm_composer.genome_source import local_genome

TEXT = b">1 first\n" + b"ACGTacgtNN" * 20_000 + b"\n>2\nGGCA\n"


class Handler(BaseHTTPRequestHandler):
    """Serves `content`; breaks off after `cut` bytes for as many answers as `cuts` says."""

    content = TEXT
    cuts, cut = 0, 0
    ranges = True
    requests: list[str]

    def do_GET(self):
        kind = type(self)
        kind.requests.append(self.headers.get("Range", ""))
        if "missing" in self.path:
            self.send_error(404)
            return
        start = 0
        if kind.ranges and self.headers.get("Range"):
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            if start >= len(kind.content):
                self.send_error(416)
                return
        body = kind.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Encoding", "gzip")  # as many servers say of a .gz
        self.end_headers()
        if kind.cuts:
            kind.cuts -= 1
            body = body[: kind.cut]
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A loopback server: (its handler class, its address); with a cache of this test's own."""
    monkeypatch.setenv("GLM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(genome_source, "_FIRST_WAIT_S", 0.01)
    handler = type("Own", (Handler,), {"requests": []})
    listening = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
    thread.start()
    yield handler, f"http://127.0.0.1:{listening.server_port}"
    listening.shutdown()
    thread.join()
    listening.server_close()


def digest(data):
    return hashlib.sha256(data).hexdigest()


def check(path):
    with Genome(path) as genome:
        assert genome.lengths == {"1": 200_000, "2": 4}
        assert bytes(genome.windows(["1"], np.array([7]), 6)[0]) == b"acgtNN"
    return path


def test_fetched_once_then_from_the_cache(server, tmp_path):
    handler, address = server
    path = check(local_genome(f"{address}/a/genome.fa", sha256=digest(TEXT)))
    assert path == tmp_path / "cache" / "genomes" / digest(TEXT) / "genome.fa"
    assert path.read_bytes() == TEXT
    assert local_genome(f"{address}/a/genome.fa", sha256=digest(TEXT).upper()) == path
    assert handler.requests == [""]


def test_plain_gzip_becomes_bgzip(server, tmp_path):
    handler, address = server
    handler.content = gzip.compress(TEXT)
    path = local_genome(f"{address}/genome.fa.gz", sha256=digest(handler.content))
    assert gzip.decompress(check(path).read_bytes()) == TEXT
    own = tmp_path / "own.fa.gz"
    own.write_bytes(gzip.compress(TEXT))
    made = local_genome(own, sha256=digest(own.read_bytes()))
    assert made != own
    check(made)
    assert local_genome(own) == made
    assert own.read_bytes() == gzip.compress(TEXT)
    (tmp_path / "plain.fa").write_bytes(TEXT)
    bgzip = tmp_path / "bgzip.fa.gz"
    pysam.tabix_compress(str(tmp_path / "plain.fa"), str(bgzip))
    assert local_genome(bgzip) == bgzip
    own.write_bytes(gzip.compress(TEXT)[:-20])
    with pytest.raises(UserError, match=r"own.fa.gz: damaged gzip file"):
        local_genome(own)


def test_a_transfer_that_breaks_off_goes_on(server):
    handler, address = server
    handler.cuts, handler.cut = 2, 70_000
    path = local_genome(f"{address}/genome.fa", sha256=digest(TEXT))
    assert path.read_bytes() == TEXT
    assert handler.requests == ["", "bytes=70000-", "bytes=140000-"]


def test_a_server_without_ranges_begins_again(server):
    handler, address = server
    handler.cuts, handler.cut, handler.ranges = 1, 70_000, False
    assert local_genome(f"{address}/g.fa", sha256=digest(TEXT)).read_bytes() == TEXT
    assert handler.requests == ["", "bytes=70000-"]


def test_a_transfer_that_always_breaks_off(server, tmp_path):
    handler, address = server
    handler.cuts, handler.cut = 99, 10
    with pytest.raises(UserError, match=r"genome.fa: cannot be fetched \(the transfer broke off"):
        local_genome(f"{address}/genome.fa", sha256=digest(TEXT))
    assert len(handler.requests) == 4
    folder = tmp_path / "cache" / "genomes" / digest(TEXT)
    assert not (folder / "genome.fa").exists()
    # The next call goes on from there.
    handler.cuts = 0
    assert local_genome(f"{address}/genome.fa", sha256=digest(TEXT)).read_bytes() == TEXT
    assert handler.requests[-1] == "bytes=40-"


def test_another_file_than_the_checksum_says(server, tmp_path):
    handler, address = server
    with pytest.raises(UserError, match=rf"SHA-256 is {digest(TEXT)}, not {'0' * 64}; it is an"):
        local_genome(f"{address}/genome.fa", sha256="0" * 64)
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == [
        ".genome.fa.lock"
    ]
    # A part that is left of another file: found out by the checksum, and fetched anew.
    folder = tmp_path / "cache" / "genomes" / digest(TEXT)
    folder.mkdir()
    (folder / ".genome.fa.part").write_bytes(b"something else")
    assert local_genome(f"{address}/genome.fa", sha256=digest(TEXT)).read_bytes() == TEXT
    assert handler.requests[1:] == ["bytes=14-", ""]


def test_what_cannot_be_fetched(server, tmp_path, monkeypatch):
    _, address = server
    with pytest.raises(UserError, match="an address needs the file's sha256"):
        local_genome(f"{address}/genome.fa")
    with pytest.raises(UserError, match="must be 64 hexadecimal digits, not 'abc'"):
        local_genome(f"{address}/genome.fa", sha256="abc")
    with pytest.raises(UserError, match="404"):
        local_genome(f"{address}/missing.fa", sha256=digest(TEXT))
    with pytest.raises(UserError, match="cannot be fetched"):
        local_genome("http://127.0.0.1:9/genome.fa", sha256=digest(TEXT))
    (tmp_path / "file").touch()
    monkeypatch.setenv("GLM_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"point GLM_CACHE to a directory"):
        local_genome(f"{address}/genome.fa", sha256=digest(TEXT))


def test_a_path_stays_where_it_is(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_bytes(TEXT)
    assert local_genome(path) == path
    assert local_genome(str(path), sha256=digest(TEXT)) == path
    with pytest.raises(UserError, match=r"genome.fa: SHA-256 is .*, not ffff"):
        local_genome(path, sha256="f" * 64)
    with pytest.raises(UserError, match="no such file"):
        local_genome(tmp_path / "none.fa")
