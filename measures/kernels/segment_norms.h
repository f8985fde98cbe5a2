// Kernel: norms of all layers, or of their distances to the initial weights, in one pass.
//
// Formula   per segment, d = a - b seen as `rows` rows of `length` values:
//           squares = sum d^2, absolute = sum |d|, largest = max |d|,
//           groups = sum over rows r of (sum over k of |d_rk|^p)^(q / p): its 1/q-th power is the (p,q) norm whose
//           groups are rows. p = q = 2 gives squares again.
// Inputs    a[rows length], b as long or null (zeros), float32, at any float address; p, q > 0, finite. Sizes may be 0.
// Returns   per segment those four; all NaN where a d is NaN.
// Source    definitions; groups with p = 2, q = 1 is the (2,1) norm of Bartlett et al. 2017, arXiv 1706.08498.
// Error     float64 throughout: relative to each sum segment_norms_error(rows * length), also for groups with p and q in
//           {1, 2}; other exponents add that of pow, a few units in the last place times max(1, q / p). `largest` is exact
//           to the rounding of one difference.
// Cost      one read of a and b; no value is read twice.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gapbench {
namespace kernels {

inline constexpr double segment_norms_error(std::int64_t values) {
  return (static_cast<double>(values) + 4.0) * 0x1p-52;
}

struct Segment {
  const float* a = nullptr;
  const float* b = nullptr;  ///< null: zeros
  std::int64_t rows = 1, length = 0;
};

struct SegmentNorms {
  double squares = 0, absolute = 0, largest = 0, groups = 0;
};

/// Writes one SegmentNorms per segment.
void segment_norms_ref(const Segment* segments, std::int64_t count, double p, double q, SegmentNorms* out);
/// `threads` >= 1; the result does not depend on it.
void segment_norms(const Segment* segments, std::int64_t count, double p, double q, SegmentNorms* out,
                   int threads = 1);

// How the CPU version cuts a segment: into units of whole short rows, or of parts of one long row.
struct SegmentUnits {
  static constexpr std::int64_t values = 8192;
  std::int64_t length = 0, rows = 0, rows_a_unit = 0, units_a_row = 0;  // one of the last two is 1
  std::int64_t count = 0;
  SegmentUnits() = default;
  /// Rows do not matter where p = q: one row.
  SegmentUnits(const Segment& s, bool flat)
      : length(flat ? s.rows * s.length : s.length), rows(flat ? 1 : s.rows), rows_a_unit(1), units_a_row(1) {
    if (length * rows == 0) return;
    if (length >= values) {
      units_a_row = (length + values - 1) / values;
      count = rows * units_a_row;
    } else {
      rows_a_unit = values / length;
      count = (rows + rows_a_unit - 1) / rows_a_unit;
    }
  }
};

// CUDA: `segments` is on the host and holds device pointers; `out` and `workspace` (aligned to 256 bytes) are on the
// device. Enqueues on `stream` (a cudaStream_t), copies nothing, returns without waiting. Returns a cudaError_t as int.
std::size_t segment_norms_cuda_workspace(const Segment* segments, std::int64_t count, double p, double q);
int segment_norms_cuda(const Segment* segments, std::int64_t count, double p, double q, SegmentNorms* out,
                       void* workspace, void* stream);

}  // namespace kernels
}  // namespace gapbench
