#!/usr/bin/env python3
"""Measures here against a straightforward PyTorch script on the same network: compare_measures.py [options]

Trains one NiN (50 channels, 10,000 CIFAR-10 images) unless --zoo holds one, computes its deterministic measures and then all
of them, and runs bench/peers/measures_pytorch.py on the same weights and samples. Prints the time of each shared block and
measure, the ratios in wall time and in CPU time (which other work on the machine disturbs less), and how far the values are
apart.
"""
import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPEC = {"name": "NiN", "data": {"name": "cifar10"}, "axes": {"weight_decay": [0]},
        "fixed": {"network": "nin", "width": 50, "depth": 2, "optimizer": "sgd", "momentum": 0.9, "lr": 0.02, "batch_size": 32,
                  "train_size": 10000, "max_epochs": 40, "target_cross_entropy": 0.05}}
SEARCHED = ["pacbayes-*", "sharpness-*"]


def run(*command):
    """Wall and CPU seconds of a child, and what it prints."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    output = subprocess.run([str(c) for c in command], check=True, stdout=subprocess.PIPE, text=True).stdout
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, output


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/ci/bin")
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--zoo", type=pathlib.Path, help="a zoo of this spec, trained")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeat", type=int, default=3, help="runs of ours; the best counts")
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        temporary = pathlib.Path(temporary)
        zoo = arguments.zoo or temporary / "zoo"
        (temporary / "spec.json").write_text(json.dumps(SPEC))
        if not zoo.exists():
            run(arguments.bin / "gapbench", "train", temporary / "spec.json", "--out", zoo, "--data-dir", arguments.data_dir)
        model = next((zoo / "models").iterdir())
        run(arguments.bin / "training_bench", "cifar10", json.dumps(SPEC["fixed"]), "auto", arguments.data_dir, temporary / "samples.safetensors")
        all_ids = [m["id"] for m in json.loads(run(arguments.bin / "gapbench", "list", "measures", "--format", "json")[2]) if not m["on_request"]]
        plain = [i for i in all_ids if not i.startswith(("pacbayes-", "sharpness-"))]
        ours = {}
        for _ in range(arguments.repeat):
            for name, ids in (("deterministic", plain), ("with searches", all_ids)):
                for file in ("measures.jsonl", "searches.jsonl"):
                    (model / file).unlink(missing_ok=True)
                wall, cpu, _ = run(arguments.bin / "gapbench", "measure", zoo, "--workers", arguments.threads, "--data-dir", arguments.data_dir, "--measures", *ids)
                cells, searches = lines(model / "measures.jsonl"), lines(model / "searches.jsonl")
                inside = sum(c["seconds"] for c in cells)
                if name not in ours or inside < ours[name]["inside"]:
                    ours[name] = {"inside": inside, "wall": wall, "cpu": cpu, "cells": cells, "searches": searches}
        peer = json.loads(run(sys.executable, ROOT / "bench/peers/measures_pytorch.py", model, temporary / "samples.safetensors", "--searches",
                              "--threads", arguments.threads)[2])
    print(f"{'search':24}{'ours s':>10}{'peer s':>10}{'ratio':>8}{'passes':>10}{'ours':>12}{'+-':>10}{'peer':>12}")
    for s in ours["with searches"]["searches"]:
        theirs = peer["seconds"][s["search"]]
        print(f"{s['search']:24}{s['seconds']:10.3f}{theirs:10.2f}{theirs / s['seconds']:8.1f}{s['passes']:10.0f}"
              f"{s['value']:12.5f}{s['standard_error']:10.5f}{peer['values'][s['search']]:12.5f}")
    print(f"\n{'measure, ms':32}  (an earlier one may have paid for what it shares; below .05 ms left out)")
    for c in ours["deterministic"]["cells"]:
        if c["seconds"] > 5e-5:
            print(f"{c['measure']:32}{1e3 * c['seconds']:10.2f}")
    print(f"\n{'':16}{'in measures s':>14}{'peer s':>10}{'ratio':>8}{'whole run s':>13}{'CPU s':>8}{'peer CPU s':>12}{'ratio':>8}")
    for name, parts in (("deterministic", ["deterministic"]), ("with searches", list(peer["seconds"]))):
        o, wall, cpu = ours[name], sum(peer["seconds"][p] for p in parts), sum(peer["cpu_seconds"][p] for p in parts)
        print(f"{name:16}{o['inside']:14.3f}{wall:10.2f}{wall / o['inside']:8.1f}{o['wall']:13.2f}{o['cpu']:8.2f}{cpu:12.2f}{cpu / o['cpu']:8.1f}")
    apart = {c["measure"]: abs(c["value"] / peer["values"][c["measure"]] - 1) for c in ours["deterministic"]["cells"]
             if c["measure"] in peer["values"] and "value" in c}
    worst = max(apart, key=apart.get)
    print(f"\nlargest relative difference of {len(apart)} deterministic values: {apart[worst]:.1e} ({worst})")
    if arguments.json:
        arguments.json.write_text(json.dumps({"ours": ours, "peer": peer}, indent=1) + "\n")


main()
