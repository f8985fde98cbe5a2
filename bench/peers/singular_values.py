"""What a user would write for the singular values of many matrices: numpy and torch, float64, one thread."""
import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
import numpy as np
import torch
from common import hashed_values, main

torch.set_num_threads(1)


def cases():
    for batches, rows, columns in ((4096, 16, 16), (512, 64, 64), (512, 64, 32), (9, 256, 128)):
        a = hashed_values(batches * rows * columns).reshape(batches, rows, columns)
        name = f"singular_values/batches:{batches}/rows:{rows}/columns:{columns}"
        yield name, "numpy", lambda a=a: np.linalg.svd(a.astype(np.float64), compute_uv=False).sum()
        yield name, "torch", lambda a=torch.from_numpy(a): torch.linalg.svdvals(a.double()).sum()


main({}, cases())
