"""A model hub on loopback: repositories with the files they are given, at the addresses of the real one."""

import hashlib
import json
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, unquote, urlparse

TITLE, BOT = "Adding `safetensors` variant of this model", "SFconvertbot"


def commit_name(letter):
    return letter * 40


@dataclass
class Pull:
    """A pull request: its files beside those of main, who wrote it, and the commit of main that it stands on."""

    files: dict
    number: int = 32
    title: str = TITLE
    author: str = BOT
    status: str = "open"
    commit: str = commit_name("b")
    parent: str = commit_name("a")


@dataclass
class Repository:
    files: dict
    pulls: list = field(default_factory=list)
    commit: str = commit_name("a")
    discussions: bool = True
    gated: bool = False
    older: dict = field(default_factory=dict)  # files by earlier commits of main

    def commits(self):
        """The files of every commit, and of main and the pull requests by their references."""
        known = {**self.older, self.commit: self.files, "main": self.files}
        for pull in self.pulls:
            known[pull.commit] = known[f"refs/pr/{pull.number}"] = self.files | pull.files
        return known

    def resolve(self, revision):
        pulls = {f"refs/pr/{pull.number}": pull.commit for pull in self.pulls}
        return ({"main": self.commit} | pulls).get(revision, revision)


class Hub(ThreadingHTTPServer):
    """`repositories` by id; `requests` has a line for each request."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories, self.requests = {}, []
        self.endpoint = f"http://127.0.0.1:{self.server_port}"
        Thread(target=self.serve_forever, daemon=True).start()

    def add(self, name, files, **fields):
        self.repositories[name] = Repository(files, **fields)
        return self.repositories[name]

    def handle_error(self, request, address):
        """A client that hangs up is no error."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        self.server.requests.append(f"{self.command} {unquote(self.path)}")

    def do_GET(self):
        self.answer()

    def do_HEAD(self):
        self.answer()

    def answer(self):
        address = urlparse(self.path)
        path = unquote(address.path).strip("/").removeprefix("api/models/")
        name = next((name for name in self.server.repositories if f"{path}/".startswith(f"{name}/")), None)
        if name is None:
            return self.send(404, {"X-Error-Code": "RepoNotFound"})
        kind, _, rest = path.removeprefix(name).strip("/").partition("/")
        return getattr(self, kind or "revision")(
            self.server.repositories[name], rest, parse_qs(address.query), name
        )

    def resolve(self, repository, rest, query, name):
        if repository.gated:
            return self.send(403, {"X-Error-Code": "GatedRepo"})
        commits = repository.commits()
        revision = next((known for known in commits if rest.startswith(f"{known}/")), None)
        commit = repository.resolve(revision)
        content = commits.get(revision, {}).get(rest.removeprefix(f"{revision}/"))
        if content is None:
            code = "EntryNotFound" if revision else "RevisionNotFound"
            return self.send(404, {"X-Error-Code": code} | ({"X-Repo-Commit": commit} if revision else {}))
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        return self.send(200, {"X-Repo-Commit": commit, "ETag": etag, "Accept-Ranges": "bytes"}, content)

    def revision(self, repository, revision, query, name):
        files = repository.commits()[revision or "main"]
        about = {"id": name, "sha": repository.resolve(revision or "main"), "private": False}
        self.send_json(about | {"siblings": [{"rfilename": file} for file in files]})

    def tree(self, repository, rest, query, name):
        revision, _, folder = rest.partition("/")
        files = repository.commits()[revision]
        inside = {file: content for file, content in files.items() if file.startswith(folder)}
        self.send_json(
            [
                {"type": "file", "path": file, "size": len(content), "oid": "0"}
                for file, content in inside.items()
            ]
        )

    def discussions(self, repository, rest, query, name):
        if not repository.discussions:
            return self.send(403, {})
        found = [
            {
                "num": pull.number,
                "title": pull.title,
                "status": pull.status,
                "isPullRequest": True,
                "author": {"name": pull.author},
                "createdAt": "2025-01-01T00:00:00.000Z",
                "repo": {"type": "model", "name": name},
            }
            for pull in repository.pulls
            if query.get("status", [pull.status]) == [pull.status]
        ]
        return self.send_json({"discussions": found, "count": len(found), "start": 0})

    def commits(self, repository, revision, query, name):
        own = {f"refs/pr/{pull.number}": [pull.commit, pull.parent] for pull in repository.pulls}
        ids = own.get(revision, [repository.commit, *repository.older])
        self.send_json(
            [
                {"id": id, "title": "x", "message": "", "date": "2025-01-01T00:00:00.000Z", "authors": []}
                for id in ids
            ]
        )

    def send_json(self, content):
        self.send(200, {"Content-Type": "application/json"}, json.dumps(content).encode())

    def send(self, status, headers, body=b""):
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def read_files(folder):
    """The files of a checkpoint's folder, by their names."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def without(files, *parts):
    return {name: content for name, content in files.items() if not any(part in name for part in parts)}


def pickled(safetensors):
    """The tensors of a safetensors file as pytorch_model.bin holds them."""
    import io

    import torch
    from safetensors.torch import load

    written = io.BytesIO()
    torch.save(load(safetensors), written)
    return written.getvalue()


def sharded(safetensors, suffix="safetensors"):
    """The tensors in two files and an index, as the library names them."""
    import io

    import torch
    from safetensors.torch import load, save

    tensors = load(safetensors)
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    halves = [list(tensors)[::2], list(tensors)[1::2]]
    files, where = {}, {}
    for number, names in enumerate(halves, 1):
        file = f"{stem}-0000{number}-of-00002.{suffix}"
        part = {name: tensors[name] for name in names}
        if suffix == "safetensors":
            files[file] = save(part, {"format": "pt"})
        else:
            written = io.BytesIO()
            torch.save(part, written)
            files[file] = written.getvalue()
        where |= dict.fromkeys(names, file)
    index = {"metadata": {"total_size": 0}, "weight_map": where}
    return files | {f"{stem}.{suffix}.index.json": json.dumps(index).encode()}
