"""A hub on this machine: the part of the Hugging Face hub that a download asks for."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from types import TracebackType

LARGE = (".safetensors", ".bin")


def git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@dataclass
class SmallHub:
    """Repositories of files at commits, and the faults that the hub is to have.

    Attributes:
        damaged: file name -> what is sent in the place of its content.
        cut: file name -> how many bytes are sent before the connection drops, once.
        always_cut: the same, each time.
        stall: file name -> how many bytes are sent before nothing more comes, once.
        stalled: set when a file has stalled.
        asked: each request as (method, path, its Range header).
    """

    damaged: dict[str, bytes] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    always_cut: dict[str, int] = field(default_factory=dict)
    stall: dict[str, int] = field(default_factory=dict)
    stalled: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    _commits: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    _names: dict[str, dict[str, str]] = field(default_factory=dict)

    def publish(self, repo: str, files: dict[str, bytes], *names: str) -> str:
        """Add a commit with some files, under branch or tag names; its id."""
        commit = hashlib.sha1(repr((repo, files)).encode(), usedforsecurity=False).hexdigest()
        self._commits.setdefault(repo, {})[commit] = files
        self._names.setdefault(repo, {}).update(dict.fromkeys(names or ("main",), commit))
        return commit

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.go_away()

    def go_away(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def commit(self, repo: str, revision: str) -> str | None:
        commits = self._commits[repo]
        return revision if revision in commits else self._names[repo].get(revision)

    def files(self, repo: str, commit: str) -> dict[str, bytes]:
        return self._commits[repo][commit]

    def has(self, repo: str) -> bool:
        return repo in self._commits


class _Handler(BaseHTTPRequestHandler):
    hub: SmallHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = urlsplit(self.path).path
        self.hub.asked.append((self.command, path, self.headers.get("Range")))
        parts = [unquote(part) for part in path.strip("/").split("/")]
        if parts[:2] == ["api", "models"]:
            self._describe(parts[2:])
        elif parts[2:3] == ["resolve"]:
            self._send_file("/".join(parts[:2]), parts[3], "/".join(parts[4:]), body=body)
        else:
            self._refuse("EntryNotFound")

    def _describe(self, parts: list[str]) -> None:
        repo, what = "/".join(parts[:2]), parts[2:]
        if not self.hub.has(repo):
            self._refuse("RepoNotFound")
            return
        commit = self.hub.commit(repo, what[1] if len(what) > 1 else "main")
        if commit is None:
            self._refuse("RevisionNotFound")
            return
        files = self.hub.files(repo, commit)
        if what[:1] == ["tree"]:
            self._send_json([_tree_entry(name, content) for name, content in files.items()])
        else:
            siblings = [_sibling(name, content) for name, content in files.items()]
            self._send_json({"id": repo, "sha": commit, "siblings": siblings, "tags": []})

    def _send_file(self, repo: str, revision: str, name: str, *, body: bool) -> None:
        commit = self.hub.commit(repo, revision) if self.hub.has(repo) else None
        if commit is None or name not in self.hub.files(repo, commit):
            self._refuse("EntryNotFound")
            return
        content = self.hub.files(repo, commit)[name]
        sent = self.hub.damaged.get(name, content)
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        etag = hashlib.sha256(content).hexdigest() if name.endswith(LARGE) else git_blob(content)
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(sent) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(sent) - 1}/{len(sent)}")
        self.end_headers()
        if not body:
            return
        faults = (self.hub.cut, self.hub.always_cut, self.hub.stall)
        fault = next((fault for fault in faults if name in fault), None)
        until = len(sent) if fault is None else start + fault[name]
        self.wfile.write(sent[start:until])
        if fault is None:
            return
        self.close_connection = True
        if fault is not self.hub.always_cut:
            fault.pop(name)
        if fault is self.hub.stall:
            self.hub.stalled.set()
            with suppress(ConnectionError):
                self.rfile.read(1)  # until the other side hangs up

    def _send_json(self, content: Any) -> None:
        text = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _refuse(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _sibling(name: str, content: bytes) -> dict[str, Any]:
    stated = {"rfilename": name, "size": len(content), "blobId": git_blob(content)}
    return stated | ({"lfs": _large(content, "sha256")} if name.endswith(LARGE) else {})


def _tree_entry(name: str, content: bytes) -> dict[str, Any]:
    stated = {"type": "file", "path": name, "size": len(content), "oid": git_blob(content)}
    return stated | ({"lfs": _large(content, "oid")} if name.endswith(LARGE) else {})


def _large(content: bytes, digest: str) -> dict[str, Any]:
    return {digest: hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
