"""Every C++ and CUDA file of the repository is as clang-format leaves it: test_format.py ROOT [--fix]"""
import importlib.util
import pathlib
import subprocess
import sys

if importlib.util.find_spec("clang_format") is None:
    print("skipped: Python package clang-format is missing")
    sys.exit(77)
ROOT = pathlib.Path(sys.argv[1])
FOLDERS = ("measures", "zoo", "runners", "reports", "bench", "tests")
files = [p for folder in FOLDERS for p in sorted((ROOT / folder).rglob("*")) if p.suffix in (".cpp", ".h", ".cu", ".inc")]
assert len(files) > 300, f"only {len(files)} files below {ROOT}"
mode = ["-i"] if "--fix" in sys.argv else ["--dry-run", "-Werror"]
done = subprocess.run([pathlib.Path(sys.executable).parent / "clang-format", *mode, *files], capture_output=True, text=True)
if done.returncode != 0:
    print(*(line for line in done.stderr.splitlines() if "error:" in line), sep="\n")
    sys.exit(f"not formatted; mend with: .venv/bin/python {pathlib.Path(__file__).relative_to(ROOT)} . --fix")
print(f"{len(files)} files are formatted")
