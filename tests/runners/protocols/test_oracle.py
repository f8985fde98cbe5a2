"""The statistics against scipy and numpy on random data with and without ties. Exits 77 where scipy is missing."""
import json
import math
import subprocess
import sys
import warnings

try:
    import numpy as np
    from scipy import stats
except ImportError as error:
    print(error)
    sys.exit(77)

warnings.filterwarnings("ignore")


def ask(requests):
    text = "".join(json.dumps(r) + "\n" for r in requests)
    out = subprocess.run([sys.argv[1]], input=text, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def close(ours, theirs, tolerance, what):
    if theirs is None or math.isnan(theirs):
        assert ours is None, (what, ours, theirs)
    else:
        assert ours is not None and abs(ours - theirs) <= tolerance * max(1, abs(theirs)), (what, ours, theirs)


def correlations():
    rng = np.random.default_rng(1)
    cases = []
    for n in (2, 3, 5, 8, 20, 33, 34, 100, 400):
        for levels in (2, 3, 10, 10**9):
            cases.append((rng.integers(0, levels, n).astype(float), rng.integers(0, levels, n).astype(float)))
            x = rng.normal(size=n)
            cases.append((x, x + rng.normal(size=n)))
            cases.append((np.round(x, 1), rng.permutation(n).astype(float)))
    # 64-bit counts: once an overflow in SciPy
    cases.append((np.arange(2000.0), np.roll(np.arange(2000.0), 1000)))
    answers = ask([{"x": list(x), "y": list(y)} for x, y in cases])
    for (x, y), a in zip(cases, answers):
        what = f"n = {len(x)}"
        b, c = stats.kendalltau(x, y), stats.kendalltau(x, y, variant="c")
        close(a["tau_b"], b.statistic, 1e-12, what)
        if a["tau_b"] is not None:
            close(a["p_value"], b.pvalue, 1e-9, what)
            close(a["tau_c"], c.statistic, 1e-12, what)
        constant = len(set(x)) == 1 or len(set(y)) == 1
        close(a["pearson"], math.nan if constant else stats.pearsonr(x, y).statistic, 1e-12, what)
        close(a["spearman"], math.nan if constant else stats.spearmanr(x, y).statistic, 1e-12, what)
        for additive, tag in ((True, "add"), (False, "mul")):
            for rank, name in ((True, "both"), (None, "x"), (False, "input")):
                theirs = math.nan if constant else stats.weightedtau(x, y, rank=rank, additive=additive).statistic
                close(a[f"weighted_{name}_{tag}"], theirs, 1e-10, (what, name, tag))


for test in [correlations]:
    test()
    print("ok", test.__name__)
