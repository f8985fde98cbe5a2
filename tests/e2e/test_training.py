"""PyTorch as the oracle of training: every architecture, optimiser, schedule and option is trained here and there from the same
initial weights and batches, and must arrive at the same final weights. argv[2], where given, names the executor."""
import csv
import json
import math
import shutil
import sys

from common import ROOT, Philox, digits, gapbench, models_of, need, run_tests, write_spec

need("torch", "numpy", "safetensors")
import numpy as np
import torch
from safetensors.torch import load_file

sys.path.insert(0, str(ROOT / "docs/examples"))
from load_in_pytorch import build, load

SMALL = {"train_size": 90, "batch_size": 25, "max_epochs": 2, "target_cross_entropy": 0, "lr": 0.02}


def once(test):
    """For tests that name their executors themselves, or train nothing: left out where an executor is given."""
    return None if sys.argv[2:] else test


def ours(folder, name, hp):
    zoo = folder / name
    gapbench("train", write_spec(folder, fixed={**SMALL, **hp}, seeds=[3]), "--out", zoo, *(["--executor", sys.argv[2]] if sys.argv[2:] else []))
    (m,) = models_of(zoo)
    return m, zoo / "models" / m["id"]


def subset(m):
    """The training samples and labels of a model, from the description in docs/data.md."""
    x, y, _, _ = digits()
    order = Philox("digits", "train subset", 0).shuffled(len(x))[:m["hp"]["train_size"]]
    return torch.from_numpy(x[order]), torch.from_numpy(y[order])


def uniform(stream):
    high, low = stream.next() >> 5, stream.next() >> 6
    return (high * 2**26 + low) / 2**53


def noisy(m, y):
    stream, labels = Philox("digits", "label noise", m["seed"]), y.clone()
    for i in range(len(y)):
        wrong, shift = uniform(stream) < m["hp"]["label_noise"], 1 + stream.below(9)
        if wrong:
            labels[i] = (y[i] + (shift if m["hp"]["label_noise_kind"] == "symmetric" else 1)) % 10
    return labels


def flip_crop(images, stream):
    """Images [n, 1, 8, 8], pad 1."""
    padded, out = torch.nn.functional.pad(images, (1, 1, 1, 1)), []
    for image in padded:
        flip, dy, dx = stream.next() & 1, stream.below(3) - 1, stream.below(3) - 1
        if flip:  # x reads w - 1 - (x + dx)
            out.append(image[:, 1 + dy:9 + dy, 1 - dx:9 - dx].flip(2))
        else:
            out.append(image[:, 1 + dy:9 + dy, 1 + dx:9 + dx])
    return torch.stack(out)


def cosines(m):
    u = m / m.norm(dim=1, keepdim=True).clamp_min(1e-38)
    return u @ u.T


def weight_layers(model):
    return [module.weight for module in model.modules() if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d))]


def rho(w):
    """The paper's weight correlation, differentiable."""
    slices = [w.flatten(1)] if w.dim() == 2 or w.shape[2] * w.shape[3] == 1 else [w[:, c].flatten(1) for c in range(w.shape[1])]
    n = w.shape[0]
    return torch.stack([(cosines(s).abs().sum() - n) / (n * (n - 1)) for s in slices]).mean()


def descent_loss(w, form):
    n, m, r = w.shape[0], w[0].numel(), rho(w)
    if form == "rho":
        return r
    if form == "g":
        return -(n - 1) * m * torch.log1p(-r) - m * torch.log1p((n - 1) * r)
    # the released update is a factor times S, and S is N / 2 times the gradient of rho (per input channel)
    if w.dim() == 4 and w.shape[2] * w.shape[3] > 1:
        return n / 2 * w.shape[1] * r
    c = cosines(w.flatten(1).detach())
    q = (c.sum() - n).item() / (n * (n - 1))
    factor = w.shape[1] * (n - 1) * (1 / (1 - q) + 1 / (1 + (n - 1) * q))
    while factor < 0.5:
        factor *= 10
    while factor > 5:
        factor /= 10
    return factor * n / 2 * r


def lr_of(hp, epoch, batch, batches):
    t, w = epoch - 1 + batch / batches, hp["warmup_epochs"]
    if t < w:
        return hp["lr"] * (t + 1 / batches) / w
    if hp["schedule"] == "cosine":
        return hp["lr"] * (1 + math.cos(math.pi * (t - w) / (hp["max_epochs"] - w))) / 2
    return hp["lr"] * hp["schedule_factor"] ** sum(epoch > e for e in hp["milestones"]) if hp["schedule"] == "step" else hp["lr"]


def optimizer_of(hp, parameters):
    o, wd = hp["optimizer"], hp["weight_decay"]
    if o in ("sgd", "nesterov"):
        return torch.optim.SGD(parameters, lr=1, momentum=hp["momentum"], weight_decay=wd, nesterov=o == "nesterov")
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop}[o](parameters, lr=1, weight_decay=wd)


def train_in_python(m, model, dtype=torch.float32):
    hp = m["hp"]
    x, y = subset(m)
    x, model = x.to(dtype), model.to(dtype)
    y = noisy(m, y) if hp["label_noise"] else y
    parameters = list(model.parameters())
    optimizer, step = optimizer_of(hp, parameters), 0
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=hp["label_smoothing"])
    model.train()
    losses = []  # sum over the samples of each epoch
    for epoch in range(1, hp["max_epochs"] + 1):
        losses.append(0.0)
        batches = torch.tensor(Philox(m["id"], "order", epoch).shuffled(len(x))).split(hp["batch_size"])
        for b, batch in enumerate(batches):
            step += 1
            images = flip_crop(x[batch], Philox(m["id"], "augmentation", step)) if hp["augmentation"] == "flip-crop" else x[batch]
            optimizer.zero_grad()
            loss = loss_of(model(images), y[batch])
            losses[-1] += loss.item() * len(batch)
            loss.backward()
            if hp["sam_radius"]:
                norm = torch.cat([p.grad.flatten() for p in parameters]).norm()
                before = [p.detach().clone() for p in parameters]
                buffers = [v.clone() for v in model.buffers()]
                with torch.no_grad():
                    for p in parameters:
                        p += hp["sam_radius"] * p.grad / norm
                optimizer.zero_grad()
                loss_of(model(images), y[batch]).backward()
                with torch.no_grad():
                    for p, old in zip(parameters, before):
                        p.copy_(old)
                    for v, old in zip(model.buffers(), buffers):
                        v.copy_(old)
            if hp["clip_norm"]:
                torch.nn.utils.clip_grad_norm_(parameters, hp["clip_norm"])
            layers = weight_layers(model)
            for i, w in enumerate(layers):
                if hp["collision"] != "off":
                    a, g = cosines(w.detach().flatten(1)), w.grad.flatten(1)
                    c = cosines(g)
                    change = (a @ c if hp["collision"] == "soft-matmul" else a * c) @ g
                    w.grad -= hp["collision_coefficient"] * change.view_as(w)
                if hp["wcd"] and (hp["wcd_layers"] == "all" or 0 < i < len(layers) - 1):
                    w.grad += torch.autograd.grad(hp["wcd"] * descent_loss(w, hp["wcd_form"]), w)[0]
            for group in optimizer.param_groups:
                group["lr"] = lr_of(hp, epoch, b, len(batches))
            optimizer.step()
    return [total / len(x) for total in losses]


def compare(folder, name, hp, tolerance=3e-4):
    if sys.argv[2:] == ["stack"] and (hp.get("network") == "mixer" or hp.get("collision", "off") != "off"):
        return  # not served
    m, where = ours(folder, name, hp)
    model = load(where, "init")
    moved_from = {k: v.clone() for k, v in model.state_dict().items()}
    losses = train_in_python(m, model)
    history = [json.loads(line) for line in (where / "history.jsonl").read_text().splitlines()]
    assert abs(history[0]["batch_loss"] - losses[0]) < 1e-4 * losses[0], (name, history[0], losses)
    final = load_file(where / "final.safetensors")
    difference = torch.cat([(v - final[k]).flatten() for k, v in model.state_dict().items() if k in final]).norm()
    distance = torch.cat([(v - moved_from[k]).flatten() for k, v in model.state_dict().items() if k in final]).norm()
    assert distance > 1e-3, (name, "did not train", distance)
    print(f"     {name}: {difference / distance:.1e}")
    assert difference < tolerance * distance, (name, difference / distance)
    # the metrics on record are those of the final weights, on the labels it was trained with
    x, y = subset(m)
    y = noisy(m, y) if m["hp"]["label_noise"] else y
    model.load_state_dict(final, strict=False)
    model.eval()
    with torch.no_grad():
        logits = model(x).double()
    result = json.loads((where / "result.json").read_text())
    assert abs(result["train"]["cross_entropy"] - torch.nn.functional.cross_entropy(logits, y).item()) < 1e-4
    assert abs(result["train"]["error"] - (logits.argmax(1) != y).double().mean().item()) < 1e-9


def test_architectures(folder):
    for name, hp in {
        "fcn": {}, "fcn-norm": {"batch_norm": "on", "widths": [20, 12]}, "nin-norm": {"network": "nin", "width": 10, "batch_norm": "on"},
        "cnn": {"network": "cnn", "width": 6, "depth": 3}, "cnn-norm": {"network": "cnn", "width": 6, "batch_norm": "on"},
        "vgg11": {"network": "vgg11", "width_multiplier": 0.1}, "vgg16-norm": {"network": "vgg16", "width_multiplier": 0.05, "batch_norm": "on"},
        "vgg19-reduced": {"network": "vgg19-reduced", "activation": "leaky_relu"}, "vgg11-reduced": {"network": "vgg11-reduced", "batch_norm": "off"},
        "resnet18": {"network": "resnet18", "width_multiplier": 0.1}, "resnet34-plain": {"network": "resnet34", "width_multiplier": 0.05, "batch_norm": "off", "lr": 0.002},
        "resnet50": {"network": "resnet50", "width_multiplier": 0.05, "activation": "leaky_relu"}, "densenet40": {"network": "densenet40", "width_multiplier": 0.25},
        "densenet121": {"network": "densenet121", "width_multiplier": 0.1, "activation": "leaky_relu"}, "mixer": {"network": "mixer", "width": 12},
    }.items():
        # a deep network with batch norm over few samples is chaotic: rounding grows from step to step, so these take one
        # step; and a dead ReLU channel has no variance, which batch norm multiplies by 316: leaky units do not die
        deep = "norm" in name or "resnet" in name or "densenet" in name or "reduced" in name
        compare(folder, name, {**({"batch_size": 90, "max_epochs": 1} if deep else {}), **hp}, 5e-2 if deep else 3e-4)


def test_losses_agree_step_by_step(folder):
    # one batch an epoch, so that history.jsonl has the loss of every step
    for name, hp in {"fcn": {"lr": 0.1}, "nin": {"network": "nin", "width": 20, "lr": 0.1}, "nin-norm": {"network": "nin", "width": 20, "batch_norm": "on"},
                     "resnet18": {"network": "resnet18", "width_multiplier": 0.25}, "densenet40": {"network": "densenet40", "width_multiplier": 0.5}}.items():
        m, where = ours(folder, name, {"train_size": 64, "batch_size": 64, "max_epochs": 12, "lr": 0.005, **hp})
        exact = train_in_python(m, load(where, "init"), torch.float64)
        theirs = train_in_python(m, load(where, "init").to(memory_format=torch.channels_last))
        history = [json.loads(line)["batch_loss"] for line in (where / "history.jsonl").read_text().splitlines()]
        assert len(history) == len(exact) == 12 and exact[-1] < 0.97 * exact[0]
        # rounding grows from step to step where there is batch norm or a ReLU flips: PyTorch's own float32 says how fast
        allowed = 1e-6
        for step, (a, b, e) in enumerate(zip(history, theirs, exact)):
            allowed = max(allowed, 10 * abs(b / e - 1))
            assert abs(a / e - 1) < allowed, (name, step, a, b, e)
        print(f"     {name}: last loss {history[-1] / exact[-1] - 1:.0e}, float32 in PyTorch {theirs[-1] / exact[-1] - 1:.0e}")


@once
def test_each_step_of_a_reduced_vgg_is_as_exact_as_float32_is(folder):
    # Norm after ReLU on few samples makes these networks amplify rounding by orders of magnitude within ten steps, so whole
    # trainings cannot be compared. Single steps can: from the weights that the executor itself has reached, one step of plain
    # gradient descent, against PyTorch's in float64. The yardstick is what PyTorch's float32 is off for several orders of the same
    # samples, in the layout that the executor has: channels-last of the general one, which is 10 to 1000 times less exact there.
    # Where a unit is within rounding of 0 its gradient may fall to either side: then the yardstick is how far float64's own steps
    # part from weights that differ by a few roundings.
    steps, fixed = 10, {"train_size": 64, "batch_size": 64, "max_epochs": 10, "target_cross_entropy": 0, "lr": 0.02, "momentum": 0}
    for name, hp in {"vgg11-reduced": {"network": "vgg11-reduced"}, "vgg16-reduced": {"network": "vgg16-reduced"},
                     "vgg11-reduced-leaky": {"network": "vgg11-reduced", "activation": "leaky_relu"}}.items():
        for executor in ("fast", "general", "stack"):
            layout = torch.channels_last if executor == "general" else torch.contiguous_format
            gapbench("train", write_spec(folder, fixed={**fixed, **hp}, keep_epochs=list(range(1, steps + 1))), "--out", folder / name / executor, "--executor", executor)
            (m,) = models_of(folder / name / executor)
            where = folder / name / executor / "models" / m["id"]
            losses = [json.loads(line)["batch_loss"] for line in (where / "history.jsonl").read_text().splitlines()]
            x, y = subset(m)
            worst, switches = 0, []
            for step in range(1, steps + 1):
                before = "init" if step == 1 else f"epoch-{step - 1}"

                def stepped(dtype, order, noise=None):
                    """Loss before and state after a step from `before`."""
                    model = load(where, before).to(dtype).to(memory_format=layout).train()
                    start = {k: v.clone() for k, v in model.state_dict().items()}
                    if noise is not None:
                        with torch.no_grad():
                            for p in model.parameters():
                                p *= 1 + 1e-6 * torch.randn(p.shape, generator=torch.Generator().manual_seed(noise), dtype=dtype)
                    shift = {k: v - start[k] for k, v in model.state_dict().items()}
                    loss = torch.nn.functional.cross_entropy(model(x[order].to(dtype)), y[order])
                    loss.backward()
                    with torch.no_grad():
                        for p in model.parameters():
                            p -= fixed["lr"] * p.grad
                    return loss.item(), {k: v.double() - shift[k] for k, v in model.state_dict().items()}

                orders = [torch.arange(64), *(torch.randperm(64, generator=torch.Generator().manual_seed(s)) for s in range(3))]
                (exact_loss, exact), *floats = [stepped(torch.float64, orders[0])] + [stepped(torch.float32, order) for order in orders]
                after = load_file(where / f"epoch-{step}.safetensors")
                off = lambda state: math.sqrt(sum(((state[k].double() - exact[k])**2).sum().item() for k in after))
                moved = off(load(where, before).state_dict())
                theirs = max(off(state) for _, state in floats)
                if off(after) > 10 * theirs:
                    theirs = max(off(stepped(torch.float64, orders[0], noise)[1]) for noise in range(32))
                    switches.append(step)
                assert off(after) <= 10 * theirs, (name, executor, step, off(after), theirs, moved)
                assert abs(losses[step - 1] / exact_loss - 1) <= 10 * max(abs(loss / exact_loss - 1) for loss, _ in floats) + 1e-6, (name, executor, step)
                worst = max(worst, off(after) / theirs)
            print(f"     {name} {executor}: a step is off by at most {worst:.1f} times what PyTorch's float32 is; the last one by {off(after) / moved:.0e} of itself" + f"; a unit at 0 in steps {switches}" * bool(switches))
            assert len(switches) <= 2 and (executor == "general" or off(after) < 1e-4 * moved), (name, executor, switches)


def test_activations(folder):
    for activation in ("leaky_relu", "gelu", "tanh"):
        compare(folder, activation, {"network": "cnn", "width": 6, "activation": activation})
        compare(folder, activation + "-fcn", {"activation": activation})


def test_optimizers(folder):
    for name, lr in (("sgd", 0.05), ("nesterov", 0.05), ("adam", 0.003), ("adamw", 0.003), ("rmsprop", 0.001)):
        # the first RMSprop steps divide by the root of 1 % of a squared gradient: rounding of tiny ones shows
        compare(folder, name, {"optimizer": name, "lr": lr, "weight_decay": 0.02}, 1e-2 if name == "rmsprop" else 3e-4)


def test_schedules(folder):
    compare(folder, "cosine", {"schedule": "cosine", "warmup_epochs": 1, "max_epochs": 3})
    compare(folder, "step", {"schedule": "step", "milestones": [1, 2], "schedule_factor": 0.3, "max_epochs": 3})


def test_what_stands_between_gradient_and_step(folder):
    for name, hp in {"clip": {"clip_norm": 0.3}, "sam": {"sam_radius": 0.1}, "sam-norm": {"sam_radius": 0.05, "network": "cnn", "width": 6, "batch_norm": "on"},
                     "matmul": {"collision": "soft-matmul", "collision_coefficient": 0.003}, "hadamard": {"collision": "soft-hadamard", "network": "nin", "width": 8},
                     "released": {"wcd": 0.1, "depth": 3}, "released-conv": {"wcd": 0.5, "network": "cnn", "width": 6, "wcd_layers": "all"},
                     "rho": {"wcd": 2, "wcd_form": "rho", "wcd_layers": "all", "network": "cnn", "width": 6},
                     "g": {"wcd": 0.01, "wcd_form": "g", "depth": 3}}.items():
        compare(folder, name, hp, 1e-2 if "norm" in name else 1e-3)


def test_what_changes_data_and_targets(folder):
    compare(folder, "smoothing", {"label_smoothing": 0.2})
    compare(folder, "symmetric", {"label_noise": 0.3})
    compare(folder, "pair", {"label_noise": 0.3, "label_noise_kind": "pair"})
    compare(folder, "flip-crop", {"augmentation": "flip-crop", "network": "cnn", "width": 6})


def noise_in_python(m, model, x, y):
    """The definition, from per-sample gradients in float64."""
    n = len(x)
    size = max(1, min(16, n // 64))
    count = min(64, n // size)
    order = Philox("digits", "gradient noise", 0).shuffled(n)[:count * size]
    model = model.double().eval()
    means = []
    for batch in torch.tensor(order).split(size):
        model.zero_grad()
        torch.nn.functional.cross_entropy(model(x[batch].double()), y[batch]).backward()
        means.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    return size * torch.stack(means).var(dim=0).mean().item()


def test_gradient_noise(folder):
    for name, hp in {"fcn": {"dropout": 0.2, "label_noise": 0.2, "augmentation": "flip-crop", "label_smoothing": 0.1}, "whole": {"train_size": 0},
                     "minibatches": {"train_size": 300}, "norm": {"network": "cnn", "width": 6, "batch_norm": "on", "batch_size": 90}}.items():
        zoo = folder / name
        spec = write_spec(folder, fixed={**SMALL, "lr": 0.01, **hp}, keep_epochs=[1], seeds=[3])
        gapbench("run", spec, "--out", zoo, *(["--executor", sys.argv[2]] if sys.argv[2:] else []))
        (m,) = models_of(zoo)
        where = zoo / "models" / m["id"]
        x, y = map(torch.from_numpy, digits()[:2]) if hp.get("train_size") == 0 else subset(m)
        y = noisy(m, y) if m["hp"]["label_noise"] else y
        result = json.loads((where / "result.json").read_text())
        history = [json.loads(line) for line in (where / "history.jsonl").read_text().splitlines()]
        (row,) = csv.DictReader((zoo / "ledger.csv").open())
        for weights, key, line in (("epoch-1", "gradient_noise_epoch1", history[0]), ("final", "gradient_noise_final", history[-1])):
            expected = noise_in_python(m, load(where, weights), x, y)
            print(f"     {name} {key}: {result[key] / expected - 1:.1e}")
            assert abs(result[key] / expected - 1) < 1e-4, (name, key, result[key], expected)
            assert line["gradient_noise"] == result[key] == float(row["train." + key])


def test_kept_epochs_are_those_of_a_shorter_run(folder):
    hp = {**SMALL, "max_epochs": 4}
    spec = write_spec(folder, fixed=hp, keep_epochs=[1, 3, 9])
    gapbench("train", spec, "--out", folder / "long")
    (m,) = models_of(folder / "long")
    where = folder / "long/models" / m["id"]
    assert {p.name for p in where.glob("epoch-*")} == {"epoch-1.safetensors", "epoch-3.safetensors"}
    model = load(where, "init")
    m["hp"]["max_epochs"] = 3
    train_in_python(m, model)
    kept = load_file(where / "epoch-3.safetensors")
    for name, theirs in model.state_dict().items():
        assert (theirs - kept[name]).norm() < 1e-4 * theirs.norm() + 1e-6, name
    # keeping epochs is no part of the model: the same id, the same final bits
    gapbench("train", write_spec(folder, fixed=hp), "--out", folder / "plain")
    assert (folder / "plain/models" / m["id"] / "final.safetensors").read_bytes() == (where / "final.safetensors").read_bytes()


def arrays_in_order(path):
    """{name: float32 array} in the order of the file."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__")
    return {name: np.frombuffer(data, "float32" if t["dtype"] == "F32" else "int64", math.prod(t["shape"]), 8 + length + t["data_offsets"][0]).reshape(t["shape"])
            for name, t in sorted(header.items(), key=lambda item: item[1]["data_offsets"])}


def weights_of(path):
    """The trained arrays, row-major, one after the other; running statistics of batch norm are none."""
    return np.concatenate([a.astype("float64").ravel() for name, a in arrays_in_order(path).items() if "running" not in name])


def sparse_signs(weights, dimension):
    """The projection of iterates as docs/file-formats.md describes it: [dimension, weights]."""
    stream, matrix = Philox("gapbench", "iterates", 0), np.zeros((dimension, weights))
    for e in range(weights):
        for quarter in range(4):
            word = stream.next()
            row = (word >> 1) * (dimension // 4) >> 31
            matrix[quarter * (dimension // 4) + row, e] = -0.5 if word & 1 else 0.5
    return matrix


@once
def test_logged_iterates_are_projections_of_the_weights(folder):
    # one step an epoch, so that the weights of every step can be kept
    for name, hp in {"fcn": {"widths": [9, 7]}, "cnn": {"network": "cnn", "width": 5, "depth": 1, "batch_norm": "on"}}.items():
        for executor in ("auto", "general", "stack"):
            for target, first in ((0, 5), (1e-9, 5)):
                zoo = folder / f"{name}-{executor}-{target}"
                fixed = {"train_size": 60, "batch_size": 60, "max_epochs": 10, "target_cross_entropy": target, "lr": 0.03, **hp}
                gapbench("train", write_spec(folder, fixed=fixed, keep_epochs=list(range(1, 11)), log_iterates={"last": 6, "dimension": 40}),
                         "--out", zoo, "--executor", executor)
                (m,) = models_of(zoo)
                where = zoo / "models" / m["id"]
                log = arrays_in_order(where / "iterates.safetensors")
                assert log["steps"].tolist() == list(range(first, 11)) and log["iterates"].shape == (11 - first, 40)
                start = weights_of(where / "init.safetensors")
                matrix = sparse_signs(len(start), 40)
                for step, row in zip(log["steps"], log["iterates"]):
                    expected = matrix @ (weights_of(where / f"epoch-{step}.safetensors") - start)
                    assert np.abs(row - expected).max() < 1e-6 * np.abs(expected).max(), (name, executor, step)
                # no part of the model
                gapbench("train", write_spec(folder, fixed=fixed), "--out", folder / "plain", "--executor", executor)
                for file in ("final.safetensors", "history.jsonl", "result.json"):
                    assert (folder / "plain/models" / m["id"] / file).read_bytes() == (where / file).read_bytes(), (name, executor, file)
                assert not (folder / "plain/models" / m["id"] / "iterates.safetensors").exists()
                shutil.rmtree(folder / "plain")


def test_logged_iterates_keep_distances(folder):
    steps = 40
    gapbench("train", write_spec(folder, fixed={"widths": [64, 48], "batch_size": 1438, "max_epochs": steps, "target_cross_entropy": 0},
                                 keep_epochs=list(range(1, steps + 1)), log_iterates={}), "--out", folder / "zoo")
    (m,) = models_of(folder / "zoo")
    where = folder / "zoo/models" / m["id"]
    y = arrays_in_order(where / "iterates.safetensors")["iterates"].astype("float64")
    assert y.shape == (steps, 2000)  # fewer steps than the 1000 that would be kept
    w = np.stack([weights_of(where / f"epoch-{t}.safetensors") for t in range(1, steps + 1)])
    pairs = np.triu_indices(steps, 1)
    squared = lambda v: ((v[pairs[0]] - v[pairs[1]])**2).sum(axis=1)
    error = squared(y) / squared(w) - 1
    deviation = math.sqrt(2 / 2000)
    print(f"     squared distances of {len(error)} pairs: relative error {error.std():.3f}, at most {np.abs(error).max():.3f}; {deviation:.3f} at most is stated")
    assert 0 < np.abs(error).max() < 5 * deviation and np.sqrt((error**2).mean()) < 3 * deviation


@once
def test_a_diverged_model_has_no_iterates(folder):
    for executor in ("auto", "stack"):
        gapbench("train", write_spec(folder, fixed={**SMALL, "lr": 900}, log_iterates={}), "--out", folder / executor, "--executor", executor)
        (m,) = models_of(folder / executor)
        where = folder / executor / "models" / m["id"]
        assert json.loads((where / "result.json").read_text())["status"] == "diverged" and not (where / "iterates.safetensors").exists()


def test_initial_weights_scale(folder):
    a, b = ours(folder, "one", {})[1], ours(folder, "half", {"init_scale": 0.5})[1]
    one, half = load_file(a / "init.safetensors"), load_file(b / "init.safetensors")
    # other random numbers (the scale is part of the id), half the deviation
    assert abs(half["layers.0.weight"].std() / one["layers.0.weight"].std() - 0.5) < 0.05


@once
def test_full_size_networks_have_the_published_number_of_weights(folder):
    counts = {"vgg11": 9747136, "vgg16": 15239872, "vgg19": 20548288}
    for network, expected in counts.items():
        hp = {"network": network, "width_multiplier": 1, "batch_norm": "auto", "activation": "relu", "dropout": 0}
        model = build({"hp": hp, "data": {"name": "cifar10"}}, 10)
        assert sum(w.numel() for w in weight_layers(model)) == expected, network


def test_caps_checks_and_divergence(folder):
    _, where = ours(folder, "steps", {"max_steps": 6, "max_epochs": 50})
    result = json.loads((where / "result.json").read_text())
    assert (result["stop_reason"], result["epochs"], result["steps"]) == ("step-cap", 2, 8)
    _, where = ours(folder, "checks", {"check_every": 3, "max_epochs": 7})
    history = [json.loads(line) for line in (where / "history.jsonl").read_text().splitlines()]
    assert [h["train_error"] is not None for h in history] == [False, False, True, False, False, True, True]
    assert all(h["batch_loss"] > 0 for h in history)
    _, where = ours(folder, "target", {"target_cross_entropy": 0.5, "check_every": 2, "max_epochs": 400, "lr": 0.05})
    result = json.loads((where / "result.json").read_text())
    history = [json.loads(line) for line in (where / "history.jsonl").read_text().splitlines()]
    assert result["stop_reason"] == "target" and result["epochs"] % 2 == 0
    assert result["train"]["cross_entropy"] <= 0.5 < history[-3]["train_cross_entropy"]
    assert abs(result["sum_of_batch_losses"] - sum(h["batch_loss"] for h in history)) < 1e-9
    _, where = ours(folder, "diverged", {"lr": 900})
    assert json.loads((where / "result.json").read_text())["status"] == "diverged"


run_tests(globals())
