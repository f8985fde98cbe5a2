"""What a user would write for the operator norm of a circular convolution: numpy's FFT of the kernel at the image's size and a
full singular value decomposition of every frequency (Sedghi, Gupta and Long 2019), in float64 and on two threads. A smoke run has
one: threads that wait for each other by spinning take minutes on a machine that is busy."""
import os
import sys

THREADS = "2" if len(sys.argv) < 2 or float(sys.argv[1]) > 0 else "1"
os.environ.update(OMP_NUM_THREADS=THREADS, OPENBLAS_NUM_THREADS=THREADS, MKL_NUM_THREADS=THREADS)
import numpy as np
from common import hashed_values, main

VGG16 = ((3, 64, 32), (64, 64, 32), (64, 128, 16), (128, 128, 16), (128, 256, 8), (256, 256, 8), (256, 256, 8), (256, 512, 4),
         (512, 512, 4), (512, 512, 4), (512, 512, 2), (512, 512, 2), (512, 512, 2))


def norm(w, size):
    if size < w.shape[2]:  # numpy would crop the kernel
        wrapped = np.zeros((*w.shape[:2], size, size))
        for a, b in np.ndindex(w.shape[2:]):
            wrapped[:, :, a % size, b % size] += w[:, :, a, b]
        w = wrapped
    blocks = np.fft.fft2(w.astype(np.float64), (size, size)).transpose(2, 3, 0, 1)
    return np.linalg.svd(blocks, compute_uv=False).max()


def cases():
    weights = lambda inputs, outputs: hashed_values(outputs * inputs * 9).reshape(outputs, inputs, 3, 3)
    network = [(weights(inputs, outputs), size) for inputs, outputs, size in VGG16]
    whole = lambda: sum(norm(w, size) for w, size in network)
    yield "conv_norms_vgg16/threads:2/real_time", "numpy svd", whole
    for inputs, outputs, size in sorted(set(VGG16) - {(64, 128, 16), (128, 256, 8), (256, 512, 4)}):
        w = weights(inputs, outputs)
        yield f"conv_norm/inputs:{inputs}/outputs:{outputs}/size:{size}", "numpy svd", lambda w=w, size=size: norm(w, size)


main({"numpy svd": f"numpy {np.__version__}: np.linalg.svd(np.fft.fft2(K), compute_uv=False).max(), two threads, for convolutions"}, cases())
