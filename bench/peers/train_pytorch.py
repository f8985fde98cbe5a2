#!/usr/bin/env python3
"""The loop a user of PyTorch would write to train one small network on a CPU: tensors in memory, batches by slicing a
permutation, torch.optim, no DataLoader, one thread. The peer of bench/zoo/compare_training.py.

    train_pytorch.py '{"network": "fcn", "widths": [32, 32], ...}' DATA.safetensors [--channels-last]

The data are train_x, train_y, test_x, test_y: images [n, channels, height, width] and labels. Prints one line of JSON.
"""
import json
import sys
import time

import torch
from safetensors.torch import load_file
from torch import nn

torch.set_num_threads(1)


def network(hp, shape, classes):
    channels, height, width = shape
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
    data = load_file(sys.argv[2])
    train_x, test_x, train_y, test_y = data["train_x"], data["test_x"], data["train_y"].long(), data["test_y"].long()
    torch.manual_seed(1)
    model = network(hp, train_x.shape[1:], int(train_y.max()) + 1)
    for layer in model:
        if hasattr(layer, "weight"):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
    if "--channels-last" in sys.argv:
        model = model.to(memory_format=torch.channels_last)
        train_x, test_x = (x.contiguous(memory_format=torch.channels_last) for x in (train_x, test_x))
    optimizer = torch.optim.SGD(model.parameters(), lr=hp["lr"], momentum=hp["momentum"])
    steps, start, cpu = 0, time.perf_counter(), time.process_time()
    for _ in range(hp["max_epochs"]):
        model.train()
        for batch in torch.randperm(len(train_x)).split(hp["batch_size"]):
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
