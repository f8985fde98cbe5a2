// What Lanczos iterations on CUDA share: sums over a block, the start vector, and the top eigenvalue of the tridiagonal matrix.
#pragma once

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

namespace gapbench {
namespace kernels {

/// The same on all lanes of the warp.
__device__ inline double warp_total(double x) {
  for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  return x;
}

/// Over the block's `Threads` threads, in a fixed order; the same for all of them.
template <int Threads>
__device__ double block_total(double x) {
  __shared__ double of_warp[Threads / 32];
  x = warp_total(x);
  __syncthreads();  // those who still read an earlier sum
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = x;
  __syncthreads();
  double total = 0;
  for (int w = 0; w < Threads / 32; ++w) total += of_warp[w];
  return total;
}

/// Entry i of the start vector: uniform in [-1, 1), a hash of i (Steele, Lea and Flood, OOPSLA 2014).
__device__ inline double start_entry(std::uint64_t i) {
  std::uint64_t z = (i + 1) * 0x9E3779B97F4A7C15ull;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ z >> 27) * 0x94D049BB133111EBull;
  return static_cast<double>(static_cast<std::int64_t>(z ^ z >> 31)) * 0x1p-63;
}

struct RitzValue {
  double value;
  double last;  ///< |last entry| of its unit eigenvector: times the next beta, the residual
};

/// Largest eigenvalue, to 1e-14, of the positive semidefinite tridiagonal matrix of diagonal[n] and off_diagonal[n - 1]. Called
/// by a whole warp: each lane tries a point of the bracket, by the signs of the pivots of x - T, and the bracket shrinks 33 fold.
__device__ inline RitzValue top_ritz_value(const double* diagonal, const double* off_diagonal, int n) {
  const int lane = threadIdx.x % 32;
  double lower = 0, upper = 0;
  for (int i = lane; i < n; i += 32) {
    lower = fmax(lower, diagonal[i]);
    upper = fmax(upper, diagonal[i] + (i > 0 ? off_diagonal[i - 1] : 0) + (i + 1 < n ? off_diagonal[i] : 0));
  }
  for (int step = 16; step > 0; step /= 2) {
    lower = fmax(lower, __shfl_xor_sync(0xffffffffu, lower, step));
    upper = fmax(upper, __shfl_xor_sync(0xffffffffu, upper, step));
  }
  for (int pass = 0; pass < 20 && upper - lower > 1e-14 * upper; ++pass) {
    const double x = lower + (upper - lower) * (lane + 1) / 33;
    double pivot = x - diagonal[0];
    int i = 1;
    for (; i < n && pivot > 0; ++i)
      pivot = x - diagonal[i] - off_diagonal[i - 1] * off_diagonal[i - 1] / pivot;
    const int under = __popc(__ballot_sync(0xffffffffu, !(pivot > 0)));  // an eigenvalue is at least x
    const double width = upper - lower;
    upper = under < 32 ? lower + width * (under + 1) / 33 : upper;
    lower = lower + width * under / 33;
  }
  // the eigenvector from its last entry upwards, where it grows; of the norm only squares are kept
  double below = 0, here = 1, last = 1, squares = 1;
  for (int i = n - 1; i > 0; --i) {
    const double above =
        ((upper - diagonal[i]) * here - (i + 1 < n ? off_diagonal[i] * below : 0)) / off_diagonal[i - 1];
    below = here;
    here = above;
    squares += here * here;
    if (fabs(here) > 1e100) {
      below *= 1e-100;
      here *= 1e-100;
      last *= 1e-100;
      squares *= 1e-200;
    }
  }
  return {upper, last / sqrt(squares)};
}

}  // namespace kernels
}  // namespace gapbench
