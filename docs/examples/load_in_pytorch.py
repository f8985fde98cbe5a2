#!/usr/bin/env python3
"""Load a trained gapbench model into PyTorch: load_in_pytorch.py ZOO/models/ID

Prints the network and its arrays. Every architecture of gapbench is here, with the state_dict keys that gapbench writes.
The functions are meant to be copied into a notebook.
"""
import json
import pathlib
import sys

import torch
from safetensors.torch import load_file
from torch import nn

ACTIVATIONS = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "gelu": nn.GELU, "tanh": nn.Tanh}


class Network(nn.Module):
    """What the architectures share: hp is the model's hyper-parameters, norm whether there is batch norm."""

    def __init__(self, hp: dict, norm: bool):
        super().__init__()
        self.hp, self.with_norm = hp, norm
        self.act = ACTIVATIONS[hp["activation"]]()
        self.drop = nn.Dropout(hp["dropout"])

    def width(self, channels: int) -> int:
        return max(1, int(self.hp["width_multiplier"] * channels + 0.5))

    def norm_list(self, sizes: list[int], kind=nn.BatchNorm2d) -> nn.ModuleList:
        return nn.ModuleList(kind(n) for n in sizes if self.with_norm)


class Fcn(Network):
    """Keys layers.<i>, norms.<i>, head."""

    def __init__(self, hp, norm, shape, classes):
        super().__init__(hp, norm)
        widths = hp["widths"] or [hp["width"]] * hp["depth"]
        sizes = [shape[0] * shape[1] * shape[2], *widths]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, widths))
        self.norms = self.norm_list(widths, nn.BatchNorm1d)
        self.head = nn.Linear(sizes[-1], classes)

    def forward(self, images):
        x = images.flatten(1)
        for i, layer in enumerate(self.layers):
            x = layer(x)
            x = self.drop(self.act(self.norms[i](x) if self.with_norm else x))
        return self.head(x)


class Nin(Network):
    """Keys blocks.<b>.<0|1|2>, norms.<b>.<0|1|2>, head."""

    def __init__(self, hp, norm, shape, classes):
        super().__init__(hp, norm)
        width, channels = hp["width"], shape[0]
        blocks, norms = [], []
        for _ in range(hp["depth"]):
            blocks.append(nn.ModuleList([nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.Conv2d(width, width, 1),
                                         nn.Conv2d(width, width, 1)]))
            norms.append(self.norm_list([width] * 3))
            channels = width
        self.blocks, self.norms = nn.ModuleList(blocks), nn.ModuleList(norms)
        self.head = nn.Conv2d(channels, classes, 1)

    def forward(self, images):
        x = images
        for block, norms in zip(self.blocks, self.norms):
            for i, conv in enumerate(block):
                x = conv(x)
                x = self.act(norms[i](x) if self.with_norm else x)
            x = self.drop(x)
        return self.head(x).mean((2, 3))


class Cnn(Network):
    """Keys blocks.<b>, norms.<b>, head."""

    def __init__(self, hp, norm, shape, classes):
        super().__init__(hp, norm)
        sizes = [shape[0], *(hp["width"] << b for b in range(hp["depth"]))]
        self.blocks = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip(sizes, sizes[1:]))
        self.norms = self.norm_list(sizes[1:])
        self.head = nn.Linear(sizes[-1], classes)

    def forward(self, images):
        x = images
        for i, conv in enumerate(self.blocks):
            x = conv(x)
            x = self.act(self.norms[i](x) if self.with_norm else x)
            if min(x.shape[2:]) > 1:
                x = nn.functional.max_pool2d(x, 2)
            x = self.drop(x)
        return self.head(x.mean((2, 3)))


class Vgg(Network):
    """Keys features.<i>, feature_norms.<i>, classifier.<i>, classifier_norms.<i>, head."""

    def __init__(self, hp, norm, shape, classes):
        super().__init__(hp, norm)
        self.reduced = hp["network"].endswith("-reduced")
        counts = {"11": (1, 1, 2, 2, 2), "16": (2, 2, 3, 3, 3), "19": (2, 2, 4, 4, 4)}[hp["network"][3:5]]
        widths = (4, 4, 4, 8, 8) if self.reduced else (64, 128, 256, 512, 512)
        hidden = self.width((120 if classes >= 100 else 12) if self.reduced else 512)
        channels = [self.width(w) for w, n in zip(widths, counts) for _ in range(n)]
        self.ends = [sum(counts[:b + 1]) - 1 for b in range(5)]
        height, width = shape[1:]
        for _ in range(5):
            if min(height, width) > 1:
                height, width = height // 2, width // 2
        self.features = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip([shape[0], *channels], channels))
        self.feature_norms = self.norm_list(channels)
        self.classifier = nn.ModuleList([nn.Linear(channels[-1] * height * width, hidden), nn.Linear(hidden, hidden)])
        self.classifier_norms = self.norm_list([hidden] * 2, nn.BatchNorm1d)
        self.head = nn.Linear(hidden, classes)

    def finish(self, x, norms, i):
        if not self.with_norm:
            return self.act(x)
        return norms[i](self.act(x)) if self.reduced else self.act(norms[i](x))

    def forward(self, images):
        x = images
        for i, conv in enumerate(self.features):
            x = self.finish(conv(x), self.feature_norms, i)
            if i in self.ends and min(x.shape[2:]) > 1:
                x = nn.functional.max_pool2d(x, 2)
        x = x.flatten(1)
        for i, layer in enumerate(self.classifier):
            x = self.drop(self.finish(layer(x), self.classifier_norms, i))
        return self.head(x)


class ResNetBlock(Network):
    def __init__(self, hp, norm, channels, inner, outer, stride, bottleneck):
        super().__init__(hp, norm)
        kernels, strides = ((1, 3, 1), (1, stride, 1)) if bottleneck else ((3, 3), (stride, 1))
        self.count = len(kernels)
        sizes = [channels, *[inner] * (self.count - 1), outer]
        for i, (kernel, step) in enumerate(zip(kernels, strides)):
            setattr(self, f"conv{i + 1}", nn.Conv2d(sizes[i], sizes[i + 1], kernel, step, kernel // 2, bias=not norm))
            if norm:
                setattr(self, f"norm{i + 1}", nn.BatchNorm2d(sizes[i + 1]))
        self.same = stride == 1 and channels == outer
        if not self.same:
            self.shortcut = nn.Conv2d(channels, outer, 1, stride, bias=not norm)
            if norm:
                self.shortcut_norm = nn.BatchNorm2d(outer)

    def forward(self, x):
        y = x
        for i in range(1, self.count + 1):
            y = getattr(self, f"conv{i}")(y)
            if self.with_norm:
                y = getattr(self, f"norm{i}")(y)
            if i < self.count:
                y = self.act(y)
        if not self.same:
            x = self.shortcut(x)
            if self.with_norm:
                x = self.shortcut_norm(x)
        return self.act(x + y)


class ResNet(Network):
    """Keys stem, stem_norm, stages.<s>.<b>.*, head."""

    def __init__(self, hp, norm, shape, classes):
        super().__init__(hp, norm)
        bottleneck = hp["network"] == "resnet50"
        blocks = (2, 2, 2, 2) if hp["network"] == "resnet18" else (3, 4, 6, 3)
        channels = self.width(64)
        self.stem = nn.Conv2d(shape[0], channels, 3, padding=1, bias=not norm)
        if norm:
            self.stem_norm = nn.BatchNorm2d(channels)
        stages = []
        for s, count in enumerate(blocks):
            inner = self.width(64 << s)
            outer = 4 * inner if bottleneck else inner
            stage = nn.ModuleList()
            for b in range(count):
                stage.append(ResNetBlock(hp, norm, channels, inner, outer, 2 if s > 0 and b == 0 else 1, bottleneck))
                channels = outer
            stages.append(stage)
        self.stages = nn.ModuleList(stages)
        self.head = nn.Linear(channels, classes)

    def forward(self, images):
        x = self.stem(images)
        x = self.act(self.stem_norm(x) if self.with_norm else x)
        for stage in self.stages:
            for block in stage:
                x = block(x)
        return self.head(self.drop(x.mean((2, 3))))


class DenseLayer(Network):
    def __init__(self, hp, norm, channels, growth, large):
        super().__init__(hp, norm)
        self.large = large
        for i, (inputs, outputs, kernel) in enumerate([(channels, 4 * growth, 1), (4 * growth, growth, 3)] if large
                                                      else [(channels, growth, 3)]):
            if norm:
                setattr(self, f"norm{i + 1}", nn.BatchNorm2d(inputs))
            setattr(self, f"conv{i + 1}", nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=not norm))

    def forward(self, x):
        y = x
        for i in range(1, 3 if self.large else 2):
            if self.with_norm:
                y = getattr(self, f"norm{i}")(y)
            y = getattr(self, f"conv{i}")(self.act(y))
        return torch.cat([x, self.drop(y)], 1)


class Transition(Network):
    def __init__(self, hp, norm, channels, outputs):
        super().__init__(hp, norm)
        if norm:
            self.norm = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, outputs, 1, bias=not norm)

    def forward(self, x):
        x = self.drop(self.conv(self.act(self.norm(x) if self.with_norm else x)))
        return nn.functional.avg_pool2d(x, 2) if min(x.shape[2:]) > 1 else x


class DenseNet(Network):
    """Keys stem, blocks.<b>.<l>.*, transitions.<b>.*, norm, head."""

    def __init__(self, hp, norm, shape, classes):
        super().__init__(hp, norm)
        large = hp["network"] == "densenet121"
        counts, growth = ((6, 12, 24, 16), self.width(32)) if large else ((12, 12, 12), self.width(12))
        channels = self.width(64 if large else 16)
        self.stem = nn.Conv2d(shape[0], channels, 3, padding=1, bias=not norm)
        blocks, transitions = [], []
        for b, count in enumerate(counts):
            block = nn.ModuleList()
            for _ in range(count):
                block.append(DenseLayer(hp, norm, channels, growth, large))
                channels += growth
            blocks.append(block)
            if b + 1 < len(counts):
                outputs = channels // 2 if large else channels
                transitions.append(Transition(hp, norm, channels, outputs))
                channels = outputs
        self.blocks, self.transitions = nn.ModuleList(blocks), nn.ModuleList(transitions)
        if norm:
            self.norm = nn.BatchNorm2d(channels)
        self.head = nn.Linear(channels, classes)

    def forward(self, images):
        x = self.stem(images)
        for b, block in enumerate(self.blocks):
            for layer in block:
                x = layer(x)
            if b < len(self.transitions):
                x = self.transitions[b](x)
        return self.head(self.act(self.norm(x) if self.with_norm else x).mean((2, 3)))


class MixerBlock(Network):
    def __init__(self, hp, tokens):
        super().__init__(hp, False)
        width = hp["width"]
        hidden = max(1, width // 2)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.tokens1, self.tokens2 = nn.Linear(tokens, hidden), nn.Linear(hidden, tokens)
        self.channels1, self.channels2 = nn.Conv2d(width, 4 * width, 1), nn.Conv2d(4 * width, width, 1)

    @staticmethod
    def layer_norm(norm, x):
        return norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def forward(self, x):
        y = self.layer_norm(self.norm1, x).flatten(2)
        x = x + self.tokens2(self.drop(self.act(self.tokens1(y)))).reshape(x.shape)
        return x + self.channels2(self.drop(self.act(self.channels1(self.layer_norm(self.norm2, x)))))


class Mixer(Network):
    """Keys patches, blocks.<b>.*, norm, head."""

    def __init__(self, hp, norm, shape, classes):
        super().__init__(hp, False)
        patch = 4 if min(shape[1:]) >= 16 else 2
        self.patches = nn.Conv2d(shape[0], hp["width"], patch, patch)
        self.blocks = nn.ModuleList(MixerBlock(hp, shape[1] // patch * (shape[2] // patch)) for _ in range(hp["depth"]))
        self.norm = nn.LayerNorm(hp["width"])
        self.head = nn.Linear(hp["width"], classes)

    def forward(self, images):
        x = self.patches(images)
        for block in self.blocks:
            x = block(x)
        return self.head(MixerBlock.layer_norm(self.norm, x).mean((2, 3)))


SHAPES = {"digits": (1, 8, 8), "cifar10": (3, 32, 32), "cifar100": (3, 32, 32)}  # the others: one channel of 28x28


def build(spec: dict, classes: int) -> nn.Module:
    """The network of a model's spec.json, with PyTorch's own initial weights."""
    hp, name = spec["hp"], spec["hp"]["network"]
    kind = next(k for prefix, k in (("fcn", Fcn), ("nin", Nin), ("cnn", Cnn), ("vgg", Vgg), ("resnet", ResNet),
                                    ("densenet", DenseNet), ("mixer", Mixer)) if name.startswith(prefix))
    automatic = name.endswith("-reduced") or kind in (ResNet, DenseNet)
    norm = automatic if hp["batch_norm"] == "auto" else hp["batch_norm"] == "on"
    return kind(hp, norm, SHAPES.get(spec["data"]["name"], (1, 28, 28)), classes)


def load(folder: pathlib.Path, which: str = "final") -> nn.Module:
    """The network of a model folder with its "final" or "init" weights, in evaluation mode."""
    spec = json.loads((folder / "spec.json").read_text())
    arrays = load_file(folder / f"{which}.safetensors")
    model = build(spec, arrays["head.weight"].shape[0])
    missing, unexpected = model.load_state_dict(arrays, strict=False)
    if unexpected or any(not key.endswith("num_batches_tracked") for key in missing):
        raise ValueError(f"{folder}: missing {missing}, unexpected {unexpected}")
    return model.eval()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: load_in_pytorch.py ZOO/models/ID")
    network = load(pathlib.Path(sys.argv[1]))
    print(network)
    for name, array in network.state_dict().items():
        print(f"{name:24} {tuple(array.shape)}")
