"""Downloads against a server of the test's own: verified, resumed, nothing half-written, clear failures."""
import hashlib
import http.server
import io
import pathlib
import subprocess
import sys
import tarfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from common import run_tests

DATA = bytes(i * 7 % 251 for i in range(300_000))
SHA = hashlib.sha256(DATA).hexdigest()


class Server:
    """Serves `files`; `cut` closes the connection after that many bytes, `times` times; `ranges` = honour Range."""

    def __init__(self, files, cut=None, times=0, ranges=True):
        outer = self
        self.files, self.cut, self.times, self.ranges, self.requests = files, cut, times, ranges, []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                wanted = self.headers.get("Range")
                outer.requests.append(wanted)
                data = outer.files.get(self.path.strip("/"))
                if data is None:
                    return self.send_error(404)
                start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted and outer.ranges else 0
                if start >= len(data) > 0:
                    return self.send_error(416)
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(data) - start))
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
                self.end_headers()
                body = data[start:]
                if outer.cut is not None and outer.times > 0:
                    outer.times -= 1
                    body = body[:outer.cut]
                self.wfile.write(body)
                self.wfile.flush()
                self.close_connection = True

            def log_message(self, *arguments):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.shutdown()


def fetch(folder, url, *files, archive="-", members="-", code=0):
    arguments = [x for name, sha in files for x in (name, sha)]
    done = subprocess.run([sys.argv[1], folder, url, archive, members, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, (done.returncode, done.stderr)
    return done.stderr


def test_files_arrive_and_are_not_fetched_twice(folder):
    with Server({"a.gz": DATA, "b.gz": b""}) as server:
        files = (("a.gz", SHA), ("b.gz", hashlib.sha256(b"").hexdigest()))
        fetch(folder, server.url, *files)
        assert (folder / "set/a.gz").read_bytes() == DATA
        assert {p.name for p in (folder / "set").iterdir()} == {"a.gz", "b.gz"}
        asked = len(server.requests)
        assert "is there already" in fetch(folder, server.url, *files)
        assert len(server.requests) == asked


def test_a_cut_download_goes_on_where_it_was(folder):
    with Server({"a.gz": DATA}, cut=100_000, times=2) as server:
        fetch(folder, server.url, ("a.gz", SHA))
        assert (folder / "set/a.gz").read_bytes() == DATA
        assert server.requests == [None, "bytes=100000-", "bytes=200000-"], server.requests


def test_a_later_run_resumes_what_an_earlier_one_left(folder):
    (folder / "set").mkdir()
    (folder / "set/a.gz.part").write_bytes(DATA[:12345])
    with Server({"a.gz": DATA}) as server:
        fetch(folder, server.url, ("a.gz", SHA))
        assert server.requests == ["bytes=12345-"]
        assert (folder / "set/a.gz").read_bytes() == DATA and not (folder / "set/a.gz.part").exists()


def test_a_server_that_ignores_ranges_sends_the_whole_file(folder):
    (folder / "set").mkdir()
    (folder / "set/a.gz.part").write_bytes(DATA[:12345])
    with Server({"a.gz": DATA}, ranges=False) as server:
        fetch(folder, server.url, ("a.gz", SHA))
        assert (folder / "set/a.gz").read_bytes() == DATA


def test_another_file_than_expected_is_refused_and_removed(folder):
    with Server({"a.gz": DATA[:-1] + b"x"}) as server:
        err = fetch(folder, server.url, ("a.gz", SHA), code=2)
        assert "is not the expected file" in err and SHA in err, err
        assert not list((folder / "set").iterdir())


def test_missing_files_and_no_network_are_clear(folder):
    with Server({}) as server:
        err = fetch(folder, server.url, ("a.gz", SHA), code=2)
        assert "404" in err and len(server.requests) == 1, err
        url = server.url
        server.http.server_close()
    err = fetch(folder, url, ("a.gz", SHA), code=2)
    assert "cannot fetch" in err and "Without a network" in err and str(folder / "set/a.gz") in err, err


def test_archives_are_unpacked_and_only_the_named_members(folder):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in (("inner/one.bin", b"1"), ("inner/two.bin", b"22"), ("inner/readme", b"no"), ("../evil.bin", b"no"), ("one.bin", b"no")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    archive = buffer.getvalue()
    files = (("x.tar.gz", hashlib.sha256(archive).hexdigest()),)
    with Server({"x.tar.gz": archive}) as server:
        fetch(folder, server.url, *files, archive="inner", members="one.bin,two.bin")
        assert {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} == {"inner/one.bin", "inner/two.bin"}
        assert (folder / "inner/two.bin").read_bytes() == b"22"
        assert "is there already" in fetch(folder, server.url, *files, archive="inner", members="one.bin,two.bin")
        err = fetch(folder / "b", server.url, *files, archive="inner", members="one.bin,three.bin", code=2)
        assert "holds 1 of the 2 expected files" in err, err


run_tests(globals())
