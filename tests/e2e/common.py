"""What the end-to-end tests share: running the program, reading its files, Philox in plain Python."""
import gzip
import hashlib
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]


def need(*modules):
    """Exit 77 (skipped) where a Python package is missing."""
    for m in modules:
        if importlib.util.find_spec(m) is None:
            print(f"skipped: Python package {m} is missing")
            sys.exit(77)
    # one thread: ctest runs tests side by side, and threads that wait for a core that another test has spin meanwhile
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy's, read when it is loaded; the program has none
    if "torch" in modules:
        import torch
        torch.set_num_threads(1)


def gapbench(*arguments, code=0, env=None, cwd=None):
    """Runs the program (first command-line argument of the test); fails on another exit code."""
    done = subprocess.run([sys.argv[1], *map(str, arguments)], capture_output=True, text=True, env=env, cwd=cwd, timeout=600)
    assert done.returncode == code, (
        f"gapbench {' '.join(map(str, arguments))}: exit {done.returncode}, expected {code}\n{done.stdout}\n{done.stderr}")
    return done


def write_spec(folder, **keys):
    path = pathlib.Path(folder) / "spec.json"
    path.write_text(json.dumps({"data": {"name": "digits"}, **keys}))
    return path


def models_of(zoo):
    return json.loads((pathlib.Path(zoo) / "zoo.json").read_text())["models"]


def digest_of_models(zoo):
    """SHA-256 of every file that must not depend on when or how often a run was killed, by relative name."""
    zoo = pathlib.Path(zoo)
    digests = {}
    for path in sorted(zoo.glob("models/*/*")):
        if path.name == "timing.json":
            continue
        data = path.read_bytes()
        if path.name in ("measures.jsonl", "searches.jsonl"):  # carry wall times
            cells = [json.loads(line) for line in data.splitlines()]
            for cell in cells:
                del cell["seconds"]
            data = json.dumps(cells).encode()
        digests[str(path.relative_to(zoo))] = hashlib.sha256(data).hexdigest()
    digests["ledger.csv"] = hashlib.sha256((zoo / "ledger.csv").read_bytes()).hexdigest()
    return digests


def digits():
    """The embedded data read independently: (train images, train labels, test images, test labels), pixels in [0, 1]."""
    import numpy as np
    with gzip.open(ROOT / "zoo/data/digits.csv.gz", "rt") as f:
        rows = np.array([[int(v) for v in line.split(",")] for line in f])
    test = np.arange(len(rows)) % 5 == 4
    images = (rows[:, :64] / 16).astype("float32").reshape(-1, 1, 8, 8)
    return images[~test], rows[~test, 64], images[test], rows[test, 64]


class Philox:
    """The stream of measures/numerics/philox.h, written from the paper's description."""

    def __init__(self, owner, purpose, stream):
        key = 14695981039346656037
        for byte in owner.encode() + b"\xff" + purpose.encode():
            key = ((key ^ byte) * 1099511628211) % 2**64
        self.key, self.stream, self.counter, self.words = key, stream, 0, []

    def next(self):
        if not self.words:
            c = [self.counter % 2**32, self.counter >> 32, self.stream % 2**32, self.stream >> 32]
            k = [self.key % 2**32, self.key >> 32]
            for _ in range(10):
                p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
                c = [(p1 >> 32) ^ c[1] ^ k[0], p1 % 2**32, (p0 >> 32) ^ c[3] ^ k[1], p0 % 2**32]
                k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
            self.counter += 1
            self.words = c
        return self.words.pop(0)

    def below(self, n):
        product = self.next() * n
        while product % 2**32 < (2**32 - n) % n:
            product = self.next() * n
        return product >> 32

    def shuffled(self, n):
        order = list(range(n))
        for i in range(n, 1, -1):
            j = self.below(i)
            order[i - 1], order[j] = order[j], order[i - 1]
        return order


def run_tests(namespace):
    """Runs every test_* function of a module with a temporary folder; prints 'N passed, N failed'."""
    passed = failed = 0
    for name, function in list(namespace.items()):
        if not name.startswith("test_") or function is None:
            continue
        with tempfile.TemporaryDirectory(prefix="gapbench-") as folder:
            try:
                function(pathlib.Path(folder))
                passed += 1
                print(f"ok   {name}", flush=True)
            except Exception:
                failed += 1
                print(f"FAIL {name}", flush=True)
                traceback.print_exc(file=sys.stdout)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)
