"""An S3 server on loopback, and a proxy before it that fails as it is told."""

import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3

# Not secret: the server takes any.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}
BUCKET = "windows"

# What the proxy does with a request for a path: a status, a number of bytes after which the
# connection breaks, "stall", or None to pass it on.
Fault = Callable[[str], int | str | tuple[str, int] | None]


@contextmanager
def s3_server() -> Iterator[str]:
    """Run moto's server with an empty bucket; give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(
        command, stdout=quiet, stderr=quiet, env={**os.environ, **CREDENTIALS}
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert server.poll() is None, "the S3 server did not start"
                assert time.monotonic() < deadline, "the S3 server does not answer"
                time.sleep(0.05)
        address = f"http://127.0.0.1:{port}"
        client(address).create_bucket(Bucket=BUCKET)
        yield address
    finally:
        server.terminate()
        server.wait()


def client(address: str):
    return boto3.session.Session().client(
        "s3",
        endpoint_url=address,
        region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )


def upload(address: str, directory: Path, prefix: str, access: str = "private") -> str:
    """Put a directory's files into the bucket; return its s3:// address."""
    s3 = client(address)
    for file in sorted(path for path in directory.iterdir() if path.is_file()):
        s3.put_object(
            Bucket=BUCKET, Key=f"{prefix}/{file.name}", Body=file.read_bytes(), ACL=access
        )
    return f"s3://{BUCKET}/{prefix}"


class Proxy:
    """Passes requests on to a server, except where `fault` says otherwise; keeps their paths."""

    def __init__(self, server: str):
        self.fault: Fault = lambda path: None
        self.seen: list[str] = []
        self.release = threading.Event()
        proxy, backend = self, server.removeprefix("http://")

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                proxy.seen.append(self.path)
                fault = proxy.fault(self.path)
                if fault == "stall":
                    proxy.release.wait(30)
                    self.close_connection = True
                    return
                if isinstance(fault, int):
                    code = "AccessDenied" if fault == 403 else "SlowDown"
                    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
                    self.send_response(fault)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                    return
                connection = http.client.HTTPConnection(backend, timeout=30)
                connection.request("GET", self.path, headers=dict(self.headers))
                answer = connection.getresponse()
                body = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    # Without S3's own checksum, which not every server sends.
                    if not name.lower().startswith(("transfer-enc", "connection", "x-amz-check")):
                        self.send_header(name, value)
                self.end_headers()
                if isinstance(fault, tuple):
                    kind, size = fault
                    if kind == "flip":
                        body = body[:size] + bytes([body[size] ^ 1]) + body[size + 1 :]
                    else:
                        self.wfile.write(body[:size])
                        self.wfile.flush()
                        if kind == "pause":
                            proxy.release.wait(30)
                        self.close_connection = True
                        return
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()

    def count(self, part: str) -> int:
        return sum(part in path for path in self.seen)
