"""docs/measures.md is what the program prints."""
import difflib
import subprocess
import sys

gapbench, page = sys.argv[1:]
command = [gapbench, "list", "measures", "--format", "md"]
printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
assert printed.startswith("# Measures\n") and printed.count("\n### ") > 0, "the program printed no measure"
with open(page, encoding="utf-8") as file:
    committed = file.read()
if printed != committed:
    sys.stdout.writelines(difflib.unified_diff(
        committed.splitlines(True), printed.splitlines(True), "docs/measures.md", "the program"))
    sys.exit("docs/measures.md is out of date; write it anew with: "
             "gapbench list measures --format md > docs/measures.md")
