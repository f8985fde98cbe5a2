"""bench/compare.py on two programs whose times are known: one benchmark twice as slow, one the same, one in one build only."""
import pathlib
import subprocess
import sys
import tempfile

try:
    import scipy  # noqa: F401
except ImportError:
    print("skipped: scipy is missing")
    sys.exit(77)

COMPARE = pathlib.Path(__file__).resolve().parents[2] / "bench" / "compare.py"
PROGRAM = """#!{python}
import json, pathlib
count = pathlib.Path(__file__).with_suffix(".count")
n = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(n))
jitter = 1 + 0.001 * (n * 7 % 10)
times = {times}
print(json.dumps({{"context": {{}}, "benchmarks": [{{"name": k, "real_time": v * jitter, "time_unit": "us"}} for k, v in times.items()]}}))
"""


def build(folder, times):
    folder.mkdir()
    program = folder / "bench_fake"
    program.write_text(PROGRAM.format(python=sys.executable, times=times))
    program.chmod(0o755)


def compare(*arguments):
    return subprocess.run([sys.executable, COMPARE, *map(str, arguments)], capture_output=True, text=True)


with tempfile.TemporaryDirectory() as temporary:
    root = pathlib.Path(temporary)
    build(root / "old", {"same": 10.0, "slower": 10.0, "gone": 1.0})
    build(root / "new", {"same": 10.0, "slower": 20.0})
    done = compare(root / "old", root / "new", "--repetitions", 8)
    assert done.returncode == 0, done.stderr
    rows = {line.split("|")[1].strip(): [c.strip() for c in line.split("|")[2:-1]] for line in done.stdout.splitlines()[2:]}
    assert set(rows) == {"same", "slower"}, done.stdout
    assert rows["same"][-1] == "" and float(rows["same"][3]) > 0.01, rows
    assert rows["slower"][-1] == "slower" and abs(float(rows["slower"][2]) - 0.5) < 0.01, rows
    assert float(rows["slower"][3]) < 0.001, rows  # no overlap in 8 and 8: 2 / C(16, 8)
    (root / "empty").mkdir()
    done = compare(root / "old", root / "empty")
    assert done.returncode != 0 and "no bench_* program" in done.stderr, done.stderr
print("ok")
