"""Every key of real documents erased and retyped: test_schema.py RENDER_SAMPLE GAPBENCH.

Oracle: the jsonschema package with the published schema. What it refuses must be refused by name, at the same place; what
it takes must be rendered, or be refused for one of the relations that a schema cannot say."""
import itertools
import json
import pathlib
import random
import subprocess
import sys
import tempfile

try:
    import jsonschema
except ImportError as error:
    print(error)
    sys.exit(77)

ROOT = pathlib.Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "reports/schemas/ranking.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
RELATIONS = ("one per gap", "expected gap_", "one per measure", "is missing")
OTHERS = (None, True, -1, 0.5, 7, "x", [], ["x"], {}, {"x": 1})


def zoo_csv(path, seed):
    """A small ledger with two axes, seeds, two gaps, a constant measure and missing values."""
    draw = random.Random(seed)
    rows = ["experiment_id,repeat_id,hp.lr,hp.net,gen.gap,gen.gap_loss,half.a,half.b,complexity.good,complexity.flat,complexity.holes"]
    for i, (lr, net, repeat) in enumerate(itertools.product((0.1, 0.2, 0.4), ("fcn", "nin"), (0, 1))):
        gap = 0.1 * lr + (net == "nin") * 0.2 + 0.02 * draw.random()
        rows.append(f"{lr}-{net},{repeat},{lr},{net},{gap},{gap * 3 + draw.random() / 9},{gap + .001},{gap - .002 * draw.random()},"
                    f"{gap + draw.random() / 9},1,{'' if i % 5 == 0 else draw.random()}")
    path.write_text("\n".join(rows) + "\n")


def places(node, at=()):
    """Every place of the document once: of a list the first and the last entry, the others are like them."""
    if at:
        yield at, node
    if isinstance(node, dict):
        for key, value in node.items():
            yield from places(value, at + (key,))
    if isinstance(node, list):
        for i in sorted({0, len(node) - 1} & set(range(len(node)))):
            yield from places(node[i], at + (i,))


def pointer(at):
    return "".join("/" + str(k).replace("~", "~0").replace("/", "~1") for k in at)


def apply(document, order, at):
    holder = document
    for key in at[:-1]:
        holder = holder[key]
    old = holder[at[-1]]
    if "value" in order:
        holder[at[-1]] = order["value"]
        return lambda: holder.__setitem__(at[-1], old)
    position = list(holder).index(at[-1]) if isinstance(holder, dict) else at[-1]
    del holder[at[-1]]
    if isinstance(holder, dict):
        return lambda: holder.update({at[-1]: old})
    return lambda: holder.insert(position, old)


def in_words(path):
    return "ranking" + "".join(f"[{k}]" if isinstance(k, int) else "." + k for k in path)


def sweep(file, judged):
    """All kinds of damage must be answered; the slow oracle judges a random part of the answers."""
    document = json.loads(file.read_text())
    VALIDATOR.validate(document)
    orders = []
    for at, value in places(document):
        orders.append((at, {"at": pointer(at)}))
        orders += [(at, {"at": pointer(at), "value": other}) for other in OTHERS if type(other) is not type(value) or other == -1]
    random.Random(0).shuffle(orders)
    done = subprocess.run([sys.argv[1], file, "damage"], input="".join(json.dumps(o) + "\n" for _, o in orders), capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(orders)
    refused = 0
    for (at, order), answer in zip(orders[:judged], answers):
        undo = apply(document, order, at)
        expected = [in_words(e.absolute_path) for e in VALIDATOR.iter_errors(document)]
        undo()
        if expected:
            refused += 1
            # an unknown key is named itself where the oracle names its object
            assert any(answer.startswith(place) and answer[len(place)] in ":.[" for place in expected), (order, expected, answer)
        else:
            assert answer == "" or any(r in answer for r in RELATIONS), (order, answer)
    print(f"{file.name}: {len(orders)} kinds of damage, {sum(map(bool, answers))} refused; {refused} of {judged} by the oracle")
    assert refused > judged / 2


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    for i in range(2):
        zoo_csv(folder / f"zoo{i}.csv", i)
    subprocess.run([sys.argv[2], "rank", *folder.glob("zoo*.csv"), "--halves", "half.a", "half.b", "--resamples", "20", "--permutations",
                    "20", "--out", folder / "out"], check=True, capture_output=True)
    written = next((folder / "out").glob("1-*/ranking.json"))
    real = json.loads(written.read_text())
    assert real["comparison"]["tests"] and real["protocols"][0]["differences"] and real["measures"][0]["results"][0]["groups"]
    VALIDATOR.validate(real)
    # small enough that the oracle is quick: the measures differ in nothing that a schema sees
    real["measures"], real["models"] = real["measures"][:2], real["models"][:2]
    keep = {s["id"] for s in real["statistics"][:2]}
    for m in real["measures"]:
        for r in m["results"]:
            r["statistics"] = {k: v for k, v in r["statistics"].items() if k in keep}
            r["sign_error"]["cdf"] = r["sign_error"]["cdf"][:2]
    real["statistics"] = real["statistics"][:2]
    small = folder / "ranking.json"
    small.write_text(json.dumps(real))
    sweep(small, 1500)

    # a file cut short anywhere: the command to run next, never a raw exception
    text = written.read_text()
    for share in (0, 0.1, 0.5, 0.9, 0.999):
        small.write_text(text[:int(share * len(text))])
        done = subprocess.run([sys.argv[2], "report", small], capture_output=True, text=True)
        assert done.returncode == 2 and "gapbench rank LEDGER.csv --out " + str(folder) in done.stderr, done
    small.write_text(text.replace('"tau_b": ', '"tau_b": "x', 1).replace(",", '",', 1))
    done = subprocess.run([sys.argv[2], "report", small], capture_output=True, text=True)
    assert done.returncode == 2 and "gapbench rank" in done.stderr, done
print("ok")
