"""scipy.stats.kendalltau and a plain numpy bootstrap as oracles of runners/ranking."""
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from common import need, run_tests

need("numpy", "scipy")
import numpy as np
from scipy.stats import kendalltau


def ask(requests):
    """Answers of kendall_tool, one per request."""
    lines = "\n".join(json.dumps(r) for r in requests)
    done = subprocess.run([sys.argv[1]], input=lines, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(requests)
    return answers


def counts_by_hand(x, y):
    i, j = np.triu_indices(len(x), 1)
    dx, dy = np.sign(x[i] - x[j]), np.sign(y[i] - y[j])
    return {"concordant": (dx * dy > 0).sum(), "discordant": (dx * dy < 0).sum(), "ties_x": (dx == 0).sum(),
            "ties_y": (dy == 0).sum(), "ties_both": ((dx == 0) & (dy == 0)).sum()}, (dx * dy).mean()


def random_pair(rng, n, ties):
    x = rng.normal(size=n)
    y = rng.choice([0, 0.3, 1, 3]) * x + rng.normal(size=n)
    if ties in ("x", "both"):
        x = np.round(x * rng.choice([0.5, 1, 2]))
    if ties in ("y", "both"):
        y = np.round(y * rng.choice([0.5, 1, 2]))
    return x, y


def test_taus_p_values_and_counts(folder):
    rng = np.random.default_rng(20)
    pairs = [random_pair(rng, n, ties) for n in (2, 3, 4, 5, 8, 9, 17, 32, 33, 34, 35, 60, 150) for ties in ("none", "x", "y", "both")
             for _ in range(12)]
    pairs += [(np.arange(n) * 1.0, np.arange(n) * s) for n in (2, 20, 40, 150) for s in (1.0, -1.0)]  # exact beyond 33, up to where scipy underflows
    for n in (40, 60):  # one pair out of order: still exact
        y = np.arange(n) * 1.0
        y[[4, 5]] = y[[5, 4]]
        pairs += [(np.arange(n) * 1.0, y), (np.arange(n) * 1.0, -y)]
    compared = {"exact": 0, "normal": 0, "none": 0}
    for (x, y), found in zip(pairs, ask([{"x": x.tolist(), "y": y.tolist()} for x, y in pairs])):
        counts, tau_a = counts_by_hand(x, y)
        for name, count in counts.items():
            assert found[name] == count, (name, found, x, y)
        assert abs(found["tau_a"] - tau_a) < 1e-14
        compared[found["p_method"]] += 1
        if len(set(x)) == 1 or len(set(y)) == 1:
            assert found["tau_b"] is None and found["p_value"] is None
            continue
        theirs = kendalltau(x, y)
        assert abs(found["tau_b"] - theirs.statistic) < 1e-13, (found, theirs)
        assert abs(found["p_value"] - theirs.pvalue) <= 1e-10 * theirs.pvalue, (found, theirs, x, y)
    assert compared["exact"] > 50 and compared["normal"] > 200, compared


def test_percentile_bootstrap_against_a_numpy_loop(folder):
    rng = np.random.default_rng(5)
    ours_resamples, theirs_resamples = 4000, 2000
    for configurations, seeds in ((10, 1), (12, 3)):
        effect = np.repeat(rng.normal(size=configurations), seeds)
        n = configurations * seeds
        x, y = effect + 0.6 * rng.normal(size=n), effect + 0.6 * rng.normal(size=n)
        configuration = np.repeat(np.arange(configurations), seeds)
        (found,) = ask([{"x": x.tolist(), "y": y.tolist(), "configuration": configuration.tolist(), "resamples": ours_resamples, "seed": 1,
                         "level": 0.9}])
        taus = []
        for _ in range(theirs_resamples):
            drawn = rng.integers(configurations, size=configurations)
            rows = np.concatenate([np.flatnonzero(configuration == c) for c in drawn])
            taus.append(kendalltau(x[rows], y[rows]).statistic)
        taus = np.sort(taus)
        # the share of the loop's taus below each of our bounds is 5 % and 95 %, up to Monte-Carlo error of both
        error = 5 * np.sqrt(0.05 * 0.95 * (1 / ours_resamples + 1 / theirs_resamples))
        for bound, share in zip(found["interval"], (0.05, 0.95)):
            below, upto = (taus < bound - 1e-9).mean(), (taus <= bound + 1e-9).mean()
            assert below - error <= share <= upto + error, (bound, share, below, upto)


run_tests(globals())
