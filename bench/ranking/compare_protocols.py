"""compare_protocols.py BENCH_PROTOCOLS: what users would run instead, timed in the same run. Needs numpy and scipy.

Kendall: scipy.stats.kendalltau on as many pairs. Environments: the straightforward Python loop over run pairs, on a
ledger small enough to wait for; both must find the same mean sign error."""
import csv
import itertools
import json
import math
import subprocess
import sys
import tempfile
import time

import numpy as np
from scipy import stats


def bench(*arguments):
    return json.loads(subprocess.run([sys.argv[1], *arguments], capture_output=True, text=True, check=True).stdout)


def kendall(n):
    rng = np.random.default_rng(0)
    x = rng.normal(size=n)
    y = x + rng.normal(size=n)
    theirs = math.inf
    for _ in range(7):
        start = time.perf_counter()
        stats.kendalltau(x, y)
        theirs = min(theirs, time.perf_counter() - start)
    ours = bench(f"kendall={n}")["seconds"]
    print(json.dumps({"kendall_n": n, "scipy_s": round(theirs, 6), "gapbench_s": ours, "ratio": round(theirs / ours, 2)}))


def environments(levels, seeds, measures):
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        ours = bench(f"levels={levels}", f"seeds={seeds}", f"measures={measures}", "only=environments", f"dump={file.name}")
        rows = list(csv.DictReader(open(file.name)))
    axes = [c for c in rows[0] if c.startswith("hp.")]
    for r in rows:
        r["key"] = tuple(r[a] for a in axes)
        r["gap"] = float(r["gen.gap"])
        r["x"] = [float(r[f"complexity.m{m}"]) for m in range(measures)]
    start = time.perf_counter()
    sums = {}
    for a, b in itertools.product(rows, rows):
        if sum(p != q for p, q in zip(a["key"], b["key"])) != 1:
            continue
        d = a["gap"] - b["gap"]
        w = max(0.0, max(0.0, 1 - 2 * math.exp(-2 * 10000 * (abs(d) / 2) ** 2)) ** 2 - 0.5)
        s = sums.setdefault((a["key"], b["key"]), [0.0, 0.0, [0.0] * measures])
        s[0] += w
        s[1] += w * w
        for m in range(measures):
            e = a["x"][m] - b["x"][m]
            s[2][m] += w * (1 - ((e > 0) - (e < 0)) * ((d > 0) - (d < 0))) / 2
    theirs = time.perf_counter() - start
    kept = [s for s in sums.values() if s[0] > 0 and s[0] ** 2 / s[1] >= 0.12 * seeds**2]
    mean = np.mean([[loss / s[0] for loss in s[2]] for s in kept])
    assert abs(mean - ours["mean_sign_error"]) < 1e-9, (mean, ours)
    print(json.dumps({"models": len(rows), "measures": measures, "environments": ours["environments"],
                      "python_loop_s": round(theirs, 3), "gapbench_s": ours["seconds"], "ratio": round(theirs / ours["seconds"], 1)}))


for n in (1000, 10000, 100000):
    kendall(n)
environments("2,5,5,4", 10, 10)
