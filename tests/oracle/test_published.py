"""The published table of the weight-correlation paper: gapbench rank prints the published taus."""
import csv
import io
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from common import ROOT, gapbench, run_tests

PUBLISHED = {"pfn": 0.1667, "psn": 0.1667, "nop": 0.2222, "sosp": 0.4444, "wc": 0.3333, "pb": 0.3333, "g": 0.3333, "pbc": 0.6111}


def test_taus_of_the_nine_cifar10_networks(folder):
    out = gapbench("rank", ROOT / "runners/ranking/published/weight_correlation_cifar10.csv", "--gap", "gen.gap", "--format", "csv").stdout
    rows = {r["measure"]: r for r in csv.DictReader(io.StringIO(out))}
    for name, tau in PUBLISHED.items():
        assert f"{float(rows[name]['tau_b']):.4f}" == f"{tau:.4f}", (name, rows[name])
        assert rows[name]["tau_a"] == rows[name]["tau_b"]  # no ties
    table = gapbench("rank", ROOT / "runners/ranking/published/weight_correlation_cifar10.csv", "--gap", "gen.gap").stdout
    assert "test error" not in table, "these gaps are differences of cross-entropies, up to 2.8: no fractions"
    for name, tau in PUBLISHED.items():
        line = next(l for l in table.splitlines() if f" {name} " in f" {l} ")
        assert f"{tau:.4f}"[1:] in line or f"{tau:.3f}"[1:] in line, line


run_tests(globals())
