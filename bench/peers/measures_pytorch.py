#!/usr/bin/env python3
"""The measures of one NiN as a user of PyTorch would compute them: the definitions written down, torch, numpy and scipy, no
tricks beyond sharing one forward pass and each list of norms. The peer of bench/measures/compare_measures.py.

    measures_pytorch.py MODEL_FOLDER SAMPLES.safetensors [--searches] [--threads N]

Prints one line of JSON: seconds (wall) and CPU seconds of each part of the deterministic measures and of each search, and
the values.
"""
import copy
import json
import math
import pathlib
import sys
import time

import numpy as np
import torch
from safetensors.torch import load_file
from scipy.sparse.linalg import LinearOperator, svds
from scipy.special import gammaln
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


def circular(w, n, stride):
    """Largest singular value over frequencies; a stride folds the frequencies that it makes alike into one block."""
    if w.shape[2] == 1 and stride == 1:  # the same at every frequency
        return np.linalg.norm(w[:, :, 0, 0], 2)
    t = np.fft.fft2(w, (n, n))
    if stride == 1:
        return np.linalg.svd(t.transpose(2, 3, 0, 1), compute_uv=False).max()
    m = n // stride
    t = t.reshape(*w.shape[:2], stride, m, stride, m).transpose(3, 5, 0, 1, 2, 4).reshape(m, m, w.shape[0], -1) / stride
    return np.linalg.svd(t, compute_uv=False).max()


def padded(w, n, stride):
    """Of the layer as it is, with zero padding."""
    if w.shape[2] == 1 and stride == 1:
        return np.linalg.norm(w[:, :, 0, 0], 2)
    kernel = torch.from_numpy(w)
    apply = lambda v: nn.functional.conv2d(torch.from_numpy(v).reshape(1, w.shape[1], n, n), kernel, stride=stride, padding=1).numpy().ravel()
    m = math.isqrt(len(apply(np.zeros(w.shape[1] * n * n))) // w.shape[0])
    back = lambda u: nn.functional.conv_transpose2d(torch.from_numpy(u).reshape(1, w.shape[0], m, m), kernel, stride=stride, padding=1,
                                                    output_padding=n - ((m - 1) * stride + 1)).numpy().ravel()
    operator = LinearOperator((w.shape[0] * m * m, w.shape[1] * n * n), matvec=apply, rmatvec=back, dtype=np.float64)
    return svds(operator, k=1, return_singular_vectors=False, random_state=0)[0]


def proxy(w):
    return math.sqrt(sum(np.abs(k.T @ k).sum(1).max() for k in w.reshape(*w.shape[:2], -1).transpose(2, 0, 1)))


NORMS = {"": padded, "-rs": lambda w, n, stride: np.linalg.norm(w.reshape(len(w), -1), 2), "-fft32": lambda w, n, stride: circular(w, 32, 1)}
ONLY_OF_FINAL = {"unstrided": lambda w, n, stride: circular(w, n, 1), "strided": circular}


def slices(w):
    return [w[:, :, 0, 0]] if w.shape[2] == 1 else [w[:, i].reshape(len(w), -1) for i in range(w.shape[1])]


def mean_cosine(rows):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.abs(unit @ unit.T)[np.triu_indices(len(rows), 1)].mean()


def smoothed_cosine(rows, e=1e-5):
    norms = np.linalg.norm(rows, axis=1)
    return np.abs((rows @ rows.T + e) / (np.outer(norms, norms) + e)).mean()


def chance(d):
    return math.exp(gammaln(d / 2) - gammaln((d + 1) / 2)) / math.sqrt(math.pi)


def path_sum():
    network = copy.deepcopy(model).double()
    with torch.no_grad():
        for p in network.parameters():
            p.square_()
        return network(torch.ones(1, *x.shape[1:], dtype=torch.float64)).sum().item()


def derivatives_along_weights():
    w = {k: p.detach() for k, p in model.named_parameters()}
    run = lambda images: torch.func.jvp(lambda p: torch.func.functional_call(model, p, (images,)), (w,), (w,))[1]
    with torch.no_grad():
        return torch.cat([run(x[i:i + 1000]) for i in range(0, len(x), 1000)])


def deterministic():
    v = {}
    weights, first = [final[n].double().numpy() for n in names], [init[n].double().numpy() for n in names]
    change = [a - b for a, b in zip(weights, first)]
    everything = sum(((final[k].double() - init[k].double()) ** 2).sum().item() for k in final)
    L, m, places = len(names), len(x), [geometry[n] for n in names]
    fro, moved = [np.linalg.norm(w) for w in weights], [np.linalg.norm(c) for c in change]
    counted = sum(w.size for w in weights)

    # outputs
    z = timed("forward pass", logits).double()
    of_label = z.gather(1, y[:, None])[:, 0]
    margins = of_label - z.scatter(1, y[:, None], -math.inf).max(1).values
    v["margin-p10"] = margins.kthvalue(m // 10).values.item()
    gamma = max(v["margin-p10"], 1e-6)
    v["cross-entropy"] = nn.functional.cross_entropy(z, y).item()
    v["neg-entropy"] = -torch.distributions.Categorical(logits=z).entropy().mean().item()
    v["inverse-margin"] = gamma ** -2
    p = torch.softmax(z, 1)
    dz = timed("Fisher-Rao norm", derivatives_along_weights).double()
    inner = lambda d: ((p * d).sum(1) - d.gather(1, y[:, None])[:, 0]).square().mean().item()
    v["fisher-rao"], v["fisher-rao-closed"] = inner(dz), L ** 2 * inner(z)
    v["fisher-rao-jiang"] = (L + 1) ** 2 * v["fisher-rao"]
    v["path-norm"] = math.log(timed("path norm", path_sum))
    v["path-norm-over-margin"] = v["path-norm"] - 2 * math.log(gamma)

    # norms
    over = lambda log_value: log_value - 2 * math.log(gamma)
    root = lambda log_value: math.log(L) + log_value / L
    ratios = lambda radii, norms: sum((r / s) ** 2 for r, s in zip(radii, norms))
    norms, moved_norms = {}, {}
    for kind, norm in NORMS.items():
        norms[kind], moved_norms[kind] = timed(f"operator norms {kind or '-padded'}", lambda: [[norm(w, *g) for w, g in zip(some, places)] for some in (weights, change)])
    for kind, norm in ONLY_OF_FINAL.items():
        norms[kind] = timed(f"operator norms -{kind}", lambda: [norm(w, *g) for w, g in zip(weights, places)])
    for kind in NORMS:
        s = norms[kind]
        product = 2 * sum(map(math.log, s))
        v["log-prod-spec" + kind], v["log-sum-spec" + kind] = product, root(product)
        v["log-prod-spec-over-margin" + kind], v["log-sum-spec-over-margin" + kind] = over(product), root(over(product))
        v["fro-over-spec" + kind] = ratios(fro, s)
        v["log-spec-orig-main" + kind], v["log-spec-init-main" + kind] = over(product) + math.log(ratios(fro, s)), over(product) + math.log(ratios(moved, s))
        v["spec-dist" + kind] = sum(r ** 2 for r in moved_norms[kind])
    v["sum-spec"], v["sosp"] = sum(norms[""]), counted * sum(moved_norms[""])
    n = x.shape[2]
    factor = (84 * math.sqrt(n * n * x.shape[1]) * sum(math.sqrt(w[0, 0].size * len(w)) for w in weights) + math.sqrt(math.log(4 * n * n * L))) ** 2
    for name, radii in (("spec-init", moved), ("spec-orig", fro)):
        v[name] = over(math.log(factor * math.exp(v["log-prod-spec"]) * ratios(radii, norms[""]) + math.log(m / 0.01)))
    prod_fro = 2 * sum(map(math.log, fro))
    v["log-prod-fro"], v["log-prod-fro-over-margin"] = prod_fro, over(prod_fro)
    v["log-sum-fro"], v["log-sum-fro-over-margin"] = root(prod_fro), root(over(prod_fro))
    v["wc-pfn"] = prod_fro / 2
    v["fro-dist"], v["param-norm"] = sum(f ** 2 for f in moved), sum(f ** 2 for f in fro)
    v["l2-norm"], v["l2-dist"] = math.sqrt(v["param-norm"]), math.sqrt(v["fro-dist"])
    proxies = [proxy(w) for w in weights]
    v["wc-psn"], v["wc-sosp"] = sum(map(math.log, proxies)), counted * sum(map(proxy, change))
    for name, values in (("fft", norms["unstrided"]), ("fft-strided", norms["strided"]), ("power", norms[""]), ("reshape", norms["-rs"]), ("wc-bound", proxies)):
        v["conv-opnorm-" + name] = np.mean(np.log(values))

    def correlations():
        rho = [np.mean([mean_cosine(rows) for rows in slices(w)]) for w in weights]
        real = [w for w in weights if w.shape[2] > 1]  # the released code passes over 1x1 kernels
        g = []
        for w in real:
            r, (N, M) = np.mean([smoothed_cosine(rows) for rows in slices(w)]), w.shape[:2]
            g.append(-(N - 1) * M * math.log(1 - r) + M * math.log(1 + (N - 1) * r))
        kl = [(-(len(w) - 1) * w[0].size * math.log(1 - r) - w[0].size * math.log(1 + (len(w) - 1) * r)) / 2 for w, r in zip(weights, rho)]
        v["wc-paper"], v["wc-kl"], v["wc-g"] = np.mean(rho), sum(kl), np.mean(g)
        v["wc-notebook"] = np.mean([smoothed_cosine(rows[:, :9]) for w in real for rows in slices(w)])
        v["wc-excess"] = np.mean([r - chance(slices(w)[0].shape[1]) for w, r in zip(weights, rho)])

    timed("weight correlations", correlations)
    v["pb-notebook"] = everything / 2
    v["pbc"], v["pbc-kl"] = v["pb-notebook"] + v["wc-g"], v["fro-dist"] / 2 + v["wc-kl"]

    # capacity and the record of the training
    v["num-params"], v["wc-nop"], v["num-params-biases"] = counted, counted + 1, counted + sum(len(w) for w in weights)
    v["num-params-jiang"] = sum(w[0].size * (len(w) + 1) for w in weights)
    v["vc-dim"] = (4000 * math.sqrt(L * math.log2(6 * L * n) ** 3 * counted) + math.sqrt(math.log(1 / 0.05))) ** 2
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    steps = [next((h["steps"] for h in history if h["train_cross_entropy"] is not None and h["train_cross_entropy"] <= t), None) for t in (0.1, 0.01)]
    last = history[-1]["steps"]
    v["steps-to-ce-0.1"] = last if steps[0] is None else steps[0]
    v["steps-ce-0.1-to-0.01"] = None if steps[0] is None else (last if steps[1] is None else steps[1]) - steps[0]
    v["grad-noise-epoch1"], v["grad-noise-final"] = history[0]["gradient_noise"], history[-1]["gradient_noise"]
    return v


result = {"threads": torch.get_num_threads(), "torch": torch.__version__, "seconds": {}, "cpu_seconds": {}, "values": {}}


def timed(name, call):
    start, cpu = time.perf_counter(), time.process_time()
    value = call()
    result["seconds"][name], result["cpu_seconds"][name] = time.perf_counter() - start, time.process_time() - cpu
    return value


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


model(x[:64])
result["values"] = timed("deterministic", deterministic)
if "--searches" in sys.argv:
    for name, drop, magnitude in (("sigma", gaussian, False), ("sigma-magnitude", gaussian, True), ("alpha", worst_case, False), ("alpha-magnitude", worst_case, True)):
        result["values"][name] = timed(name, lambda: search(drop, magnitude))
print(json.dumps(result))
