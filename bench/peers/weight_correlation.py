"""What a user would write for the sum of absolute cosines: one-liners of torch and numpy, one thread, float32."""
import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
import numpy as np
import torch
from common import hashed_values, main

torch.set_num_threads(1)
torch.set_grad_enabled(False)


def torch_dense(w):
    u = torch.nn.functional.normalize(w, dim=-1)
    return ((u @ u.mT).abs().sum() - w.shape[:-1].numel()) / 2


def numpy_dense(w):
    u = w / np.linalg.norm(w, axis=-1, keepdims=True)
    return (np.abs(u @ np.swapaxes(u, -1, -2)).sum(dtype=np.float64) - np.prod(w.shape[:-1])) / 2


def cases():
    for rows, length in ((52, 784), (256, 256), (512, 2048), (2048, 512), (4096, 4096)):
        w = hashed_values(rows * length).reshape(rows, length)
        name = f"dense/rows:{rows}/length:{length}"
        yield name, "torch", lambda w=torch.from_numpy(w): torch_dense(w)
        yield name, "numpy", lambda w=w: numpy_dense(w)
    for outputs, inputs in ((16, 16), (64, 64), (256, 256), (512, 512)):
        w = hashed_values(outputs * inputs * 9).reshape(outputs, inputs, 9)
        name = f"conv3x3/outputs:{outputs}/inputs:{inputs}"
        yield name, "torch", lambda w=torch.from_numpy(w): torch_dense(w.permute(1, 0, 2))
        yield name, "numpy", lambda w=w: numpy_dense(w.transpose(1, 0, 2))


main({"torch": f"torch {torch.__version__}: (u @ u.mT).abs().sum() of normalised rows",
      "numpy": f"numpy {np.__version__}: np.abs(u @ u.T).sum() of normalised rows"}, cases())
