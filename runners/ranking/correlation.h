// Correlation coefficients beside Kendall's tau-a and tau-b.
//
// Formula   Pearson   r = sum (x - mean x)(y - mean y) / sqrt(sum (x - mean x)^2 sum (y - mean y)^2).
//           Spearman  Pearson of the average ranks.
//           tau-c     2 S m / (n^2 (m - 1)), S = C - D, m the smaller number of distinct values of x and y.
// Inputs    x[n], y[n]: finite numbers in the same order of items.
// Returns   a number in [-1, 1]; nothing for n < 2 or a constant x or y.
// Source    C. Spearman 1904; A. Stuart, Biometrika 40 (1953) for tau-c.
// Error     rounding; two passes, so a common offset of x or y costs no digits.
// Cost      O(n), with ranks O(n log n).
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "runners/ranking/kendall.h"

namespace gapbench {

std::optional<double> pearson(std::span<const double> x, std::span<const double> y);

std::optional<double> spearman(std::span<const double> x, std::span<const double> y);

/// From the counts of `kendall` and the numbers of distinct values.
std::optional<double> tau_c(const Kendall& k, std::size_t distinct_x, std::size_t distinct_y);

/// Ranks from 1; tied values share the mean of their ranks.
std::vector<double> average_ranks(std::span<const double> values);

/// Ranks from 0 without gaps: equal values have equal ranks. Returns the number of distinct values too.
struct DenseRanks {
  std::vector<std::uint32_t> rank;
  std::size_t distinct = 0;
};
DenseRanks dense_ranks(std::span<const double> values);

}  // namespace gapbench
