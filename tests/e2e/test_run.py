"""The whole program: run, re-run, kill, resume, shards, worker counts, wrong inputs."""
import resource
import csv
import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

from common import ROOT, digest_of_models, gapbench, models_of, need, run_tests, write_spec

need("jsonschema", "scipy")
import scipy.stats

FIXED = {"network": "fcn", "depth": 2, "max_epochs": 40, "target_cross_entropy": 0.05}
AXES = {"width": [16, 32], "lr": [0.02, 0.1]}


def spec(folder, **changes):
    return write_spec(folder, **{"name": "e2e", "fixed": FIXED, "axes": AXES, "seeds": 2, **changes})


def test_run_writes_everything_and_a_second_run_changes_nothing(folder):
    zoo = folder / "zoo"
    out = gapbench("run", spec(folder), "--out", zoo).stdout
    assert "report.html" in out, out
    for name in ("zoo.json", "ledger.csv", "runs.jsonl", "ranking.json", "ranking.csv", "report.html", "report.md"):
        assert (zoo / name).stat().st_size > 0, name
    models = models_of(zoo)
    assert len(models) == 8
    for model in models:
        files = {p.name for p in (zoo / "models" / model["id"]).iterdir()}
        assert files == {"spec.json", "init.safetensors", "final.safetensors", "history.jsonl", "timing.json", "result.json",
                         "measures.jsonl", "searches.jsonl"}, files
    times = {p: p.stat().st_mtime_ns for p in zoo.glob("models/*/*")}
    before = digest_of_models(zoo)
    err = gapbench("run", spec(folder), "--out", zoo).stderr
    assert "8 of 8 models are there from an earlier run" in err, err
    assert {p: p.stat().st_mtime_ns for p in zoo.glob("models/*/*")} == times
    assert digest_of_models(zoo) == before


def test_ledger_columns_and_values(folder):
    zoo = folder / "zoo"
    gapbench("run", spec(folder), "--out", zoo)
    rows = list(csv.DictReader((zoo / "ledger.csv").open()))
    assert len(rows) == 8
    ids = {m["id"]: m for m in models_of(zoo)}
    for row in rows:
        model = ids[row["model_id"]]
        assert row["experiment_id"] == model["configuration"] and int(row["repeat_id"]) == model["seed"]
        assert float(row["hp.lr"]) == model["hp"]["lr"] and int(row["hp.width"]) == model["hp"]["width"]
        result = json.loads((zoo / "models" / row["model_id"] / "result.json").read_text())
        assert abs(float(row["gen.gap"]) - (float(row["gen.train_acc"]) - float(row["gen.test_acc"]))) < 1e-12
        assert abs(float(row["gen.gap"]) - (result["test"]["error"] - result["train"]["error"])) < 1e-12
        assert abs(float(row["gen.gap_loss"]) - (result["test"]["cross_entropy"] - result["train"]["cross_entropy"])) < 1e-12
        assert [float(row["gen.gap_even"]), float(row["gen.gap_odd"])] == result["gap_error_halves"]
        assert row["is.converged"] == str(result["stop_reason"] == "target")
        assert float(row["gen.test_acc"]) > 0.85
        assert float(row["complexity.wc-paper"]) > 0
        assert int(row["train_dataset_size"]) == 1438
    assert len({row["experiment_id"] for row in rows}) == 4
    runs = [json.loads(line) for line in (zoo / "runs.jsonl").read_text().splitlines()]
    assert {r["model_id"] for r in runs} == set(ids)


def test_documents_match_their_schemas(folder):
    import jsonschema
    zoo = folder / "zoo"
    gapbench("run", spec(folder, fixed={**FIXED, "target_cross_entropy": 0.02, "max_epochs": 200}), "--out", zoo)
    schema = json.loads((ROOT / "reports/schemas/ranking.schema.json").read_text())
    ranking = json.loads((zoo / "ranking.json").read_text())
    jsonschema.validate(ranking, schema)
    kept = [r for r in csv.DictReader((zoo / "ledger.csv").open()) if r["is.converged"] == r["is.high_train_accuracy"] == "True"]
    tau = scipy.stats.kendalltau(*([float(r[c]) for r in kept] for c in ("gen.gap_even", "gen.gap_odd"))).statistic
    ceiling = ranking["protocols"][0]["noise_ceiling"]
    assert ceiling["n"] == len(kept) > 3 and abs(ceiling["tau_b"] - tau) < 1e-12
    assert ranking["protocols"][1]["noise_ceiling"]["reason"]  # the losses of the halves are not kept
    spec_schema = json.loads((ROOT / "zoo/specs/spec.schema.json").read_text())
    for path in [*(ROOT / "zoo/specs").glob("*.json"), spec(folder)]:
        if path.name != "spec.schema.json":
            jsonschema.validate(json.loads(path.read_text()), spec_schema)
    # the schema and the program agree on every hyper-parameter and its default
    table = {h["name"]: h for h in json.loads(gapbench("list", "hyperparameters", "--format", "json").stdout)}
    properties = spec_schema["$defs"]["hyperparameters"]["properties"]
    assert set(properties) == set(table) == set(spec_schema["$defs"]["names"]["enum"])
    for name, h in table.items():
        p = properties[name]
        assert p["default"] == h["default"] and p["description"] == h["help"], name
        assert p.get("enum") == h.get("choices"), name
        bounds = p.get("items", p)
        assert (bounds.get("minimum"), bounds.get("exclusiveMinimum"), bounds.get("maximum")) == (
            h.get("minimum"), h.get("exclusive_minimum"), h.get("maximum")), name
    names = [d["name"] for d in json.loads(gapbench("list", "datasets", "--format", "json").stdout)]
    assert sorted(spec_schema["properties"]["data"]["properties"]["name"]["enum"]) == sorted(names)


def test_rank_options_apply_to_a_zoo_and_a_zoo_that_did_not_converge_is_ranked_with_a_note(folder):
    zoo = folder / "zoo"
    gapbench("run", spec(folder, fixed={**FIXED, "max_epochs": 2}, ranking={"resamples": 50}), "--out", zoo)
    ranking = json.loads((zoo / "ranking.json").read_text())
    assert ranking["population"]["models"] == 8 and ranking["bootstrap"]["resamples"] == 50
    assert any("No model both converged" in note for note in ranking["notes"])
    with_prefix = gapbench("rank", zoo, "--measures", "complexity.wc-*", "--format", "csv").stdout
    assert gapbench("rank", zoo, "--measures", "wc-*", "--format", "csv").stdout == with_prefix
    gapbench("rank", zoo, "--resamples", 20, "--measures", "complexity.wc-*")
    ranking = json.loads((zoo / "ranking.json").read_text())
    assert ranking["bootstrap"]["resamples"] == 20
    assert all(m["kind"] == "baseline" or m["id"].startswith("wc-") for m in ranking["measures"])
    # without a target, the epoch cap is where training is meant to end
    gapbench("run", spec(folder, fixed={**FIXED, "max_epochs": 2, "target_cross_entropy": 0}), "--out", zoo)
    assert {row["is.converged"] for row in csv.DictReader((zoo / "ledger.csv").open())} == {"True"}


def start(zoo, *arguments):
    return subprocess.Popen([sys.argv[1], "run", str(zoo.parent / "spec.json"), "--out", str(zoo), *arguments],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill_and_rerun(folder, *arguments):
    """Kills a run of folder's spec up to 12 times; in the end its files are those of a run that was left alone."""
    begin = time.time()
    gapbench("run", folder / "spec.json", "--out", folder / "whole", *arguments)
    whole = time.time() - begin
    expected = digest_of_models(folder / "whole")
    rng = random.Random(7)
    zoo = folder / "killed"
    killed = 0
    while killed < 12:
        process = start(zoo, "--checkpoint-every", "0", *arguments)  # a checkpoint after every epoch: many chances to be cut in two
        try:
            process.wait(timeout=whole * rng.uniform(0.1, 0.4))
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
    assert killed >= 2, f"only {killed} kills in a run of {whole} s"
    gapbench("run", folder / "spec.json", "--out", zoo, *arguments)
    found = digest_of_models(zoo)
    assert found == expected, sorted(name for name in expected.keys() | found.keys() if found.get(name) != expected.get(name))
    assert not list(zoo.glob("models/*/.*")), "the re-run clears the temporary files that killed writers leave"


def test_kill_at_any_moment_and_a_rerun_gives_the_same_bits(folder):
    spec(folder, seeds=12, fixed={**FIXED, "target_cross_entropy": 1e-9}, log_iterates={"last": 300, "dimension": 100})
    kill_and_rerun(folder)


def test_a_checkpoint_that_a_kill_left_beside_the_result_is_removed(folder):
    path = spec(folder, axes={}, seeds=2)
    gapbench("train", path, "--out", folder / "zoo")
    where = folder / "zoo/models" / models_of(folder / "zoo")[0]["id"]
    before = {p.name: p.read_bytes() for p in where.iterdir()}
    (where / "checkpoint.safetensors").write_bytes(b"x")
    gapbench("train", path, "--out", folder / "zoo")
    assert {p.name: p.read_bytes() for p in where.iterdir()} == before


def test_kill_of_stacks_and_a_rerun_gives_the_same_bits(folder):
    # models stop at epochs of their own, and what is left after a kill fills stacks of other sizes
    spec(folder, seeds=9, fixed={**FIXED, "max_epochs": 15, "dropout": 0.1}, log_iterates={"last": 100, "dimension": 100})
    kill_and_rerun(folder, "--executor", "stack")


def test_sigterm_checkpoints_and_exits_143(folder):
    # seeds enough that the run is still under way
    spec(folder, seeds=20, fixed={**FIXED, "max_epochs": 400, "target_cross_entropy": 0})
    zoo = folder / "zoo"
    process = start(zoo, "--workers", "2")
    deadline = time.time() + 30
    while not list(zoo.glob("models/*/result.json")) and time.time() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 143
    trained = len(list(zoo.glob("models/*/result.json")))
    assert 0 < trained < 80
    checkpoints = list(zoo.glob("models/*/checkpoint.safetensors"))
    assert 1 <= len(checkpoints) <= 2, checkpoints


def stop_at_a_checkpoint(zoo):
    process = start(zoo, "--checkpoint-every", "0")
    deadline = time.time() + 30
    while not list(zoo.glob("models/*/checkpoint.safetensors")) and time.time() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 143
    assert list(zoo.glob("models/*/checkpoint.safetensors")), "stopped before its end"


def test_a_checkpoint_without_the_iterates_that_are_to_be_kept_is_not_gone_on_from(folder):
    fixed = {"network": "fcn", "width": 256, "batch_size": 1438, "max_epochs": 300, "target_cross_entropy": 1e-9}
    write_spec(folder, fixed=fixed)
    stop_at_a_checkpoint(folder / "zoo")
    path = write_spec(folder, fixed=fixed, log_iterates={"last": 250, "dimension": 16})
    notes = gapbench("train", path, "--out", folder / "zoo").stderr
    assert "starts anew: its checkpoint lacks the iterates" in notes, notes
    gapbench("train", path, "--out", folder / "whole")
    (m,) = models_of(folder / "zoo")
    for name in ("final.safetensors", "iterates.safetensors"):
        assert (folder / "zoo/models" / m["id"] / name).read_bytes() == (folder / "whole/models" / m["id"] / name).read_bytes(), name


def test_a_checkpoint_of_another_executor_is_not_gone_on_from(folder):
    path = write_spec(folder, fixed={"network": "fcn", "width": 256, "batch_size": 1438, "max_epochs": 300, "target_cross_entropy": 0})
    zoo = folder / "zoo"
    stop_at_a_checkpoint(zoo)
    notes = gapbench("train", path, "--out", zoo, "--executor", "general").stderr
    assert "starts anew: its checkpoint was made by fast/" in notes and "this run uses general/" in notes, notes
    gapbench("train", path, "--out", folder / "whole", "--executor", "general")
    (m,) = models_of(zoo)
    for name in ("final.safetensors", "history.jsonl", "result.json"):
        assert (zoo / "models" / m["id"] / name).read_bytes() == (folder / "whole/models" / m["id"] / name).read_bytes(), name
    # one more seed on the fast executor: the zoo is mixed, and rank says so
    path = write_spec(folder, fixed={"network": "fcn", "width": 256, "batch_size": 1438, "max_epochs": 300, "target_cross_entropy": 0}, seeds=2)
    notes = gapbench("run", path, "--out", zoo).stderr
    assert "different executors (1 by fast/" in notes and "1 by general/" in notes, notes
    assert "different executors" in gapbench("rank", zoo).stderr
    provenance = json.loads((zoo / "ranking.json").read_text())["provenance"]
    names = [json.loads(p.read_text())["executor"] for p in zoo.glob("models/*/result.json")]
    assert provenance["executors"] == {name: 1 for name in names} and len(names) == 2 and provenance["device"] == "cpu", provenance
    # as of a device that is not here, and of a version that did not say
    for path, executor in zip(sorted(zoo.glob("models/*/result.json")), ("stack/NVIDIA H200/LibTorch 2.13.0", None)):
        result = json.loads(path.read_text())
        result.pop("executor")
        path.write_text(json.dumps({**result, **({"executor": executor} if executor else {})}))
    gapbench("rank", zoo)
    provenance = json.loads((zoo / "ranking.json").read_text())["provenance"]
    assert provenance["executors"] == {"stack/NVIDIA H200/LibTorch 2.13.0": 1, "an earlier version": 1}
    assert provenance["device"] == "NVIDIA H200, unknown"


def test_bits_do_not_depend_on_workers_or_shards(folder):
    spec(folder)
    path = folder / "spec.json"
    gapbench("run", path, "--out", folder / "one", "--workers", "1")
    gapbench("run", path, "--out", folder / "three", "--workers", "3")
    expected = digest_of_models(folder / "one")
    assert digest_of_models(folder / "three") == expected
    for shard in ("2/3", "1/3", "3/3"):
        gapbench("run", path, "--out", folder / "shards", "--shard", shard)
    gapbench("run", path, "--out", folder / "shards")
    assert digest_of_models(folder / "shards") == expected


def test_a_changed_spec_keeps_what_it_can(folder):
    zoo = folder / "zoo"
    gapbench("run", spec(folder), "--out", zoo)
    times = {p: p.stat().st_mtime_ns for p in zoo.glob("models/*/final.safetensors")}
    err = gapbench("run", spec(folder, axes={"width": [16, 24], "lr": [0.02, 0.1]}), "--out", zoo).stderr
    assert "4 models stay, 4 are new, 4 are no longer listed" in err, err
    assert all(p.stat().st_mtime_ns == t for p, t in times.items())
    assert len(list(csv.DictReader((zoo / "ledger.csv").open()))) == 8


def test_measure_computes_only_cells_that_are_missing_or_of_another_revision(folder):
    zoo, ids = folder / "zoo", ["wc-paper", "l2-norm", "fisher-rao", "cross-entropy"]  # in the order of the list
    gapbench("train", spec(folder, seeds=1, axes={"lr": [0.02, 0.1]}), "--out", zoo)
    err = gapbench("measure", zoo, "--measures", *ids).stderr
    assert "2/2 models" in err, err
    read = lambda file: [json.loads(line) for line in file.read_text().splitlines()]
    files = sorted(zoo.glob("models/*/measures.jsonl"))
    before = [read(f) for f in files]
    assert [[c["measure"] for c in cells] for cells in before] == [ids, ids]
    assert all(c["seconds"] > 0 for cells in before for c in cells)
    # in one model, a value that must be recomputed, one that may not be, and one that is not there
    changed = [dict(c) for c in before[0]]
    changed[0].update(value=123, revision=changed[0]["revision"] - 1)
    changed[1]["value"] = 456
    del changed[2]
    files[0].write_text("".join(json.dumps(c) + "\n" for c in changed))
    other = files[1].stat().st_mtime_ns
    gapbench("measure", zoo, "--measures", *ids)
    after = {c["measure"]: c for c in read(files[0])}
    assert after["l2-norm"] == changed[1] and after["cross-entropy"] == changed[2]  # the seconds too
    for c in (before[0][0], before[0][2]):
        assert {**after[c["measure"]], "seconds": 0} == {**c, "seconds": 0}
    assert files[1].stat().st_mtime_ns == other, "a complete model was written again"
    # the ledger carries the time of each cell
    gapbench("rank", zoo)
    record = next(r for r in read(zoo / "runs.jsonl") if r["model_id"] == files[0].parent.name)
    assert {m: c["seconds"] for m, c in record["measures"].items()} == {m: c["seconds"] for m, c in after.items()}


def test_measures_on_stacks_agree_and_cells_of_another_executor_are_kept(folder):
    path = spec(folder, axes={"network": ["fcn", "nin"]}, seeds=2, fixed={"depth": 2, "width": 12, "max_epochs": 8, "lr": 0.05, "target_cross_entropy": 0})
    cpu, stacks = folder / "cpu", folder / "stacks"
    gapbench("train", path, "--out", cpu)
    shutil.copytree(cpu, stacks)
    gapbench("measure", cpu, "--device", "cpu")
    gapbench("measure", stacks, "--executor", "stack", "--device", "cpu")

    def lines(zoo, model, name="measures"):
        return {c[name.removesuffix("s").removesuffix("e") if name == "searches" else "measure"]: c
                for c in map(json.loads, (zoo / "models" / model["id"] / f"{name}.jsonl").read_text().splitlines())}

    with_probe = 0
    for model in models_of(cpu):
        a, b = lines(cpu, model), lines(stacks, model)
        assert a.keys() == b.keys()
        for name, cell in a.items():
            other = b[name]
            assert cell["status"] == other["status"] and ("executor" in cell) == ("executor" in other), (cell, other)
            if "executor" in cell:
                with_probe += 1
                assert cell["executor"].startswith("fast/") and other["executor"].startswith("stack/cpu/"), (cell, other)
            if cell["status"] != "ok":
                continue
            error = math.hypot(cell.get("standard_error", 0), other.get("standard_error", 0))
            assert abs(cell["value"] - other["value"]) <= 3 * error + 1e-4 * abs(cell["value"]) + 1e-6, (cell, other)
        for search in lines(stacks, model, "searches").values():
            assert search["executor"].startswith("stack/cpu/"), search
    assert with_probe > 20
    # half of the cells of one model are gone: the CPU computes these, the others stay as they are
    model = models_of(cpu)[0]
    file = stacks / "models" / model["id"] / "measures.jsonl"
    kept = file.read_text().splitlines(True)[::2]
    file.write_text("".join(kept))
    gapbench("measure", stacks, "--device", "cpu")
    assert set(kept) <= set(file.read_text().splitlines(True))
    notes = gapbench("rank", stacks).stderr
    assert f"measures of network {model['hp']['network']} were computed by different executors (1 by fast/" in notes, notes
    assert notes.count("were computed by") == 1, notes
    measured_by = json.loads((stacks / "ranking.json").read_text())["provenance"]["measured_by"]
    assert sorted((name.split("/")[0], n) for name, n in measured_by.items()) == [("fast", 1), ("stack", 4)], measured_by
    error = gapbench("measure", cpu, "--device", "gpu", code=1).stderr
    assert "--device" in error, error


def test_a_diverging_model_is_a_row_with_a_status(folder):
    zoo = folder / "zoo"
    # lr * weight_decay = 9 is beyond the stability limit 2 (1 + momentum) = 3.8: those weights grow without bound
    gapbench("run", spec(folder, axes={"lr": [0.05, 900], "weight_decay": [0, 0.01], "width": [16, 32]},
                         exclude=[{"lr": 0.05, "weight_decay": 0.01}, {"lr": 900, "weight_decay": 0}],
                         fixed={**FIXED, "max_epochs": 100, "target_cross_entropy": 0.01}), "--out", zoo)
    rows = list(csv.DictReader((zoo / "ledger.csv").open()))
    assert [r["status"] for r in rows].count("diverged") == 4
    for row in rows:
        if row["status"] == "diverged":
            assert row["gen.gap"] == "" and row["complexity.wc-paper"] == "" and row["is.converged"] == "False"
    ranking = json.loads((zoo / "ranking.json").read_text())
    fitted = [r for r in rows if r["is.converged"] == r["is.high_train_accuracy"] == "True"]
    assert ranking["population"]["rows"] == 8 and ranking["population"]["models"] == len(fitted) > 0


def test_wrong_input_is_named(folder):
    def message(code=2, **keys):
        return gapbench("run", spec(folder, **keys), "--out", folder / "zoo", code=code).stderr

    assert "unknown key 'sedes'; did you mean 'seeds'?" in message(sedes=3)
    assert "unknown hyper-parameter 'batchsize'; did you mean 'batch_size'?" in message(fixed={"batchsize": 3})
    assert "lr = -1 is not allowed; it takes a number > 0" in message(axes={"lr": [-1]})
    assert "optimizer = \"sgdd\" is not allowed; did you mean 'sgd'?" in message(fixed={"optimizer": "sgdd"})
    assert "lr is both fixed and an axis" in message(fixed={"lr": 0.1}, axes={"lr": [0.2]})
    assert "widths and depth contradict" in message(fixed={"widths": [8], "depth": 2}, axes={})
    assert "train_size 5000 is more than the 1438" in message(fixed={"train_size": 5000})
    assert "leave no model" in message(exclude=[{"width": [16, 32]}])
    assert "seeds must be" in message(seeds=0)
    assert "did you mean 'digits'?" in message(data={"name": "digts"})
    err = message(data={"name": "mnist", "dir": str(folder / "nowhere")})
    assert "gapbench data fetch mnist" in err and "nowhere" in err, err
    assert not (folder / "zoo").exists()
    assert "did you mean 'wc-paper'?" in message(measures=["wc-papr"])
    assert not (folder / "zoo").exists(), "nothing is trained before the patterns are checked"
    (folder / "spec.json").write_text('{"data": {"name": "digits"')
    assert "not valid JSON" in gapbench("run", folder / "spec.json", "--out", folder / "zoo", code=2).stderr
    assert "no spec file digitz" in gapbench("run", "digitz", "--out", folder / "zoo", code=2).stderr
    assert "is no zoo" in gapbench("measure", folder, code=2).stderr
    (folder / "file").write_text("")
    assert "cannot make the folder" in gapbench("run", spec(folder), "--out", folder / "file", code=2).stderr
    assert gapbench("run", code=1).stderr
    assert "no verb 'lst'; did you mean 'list'?" in gapbench("lst", code=1).stderr
    assert "not in range 1 to 4096" in gapbench("run", spec(folder), "--out", folder / "zoo", "--workers", 0, code=1).stderr
    assert "--shard 9/3" in gapbench("train", spec(folder), "--out", folder / "zoo", "--shard", "9/3", code=1).stderr


def test_damaged_files_are_named(folder):
    zoo = folder / "zoo"
    gapbench("run", spec(folder), "--out", zoo)
    model = zoo / "models" / models_of(zoo)[0]["id"]
    whole = (model / "final.safetensors").read_bytes()
    (model / "final.safetensors").write_bytes(whole[:len(whole) // 2])
    for done in (True, False):  # whether or not all its measures are there
        if not done:
            (model / "measures.jsonl").unlink()
        err = gapbench("run", spec(folder), "--out", zoo, code=2).stderr
        assert str(model / "final.safetensors") in err and f"delete the folder {model} and run again" in err, err
    shutil.rmtree(model)
    gapbench("run", spec(folder), "--out", zoo)
    assert (model / "final.safetensors").read_bytes() == whole


def test_memory_stays_below_what_the_dry_run_says(folder):
    cnn, log = {"network": "cnn", "width": 32, "depth": 2}, {"log_iterates": {"last": 500}}
    for executor, hp, more in (("auto", {"width": 512, "depth": 3}, {}), ("auto", cnn, {}), ("auto", {"network": "resnet18", "width_multiplier": 0.25}, {}),
                               ("auto", {"width": 256, "depth": 3}, log), ("stack", {"width": 256, "depth": 3}, log), ("stack", cnn, {})):
        path = spec(folder, axes={}, seeds=3, **more, fixed={"max_epochs": 1, "batch_size": 128, **hp})
        arguments = ["--workers", "3", "--executor", executor, "--device", "cpu"]
        plan, _ = dry_run(path, *arguments)
        bound = float(plan["memory"].removeprefix("at most ").removesuffix(" MiB"))
        process = subprocess.Popen([sys.argv[1], "train", path, "--out", folder / executor / hp.get("network", "fcn") / str(hp.get("width")), *arguments],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        used = usage.ru_maxrss / 1024
        print(f"     {hp} {executor}: {used:.0f} of {bound:.0f} MiB")
        assert used <= bound < 6 * used, (hp, used, bound)


def test_a_full_disk_destroys_nothing_and_a_rerun_gives_the_same_bits(folder):
    zoo_of = lambda seeds: spec(folder, seeds=seeds, axes={"width": [128, 256]})
    path = zoo_of(2)
    gapbench("run", path, "--out", folder / "whole")
    expected = digest_of_models(folder / "whole")

    def no_space(zoo, reason, limit=None):
        """A run that cannot write says which file, and changes no file that is there."""
        before = {p: p.read_bytes() for p in zoo.glob("models/*/*")}
        done = subprocess.run([sys.argv[1], "train", path, "--out", zoo], capture_output=True, text=True, timeout=600, preexec_fn=limit)
        assert done.returncode == 2 and reason in done.stderr and ".safetensors: " in done.stderr, (done.returncode, done.stderr)
        assert before and before.items() <= {p: p.read_bytes() for p in zoo.glob("models/*/*")}.items()
        assert not list(zoo.glob("models/*/.*")), "a part of a file stays"

    zoo = folder / "limited"
    zoo_of(1)
    gapbench("train", path, "--out", zoo)
    zoo_of(2)
    size = min(p.stat().st_size for p in zoo.glob("models/*/final.safetensors")) - 1
    assert size > (folder / "whole/zoo.json").stat().st_size, "the limit must fall between these two"
    no_space(zoo, "File too large", lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))
    gapbench("run", path, "--out", zoo)
    assert digest_of_models(zoo) == expected

    small = folder / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", small], capture_output=True).returncode != 0:
        print("     no full file system: mount is not permitted")
        return
    try:
        zoo_of(1)
        gapbench("train", path, "--out", small / "zoo")
        zoo_of(2)
        with (small / "filler").open("wb", buffering=0) as filler:
            room = os.statvfs(small).f_bavail * 4096
            filler.write(bytes(room - 4 * 4096 - (folder / "whole/zoo.json").stat().st_size // 4096 * 4096))
        no_space(small / "zoo", "No space left on device")
        (small / "filler").unlink()
        gapbench("run", path, "--out", small / "zoo")
        assert digest_of_models(small / "zoo") == expected
    finally:
        subprocess.run(["umount", small], check=True)


def test_list_describe_and_dry_run(folder):
    ids = [m["id"] for m in json.loads(gapbench("list", "measures", "--format", "json").stdout)]
    for wanted in ("wc-paper", "wc-notebook", "wc-excess", "wc-g", "wc-kl", "pb-notebook", "pbc", "pbc-kl"):
        assert wanted in ids
    assert "pbc" in gapbench("describe", "pbc").stdout
    by_id = {m["id"]: m for m in json.loads(gapbench("list", "measures", "--format", "json").stdout)}
    assert by_id["cross-entropy"]["invariances"] == ["unit permutation", "ReLU rescaling"]  # the function the network computes
    assert len(by_id["num-params"]["invariances"]) == 5
    assert "allowed   > 0 and <= 1000\n" in gapbench("describe", "lr").stdout
    assert "allowed   >= 1 and <= 1000000\n" in gapbench("describe", "widths").stdout
    assert "allowed" not in gapbench("describe", "standardise").stdout
    assert json.loads(gapbench("describe", "digits").stdout)["name"] == "digits"
    assert "did you mean 'wc-paper'" in gapbench("describe", "wc-papper", code=2).stderr
    plan = dict(line.split(" ", 1) for line in gapbench("train", spec(folder), "--out", folder / "zoo", "--dry-run", "--workers", 2).stdout.splitlines())
    assert not (folder / "zoo").exists(), "a dry run writes nothing"
    assert (plan["models"], plan["trained"], plan["missing"], plan["groups"]) == ("8", "0", "8", "2"), plan
    assert "on 2 workers" in plan["time"] and float(plan["disk"].split()[0]) > 0, plan
    assert plan["device"].startswith("cpu") or plan["stack"], plan
    gapbench("train", spec(folder), "--out", folder / "zoo")
    taken = sum(p.stat().st_size for p in (folder / "zoo/models").rglob("*") if p.is_file()) / 2**20
    assert 0.3 < float(plan["disk"].split()[0]) / taken < 3, (plan, taken)
    for verb in ("demo", "run", "train", "measure", "rank", "report", "list", "describe", "data"):
        assert "Example" in gapbench(verb, "--help").stdout, verb


def dry_run(path, *arguments):
    lines = gapbench("train", path, "--out", path.parent / "none", "--dry-run", *arguments).stdout.splitlines()
    return dict(line.split(" ", 1) for line in lines if not line.startswith("stack ")), [line for line in lines if line.startswith("stack ")]


def test_the_dry_run_of_stacks_says_groups_members_waves_and_time(folder):
    # on the CPU a stack has 8 members at most, and the waves are equal: 2 of 5 for 10 models, 1 of 4 for 4
    path = spec(folder, axes={"width": [16, 32], "lr": [0.02, 0.1]}, exclude=[{"width": 32, "lr": 0.02}], seeds=5)
    plan, stacks = dry_run(path, "--executor", "stack", "--device", "cpu")
    assert not (folder / "none").exists(), "a dry run writes nothing"
    assert (plan["models"], plan["groups"], plan["device"]) == ("15", "2", "cpu") and "failing" not in plan, plan
    pattern = re.compile(r"stack fcn: (\d+) models, (\d+) at a time in (\d+) waves? of (\d+) steps, ([0-9.]+) ms a step")
    rows = [tuple(map(float, pattern.fullmatch(line).groups())) for line in stacks]
    # 1438 samples in batches of 32: 45 steps an epoch, 40 epochs
    assert sorted(row[:4] for row in rows) == [(5, 5, 1, 1800), (10, 5, 2, 1800)], stacks
    seconds = sum(waves * steps * ms for _, _, waves, steps, ms in rows) / 1000 * 4 / 3
    said = sum(float(n) * {"h": 3600, "min": 60, "s": 1, "ms": 0.001}[unit] for n, unit in re.findall(r"(\d+) (h|min|s|ms)\b", plan["time"]))
    assert said > 0 and abs(said - seconds) < 1 + 0.02 * seconds, (plan, seconds)
    # what is trained is no longer counted; a model that stops early counts to its cap
    gapbench("train", spec(folder, axes={"width": [16], "lr": [0.02]}, seeds=4), "--out", folder / "none", "--executor", "stack")
    plan, stacks = dry_run(spec(folder, axes={"width": [16], "lr": [0.02]}, seeds=13, fixed={**FIXED, "max_steps": 100}), "--executor", "stack", "--device", "cpu")
    assert plan["missing"] == "13" and " 13 models, 7 at a time in 2 waves of 125 steps" in stacks[0], stacks  # other ids; 13 * 135 / 7 / 2
    plan, stacks = dry_run(spec(folder, axes={"width": [16], "lr": [0.02]}, seeds=13), "--executor", "stack", "--device", "cpu")
    assert (plan["trained"], plan["missing"]) == ("4", "9") and " 9 models, 5 at a time in 2 waves of 1620 steps" in stacks[0], stacks
    # what stacks do not serve
    plan, stacks = dry_run(spec(folder, axes={"collision": ["off", "hard"]}, seeds=2), "--executor", "stack", "--device", "cpu")
    assert plan["failing"].startswith("2 models") and len(stacks) == 1, (plan, stacks)
    plan, stacks = dry_run(spec(folder), "--device", "cpu")
    assert plan["device"] == "cpu" and not stacks, plan
    plan, stacks = dry_run(spec(folder), "--device", "cuda")
    assert stacks or plan["device"] == "cpu, as no CUDA device is here", plan


run_tests(globals())
