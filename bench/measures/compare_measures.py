#!/usr/bin/env python3
"""Measures here against a straightforward PyTorch script on the same network: compare_measures.py [options]

Trains one NiN (50 channels, 10,000 CIFAR-10 images) unless --zoo holds one, computes its deterministic measures and then all
of them, and runs bench/peers/measures_pytorch.py on the same weights and samples. Both sides compute every measure that is not on
request. Prints the time of each search and of each measure, the ratios in wall time and in CPU time (which other work on the
machine disturbs less), and how far the values are apart. On both sides the time is that of the measures, with data and weights in
memory. --peer takes the peer's side from an earlier --json of the same zoo, since the peer's searches take minutes.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPEC = {"name": "NiN", "data": {"name": "cifar10"}, "axes": {"weight_decay": [0]},
        "fixed": {"network": "nin", "width": 50, "depth": 2, "optimizer": "sgd", "momentum": 0.9, "lr": 0.02, "batch_size": 32,
                  "train_size": 10000, "max_epochs": 40, "target_cross_entropy": 0.05}}
# Operations of one forward pass of one image: two a multiply-add of the layers on 16 x 16, on 8 x 8 and of the head.
FLOPS = 2 * (256 * 50 * (27 + 50 + 50) + 64 * 50 * (450 + 50 + 50 + 10))
# The first measure of each that is shared pays for it.
FORWARD = "log-prod-fro-over-margin"
SHARED = {FORWARD: "logits and their derivatives, two passes over all samples", "log-prod-spec": "operator norms", "sosp": "operator norms of the change"}


def run(*command):
    return subprocess.run([str(c) for c in command], check=True, stdout=subprocess.PIPE, text=True).stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/ci/bin")
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--zoo", type=pathlib.Path, help="a zoo of this spec, trained")
    parser.add_argument("--threads", type=int, default=1, help="of both sides; more than one and waiting counts as CPU time")
    parser.add_argument("--repeat", type=int, default=3, help="runs of ours; the best counts")
    parser.add_argument("--peer", type=pathlib.Path, help="an earlier --json, or what the peer printed")
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        temporary = pathlib.Path(temporary)
        zoo = arguments.zoo or temporary / "zoo"
        (temporary / "spec.json").write_text(json.dumps(SPEC))
        if not zoo.exists():
            run(arguments.bin / "gapbench", "train", temporary / "spec.json", "--out", zoo, "--data-dir", arguments.data_dir)
        model = next((zoo / "models").iterdir())
        all_ids = [m["id"] for m in json.loads(run(arguments.bin / "gapbench", "list", "measures", "--format", "json")) if not m["on_request"]]
        plain = [i for i in all_ids if not i.startswith(("pacbayes-", "sharpness-"))]
        ours = {}
        for _ in range(arguments.repeat):
            for name, ids in (("deterministic", plain), ("with searches", all_ids)):
                *cells, searches = map(json.loads, run(arguments.bin / "measures_bench", zoo, arguments.data_dir, arguments.threads, *ids).splitlines())
                wall, cpu = (sum(c[key] for c in cells) for key in ("seconds", "cpu_seconds"))
                if name not in ours or cpu < ours[name]["cpu"]:
                    ours[name] = {"wall": wall, "cpu": cpu, "cells": {c["measure"]: c for c in cells}, "searches": searches}
        if arguments.peer:
            peer = json.loads(arguments.peer.read_text())
            peer = peer.get("peer", peer)
        else:
            run(arguments.bin / "training_bench", "cifar10", json.dumps(SPEC["fixed"]), "auto", arguments.data_dir, temporary / "samples.safetensors")
            peer = json.loads(run(sys.executable, ROOT / "bench/peers/measures_pytorch.py", model, temporary / "samples.safetensors", "--searches",
                                  "--threads", arguments.threads))
        small = json.dumps({"network": "fcn", "widths": [8], "max_epochs": 1})
        attainable = json.loads(run(arguments.bin / "training_bench", "digits", small))["attainable_gflops"]
    searches = ours["with searches"]["searches"]
    payers = {"sigma": "pacbayes-init", "sigma-magnitude": "pacbayes-mag-init", "alpha": "sharpness-init", "alpha-magnitude": "sharpness-mag-init"}
    print(f"{'search, CPU s':20}{'ours':>8}{'peer':>9}{'ratio':>7}{'passes':>9}{'ours':>12}{'+-':>10}{'peer':>12}")
    for name, search in searches.items():
        cpu, theirs = ours["with searches"]["cells"][payers[name]]["cpu_seconds"], peer["cpu_seconds"][name]
        print(f"{name:20}{cpu:8.2f}{theirs:9.1f}{theirs / cpu:7.1f}{search['passes']:9.0f}{search['value']:12.5f}{search['standard_error']:10.5f}{peer['values'][name]:12.5f}")
    cells = ours["deterministic"]["cells"]
    print(f"\n{'measure, CPU ms':32}  (an earlier one may have paid for what it shares; below .05 ms left out)")
    for name, c in cells.items():
        if c["cpu_seconds"] > 5e-5:
            print(f"{name:32}{1e3 * c['cpu_seconds']:10.2f}  {SHARED.get(name, '')}")
    rates = {FORWARD: 2 * FLOPS * 10000 / cells[FORWARD]["cpu_seconds"] * 1e-9}
    rates.update((name, s["passes"] * FLOPS / ours["with searches"]["cells"][payers[name]]["cpu_seconds"] * 1e-9) for name, s in searches.items())
    for name, rate in rates.items():
        print(f"{SHARED.get(name, name)}: {rate:.0f} GFLOP/s, {rate / attainable:.2f} of a large product's {attainable:.0f}")
    print("\npeer's parts, CPU s: " + ", ".join(f"{part} {seconds:.2f}" for part, seconds in peer["cpu_seconds"].items() if part not in searches))
    print(f"\n{'':16}{'wall s':>8}{'peer':>10}{'ratio':>8}{'CPU s':>8}{'peer':>10}{'ratio':>8}")
    for name, parts in (("deterministic", ["deterministic"]), ("with searches", ["deterministic", *searches])):
        o, wall, cpu = ours[name], sum(peer["seconds"][p] for p in parts), sum(peer["cpu_seconds"][p] for p in parts)
        print(f"{name:16}{o['wall']:8.3f}{wall:10.2f}{wall / o['wall']:8.1f}{o['cpu']:8.3f}{cpu:10.2f}{cpu / o['cpu']:8.1f}")
    assert set(cells) <= set(peer["values"]), f"the peer lacks {set(cells) - set(peer['values'])}"
    apart = {name: abs(c["value"] / peer["values"][name] - 1) for name, c in cells.items() if "value" in c}
    worst = max(apart, key=apart.get)
    print(f"\nlargest relative difference of {len(apart)} deterministic values: {apart[worst]:.1e} ({worst})")
    if arguments.json:
        arguments.json.write_text(json.dumps({"ours": ours, "peer": peer, "attainable_gflops": attainable}, indent=1) + "\n")


main()
