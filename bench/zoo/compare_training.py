#!/usr/bin/env python3
"""Training here against the loop a user of PyTorch would write: compare_training.py [--bench PROGRAM] [--data-dir DIR]

Runs bench/zoo/training_bench and bench/peers/train_pytorch.py on the same samples for the same number of steps, one
thread each, in turns; of each the best of --repeat runs counts, since other work on the machine only ever slows a run
down. Times are the thread's CPU time, which is the wall time on a core of its own; --wall takes wall time. Both
evaluate the full training and test sets after every epoch, inside the time. Prints, per case, models an hour and core,
microseconds a step, the ratio, the rate, its share of the rate of a large product in the same run, and both final losses.

With --device cuda (or cpu, to try it out) it is stacks instead, bench/zoo/stack_bench, against the same loop on the device,
one model after the other, in wall time: models an hour, the members of the stack, ratio, rate and its share, mean final loss
of the stack's models and the peer's. Where the files of a data set are not there, random samples of its shape stand in, and
a line says so. --members tries stacks of these sizes beside the engine's choice (0).
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMON = {"optimizer": "sgd", "momentum": 0.9, "target_cross_entropy": 0}
CASES = {
    "digits-fcn": ("digits", {"network": "fcn", "widths": [32, 32], "batch_size": 32, "lr": 0.05, "max_epochs": 30}),
    "mnist-fcn": ("mnist", {"network": "fcn", "widths": [52, 48, 44, 40, 36, 32, 28, 24, 20, 16], "batch_size": 64, "lr": 0.01,
                            "max_epochs": 3}),
    "cifar10-nin-50": ("cifar10", {"network": "nin", "width": 50, "depth": 2, "batch_size": 32, "lr": 0.01, "max_epochs": 2,
                                   "train_size": 10000}),
    "cifar10-nin-200": ("cifar10", {"network": "nin", "width": 200, "depth": 2, "batch_size": 32, "lr": 0.01, "max_epochs": 1,
                                    "train_size": 10000}),
    "cifar10-resnet18": ("cifar10", {"network": "resnet18", "width_multiplier": 0.25, "batch_size": 64, "lr": 0.05, "max_epochs": 1,
                                     "train_size": 5000}),
    "cifar10-densenet40": ("cifar10", {"network": "densenet40", "width_multiplier": 0.5, "batch_size": 64, "lr": 0.05,
                                       "max_epochs": 1, "train_size": 5000}),
}


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout) if done.stdout.strip() else None


SHAPES = {"mnist": "1 28 28 60000 10000", "cifar10": "3 32 32 50000 10000"}


def compare_stacks(arguments):
    record = {}
    program = arguments.bench.parent / "stack_bench"
    columns = "case members models/h models/h,peer us/step,model us/step,peer ratio GFLOP/s share loss loss,peer".split()
    print(("{:16}" + "{:>14}" * 10).format(*columns))
    for name in arguments.cases or ["digits-fcn", "mnist-fcn", "cifar10-nin-50"]:
        dataset, hp = CASES[name]
        hp = {**COMMON, **hp}
        with tempfile.TemporaryDirectory(prefix="gapbench-") as folder:
            samples = pathlib.Path(folder) / "samples.safetensors"
            stack = [program, dataset, json.dumps(hp), arguments.device]
            if subprocess.run([*map(str, stack), "0", arguments.data_dir, samples], capture_output=True).returncode != 0 and dataset in SHAPES:
                stack[1] = f"synthetic {SHAPES[dataset]}"
                print(f"# {name}: the files of {dataset} are not in {arguments.data_dir}: random samples of its shape")
                run(*stack, 0, arguments.data_dir, samples)
            peer = [sys.executable, ROOT / "bench/peers/train_pytorch.py", json.dumps(hp), samples, *(["--cuda"] if arguments.device == "cuda" else [])]
            peers = [run(*peer) for _ in range(arguments.repeat)]
            p = min(peers, key=lambda r: r["seconds"])
            record[name] = {"hp": hp, "peer": peers, "ours": []}
            for members in arguments.members:
                o = min((run(*stack, members, arguments.data_dir) for _ in range(arguments.repeat)), key=lambda r: r["seconds"])
                record[name]["ours"].append(o)
                assert p["steps"] == o["steps"], (p, o)
                print(f"{name:16}{o['members']:14d}{3600 / o['seconds_a_model']:14.0f}{3600 / p['seconds']:14.0f}"
                      f"{1e6 * o['seconds_a_model'] / o['steps']:14.2f}{1e6 * p['seconds'] / p['steps']:14.1f}"
                      f"{p['seconds'] / o['seconds_a_model']:14.1f}{o['gflops']:14.0f}{o['gflops'] / o['attainable_gflops']:14.3f}"
                      f"{o['train_cross_entropy']:14.4f}{p['train_cross_entropy']:14.4f}", flush=True)
            print(f"# {name}: {o['device']}, a product of its kind reaches {o['attainable_gflops']:.0f} GFLOP/s")
    return record


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bench", type=pathlib.Path, default=ROOT / "build/release/bin/training_bench", help="the built training_bench")
    parser.add_argument("--data-dir", default="data", help="folder with the MNIST and CIFAR-10 files")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), help="default: all, with --device the three of small networks")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="compare stacks on this device")
    parser.add_argument("--members", nargs="+", type=int, default=[0], help="sizes of stacks to try, 0 = the engine's choice")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--wall", action="store_true", help="compare wall times: for a machine with nothing else to do")
    parser.add_argument("--json", type=pathlib.Path, help="also write every run to this file")
    arguments = parser.parse_args()
    if arguments.device:
        record = compare_stacks(arguments)
        if arguments.json:
            arguments.json.write_text(json.dumps(record, indent=1) + "\n")
        return
    clock = "seconds" if arguments.wall else "cpu_seconds"
    record = {}
    columns = "case peer models/h models/h,peer us/step us/step,peer ratio GFLOP/s share loss loss,peer".split()
    print(("{:16}{:15}" + "{:>13}" * 9).format(*columns))
    for name in arguments.cases or CASES:
        dataset, hp = CASES[name]
        hp = {**COMMON, **hp}
        with tempfile.TemporaryDirectory(prefix="gapbench-") as folder:
            samples = pathlib.Path(folder) / "samples.safetensors"
            run(arguments.bench, dataset, json.dumps(hp), "auto", arguments.data_dir, samples)
            peers = {"default": [], **({"channels-last": []} if hp["network"] != "fcn" else {})}
            ours = []
            for _ in range(arguments.repeat):
                ours.append(run(arguments.bench, dataset, json.dumps(hp), "auto", arguments.data_dir))
                for layout, runs in peers.items():
                    flags = ["--channels-last"] if layout == "channels-last" else []
                    runs.append(run(sys.executable, ROOT / "bench/peers/train_pytorch.py", json.dumps(hp), samples, *flags))
        record[name] = {"hp": hp, "ours": ours, "peers": peers}
        o = min(ours, key=lambda r: r[clock])
        attainable = max(r["attainable_gflops"] for r in ours)
        for layout, runs in peers.items():
            p = min(runs, key=lambda r: r[clock])
            assert p["steps"] == o["steps"], (p, o)
            print(f"{name:16}{layout:15}{3600 / o[clock]:13.0f}{3600 / p[clock]:13.0f}"
                  f"{1e6 * o[clock] / o['steps']:13.1f}{1e6 * p[clock] / p['steps']:13.1f}"
                  f"{p[clock] / o[clock]:13.2f}{o['gflop'] / o[clock]:13.1f}{o['gflop'] / o[clock] / attainable:13.2f}"
                  f"{o['train_cross_entropy']:13.4f}{p['train_cross_entropy']:13.4f}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")


main()
