#!/usr/bin/env python3
"""Compares the benchmark programs of two builds: runs them in turns and asks, for each benchmark, whether one is faster.

  .venv/bin/python bench/compare.py OLD/bin NEW/bin --repetitions 15 --filter 'dense/cpu'

Each turn runs every program of both builds once, in an order that alternates, so that a drift of the machine meets both. The table
has the medians, their ratio, and the two-sided p-value of the Mann-Whitney test on the repetitions; a ratio with p below --alpha
is marked. Needs scipy."""
import argparse
import os
import pathlib
import re
import statistics
import sys

from run import duration, run, table

UNIT = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1}


def programs(folder):
    return {p.name: p for p in sorted(folder.glob("bench_*")) if os.access(p, os.X_OK)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=pathlib.Path, help="folder of the bench_* programs of the first build")
    parser.add_argument("new", type=pathlib.Path, help="the same of the second")
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--min-time", type=float, default=0.05, help="seconds per benchmark and repetition")
    parser.add_argument("--filter", default="", help="regular expression that a benchmark's name must contain")
    parser.add_argument("--alpha", type=float, default=0.01)
    a = parser.parse_args()
    try:
        from scipy.stats import mannwhitneyu
    except ImportError:
        sys.exit("compare.py needs scipy: scripts/setup --tests installs it into .venv")
    builds = {"old": programs(a.old), "new": programs(a.new)}
    common = sorted(set(builds["old"]) & set(builds["new"]))
    if not common:
        sys.exit(f"no bench_* program is in both {a.old} and {a.new}; build them: cmake --build --preset release")
    times = {}  # (name, build): seconds
    for repetition in range(a.repetitions):
        for name in common:
            for build in ("old", "new") if repetition % 2 == 0 else ("new", "old"):
                document = run([builds[build][name], "--benchmark_format=json", f"--benchmark_min_time={a.min_time}",
                                *([f"--benchmark_filter={a.filter}"] if a.filter else [])], may_be_empty=True)
                for b in document["benchmarks"]:
                    if not b.get("error_occurred"):
                        times.setdefault((b["name"], build), []).append(b["real_time"] * UNIT[b["time_unit"]])
    names = sorted({n for n, _ in times})
    lines = []
    for name in names:
        old, new = (times.get((name, build), []) for build in ("old", "new"))
        if not old or not new:
            continue
        ratio, p = statistics.median(old) / statistics.median(new), float(mannwhitneyu(old, new).pvalue)
        verdict = "" if p >= a.alpha else "faster" if ratio > 1 else "slower"
        lines.append([name, duration(statistics.median(old)), duration(statistics.median(new)), f"{ratio:.3f}", f"{p:.2g}", verdict])
    if not lines:
        sys.exit("no benchmark that both builds have matches" + (f" {re.escape(a.filter)}" if a.filter else ""))
    print("\n".join(table(["benchmark", "old", "new", "old / new", "p", f"at {a.alpha:g}"], lines)))


if __name__ == "__main__":
    main()
