// What Lanczos iterations on CUDA share: sums over a block, the start vector, and the top eigenvalue of the tridiagonal matrix.
#pragma once

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

#include "measures/kernels/cuda_launch.h"

namespace gapbench {
namespace kernels {

/// Over the block's `Threads` threads, in a fixed order; the same for all of them.
template <int Threads>
__device__ double block_total(double x) {
  __shared__ double of_warp[Threads / 32];
  x = sum_of_lanes(x);
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

/// Doubles of scratch memory, shared by the block, that top_ritz_value needs for up to N steps, N even.
template <int N>
inline constexpr int ritz_scratch = 3 * (N + 8);

/// Largest eigenvalue, to 1e-13, of the positive semidefinite tridiagonal matrix of diagonal[n] and off_diagonal[n - 1] > 0, which
/// is at least `known`. Called by the whole block: each thread tries a point of the bracket, by the signs of the leading minors of
/// x - T, which take no division, and the bracket shrinks Threads fold; first by powers, as the value is often near `known`.
template <int Threads>
__device__ RitzValue top_ritz_value(const double* diagonal, const double* off_diagonal, int n, double known,
                                    double* scratch) {
  constexpr int together =
      8;  // minors between two looks at their size; the rows added to fill up change no sign
  __shared__ double of_vector;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32;
  double lower = known, upper = 0;
  for (int i = lane; i < n; i += 32) {
    lower = fmax(lower, diagonal[i]);
    upper = fmax(upper, diagonal[i] + (i > 0 ? off_diagonal[i - 1] : 0) + (i + 1 < n ? off_diagonal[i] : 0));
  }
  for (int step = 16; step > 0; step /= 2) {
    lower = fmax(lower, __shfl_xor_sync(0xffffffffu, lower, step));
    upper = fmax(upper, __shfl_xor_sync(0xffffffffu, upper, step));
  }
  if (!(upper > 0)) return {0, 1};
  const double unit = 4 / upper;  // minors then grow by 4 a row at most, and not much less for usual spectra
  const int rows = (n + together - 1) / together * together;
  double* const d = scratch;
  double *const squared = d + rows, *const inverse = squared + rows;  // of off_diagonal[i - 1]
  __syncthreads();                                                    // those who still read it
  for (int i = thread; i < rows; i += Threads) {
    const double e = i > 0 && i < n ? unit * off_diagonal[i - 1] : 0;
    d[i] = i < n ? unit * diagonal[i] : 0;
    squared[i] = e * e;
    inverse[i] = e > 0 ? 1 / e : 0;
  }
  __syncthreads();
  lower *= unit;
  upper = 4;
  bool powers = known > 0;
  for (int pass = 0; pass < 20 && upper - lower > 1e-13 * upper; ++pass) {
    const double start = lower, width = upper - lower;
    const auto point = [&](int j) {
      return start +
             width * (powers ? exp2(-48.0 * (Threads - j) / (Threads + 1)) : (j + 1.0) / (Threads + 1));
    };
    const double x = point(thread);
    double before = 0, here = 1;
    bool positive = true;
    for (int i = 0; i < rows && positive; i += together) {
#pragma unroll
      for (int k = 0; k < together; ++k) {
        const double next = fma(x - d[i + k], here, -(squared[i + k] * before));
        before = here;
        here = next;
        positive = positive && here > 0;
      }
      const double factor = here < 0x1p-300 ? 0x1p300 : here > 0x1p300 ? 0x1p-300 : 1;
      before *= factor;
      here *= factor;
    }
    const int under = __syncthreads_count(!positive);  // an eigenvalue is at least x
    if (under < Threads) upper = point(under);
    if (under > 0) lower = point(under - 1);
    powers = false;
  }
  // the eigenvector from its last entry upwards, where it grows; of the norm only squares are kept
  if (thread < 32) {
    double below = 0, here = 1, last = 1, squares = 1;
    for (int i = n - 1; i > 0;) {
      for (int k = 0; k < 4 && i > 0; ++k, --i) {
        const double next = i + 1 < n ? unit * off_diagonal[i] * inverse[i] * below : 0;
        const double above = fma((upper - d[i]) * inverse[i], here, -next);
        below = here;
        here = above;
        squares += here * here;
      }
      if (fabs(here) > 1e60) {
        below *= 1e-60;
        here *= 1e-60;
        last *= 1e-60;
        squares *= 1e-120;
      }
    }
    if (lane == 0) of_vector = last / sqrt(squares);
  }
  __syncthreads();
  return {upper / unit, of_vector};
}

/// Whether a Lanczos iteration looks at its Ritz value after this step, the first is 0; besides where a space is invariant.
__device__ inline bool looks(int step) {
  const int every = step < 32 ? 4 : step < 64 ? 8 : 16;
  return step % every == every - 1;
}

}  // namespace kernels
}  // namespace gapbench
