"""The safetensors package as the oracle: files it writes are read, files we write are read by it, for every dtype."""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from common import need, run_tests

need("torch", "safetensors")
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file


def through_us(folder, tensors, metadata=None):
    save_file(tensors, folder / "in.safetensors", metadata)
    subprocess.run([sys.argv[1], folder / "in.safetensors", folder / "out.safetensors"], check=True)
    return load_file(folder / "out.safetensors")


def test_every_dtype_converts_to_float32(folder):
    torch.manual_seed(0)
    tensors = {}
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        # normal and subnormal values of each format, zeros of both signs, infinities
        x = torch.cat([torch.randn(501), torch.randn(500) * 1e-6, torch.tensor([0.0, -0.0, float("inf"), -float("inf"), 6e-8, 65504.0])])
        tensors[str(dtype)] = x.to(dtype)
    for dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8):
        info = torch.iinfo(dtype)
        tensors[str(dtype)] = torch.randint(max(info.min, -2**24), min(info.max, 2**24), (33, 2)).to(dtype)
    tensors["bool"] = torch.tensor([True, False, True])
    out = through_us(folder, tensors, {"who": "test"})
    assert set(out) == set(tensors)
    for name, x in tensors.items():
        assert out[name].dtype == torch.float32 and out[name].shape == x.shape, name
        assert torch.equal(out[name], x.to(torch.float32)), name
        assert torch.equal(torch.signbit(out[name]), torch.signbit(x.to(torch.float32))), name
    with safe_open(folder / "out.safetensors", "pt") as f:
        assert f.metadata() == {"who": "test"}


def test_shapes_of_any_rank(folder):
    tensors = {"scalar": torch.tensor(3.0), "empty": torch.zeros(0, 5), "five": torch.arange(120.0).reshape(1, 2, 3, 4, 5), "ä": torch.ones(1)}
    out = through_us(folder, tensors)
    for name, x in tensors.items():
        assert torch.equal(out[name], x), name


def test_a_state_dict_goes_through_load_state_dict(folder):
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Linear(16, 2))
    out = through_us(folder, model.state_dict())
    twin = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Linear(16, 2))
    twin.load_state_dict(out)
    x = torch.randn(5, 3, 4, 4)
    assert torch.equal(model.eval()(x), twin.eval()(x))


run_tests(globals())
