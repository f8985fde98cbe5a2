// When a Lanczos search may be given up.
//
// Formula   the largest Ritz value after k steps from a random start is within e of the largest eigenvalue, relatively, but for a
//           probability of at most 1.648 sqrt(n) exp(-sqrt(e) (2 k - 1)), whatever the spectrum.
// Inputs    a positive semidefinite matrix of n rows; `best` to be beaten; the Ritz value; steps >= 1; the probability allowed.
// Returns   whether no eigenvalue lies above `best`, but for that probability. A small residual alone does not tell: a Ritz pair may
//           rest near the second largest before it finds the largest.
// Source    Kuczynski and Wozniakowski, SIAM J. Matrix Anal. Appl. 13 (1992).
// Error     none but rounding.
// Cost      a logarithm and a root.
#pragma once

#include <cmath>
#include <cstdint>

#if defined(__CUDACC__)
#define GAPBENCH_HOST_DEVICE __host__ __device__
#else
#define GAPBENCH_HOST_DEVICE
#endif

namespace gapbench {
namespace kernels {

GAPBENCH_HOST_DEVICE inline bool stays_below(double best, double value, int steps, std::int64_t n,
                                             double missed) {
  const double root = std::log(1.648 / missed * std::sqrt(static_cast<double>(n))) / (2 * steps - 1);
  return root < 1 && value < best * (1 - root * root);
}

}  // namespace kernels
}  // namespace gapbench
