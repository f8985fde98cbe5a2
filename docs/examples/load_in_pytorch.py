#!/usr/bin/env python3
"""Load a trained gapbench model into PyTorch: load_in_pytorch.py ZOO/models/ID

Prints the network and its arrays. The functions are meant to be copied into a notebook.
"""
import json
import pathlib
import sys

import torch
from safetensors.torch import load_file


class Fcn(torch.nn.Module):
    """Fully connected network with the state_dict keys gapbench writes: layers.<i>, head."""

    def __init__(self, inputs: int, widths: list[int], classes: int):
        super().__init__()
        sizes = [inputs, *widths]
        self.layers = torch.nn.ModuleList(torch.nn.Linear(a, b) for a, b in zip(sizes, widths))
        self.head = torch.nn.Linear(sizes[-1], classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = images.flatten(1)
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.head(x)


class Nin(torch.nn.Module):
    """Network-in-network with the keys blocks.<b>.<0|1|2>, head."""

    def __init__(self, channels: int, width: int, depth: int, classes: int):
        super().__init__()
        self.blocks = torch.nn.ModuleList()
        for b in range(depth):
            self.blocks.append(torch.nn.ModuleList([
                torch.nn.Conv2d(channels if b == 0 else width, width, 3, stride=2, padding=1),
                torch.nn.Conv2d(width, width, 1),
                torch.nn.Conv2d(width, width, 1),
            ]))
        self.head = torch.nn.Conv2d(width, classes, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = images
        for block in self.blocks:
            for conv in block:
                x = torch.relu(conv(x))
        return self.head(x).mean((2, 3))


def load(folder: pathlib.Path, which: str = "final") -> torch.nn.Module:
    """The network of a model folder with its "final" or "init" weights. Sizes are read off the arrays."""
    spec = json.loads((folder / "spec.json").read_text())
    arrays = load_file(folder / f"{which}.safetensors")
    classes = arrays["head.weight"].shape[0]
    if spec["hp"]["network"] == "fcn":
        hidden = [arrays[f"layers.{i}.weight"] for i in range(spec["hp"]["depth"])]
        model = Fcn(hidden[0].shape[1], [w.shape[0] for w in hidden], classes)
    else:
        model = Nin(arrays["blocks.0.0.weight"].shape[1], spec["hp"]["width"], spec["hp"]["depth"], classes)
    model.load_state_dict(arrays)
    return model.eval()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: load_in_pytorch.py ZOO/models/ID")
    network = load(pathlib.Path(sys.argv[1]))
    print(network)
    for name, array in network.state_dict().items():
        print(f"{name:24} {tuple(array.shape)}")
