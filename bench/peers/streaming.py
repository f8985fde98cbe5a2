"""What a user would write for norms of layers, statistics of logits and perturbations: torch and numpy, one thread."""
import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
import numpy as np
import torch
from common import hashed_values, main

torch.set_num_threads(1)
torch.set_grad_enabled(False)


def torch_logits(z, y):
    own = z.gather(1, y[:, None])[:, 0]
    rival = z.scatter(1, y[:, None], -torch.inf).amax(1)
    return own - rival, (own > rival).sum(), torch.nn.functional.cross_entropy(z, y, reduction="sum")


def numpy_logits(z, y):
    rows = np.arange(len(y))
    own, others = z[rows, y], z.copy()
    others[rows, y] = -np.inf
    margins = own - others.max(1)
    largest = z.max(1)
    return margins, (margins > 0).sum(), (np.log(np.exp(z - largest[:, None]).sum(1)) + largest - own).sum(dtype=np.float64)


def cases():
    for n in (1 << 16, 1 << 24):
        layers = [w.reshape(16, -1) for w in (hashed_values(n), hashed_values(n, 2246822507))]
        a, b = ([torch.from_numpy(w) for w in layer] for layer in layers)
        yield f"distance/weights:{n}", "torch", lambda a=a, b=b: sum(float((x - y).square().sum()) for x, y in zip(a, b))
        yield f"distance/weights:{n}", "numpy", lambda l=layers: sum(float(np.square(x - y).sum(dtype=np.float64)) for x, y in zip(*l))
        log_of = lambda x, y, log: log(1e-6 + 0.09 * (x - y) ** 2).sum()
        yield f"log_sums/weights:{n}", "torch", lambda a=a, b=b: sum(float(log_of(x.double(), y.double(), torch.log)) for x, y in zip(a, b))
        yield f"log_sums/weights:{n}", "numpy", lambda l=layers: sum(float(log_of(x.astype(float), y.astype(float), np.log)) for x, y in zip(*l))
    for samples, classes in ((1000, 10), (50000, 10), (10000, 1000)):
        z, y = hashed_values(samples * classes).reshape(samples, classes), np.arange(samples) % classes
        name = f"logits/samples:{samples}/classes:{classes}"
        yield name, "torch", lambda z=torch.from_numpy(z), y=torch.from_numpy(y): torch_logits(z, y)[2]
        yield name, "numpy", lambda z=z, y=y: numpy_logits(z, y)[2]
    for n in (50000,):
        v = hashed_values(n).astype(np.float64)
        yield f"tenth/n:{n}", "torch", lambda v=torch.from_numpy(v): torch.kthvalue(v, len(v) // 10).values
        yield f"tenth/n:{n}", "numpy", lambda v=v: np.partition(v, len(v) // 10 - 1)[len(v) // 10 - 1]
    for n in (1 << 16, 1 << 22):
        w = hashed_values(n)
        rng = np.random.Generator(np.random.Philox(1))
        yield f"perturb/n:{n}", "torch", lambda w=torch.from_numpy(w): (w + 0.1 * torch.randn_like(w), None)[1]
        yield f"perturb/n:{n}", "numpy", lambda w=w, r=rng: (w + np.float32(0.1) * r.standard_normal(len(w), dtype=np.float32), None)[1]


main({}, cases())
