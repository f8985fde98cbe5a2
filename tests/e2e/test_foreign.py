"""Models that PyTorch made: saved as safetensors, measured by the program, compared with numpy and torch in float64."""
import json
import math
import sys
import pathlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from common import ROOT, digits, gapbench, need, run_tests

need("torch", "numpy", "safetensors")
import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

sys.path.insert(0, str(ROOT / "docs/examples"))
from load_in_pytorch import ACTIVATIONS, ResNet

MEASURES = ["log-prod-fro", "l2-norm", "l2-dist", "fro-dist", "num-params", "num-params-biases", "wc-pfn", "log-prod-spec", "path-norm", "path-norm-over-margin", "vc-dim", "cross-entropy",
            "neg-entropy", "margin-p10", "fisher-rao", "fisher-rao-jiang", "fisher-rao-closed", "pb-notebook"]


def write(folder, network, **files):
    (folder / "net.json").write_text(json.dumps(network))
    for name, state in files.items():
        save_file({k: v.contiguous() for k, v in state.items()}, folder / f"{name}.safetensors")


def measure(folder, *arguments, measures=MEASURES):
    out = gapbench("measure", "--model", folder / "final.safetensors", "--network", folder / "net.json", "--format", "json", *arguments,
                   *(["--executor", sys.argv[2], "--device", "cpu"] if sys.argv[2:] else []), "--measures", *measures)
    document = json.loads(out.stdout)
    for cell in document["measures"]:  # of those that needed the network, which executor ran it
        if "executor" in cell:
            assert cell["executor"].startswith("stack/cpu/" if sys.argv[2:] else ("fast/", "general/")), cell
        else:
            assert cell["measure"] not in ("cross-entropy", "fisher-rao") or "--data" not in arguments, cell
    return document["tensors"], {c["measure"]: c for c in document["measures"]}


def agree(cells, expected, tolerance=1e-5):
    for name, value in expected.items():
        assert cells[name]["status"] == "ok", cells[name]
        assert abs(cells[name]["value"] - value) <= tolerance * max(1, abs(value)), (name, cells[name]["value"], value)


def trained(model, images, labels, steps=80):
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    return model.eval()


def copied(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


def outputs(model, images, labels):
    """What the measures of data are, in float64."""
    model = model.double()
    w = {k: p.detach() for k, p in model.named_parameters()}
    z, dz = torch.func.jvp(lambda p: torch.func.functional_call(model, p, images.double()), (w,), (w,))
    p = torch.softmax(z, 1)
    hot = nn.functional.one_hot(labels, z.shape[1]).bool()
    margins = z[hot] - z.masked_fill(hot, -math.inf).max(1).values
    return {"cross-entropy": nn.functional.cross_entropy(z, labels).item(), "neg-entropy": (p * p.log()).sum(1).mean().item(),
            "margin-p10": torch.kthvalue(margins, len(z) // 10).values.item(),
            "fisher-rao": (((p - hot.double()) * dz).sum(1) ** 2).mean().item()}


def test_operator_norms_of_one_convolution(folder):
    # from the matrices of the operators of this kernel on 8 x 8 images, wrapped around and with zeros around
    kernel = torch.from_numpy(np.random.default_rng(0).standard_normal((5, 4, 3, 3)))
    ids = ["conv-opnorm-fft", "conv-opnorm-fft-strided", "conv-opnorm-power", "conv-opnorm-reshape"]
    for stride, norms in ((1, (12.455112, 12.455112, 12.099627)), (2, (12.455112, 10.398652, 9.589151))):
        write(folder, {"input": [4, 8, 8], "classes": 5, "layers": [{"kind": "conv", "outputs": 5, "kernel": 3, "stride": stride, "padding": 1, "bias": False}, "mean_positions"]},
              final={"0.weight": kernel.float()})
        _, cells = measure(folder, measures=ids)
        agree(cells, {**{i: math.log(n) for i, n in zip(ids, norms)}, ids[3]: math.log(np.linalg.norm(kernel.numpy().reshape(5, -1), 2))}, 1e-7)


def test_fisher_rao_of_bias_free_chains(folder):
    # <w, gradient of the loss> = kappa (<p, z> - z_y) for kappa weight layers, so the norm is its closed form
    images, labels, _, _ = map(torch.from_numpy, digits())
    for kappa in (1, 2, 3, 4):
        torch.manual_seed(kappa)
        widths = [64, 20, 15, 12][:kappa] + [10]
        layers = [nn.Flatten()]
        for i in range(kappa):
            layers += [nn.Linear(widths[i], widths[i + 1], bias=False), nn.ReLU()]
        model = trained(nn.Sequential(*layers[:-1]), images, labels, 30)
        network = ["flatten"]
        for i in range(kappa):
            network += [{"kind": "dense", "outputs": widths[i + 1], "bias": False}, "relu"]
        write(folder, {"input": [1, 8, 8], "classes": 10, "layers": network[:-1]}, final=copied(model))
        _, cells = measure(folder, "--data", "digits", measures=["fisher-rao", "fisher-rao-closed"])
        expected = outputs(model, images, labels)["fisher-rao"]
        z = model(images.double())
        closed = kappa**2 * ((torch.softmax(z, 1) * z).sum(1) - z.gather(1, labels[:, None])[:, 0]).square().mean().item()
        assert abs(closed / expected - 1) < 1e-10
        for name in ("fisher-rao", "fisher-rao-closed"):
            assert abs(cells[name]["value"] / closed - 1) < 1e-5, (kappa, cells[name], closed)


def test_sequential_convolutional_network(folder):
    images, labels, _, _ = map(torch.from_numpy, digits())
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=False),
                          nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(32, 10, bias=False))
    init = copied(model)
    trained(model, images, labels)
    final = copied(model)
    network = {"input": [1, 8, 8], "classes": 10, "layers": [
        {"kind": "conv", "outputs": 6, "kernel": 3, "padding": 1}, "batch_norm", "relu", "max_pool",
        {"kind": "conv", "outputs": 8, "kernel": 3, "stride": 2, "padding": 1, "bias": False}, "relu", "flatten", "dropout",
        {"kind": "dense", "outputs": 10, "bias": False}]}
    write(folder, network, final=final, init=init)
    order = np.random.default_rng(0).permutation(len(labels))[:900]
    (folder / "order.txt").write_text(" ".join(map(str, order)))
    tensors, cells = measure(folder, "--init", folder / "init.safetensors", "--data", "digits", "--order", folder / "order.txt", "--samples", 700)

    notes = {(t["file"], t["tensor"]): t for t in tensors}
    assert len(notes) == 2 * len(final)
    for which in ("model", "init"):
        assert notes[which, "1.num_batches_tracked"]["array"] is None and notes[which, "1.num_batches_tracked"]["note"]
        assert notes[which, "8.weight"]["array"] == "8.weight" and notes[which, "8.weight"]["shape"] == [10, 32]

    def folded(state):
        w = {k: v.double().numpy() for k, v in state.items()}
        scale = w["1.weight"] / np.sqrt(w["1.running_var"] + 1e-5)
        return [w["0.weight"] * scale[:, None, None, None], w["4.weight"], w["8.weight"]], (w["0.bias"] - w["1.running_mean"]) * scale + w["1.bias"]

    (weights, bias), (before, _) = folded(final), folded(init)
    squares = [np.sum(w**2) for w in weights]
    moved = [np.sum((a - b) ** 2) for a, b in zip(weights, before)]
    x = torch.ones(1, 1, 8, 8, dtype=torch.float64)
    x = nn.functional.conv2d(x, torch.from_numpy(weights[0] ** 2), torch.from_numpy(bias**2), padding=1)
    x = nn.functional.conv2d(nn.functional.max_pool2d(x, 2), torch.from_numpy(weights[1] ** 2), stride=2, padding=1)
    paths = (x.flatten(1) @ torch.from_numpy(weights[2] ** 2).T).sum().item()

    def operator(w, side, stride):
        eye = torch.eye(w.shape[1] * side * side, dtype=torch.float64).reshape(-1, w.shape[1], side, side)
        return np.linalg.norm(nn.functional.conv2d(eye, torch.from_numpy(w), stride=stride, padding=1).flatten(1).numpy(), 2)

    spectral = [operator(weights[0], 8, 1), operator(weights[1], 4, 2), np.linalg.norm(weights[2], 2)]
    saved = [np.linalg.norm(final[f"{i}.weight"].double().numpy()) for i in (0, 4, 8)]
    count = sum(w.size for w in weights)
    of_data = outputs(model, images[order[:700]], labels[order[:700]])
    agree(cells, {"log-prod-fro": sum(map(math.log, squares)), "l2-norm": math.sqrt(sum(squares)), "fro-dist": sum(moved),
                  "l2-dist": math.sqrt(sum(moved)), "num-params": count, "num-params-biases": count + 6, "wc-pfn": sum(map(math.log, saved)),
                  "log-prod-spec": 2 * sum(map(math.log, spectral)), "path-norm": math.log(paths), **of_data})
    assert of_data["margin-p10"] > 0
    assert cells["path-norm-over-margin"]["status"] == "ok"
    # weights alone
    _, blind = measure(folder)
    agree(blind, {"log-prod-fro": sum(map(math.log, squares)), "path-norm": math.log(paths)})
    assert {n for n, c in blind.items() if c["status"] == "not-applicable"} == {
        "fro-dist", "l2-dist", "pb-notebook", "path-norm-over-margin", "cross-entropy", "neg-entropy", "margin-p10", "fisher-rao", "fisher-rao-jiang",
        "fisher-rao-closed"}


def test_an_architecture_of_ours_with_names_of_its_own_in_half_precision_and_a_wrapper(folder):
    images, labels, _, _ = map(torch.from_numpy, digits())
    torch.manual_seed(2)
    hp = {"network": "resnet18", "activation": "relu", "dropout": 0.0, "width_multiplier": 0.06}
    model = trained(ResNet(hp, True, (1, 8, 8), 10), images, labels, 10)
    model = model.half().float()  # so that half precision loses nothing
    state = {"module." + k.replace("head", "fc"): v.half() if v.is_floating_point() else v for k, v in copied(model).items()}
    write(folder, {"network": "resnet18", "width_multiplier": 0.06, "input": [1, 8, 8], "classes": 10, "names": {"head": "fc"}}, final=state)
    save_file({"images": images.contiguous(), "labels": labels.contiguous()}, folder / "data.safetensors")
    tensors, cells = measure(folder, "--data", folder / "data.safetensors", measures=["cross-entropy", "fisher-rao", "num-params"])
    head = next(t for t in tensors if t["array"] == "head.weight")
    assert head["tensor"] == "module.fc.weight" and "F16" in head["note"]
    expected = outputs(model, images, labels)
    agree(cells, {k: expected[k] for k in ("cross-entropy", "fisher-rao")}, 1e-4)
    assert cells["num-params"]["value"] == sum(p.numel() for p in model.parameters() if p.ndim > 1)


def test_normalised_images(folder):
    images, labels, _, _ = map(torch.from_numpy, digits())
    torch.manual_seed(3)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
    write(folder, {"input": [1, 8, 8], "layers": ["flatten", {"kind": "dense", "outputs": 10}], "mean": [0.3], "std": [0.4]}, final=copied(model))
    _, cells = measure(folder, "--data", "digits", measures=["cross-entropy"])
    agree(cells, {"cross-entropy": outputs(model, (images - 0.3) / 0.4, labels)["cross-entropy"]})


def test_what_does_not_fit_is_refused_by_name(folder):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10))
    layers = ["flatten", {"kind": "dense", "outputs": 12}, "relu", {"kind": "dense", "outputs": 10}]
    state = copied(model)

    def refused(*words, network=None, arguments=(), code=2):
        write(folder, network or {"input": [1, 8, 8], "layers": layers}, final=state)
        out = gapbench("measure", "--model", folder / "final.safetensors", "--network", folder / "net.json", *arguments, code=code)
        assert out.stdout == "", out.stdout
        for word in words:
            assert word in out.stderr, (word, out.stderr)

    wide = [layers[0], {"kind": "dense", "outputs": 13}, *layers[2:]]
    refused("1.weight", "[12,64]", "[13,64]", network={"input": [1, 8, 8], "layers": wide})
    refused("2.weight", "1.weight", network={"input": [1, 8, 8], "layers": ["flatten", "relu", layers[1]] + layers[3:]})
    refused("layer 0", "flat", network={"input": [1, 8, 8], "layers": layers[1:]})
    refused("layer 1", "outputs >= 1", network={"input": [1, 8, 8], "layers": ["flatten", {"kind": "dense", "outputs": 0}]})
    refused("'sofmax'", "there is no layer", network={"input": [1, 8, 8], "layers": [*layers, "sofmax"]})
    refused("'kernal'", "kernel", network={"input": [1, 8, 8], "layers": [{"kind": "conv", "outputs": 2, "kernal": 3}]})
    refused("'depht'", "depth", network={"input": [1, 8, 8], "classes": 10, "network": "fcn", "depht": 2})
    refused("'heat'", network={"input": [1, 8, 8], "classes": 10, "network": "fcn", "names": {"heat": "fc"}})
    refused("[1,8,8]", "[2,8,4]", network={"input": [2, 8, 4], "layers": layers}, arguments=("--data", "digits"))
    refused("--samples 99999", "1438", arguments=("--data", "digits", "--samples", 99999))
    (folder / "order.txt").write_text("0 5 1438")
    refused("'1438'", "0 to 1437", arguments=("--data", "digits", "--order", folder / "order.txt"))
    gapbench("measure", code=1)
    gapbench("measure", "--model", folder / "final.safetensors", code=1)


run_tests(globals())
