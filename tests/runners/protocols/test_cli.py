"""The options of `gapbench rank` and `gapbench verify` from the outside. Argument: the program."""
import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import jsonschema
except ImportError as error:
    print(error)
    sys.exit(77)

ROOT = pathlib.Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "reports/schemas/ranking.schema.json").read_text())
TASK = ROOT / "runners/ranking/published/pgdl_task1.csv"


def run(*arguments, code=0):
    done = subprocess.run([sys.argv[1], *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == code, (arguments, done)
    return done


def rank(*arguments):
    document = json.loads(run("rank", *arguments, "--format", "json", "--resamples", 20, "--permutations", 20).stdout)
    jsonschema.validate(document, SCHEMA)
    return document


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    out = run("verify").stdout
    assert "62 of 62 published numbers come out" in out and "FAIL" not in out, out
    wrong = folder / "wrong.csv"
    wrong.write_text("is.converged,is.high_train_accuracy,hp.lr,gen.gap,complexity.params\n"
                     "True,True,0.1,0.1,1\nTrue,True,0.2,0.2,2\nTrue,True,0.3,0.3,3\n")
    assert "FAIL" in run("verify", "--dziugaite-csv", wrong, code=3).stdout

    one = rank(TASK, "--config", "model_id")
    assert one["provenance"]["inputs"] == ["pgdl_task1.csv"] and "comparison" not in one
    assert one["protocols"][0]["permutations"] == 20 and one["protocols"][0]["constant"] == "zero"
    other = rank(TASK, "--config", "model_id", "--constant", "skip", "--seeds-as", "cross", "--min-ess", "0.5", "--test-points", "500")
    assert other["protocols"][0]["constant"] == "skip" and other["protocols"][0]["environments"]["min_ess"] == 0.5
    assert other["protocols"][0]["environments"]["test_points"] == 500
    run("rank", TASK, "--seeds-as", "other", code=1)
    wrong_axis = run("rank", TASK, "--config", "model_id", "--axes", "hp.b*", "hp.no", code=2).stderr
    assert "no column matches the axis pattern 'hp.no'" in wrong_axis and "--axes ''" in wrong_axis, wrong_axis
    without = rank(TASK, "--config", "model_id", "--axes", "")
    assert without["axes"] == [] and without["measures"][0]["results"][0]["statistics"]["psi"]["reason"] == "no axis was named"
    run("rank", TASK, "--halves", "gen.gap", "no.such", code=2)

    lines = TASK.read_text().splitlines()
    second = folder / "second.csv"
    second.write_text("\n".join(lines[:60]) + "\n")
    run("rank", TASK, second, "--config", "model_id", "--resamples", 20, "--permutations", 20, "--out", folder / "both")
    for name in ("1-pgdl_task1", "2-second"):
        document = json.loads((folder / "both" / name / "ranking.json").read_text())
        jsonschema.validate(document, SCHEMA)
        assert document["comparison"]["ledgers"] == ["pgdl_task1", "second"]

    names = lines[0].split(",")
    configs, predictions = {}, {}
    for line in lines[1:]:
        row = dict(zip(names, line.split(",")))
        hparams = {k[3:]: {"current_value": float(v), "possible_values": []} for k, v in row.items() if k.startswith("hp.")}
        configs[row["model_id"]] = {"hparams": hparams, "metrics": {"train_acc": 1.0, "test_acc": 1 - float(row["gen.gap"])}}
        predictions["model_" + row["model_id"]] = float(row["complexity.wcv"])
    (folder / "model_configs.json").write_text(json.dumps(configs))
    (folder / "wcv.predict").write_text(json.dumps(predictions))
    pgdl = rank(folder / "model_configs.json", folder / "wcv.predict")
    wcv = next(m for m in pgdl["measures"] if m["id"] == "wcv")["results"][0]["statistics"]
    assert abs(wcv["pgdl"]["value"] - 0.277451042877) < 6e-13
    assert "needs at least one file of predictions" in run("rank", folder / "model_configs.json", code=2).stderr
print("ok")
