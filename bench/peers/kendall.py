"""scipy.stats.kendalltau: the tau-b and p-value a user would take instead."""
import numpy as np
import scipy
from common import hashed_values, main
from scipy.stats import kendalltau


def make_input(n, levels):
    a, b = (hashed_values(n, m).astype(np.float64) for m in (2654435761, 2246822507))
    x, y = a, a + b
    return (np.floor(x * levels), np.floor(y * levels)) if levels else (x, y)


def cases():
    for kind, levels in (("distinct", 0), ("ties", 10)):
        for n in (20, 100, 1000, 10000, 100000):
            x, y = make_input(n, levels)
            yield f"kendall_tau/{kind}/n:{n}", "scipy", lambda x=x, y=y: kendalltau(x, y).statistic
    for n in (100, 10000):
        x, y = make_input(n, 0)
        drawn = np.repeat(np.arange(n), np.arange(n) % 3)
        yield f"resample/n:{n}", "scipy", lambda x=x, y=y, d=drawn: kendalltau(x[d], y[d]).statistic


main({"scipy": f"scipy {scipy.__version__}: scipy.stats.kendalltau(x, y)"}, cases())
