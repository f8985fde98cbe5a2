#!/usr/bin/env python3
"""Runs every benchmark program and its peers, interleaved, and writes one JSON document and one Markdown page.

  .venv/bin/python bench/run.py --bin build/release/bin --repetitions 7 --out bench.json --markdown docs/benchmarks.md

Each repetition runs every program and every peer once, so that a drift of the machine meets all of them. The tables show
medians over repetitions; the values that programs and peers compute are compared first. Needs numpy, scipy and torch."""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def run(command, may_be_empty=False):
    env = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=env)
    if may_be_empty and "Failed to match any benchmarks" in done.stderr:
        return {"benchmarks": []}
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return json.loads(done.stdout)


def cpu_model():
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    except OSError:
        pass
    return platform.processor()


# of bench_cuda: how a benchmark's name starts, and what it is
CUDA_KERNELS = {"singular_values/cuda": "singular values", "conv_norm/cuda": "circular norms of convolutions", "conv_operator_norm/cuda": "zero-padded norms of convolutions",
                "pair_counts/cuda": "pair counts of Kendall's tau", "sign_counts/cuda": "joint signs", "smoothed_means/cuda": "smoothed cosine means",
                "cosine_gradients/cuda": "gradients of absolute cosines", "log_sums/cuda": "logarithmic sums"}


def revision():
    done = subprocess.run(["git", "-C", str(HERE), "describe", "--always", "--dirty", "--abbrev=12"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def measure(programs, peers, repetitions, min_time, min_time_flag):
    """{"name": {"who": {"seconds": [...], counters of the last repetition}}}, context, descriptions of the peers, what was skipped"""
    rows, context, described, skipped = {}, {}, {}, {}
    unit = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1}
    for _ in range(repetitions):
        for program in programs:
            document = run([program, "--benchmark_format=json", f"--benchmark_min_time={min_time_flag}"])
            context = document["context"]
            for b in document["benchmarks"]:
                name, who = b["name"].removesuffix("/manual_time"), "gapbench"
                for variant in ("cpu", "ref", "cuda"):
                    if f"/{variant}/" in name:
                        name, who = name.replace(f"/{variant}/", "/"), variant
                if b.get("error_occurred"):
                    skipped[f"{name} ({who})"] = b["error_message"]
                    continue
                entry = rows.setdefault(name, {}).setdefault(who, {"seconds": []})
                entry["seconds"].append(b["real_time"] * unit[b["time_unit"]])
                entry.update({k: b[k] for k in ("flops", "pairs", "items", "value", "bytes_per_second", "of_fma", "of_sgemm", "of_copy") if k in b})
                clock = b["real_time" if b["name"].endswith("/manual_time") else "cpu_time"] * unit[b["time_unit"]]
                entry.update({f"{k}_each": b[rate] * clock for k, rate in (("flops", "flops"), ("bytes", "bytes_per_second")) if rate in b})
        for peer in peers:
            document = run([sys.executable, peer, min_time])
            described.update(document["peers"])
            for r in document["results"]:
                entry = rows.setdefault(r["name"], {}).setdefault(r["peer"], {"seconds": []})
                entry["seconds"].append(r["seconds"])
                entry["value"] = r["value"]
    return rows, context, described, skipped


def check_values(rows):
    """The programs and their peers computed the same thing: float32 sums agree to 1e-5, taus to 1e-12."""
    for name, entries in rows.items():
        values = {who: e["value"] for who, e in entries.items() if e.get("value") is not None}
        if not values or set(values) == {"cuda"}:  # scripts/gpu-check runs sizes of its own
            continue
        if len(values) < 2:
            sys.exit(f"{name}: only {list(values)} computed it, there is no peer to compare it with")
        limit = 1e-12 if "kendall" in name or "resample" in name else 1e-6 if name.startswith("conv_norm") else 1e-5
        best = next(values[who] for who in ("ref", "scipy", "numpy", "numpy svd", "torch") if who in values)
        for who, value in values.items():
            if abs(value - best) > limit * abs(best):
                sys.exit(f"{name}: {who} computed {value}, expected {best}")


def median(entry):
    return statistics.median(entry["seconds"])


def best(entry):
    return min(entry["seconds"])


def duration(seconds):
    for scale, name in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {name}"
    return f"{seconds * 1e9:.3g} ns"


def parameters(name):
    return [part.split(":")[1] for part in name.split("/") if ":" in part]


def table(header, lines):
    out = ["| " + " | ".join(header) + " |", "|" + "|".join("---" if i == 0 else "---:" for i in range(len(header))) + "|"]
    return out + ["| " + " | ".join(line) + " |" for line in lines]


def spread(rows):
    ratios = [max(e["seconds"]) / min(e["seconds"]) for entries in rows.values() for e in entries.values()]
    return statistics.median(ratios), max(ratios)


def rate(entry, amount):
    return amount / median(entry)


def markdown(document):
    rows, machine = document["rows"], document["machine"]
    peak = {what: next((e["gapbench"] for n, e in rows.items() if n.split("/")[0] == "peak_" + what), None)
            for what in ("fma", "sgemm", "copy")}
    fma, sgemm = (2 * 100000 * 12 * 16 / best(peak["fma"]), 2 * 1024.0**3 / best(peak["sgemm"]) if peak["sgemm"] else None)
    copy = 2 * 2.0**26 / best(peak["copy"])
    typical, worst = spread(rows)
    lines = [
        "# Benchmarks", "",
        "Made by `bench/run.py`; do not edit by hand. To make it again:", "",
        "```sh", "cmake --preset release && cmake --build --preset release --target bench_kendall bench_kernels", document["command"], "```", "",
        "`bench/compare.py OLD/bin NEW/bin` compares two builds; `scripts/gpu-check` builds and runs what needs a GPU.", "",
        f"Machine: {machine['cpu']}, {machine['cores']} cores visible, {machine['system']}; compiler {machine['compiler']}, `{machine['flags']}`; "
        f"kernels run as `{machine['cpu_variant']}`; revision {machine['revision']}. Everything on one thread.", "",
        f"Medians of {document['repetitions']} interleaved repetitions: programs and peers take turns. The load average was {machine['load'][0]:.1f} at the start and "
        f"{machine['load'][1]:.1f} at the end, this run's own thread included: other work was on the machine. "
        f"The slowest repetition took {typical:.2f} times the fastest for the typical row, {worst:.2f} times for the worst.", "",
        "Peers: " + "; ".join(f"*{k}* is {v}" for k, v in sorted(document["peers"].items())) + ". Programs and peers are checked to compute the same values.", "",
        "## What the machine attains", "",
        f"Best of the repetitions, one thread. Float32 multiply-adds in registers: {fma / 1e9:.1f} GFLOP/s. "
        + (f"SGEMM of LibTorch's BLAS, 1024 x 1024 x 1024: {sgemm / 1e9:.1f} GFLOP/s. " if sgemm else "")
        + f"Copy of 64 MiB, read and write counted: {copy / 1e9:.1f} GB/s.", ""]

    def kernel(title, prefixes, note):
        out = []
        for name in rows:
            if not name.startswith(prefixes) or "cpu" not in rows[name]:
                continue
            e = rows[name]
            entry = e["cpu"]
            fastest = best(entry)  # the share is of what was attained at best, as the peaks are
            # Google Benchmark's rates are of processor time; the amounts behind them are kept per iteration
            flops, moved = entry.get("flops_each"), entry.get("bytes_each")
            share = (f"{100 * flops / fastest / fma:.0f} %" + (f" ({100 * flops / fastest / sgemm:.0f} %)" if sgemm else "") if flops
                     else f"{100 * moved / fastest / copy:.0f} %" if moved else "")
            out.append([" ".join(name.split("/")), duration(median(entry)), f"{flops / median(entry) / 1e9:.1f}" if flops else "",
                        f"{moved / median(entry) / 1e9:.1f}" if moved else "", share,
                        *[f"{duration(median(e[who]))} ({median(e[who]) / median(entry):.1f}x)" if who in e else "" for who in ("ref", "torch", "numpy")]])
        return ["## " + title, "", *table(["size", "CPU", "GFLOP/s", "GB/s", "share of peak", "reference", "torch", "numpy"], out), "", note, ""]

    lines += kernel("Weight correlation", ("dense/", "conv3x3/"),
                    "Share of the multiply-adds above, in brackets of the SGEMM, which need not use the widest vectors of this CPU. Only pairs above the "
                    "diagonal count as work. In the last columns: how many times the CPU version's time.")
    lines += kernel("Kernels that read once", ("distance/", "log_sums/", "logits/", "tenth/", "perturb/"), "Share of the copy. *distance*: squared distance of sixteen layers to "
                    "their initial weights, in float64 as the numpy peer's sums; *log_sums*: sum of ln(1e-6 + 0.09 d²) over the same differences d, in float64 on all sides; *logits*: margins, accuracy and cross-entropy; *tenth*: the tenth percentile by selection; "
                    "*perturb*: weights plus Gaussian noise, Philox in all three.")
    lines += kernel("All singular values", ("singular_values/",), "Batches of matrices, float64 on all sides; numpy is `np.linalg.svd(a, compute_uv=False)`, torch `torch.linalg.svdvals(a)`.")
    kendall = []
    for name in rows:
        if name.startswith(("kendall_tau", "resample")):
            e = rows[name]
            kind = name.split("/")[1] if name.startswith("kendall_tau") else "one bootstrap resample"
            kendall.append([kind, f"{int(parameters(name)[0]):,}", duration(median(e["gapbench"])), f"{rate(e['gapbench'], int(parameters(name)[0])) / 1e6:.3g}",
                            duration(median(e["scipy"])), f"{median(e['scipy']) / median(e['gapbench']):.1f}x"])
    lines += ["## Kendall's tau", "", *table(["values", "n", "gapbench", "M items/s", "scipy", "ratio"], kendall), ""]
    conv = [["VGG-16, 13 layers" if "vgg16" in name else " x ".join(parameters(name)), duration(median(e["gapbench"])),
             duration(median(e["numpy svd"])), f"{median(e['numpy svd']) / median(e['gapbench']):.1f}x"]
            for name, e in rows.items() if name.startswith("conv_norm") and "numpy svd" in e]
    lines += ["## Operator norms of circular convolutions, 3x3", "", "VGG-16 on two threads, single layers on one; numpy on two for all.", "",
              *table(["inputs x outputs x side", "gapbench", "numpy svd", "ratio"], conv), ""]
    if document.get("cuda"):
        out = []
        names = [b["name"] for b in document["cuda"]["benchmarks"]]
        missing = [what for start, what in CUDA_KERNELS.items() if not any(n.startswith(start) for n in names)]
        for b in document["cuda"]["benchmarks"]:
            if b.get("error_occurred"):
                continue
            percent = [f"{100 * b[k]:.0f} %" if k in b else "" for k in ("of_fma", "of_sgemm", "of_copy")]
            out.append([" ".join(b["name"].removesuffix("/manual_time").split("/")), duration(b["real_time"] * {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1}[b["time_unit"]]),
                        f"{b['flops'] / 1e9:,.0f}" if "flops" in b else "", f"{b['bytes_per_second'] / 1e9:,.0f}" if "bytes_per_second" in b else "", *percent])
        lines += ["## CUDA", "", f"{document['cuda']['context'].get('cuda_device', 'one GPU')}; `scripts/gpu-check bench`, its data on the device. Shares are of the best rates "
                  "of the same run: float32 multiply-adds in registers, cuBLAS' SGEMM, a copy on the device.", "",
                  *([document["cuda"]["context"]["note"], ""] if "note" in document["cuda"]["context"] else []),
                  *([f"Not measured on a device yet: {', '.join(missing)}. Their tests have run on the CPU alone (`ctest -R cuda_emulated`).", ""] if missing else []),
                  *table(["kernel and size", "time", "GFLOP/s", "GB/s", "of multiply-adds", "of SGEMM", "of copy"], out), ""]
    if document["skipped"]:
        reasons = sorted(set(document["skipped"].values()))
        lines += ["## Not measured", "", *[f"* {', '.join(sorted(n for n, r in document['skipped'].items() if r == reason))}: {reason}" for reason in reasons], ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, default=HERE.parent / "build/release/bin", help="folder of the bench_* programs")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--min-time", type=float, default=0.1, help="seconds per benchmark and repetition")
    parser.add_argument("--smoke", action="store_true", help="one repetition of one iteration: does everything run and agree?")
    parser.add_argument("--out", type=pathlib.Path, help="JSON file")
    parser.add_argument("--markdown", type=pathlib.Path, help="Markdown page")
    parser.add_argument("--cuda", type=pathlib.Path, help="bench.json of scripts/gpu-check, perhaps of another machine, to show beside")
    a = parser.parse_args()
    programs = sorted(p for p in a.bin.glob("bench_*") if os.access(p, os.X_OK))
    peers = sorted(p for p in (HERE / "peers").glob("*.py") if p.name != "common.py" and not p.name.endswith("_pytorch.py"))  # the latter time whole runs
    if not programs:
        sys.exit(f"no bench_* programs in {a.bin}; build them: cmake --preset release && cmake --build --preset release")
    repetitions, min_time = (1, 0.0) if a.smoke else (a.repetitions, a.min_time)
    load = [os.getloadavg()[0]]
    rows, context, described, skipped = measure(programs, peers, repetitions, min_time, str(min_time))
    load.append(os.getloadavg()[0])
    check_values(rows)
    machine = {"cpu": cpu_model(), "cores": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}", "load": load, "revision": revision(),
               **{k: context[k] for k in ("compiler", "flags", "cpu_variant", "caches")}}
    options = f" --repetitions {a.repetitions} --min-time {a.min_time:g} --out bench.json --markdown docs/benchmarks.md"
    document = {"schema": "gapbench/bench/1", "command": ".venv/bin/python bench/run.py --bin build/release/bin" + options, "repetitions": repetitions,
                "machine": machine, "peers": described, "skipped": skipped, "rows": rows}
    if a.cuda:
        document["cuda"] = json.loads(a.cuda.read_text())
    page = markdown(document)
    if a.out:
        a.out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    if a.markdown:
        a.markdown.write_text(page)
    print(page if not (a.out or a.markdown) else f"{len(rows)} benchmarks of {len(programs)} programs, {len(skipped)} skipped")


if __name__ == "__main__":
    main()
