"""The statistics against scipy and numpy on random data with and without ties, and whole ranking documents
against their schema. Exits 77 where scipy or jsonschema is missing."""
import itertools
import json
import math
import pathlib
import subprocess
import sys
import warnings

try:
    import jsonschema
    import numpy as np
    from scipy import optimize, stats
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


def robust_rmse():
    rng = np.random.default_rng(2)
    cases = []
    for n, size, slope in ((20, 20, 0.5), (60, 5, 1.0), (60, 6, -1.0), (400, 10, 0.3), (90, 3, 0.0)):
        x = rng.lognormal(size=n)
        y = 0.1 + slope * (x - x.mean()) / x.std() * 0.05 + 0.05 * rng.normal(size=n)
        cases.append((x, y, [list(range(i, i + size)) for i in range(0, n, size)] + [[0, n - 1, n // 2]]))
    answers = ask([{"x": list(x), "y": list(y), "groups": g} for x, y, g in cases])
    for (x, y, groups), a in zip(cases, answers):
        c = (x - x.mean()) / x.std()
        mse = lambda w, b: max(np.mean((y[g] - w * c[g] - b) ** 2) for g in groups)
        assert abs(mse(a["w"], a["b"]) ** 0.5 - a["rmse"]) < 1e-9 and abs(mse(0, a["b"]) ** 0.5) >= a["baseline"] - 1e-9
        for slope, ours in ((1, a["rmse"]), (0, a["baseline"])):
            # epigraph form: minimise t subject to MSE_e <= t
            best = math.inf
            for start in ((0.0, y.mean()), (0.05, y.mean()), (a["w"] + 0.01, a["b"] + 0.01)):
                s = optimize.minimize(
                    lambda v: v[2] * 1e3, [start[0] * slope, start[1], 1.1 * mse(start[0] * slope, start[1])], method="SLSQP",
                    bounds=[(0, None if slope else 0), (None, None), (0, None)], options={"maxiter": 500, "ftol": 1e-14},
                    constraints=[{"type": "ineq", "fun": lambda v, g=g: 1e3 * (v[2] - np.mean((y[g] - v[0] * c[g] - v[1]) ** 2))}
                                 for g in groups])
                best = min(best, mse(max(s.x[0], 0) * slope, s.x[1]) ** 0.5)
            assert ours <= best + 1e-9 and ours >= best - 1e-5, (ours, best)


def prediction():
    rng = np.random.default_rng(3)
    levels, seeds = (3, 4, 2), 3
    level = np.array(np.meshgrid(*[range(n) for n in levels], indexing="ij")).reshape(3, -1)
    configuration = np.repeat(np.arange(level.shape[1]), seeds)
    x = rng.lognormal(size=len(configuration))
    y = 0.1 * level[0, configuration] + 0.05 * np.sqrt(x) + 0.05 * rng.normal(size=len(x))
    a, = ask([{"x": list(x), "y": list(y), "configuration": configuration.tolist(), "folds": 7,
               "axes": [{"levels": n, "level": level[i].tolist()} for i, n in enumerate(levels)]}])
    fold = np.array(a["fold"])
    assert set(fold) == set(range(7)) and all(len(set(fold[configuration == c])) == 1 for c in range(level.shape[1]))
    sizes = [len(set(configuration[fold == f])) for f in range(7)]
    assert max(sizes) - min(sizes) <= 1, sizes
    hot = [(level[i, configuration] == l).astype(float) for i, n in enumerate(levels) for l in range(1, n)]
    rank = stats.rankdata(x)
    rank = (rank - rank.mean()) / rank.std()
    one = np.ones(len(x))
    for name, columns in (("levels", [one, *hot]), ("both", [one, *hot, rank])):
        m = np.array(columns).T
        fit, mean = np.empty(len(y)), np.empty(len(y))
        for f in range(7):
            train = fold != f
            fit[~train] = m[~train] @ np.linalg.lstsq(m[train], y[train], rcond=None)[0]
            mean[~train] = y[train].mean()
        assert np.allclose(a[name]["prediction"], fit, atol=1e-7)
        close(a[name]["r2"], 1 - np.sum((y - fit) ** 2) / np.sum((y - mean) ** 2), 1e-6, name)
        close(a[name]["mae"], np.mean(abs(y - fit)), 1e-6, name)
    assert np.allclose(a["in_sample"], m @ np.linalg.lstsq(m, y, rcond=None)[0], atol=1e-7)
    assert a["both"]["r2"] > a["levels"]["r2"]


def many_measures():
    rng = np.random.default_rng(4)
    for n, k, levels in ((3, 4, 0), (12, 5, 0), (30, 8, 3)):
        score = rng.integers(0, levels, (n, k)).astype(float) if levels else rng.normal(size=(n, k)) + np.arange(k) / 3
        p = rng.uniform(size=9) ** 3
        a, = ask([{"score": score.tolist(), "p": p.tolist()}])
        theirs = stats.friedmanchisquare(*(-score.T))
        close(a["chi2"], theirs.statistic, 1e-10, "chi2")
        close(a["p"], theirs.pvalue, 1e-10, "p")
        assert np.allclose(a["mean_rank"], stats.rankdata(-score, axis=1).mean(axis=0))
        assert np.allclose(a["q"], stats.false_discovery_control(p))
        close(a["cd"], stats.studentized_range.ppf(0.95, k, np.inf) / 2**0.5 * (k * (k + 1) / 6 / n) ** 0.5, 1e-5, "cd")
    assert np.allclose(a["ranges"], [stats.studentized_range.ppf(0.95, k, np.inf) for k in range(2, 40, 6)], atol=1e-5)


def ledger(seeds=2, seed=0, drop=(), extra=None):
    rng = np.random.default_rng(seed)
    lines = ["experiment_id,repeat_id,hp.lr,hp.width,hp.fixed,gen.gap,gen.gap_loss,complexity.good,complexity.noise,complexity.holes,"
             "complexity.flat,complexity.empty"]
    for c, (lr, width) in enumerate(itertools.product((0.1, 0.01, 0.001), ("16", "wide"))):
        if c in drop:
            continue
        for s in range(seeds):
            gap = 0.05 * c + 0.01 * rng.normal() + 0.1
            row = [f"c{c}", s, lr, width, 7, gap, 3 * gap, gap + 0.01 * rng.normal(), rng.normal(), "" if c == 1 else gap,
                   2, "nan"]
            lines.append(",".join(map(str, extra(c, s, row) if extra else row)))
    return "\n".join(lines) + "\n"


def documents():
    schema = json.loads((pathlib.Path(__file__).parents[3] / "reports/schemas/ranking.schema.json").read_text())
    one, holes, single, several = ask([
        {"csv": [ledger()]}, {"csv": [ledger(drop=(2,))]}, {"csv": [ledger(seeds=1)]}, {"csv": [ledger(seed=s) for s in range(3)]}])
    for document in (one, holes, single, several):
        jsonschema.validate(document, schema)
        assert "NaN" not in json.dumps(document)
        ids = {m["id"] for m in document["measures"]}
        assert {"baseline-random", "baseline-oracle-0.02", "baseline-canonical-order", "baseline-hyperparameters",
                "baseline-hyperparameters-in-sample", "good", "flat"} <= ids, ids
        for m in document["measures"]:
            for r in m["results"]:
                assert set(r["statistics"]) == {s["id"] for s in document["statistics"]}
                assert len(r["axes"]) == 2 and len(r["sign_error"]["cdf"]) in (0, 100)
    result = lambda d, m: next(x for x in d["measures"] if x["id"] == m)["results"][0]
    assert one["population"]["configurations"] == 6 and [a["name"] for a in one["axes"]] == ["lr", "width"]
    assert one["protocols"][0]["full_grid"] and not holes["protocols"][0]["full_grid"]
    assert one["protocols"][0]["environments"]["weights"] == "hoeffding" and one["protocols"][1]["environments"]["weights"] == "none"
    assert result(holes, "good")["axes"][1]["cells"] == {"used": 2, "possible": 3, "constant": 0, "tied_gap": 0}
    assert "needs a full grid" in result(holes, "good")["statistics"]["pgdl"]["reason"]
    assert result(one, "holes")["items"] == 5 and result(one, "flat")["status"] == "constant-measure"
    assert result(one, "good")["interval"]["low"] == result(one, "good")["statistics"]["tau_b"]["interval"]["low"]
    groups = result(one, "good")["groups"]
    assert [(g["axis"], g["level"], g["n"]) for g in groups] == [("lr", 0.001, 4), ("lr", 0.01, 4), ("lr", 0.1, 4), ("width", 16, 6),
                                                                 ("width", "wide", 6)]
    tests = several["comparison"]["tests"]
    tau = next(t for t in tests if t["statistic"] == "tau_b" and t["gap"] == "gap_error")
    assert "good" in tau["measures"] and "flat" not in tau["measures"] and len(several["comparison"]["ledgers"]) == 3
    assert tau["mean_rank"][tau["measures"].index("good")] < tau["mean_rank"][tau["measures"].index("noise")]


def sign_error_distribution():
    """Losses of all pairs of configurations that differ in one axis, by a plain loop; gap_loss weighs all run pairs alike."""
    document, = ask([{"csv": [ledger(drop=(2,))]}])
    environments, grid = document["protocols"][1]["environments"], document["protocols"][1]["environments"]["cdf_grid"]
    assert environments["weights"] == "none" and environments["kept"] == environments["total"] == 6
    assert np.allclose(grid["all"], np.arange(1, 101) / 100) and np.allclose(grid["by_axis"], np.arange(1, 21) / 20)
    runs, hp = {}, {}
    for model in document["models"]:
        runs.setdefault(model["configuration"], []).append(model)
        hp[model["configuration"]] = model["hp"]
    for m in document["measures"]:
        if m["id"] not in ("good", "noise", "flat"):
            continue
        losses = {a["name"]: [] for a in document["axes"]}
        for c, d in itertools.combinations(runs, 2):
            differ = [a for a in losses if hp[c][a] != hp[d][a]]
            if len(differ) == 1:
                losses[differ[0]].append(np.mean([
                    (1 - np.sign(i["measures"][m["id"]] - j["measures"][m["id"]]) * np.sign(i["gaps"]["gap_loss"] - j["gaps"]["gap_loss"])) / 2
                    for i in runs[c] for j in runs[d]]))
        cdf = lambda values, edges: [np.mean(np.array(values) <= e + 1e-12) for e in edges]
        r = m["results"][1]
        assert np.allclose(r["sign_error"]["cdf"], cdf(sum(losses.values(), []), grid["all"])), m["id"]
        for axis in r["axes"]:
            assert np.allclose(axis["sign_error"]["cdf"], cdf(losses[axis["axis"]], grid["by_axis"])), (m["id"], axis)


def errors():
    two_levels = ledger(extra=lambda c, s, row: row[:4] + [s] + row[5:])
    twice = ledger(extra=lambda c, s, row: [row[0], 0] + row[2:])
    infinite = ledger(extra=lambda c, s, row: row[:7] + ["inf" if c == 5 else row[7]] + row[8:])
    halved = ledger().replace("complexity.noise", "half_a").replace("complexity.flat", "half_b")
    a, b, none, dropped, kept, ceiling, threads = ask([
        {"csv": [two_levels]}, {"csv": [twice]}, {"csv": ["gen.gap,complexity.x\n,1\n"]},
        {"csv": [ledger().replace(",complexity.empty", ",other").replace("complexity.holes", "complexity.h")], "complete_cases": True},
        {"csv": [infinite], "inf_is_extreme": True}, {"csv": [halved], "halves": ["half_a", "gen.gap"]},
        {"csv": [ledger()], "threads": 1}])
    for part in ("configuration 'c0' has two values of the axis 'hp.fixed': 0 in row 1, 1 in row 2", "--axes"):
        assert part in a["error"], a
    assert "rows 1 and 2 are both configuration 'c0', seed '0'" in b["error"], b
    assert "none of its 1 rows can be ranked" in none["error"], none
    assert dropped["population"]["excluded"]["incomplete"] == 2 and dropped["population"]["models"] == 10, dropped
    good = next(m for m in kept["measures"] if m["id"] == "good")
    assert good["counts"]["infinite"] == 2 and good["counts"]["missing"] == 0
    assert all(s["value"] is None or math.isfinite(s["value"]) for s in good["results"][0]["statistics"].values())
    c = ceiling["protocols"][0]["noise_ceiling"]
    assert c["reason"] is None and -1 <= c["tau_b"] <= 1 and c["n"] == 12
    assert threads == ask([{"csv": [ledger()], "threads": 3}])[0]


for test in [correlations, robust_rmse, prediction, many_measures, documents, sign_error_distribution, errors]:
    test()
    print("ok", test.__name__)
