"""A small Hugging Face Hub on loopback: the endpoints that reading one dataset needs.

`python hub_server.py ROOT` serves the files under ROOT/OWNER/NAME as dataset OWNER/NAME at one
commit, on a free port that it prints, and then one line a request, until it is ended.
"""

import hashlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "5eed" * 10


class Hub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    root: Path

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        if parts[:2] == ["api", "datasets"] and len(parts) >= 4:
            self._api("/".join(parts[2:4]), parts[4:], body)
        elif parts[:1] == ["datasets"] and parts[3:4] == ["resolve"]:
            self._file("/".join(parts[1:3]), parts[4], "/".join(parts[5:]))
        else:
            self._error(404, "EntryNotFound")

    def _api(self, name: str, rest: list[str], body: bytes) -> None:
        folder = self.root / name
        if not folder.is_dir():
            self._error(404, "RepoNotFound")
        elif rest[:1] in ([], ["revision"]):
            if rest and rest[1] not in ("main", COMMIT):
                self._error(404, "RevisionNotFound")
                return
            found = [self._entry(folder, path) for path in self._files(folder)]
            siblings = [
                {"rfilename": e["path"], "size": e["size"], "blobId": e["oid"], "lfs": e["lfs"]}
                for e in found
            ]
            self._json({"id": name, "sha": COMMIT, "siblings": siblings, "tags": ["license:mit"]})
        elif rest[0] == "paths-info":
            try:
                paths = json.loads(body)["paths"]
            except ValueError:
                paths = parse_qs(body.decode())["paths"]
            self._json([self._entry(folder, folder / p) for p in paths if (folder / p).exists()])
        elif rest[0] == "tree":
            below = folder / "/".join(rest[2:])
            if not below.is_dir():
                self._error(404, "EntryNotFound")
                return
            deep = parse_qs(urlsplit(self.path).query).get("recursive", [""])[0] == "True"
            found = below.rglob("*") if deep else below.iterdir()
            self._json([self._entry(folder, path) for path in sorted(found)])
        else:
            self._error(404, "EntryNotFound")

    @staticmethod
    def _files(folder: Path) -> list[Path]:
        return sorted(path for path in folder.rglob("*") if path.is_file())

    @staticmethod
    def _entry(folder: Path, path: Path) -> dict:
        name = str(path.relative_to(folder))
        if path.is_dir():
            return {"type": "directory", "oid": "0" * 40, "size": 0, "path": name}
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        lfs = {"oid": digest, "sha256": digest, "size": len(data), "pointerSize": 130}
        oid = hashlib.sha1(data).hexdigest()
        return {"type": "file", "oid": oid, "size": len(data), "path": name, "lfs": lfs}

    def _file(self, name: str, revision: str, path: str) -> None:
        file = self.root / name / path
        if revision not in ("main", COMMIT):
            self._error(404, "RevisionNotFound")
        elif not file.is_file():
            self._error(404, "EntryNotFound")
        else:
            data = file.read_bytes()
            etag = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
            asked = self.headers.get("Range", "").removeprefix("bytes=")
            if asked:
                first, _, last = asked.partition("-")
                start, end = int(first), min(int(last or len(data) - 1), len(data) - 1)
                if start >= len(data):
                    self._error(416, "EntryNotFound")
                    return
                span = {"Content-Range": f"bytes {start}-{end}/{len(data)}"}
                self._send(206, data[start : end + 1], {**etag, **span})
            else:
                self._send(200, data, etag)

    def _json(self, content: object) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _error(self, status: int, code: str) -> None:
        self._send(status, b"{}", {"X-Error-Code": code})

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, template: str, *values: object) -> None:
        print(template % values, flush=True)


if __name__ == "__main__":
    Hub.root = Path(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    print(server.server_port, flush=True)
    server.serve_forever()
