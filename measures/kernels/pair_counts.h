// Kernels: counts over all pairs of items, of one order against another.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gapbench {
namespace kernels {

// What Kendall's taus are made of.
//
// Formula   over the pairs i < j: concordant (x_i - x_j)(y_i - y_j) > 0, discordant < 0; ties in x, in y, in both.
// Inputs    x[n], y[n] float64, finite; n below 2^25.
// Returns   the five counts; concordant + discordant = n (n - 1) / 2 - ties_x - ties_y + ties_both.
// Source    M. G. Kendall, Biometrika 30 (1938), by the definition.
// Error     exact.
// Cost      two sorts by merging, O(n log n) moves and O(n log^2 n) comparisons; runners/ranking/kendall.h counts the same on the
//           CPU.
struct PairCounts {
  std::int64_t concordant = 0, discordant = 0;
  std::int64_t ties_x = 0, ties_y = 0, ties_both = 0;  ///< those in both are part of the other two
};
void pair_counts_ref(const double* x, const double* y, std::int64_t n, PairCounts* out);

// Joint signs of two orders within the cells of a partition: what the conditional mutual information of signs is made of.
//
// Formula   of measure m, items p in group u and q in group v:
//           both[m][u][v] = #{(p, q): gap_p > gap_q and x_mp > x_mq}.
// Inputs    ranks (or any integers in the same order) gap[n] and x[measures][n], items sorted by group: those of group u are
//           begin[u] .. begin[u + 1] - 1; begin[groups + 1]. n below 2^24, groups below 2^16, measures below 2^16.
// Returns   both[measures][groups][groups]. With the counts of larger gaps and larger values alone, which need no pairs of
//           measures, they give every joint count.
// Source    the definition; used by the scores of Jiang et al. 2020, arXiv 1912.02178 (K) and of the PGDL competition.
// Error     exact.
// Cost      measures n^2 pairs of comparisons.
void sign_counts_ref(const std::int32_t* gap, const std::int32_t* x, std::int64_t n, std::int64_t measures,
                     const std::int32_t* begin, std::int64_t groups, std::int64_t* both);

// CUDA: all pointers are on the device, `workspace` aligned to 256 bytes. Enqueues on `stream` (a cudaStream_t) and returns without waiting; results
// do not depend on the launch. Returns a cudaError_t as int. `largest_group` is the size of the largest group, or more.
std::size_t pair_counts_cuda_workspace(std::int64_t n);
int pair_counts_cuda(const double* x, const double* y, std::int64_t n, PairCounts* out, void* workspace,
                     void* stream);
int sign_counts_cuda(const std::int32_t* gap, const std::int32_t* x, std::int64_t n, std::int64_t measures,
                     const std::int32_t* begin, std::int64_t groups, std::int64_t largest_group,
                     std::int64_t* both, void* stream);

}  // namespace kernels
}  // namespace gapbench
