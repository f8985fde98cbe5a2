"""PyTorch as the oracle of the zoo: files load, losses agree, training agrees step by step."""
import json
import sys

from common import ROOT, Philox, digits, gapbench, models_of, need, run_tests, write_spec

need("torch", "numpy", "safetensors")
import numpy as np
import torch
from safetensors.torch import load_file

sys.path.insert(0, str(ROOT / "docs/examples"))
from load_in_pytorch import load


def check_metrics(folder, model, images, labels, which):
    result = json.loads((folder / "result.json").read_text())
    with torch.no_grad():
        logits = model(torch.from_numpy(images)).double()
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels)).item()
    wrong = logits.argmax(1).numpy() != labels
    error = wrong.mean()
    assert abs(result[which]["cross_entropy"] - loss) < 1e-5 * max(1, loss), (which, result[which], loss)
    assert abs(result[which]["error"] - error) < 1e-9
    if which == "test":
        for half, found in zip((wrong[::2], wrong[1::2]), result["gap_error_halves"], strict=True):
            assert abs(found - (half.mean() - result["train"]["error"])) < 1e-12


def test_weights_load_and_the_recorded_metrics_are_theirs(folder):
    train_x, train_y, test_x, test_y = digits()
    for network in ("fcn", "nin"):
        zoo = folder / network
        spec = write_spec(folder, fixed={"network": network, "width": 12, "depth": 2, "max_epochs": 5}, axes={"lr": [0.05]})
        gapbench("train", spec, "--out", zoo)
        for m in models_of(zoo):
            where = zoo / "models" / m["id"]
            model = load(where)
            check_metrics(where, model, train_x, train_y, "train")
            check_metrics(where, model, test_x, test_y, "test")
            load(where, "init")


def test_initial_weights_are_he_normal(folder):
    spec = write_spec(folder, fixed={"network": "fcn", "widths": [300, 200], "max_epochs": 1}, seeds=3)
    gapbench("train", spec, "--out", folder / "zoo")
    for m in models_of(folder / "zoo"):
        arrays = load_file(folder / "zoo/models" / m["id"] / "init.safetensors")
        for name, a in arrays.items():
            if name.endswith("bias"):
                assert (a == 0).all()
            else:
                z = (a.double() / (2 / a.shape[1]) ** 0.5).flatten()
                n = len(z)
                assert abs(z.mean()) < 5 / n**0.5 and abs(z.var() - 1) < 5 * (2 / n) ** 0.5, name
                assert abs((z**4).mean() - 3) < 5 * (96 / n) ** 0.5, name


def train_in_python(model, m, images, labels, weight_decay, epochs):
    hp = m["hp"]
    if hp["optimizer"] == "sgd":
        optimizer = torch.optim.SGD(model.parameters(), lr=hp["lr"], momentum=hp["momentum"], weight_decay=weight_decay)
    else:
        optimizer = torch.optim.Adam(model.parameters(), lr=hp["lr"], weight_decay=weight_decay)
    x, y = torch.from_numpy(images).double(), torch.from_numpy(labels)
    model.double().train()  # in float32 PyTorch's own rounding may flip a ReLU, which is seen from then on
    for epoch in range(1, epochs + 1):
        order = torch.tensor(Philox(m["id"], "order", epoch).shuffled(len(x)))
        for batch in order.split(hp["batch_size"]):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()


def test_training_follows_torch_optim(folder):
    train_x, train_y, _, _ = digits()
    for network, optimizer, lr in (("fcn", "sgd", 0.05), ("fcn", "adam", 0.002), ("nin", "sgd", 0.05), ("nin", "adam", 0.002)):
        zoo = folder / (network + optimizer)
        spec = write_spec(folder, fixed={"network": network, "optimizer": optimizer, "lr": lr, "width": 10, "depth": 2, "batch_size": 100,
                                         "weight_decay": 0.01, "max_epochs": 3, "target_cross_entropy": 0})
        gapbench("train", spec, "--out", zoo)
        (m,) = models_of(zoo)
        where = zoo / "models" / m["id"]
        model = load(where, "init")
        train_in_python(model, m, train_x, train_y.astype(np.int64), 0.01, 3)
        ours = load_file(where / "final.safetensors")
        moved = load_file(where / "init.safetensors")
        for name, theirs in model.state_dict().items():
            distance = (theirs - moved[name]).norm().item()
            assert distance > 1e-3, "did not train"
            assert (theirs - ours[name]).norm().item() < 2e-4 * distance, (network, optimizer, name)


def test_dropout_and_subsets_train(folder):
    spec = write_spec(folder, fixed={"network": "nin", "width": 16, "max_epochs": 3, "dropout": 0.3, "standardise": True},
                      axes={"train_size": [0, 500]})
    gapbench("train", spec, "--out", folder / "zoo")
    for m in models_of(folder / "zoo"):
        history = [json.loads(line) for line in (folder / "zoo/models" / m["id"] / "history.jsonl").read_text().splitlines()]
        n = m["hp"]["train_size"] or 1438
        assert [h["steps"] for h in history] == [(e + 1) * -(-n // 32) for e in range(3)]
        assert history[-1]["train_cross_entropy"] < history[0]["batch_loss"]


run_tests(globals())
