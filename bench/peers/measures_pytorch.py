#!/usr/bin/env python3
"""The measures of one NiN as a user of PyTorch would compute them: the definitions written down, torch and numpy, no tricks
beyond sharing one forward pass and one list of norms. The peer of bench/measures/compare_measures.py.

    measures_pytorch.py MODEL_FOLDER SAMPLES.safetensors [--searches] [--threads N]

Prints one line of JSON: seconds (wall) and CPU seconds of the deterministic measures and of each search, and the values.
"""
import json
import math
import pathlib
import sys
import time

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

folder, samples = pathlib.Path(sys.argv[1]), sys.argv[2]
torch.set_num_threads(int(sys.argv[sys.argv.index("--threads") + 1]) if "--threads" in sys.argv else 2)
final, init = load_file(folder / "final.safetensors"), load_file(folder / "init.safetensors")
data = load_file(samples)
x, y = data["train_x"][:10000], data["train_y"][:10000].long()

names = sorted((k for k in final if k.startswith("blocks.") and k.endswith("weight")), key=lambda k: [int(s) for s in k.split(".")[1:3]]) + ["head.weight"]
layers, size, geometry = [], x.shape[2], {}
for name in names:
    w = final[name]
    stride, padding = (2, 1) if w.shape[2] == 3 else (1, 0)
    conv = nn.Conv2d(w.shape[1], w.shape[0], w.shape[2], stride, padding)
    conv.weight.data, conv.bias.data = w.clone(), final[name.replace("weight", "bias")].clone()
    geometry[name] = (size, stride)
    size //= stride
    layers += [conv, nn.ReLU()]
model = nn.Sequential(*layers[:-1], nn.AdaptiveAvgPool2d(1), nn.Flatten()).to(memory_format=torch.channels_last).eval()
x = x.contiguous(memory_format=torch.channels_last)


def logits():
    with torch.no_grad():
        return torch.cat([model(x[i:i + 1000]) for i in range(0, len(x), 1000)])


def errors():
    return (logits().argmax(1) != y).double().mean().item()


def spectral(w, n, stride):
    """Largest singular value over frequencies; a stride folds the frequencies that it makes alike into one block."""
    t = np.fft.fft2(w.double().numpy(), (n, n))
    if stride == 1:
        return np.linalg.svd(t.transpose(2, 3, 0, 1), compute_uv=False).max()
    m = n // stride
    t = t.reshape(*w.shape[:2], stride, m, stride, m).transpose(3, 5, 0, 1, 2, 4).reshape(m, m, w.shape[0], -1) / stride
    return np.linalg.svd(t, compute_uv=False).max()


def deterministic():
    v = {}
    weights, first = [final[n].double() for n in names], [init[n].double() for n in names]
    change = [a - b for a, b in zip(weights, first)]
    fro, moved = [w.norm().item() for w in weights], [c.norm().item() for c in change]
    norms = [spectral(final[n], *geometry[n]) for n in names]
    moved_norms = [spectral(final[n] - init[n], *geometry[n]) for n in names]
    z = logits().double()
    of_label = z.gather(1, y[:, None])[:, 0]
    margins = of_label - z.scatter(1, y[:, None], -math.inf).max(1).values
    gamma = max(margins.kthvalue(len(z) // 10).values.item(), 1e-6)
    L = len(names)
    v["cross-entropy"] = nn.functional.cross_entropy(z, y).item()
    v["neg-entropy"] = -torch.distributions.Categorical(logits=z).entropy().mean().item()
    v["margin-p10"], v["inverse-margin"] = margins.kthvalue(len(z) // 10).values.item(), gamma ** -2
    prod_spec, prod_fro = 2 * sum(map(math.log, norms)), 2 * sum(map(math.log, fro))
    v["log-prod-spec"], v["log-prod-fro"] = prod_spec, prod_fro
    v["log-prod-spec-over-margin"], v["log-prod-fro-over-margin"] = prod_spec - 2 * math.log(gamma), prod_fro - 2 * math.log(gamma)
    v["log-sum-spec"], v["log-sum-fro"] = math.log(L) + prod_spec / L, math.log(L) + prod_fro / L
    v["fro-over-spec"] = sum((f / s) ** 2 for f, s in zip(fro, norms))
    v["log-spec-orig-main"] = prod_spec - 2 * math.log(gamma) + math.log(v["fro-over-spec"])
    v["log-spec-init-main"] = prod_spec - 2 * math.log(gamma) + math.log(sum((f / s) ** 2 for f, s in zip(moved, norms)))
    v["spec-dist"], v["fro-dist"], v["param-norm"] = sum(s ** 2 for s in moved_norms), sum(f ** 2 for f in moved), sum(f ** 2 for f in fro)
    v["l2-norm"], v["l2-dist"] = math.sqrt(v["param-norm"]), math.sqrt(v["fro-dist"])
    v["num-params"] = sum(w.numel() for w in weights)
    rho, g = [], []
    for w in weights:
        slices = [w[:, :, 0, 0]] if w.shape[2] == 1 else [w[:, i].flatten(1) for i in range(w.shape[1])]
        cosines = []
        for rows in slices:
            unit = rows / rows.norm(dim=1, keepdim=True)
            c = (unit @ unit.T).abs()
            cosines.append(c[torch.triu_indices(len(c), len(c), 1).unbind()].mean().item())
        rho.append(np.mean(cosines))
        n, m = w.shape[0], w[0].numel()
        g.append(-(n - 1) * m * math.log(1 - rho[-1]) - m * math.log(1 + (n - 1) * rho[-1]))
    v["wc-paper"], v["wc-kl"] = np.mean(rho), sum(g) / 2
    v["pb-notebook"] = 0.5 * sum(((final[k].double() - init[k].double()) ** 2).sum().item() for k in final)
    return v


parameters = list(model.parameters())
clean = [p.detach().clone() for p in parameters]


def put(values):
    for p, v in zip(parameters, values):
        p.data.copy_(v)


def gaussian(scale, magnitude, error, draws=10):
    drops = []
    for draw in range(draws):
        random = torch.Generator().manual_seed(draw)
        put([w + (torch.sqrt(scale ** 2 * w ** 2 + 1e-6) if magnitude else scale) * torch.randn(w.shape, generator=random) for w in clean])
        drops.append(errors() - error)
    return np.mean(drops)


def worst_case(scale, magnitude, error, starts=10):
    drops = []
    for start in range(starts):
        random = torch.Generator().manual_seed(start)
        box = [scale * (w.abs() if magnitude else torch.ones_like(w)) for w in clean]
        put([w + b * (torch.rand(w.shape, generator=random) - 0.5) for w, b in zip(clean, box)])
        for _ in range(20):
            batch = torch.randint(len(x), (64,), generator=random)
            gradients = torch.autograd.grad(nn.functional.cross_entropy(model(x[batch]), y[batch]), parameters)
            with torch.no_grad():
                for p, w, b, g in zip(parameters, clean, box, gradients):
                    p.copy_(w + torch.clamp(p - w + b / 8 * g.sign(), -b, b))
        drops.append(errors() - error)
    return max(drops)


def search(drop, magnitude):
    error = errors()
    low, high = math.log(1e-6), math.log(2)
    for _ in range(20):
        middle = (low + high) / 2
        d = drop(math.exp(middle), magnitude, error)
        if abs(d - 0.1) < 0.01:
            break
        low, high = (low, middle) if d > 0.1 else (middle, high)
    put(clean)
    return math.exp(middle)


result = {"threads": torch.get_num_threads(), "torch": torch.__version__, "seconds": {}, "cpu_seconds": {}, "values": {}}


def timed(name, call):
    start, cpu = time.perf_counter(), time.process_time()
    value = call()
    result["seconds"][name], result["cpu_seconds"][name] = time.perf_counter() - start, time.process_time() - cpu
    return value


model(x[:64])
result["values"] = timed("deterministic", deterministic)
if "--searches" in sys.argv:
    for name, drop, magnitude in (("sigma", gaussian, False), ("sigma-magnitude", gaussian, True), ("alpha", worst_case, False), ("alpha-magnitude", worst_case, True)):
        result["values"][name] = timed(name, lambda: search(drop, magnitude))
print(json.dumps(result))
