// Kernel: the logarithmic sums of magnitude-aware bounds, over all layers in one pass.
//
// Formula   per segment, d = a - b, x_i = floor + scale d_i^2:
//           logarithms = sum ln x_i, shares = sum scale d_i^2 / x_i (its derivative by ln scale).
//           The KL divergence of normals with means a and b and variances s_i^2 and p_i^2 is
//           sum (ln(p_i^2 / s_i^2) + (s_i^2 + d_i^2) / p_i^2 - 1) / 2: with variances of the form floor + scale d^2 its
//           logarithms are these sums, and where s and p are one number each, segment_norms has all it needs.
// Inputs    segments as for segment_norms.h: float32 at any float address, b null for zeros; floor >= 0, scale >= 0, not both 0.
// Returns   per segment those two. A d that is not finite, or an x of 0 (floor 0), gives what IEEE arithmetic gives.
// Source    definitions; used by the magnitude-aware bounds of Jiang et al. 2020, arXiv 1912.02178, eqs. 51, 52, 60 and 61.
// Error     |logarithms - exact| <= log_sums_error(n) + 2^-51 sum |ln x_i|; |shares - exact| <= log_sums_error(n).
// Cost      one read of a and b; a division and a product a value, and one logarithm for 256 of them: mantissas are multiplied,
//           exponents added as integers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "measures/kernels/segment_norms.h"

namespace gapbench {
namespace kernels {

/// Of n values: each x has three roundings, each product one more.
inline constexpr double log_sums_error(std::int64_t n) {
  return static_cast<double>(n) * 0x1p-50;
}

struct LogSums {
  double logarithms = 0, shares = 0;
};

/// Writes one LogSums per segment.
void log_sums_ref(const Segment* segments, std::int64_t count, double floor, double scale, LogSums* out);
/// `threads` >= 1; the result does not depend on it.
void log_sums(const Segment* segments, std::int64_t count, double floor, double scale, LogSums* out,
              int threads = 1);

// CUDA: `segments` is on the host and holds device pointers; `out` and `workspace` (aligned to 256 bytes) are on the
// device. Enqueues on `stream` (a cudaStream_t), copies nothing, returns without waiting. Returns a cudaError_t as int.
std::size_t log_sums_cuda_workspace(const Segment* segments, std::int64_t count);
int log_sums_cuda(const Segment* segments, std::int64_t count, double floor, double scale, LogSums* out,
                  void* workspace, void* stream);

}  // namespace kernels
}  // namespace gapbench
