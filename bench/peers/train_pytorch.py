#!/usr/bin/env python3
"""The loop a user of PyTorch would write to train one small network on a CPU: tensors in memory, batches by slicing a
permutation, torch.optim, no DataLoader, one thread. With --cuda all of it is on the device. The peer of
bench/zoo/compare_training.py.

    train_pytorch.py '{"network": "fcn", "widths": [32, 32], ...}' DATA.safetensors [--channels-last] [--cuda]

The data are train_x, train_y, test_x, test_y (images [n, channels, height, width] and labels), init.<i> (the initial values
of the state dict, in its order) and order.<e> (the samples in the order of epoch e): the same network on the same batches
as the other side. Prints one line of JSON.
"""
import json
import math
import pathlib
import sys
import time

import torch
from torch import nn

torch.set_num_threads(1)


class Residual(nn.Module):
    """A basic block of ResNet-18."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
                                  nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return nn.functional.relu(self.body(x) + self.shortcut(x))


class Dense(nn.Module):
    """A layer of DenseNet-40: its input with `growth` new channels behind."""

    def __init__(self, inputs, growth):
        super().__init__()
        self.body = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, growth, 3, 1, 1, bias=False))

    def forward(self, x):
        return torch.cat([x, self.body(x)], 1)


def resnet18(channels, multiplier, classes):
    widths = [round(w * multiplier) for w in (64, 128, 256, 512)]
    layers, inputs = [nn.Conv2d(channels, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()], widths[0]
    for stage, outputs in enumerate(widths):
        for block in range(2):
            layers.append(Residual(inputs, outputs, 2 if stage > 0 and block == 0 else 1))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


def densenet40(channels, multiplier, classes):
    inputs, growth = round(16 * multiplier), round(12 * multiplier)
    layers = [nn.Conv2d(channels, inputs, 3, 1, 1, bias=False)]
    for block in range(3):
        for _ in range(12):
            layers.append(Dense(inputs, growth))
            inputs += growth
        if block < 2:
            layers += [nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, inputs, 1, bias=False), nn.AvgPool2d(2)]
    return nn.Sequential(*layers, nn.BatchNorm2d(inputs), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(inputs, classes))


def network(hp, shape, classes):
    channels, height, width = shape
    if hp["network"] in ("resnet18", "densenet40"):
        return globals()[hp["network"]](channels, hp["width_multiplier"], classes)
    if hp["network"] == "fcn":
        layers, inputs = [nn.Flatten()], channels * height * width
        for units in hp["widths"]:
            layers += [nn.Linear(inputs, units), nn.ReLU()]
            inputs = units
        return nn.Sequential(*layers, nn.Linear(inputs, classes))
    layers = []
    for block in range(hp["depth"]):
        layers += [nn.Conv2d(channels, hp["width"], 3, stride=2, padding=1), nn.ReLU()]
        channels = hp["width"]
        for _ in range(2):
            layers += [nn.Conv2d(channels, channels, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(channels, classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def load(file):
    """The float32 tensors of a safetensors file, without the package of that name."""
    content = bytearray(pathlib.Path(file).read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    return {name: torch.frombuffer(content, dtype=torch.float32, offset=start + t["data_offsets"][0], count=math.prod(t["shape"])).view(t["shape"])
            for name, t in json.loads(content[8:start]).items() if name != "__metadata__"}


def evaluate(model, x, y):
    loss = wrong = 0
    with torch.no_grad():
        for start in range(0, len(x), 1000):
            logits = model(x[start:start + 1000])
            loss += nn.functional.cross_entropy(logits, y[start:start + 1000], reduction="sum").item()
            wrong += (logits.argmax(1) != y[start:start + 1000]).sum().item()
    return loss / len(x), wrong / len(x)


def main():
    hp = json.loads(sys.argv[1])
    data = load(sys.argv[2])
    device = "cuda" if "--cuda" in sys.argv else "cpu"
    train_x, test_x = data["train_x"].to(device), data["test_x"].to(device)
    train_y, test_y = data["train_y"].long().to(device), data["test_y"].long().to(device)
    model = network(hp, train_x.shape[1:], int(train_y.max()) + 1)
    names = [name for name in model.state_dict() if not name.endswith("num_batches_tracked")]
    model.load_state_dict({name: data[f"init.{i}"] for i, name in enumerate(names)}, strict=False)
    model = model.to(device)
    orders = [data[f"order.{epoch}"].long().to(device) for epoch in range(1, hp["max_epochs"] + 1)]
    if "--channels-last" in sys.argv:
        model = model.to(memory_format=torch.channels_last)
        train_x, test_x = (x.contiguous(memory_format=torch.channels_last) for x in (train_x, test_x))
    optimizer = torch.optim.SGD(model.parameters(), lr=hp["lr"], momentum=hp["momentum"])
    if device == "cuda":  # what the first step costs once is not counted
        nn.functional.cross_entropy(model(train_x[:hp["batch_size"]]), train_y[:hp["batch_size"]]).backward()
        evaluate(model, test_x, test_y)
        torch.cuda.synchronize()
    steps, start, cpu = 0, time.perf_counter(), time.process_time()
    for order in orders:
        model.train()
        for batch in order.split(hp["batch_size"]):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(train_x[batch]), train_y[batch])
            loss.backward()
            optimizer.step()
            steps += 1
        model.eval()
        train, test = evaluate(model, train_x, train_y), evaluate(model, test_x, test_y)
    print(json.dumps({"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu, "steps": steps, "train_cross_entropy": train[0],
                      "train_error": train[1], "test_cross_entropy": test[0], "test_error": test[1]}))


main()
