"""A local hub: a small HTTP server with what `huggingface_hub` needs to create, fill and read repositories."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_of_the_test"


class Hub:
    """The state of the server: for each repository whether it is private, and the files of its commits by name."""

    def __init__(self) -> None:
        self.address = ""
        self.private: dict[str, bool] = {}
        self.commits: dict[str, dict[str, dict[str, bytes]]] = {}
        self.tags: dict[str, str] = {}  # names of commits, in whatever repository
        self.requests: list[str] = []
        self.page: bytes | None = None  # answered to every request, as by a login page

    def newest(self, repo_id: str) -> str:
        return list(self.commits[repo_id])[-1]

    def commit(self, repo_id: str, files: dict[str, bytes], deleted: Sequence[str] = ()) -> str:
        """Add a commit that changes and deletes these files; returns its name."""
        before = self.commits.setdefault(repo_id, {})
        content = {**before[self.newest(repo_id)], **files} if before else files
        content = {name: content[name] for name in content if name not in deleted}
        name = hashlib.sha1(f"{repo_id}{len(before)}".encode()).hexdigest()
        before[name] = content
        return name


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A hub at `hub.address` until the block ends."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # as in video_server.py

    def log_message(self, *arguments: object) -> None:
        """Print no log."""

    def do_POST(self) -> None:
        hub, body = self.hub, self.rfile.read(int(self.headers.get("Content-Length", 0)))
        hub.requests.append(f"POST {self.path}")
        if hub.page is not None:
            return self._answer(200, hub.page)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._answer(401, {"error": "no token"})
        if self.path == "/api/validate-yaml":
            return self._answer(200, {"errors": [], "warnings": []})
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            repo_id = f"{asked['organization']}/{asked['name']}"
            if repo_id not in hub.private:
                hub.private[repo_id] = asked.get("private", False) or asked.get("visibility") == "private"
                hub.commit(repo_id, {})
            return self._answer(200, {"url": f"{hub.address}/{repo_id}", "name": repo_id})
        match = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/main", self.path.partition("?")[0])
        assert match, self.path
        repo_id, action = match.groups()
        if action == "preupload":
            asked = json.loads(body)["files"]
            modes = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in asked]
            return self._answer(200, {"files": modes})
        lines = [json.loads(line) for line in body.splitlines()]
        files = [line["value"] for line in lines if line["key"] == "file"]
        deleted = [line["value"]["path"] for line in lines if line["key"] == "deletedFile"]
        name = hub.commit(repo_id, {file["path"]: base64.b64decode(file["content"]) for file in files}, deleted)
        return self._answer(
            200, {"success": True, "commitOid": name, "commitUrl": f"{hub.address}/{repo_id}/commit/{name}"}
        )

    def do_HEAD(self) -> None:
        self._read(with_body=False)

    def do_GET(self) -> None:
        self._read(with_body=True)

    def _read(self, *, with_body: bool) -> None:
        if self.hub.page is not None:
            return self._answer(200, self.hub.page)
        hub, path = self.hub, self.path.partition("?")[0]
        hub.requests.append(f"GET {path}")
        match = re.fullmatch(r"(/api/models)?/([^/]+/[^/]+)(?:/(revision|tree|resolve)/([^/]+)(?:/(.+))?)?", path)
        allowed = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if not match or match[2] not in hub.commits or (hub.private.get(match[2]) and not allowed):
            return self._answer(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        _, repo_id, kind, revision, file = match.groups()
        commit = hub.newest(repo_id) if revision in (None, "main") else hub.tags.get(revision, revision)
        if commit not in hub.commits[repo_id]:
            return self._answer(404, {"error": "Invalid rev id"}, {"X-Error-Code": "RevisionNotFound"})
        files = hub.commits[repo_id][commit]
        if kind == "tree":
            listed = [
                {"type": "file", "path": name, "size": len(content), "oid": _oid(content)}
                for name, content in files.items()
            ]
            return self._answer(200, listed)
        if kind != "resolve":
            siblings = [{"rfilename": name} for name in files]
            return self._answer(200, {"id": repo_id, "modelId": repo_id, "sha": commit, "siblings": siblings})
        if file not in files:
            return self._answer(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
        headers = {"ETag": f'"{_oid(files[file])}"', "X-Repo-Commit": commit}
        return self._answer(200, files[file] if with_body else b"", headers, length=len(files[file]))

    def _answer(
        self, status: int, content: object, headers: dict[str, str] | None = None, *, length: int | None = None
    ) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _oid(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
