// Weighted Kendall tau: disagreements among the most important items count most.
//
// Formula   pair weight W_ij = w(r_i) + w(r_j) (additive) or w(r_i) w(r_j); r_i the rank of item i, 0 = most
//           important. tau = sum W_ij sign(x_i - x_j) sign(y_i - y_j)
//                            / sqrt((total - ties in x)(total - ties in y)), all three sums of W.
//           The default averages the value ranked by decreasing (x, y) and the one by decreasing (y, x).
// Inputs    x[n], y[n]: finite numbers; negate both to put the weight on the smallest.
// Returns   a number in [-1, 1]; nothing for n < 2 or a constant x or y.
// Source    S. Vigna, "A weighted correlation index for rankings with ties", WWW 2015; conventions of
//           scipy.stats.weightedtau.
// Error     about n u relative to the total weight, u = 2^-53.
// Cost      O(n log n).
#pragma once

#include <functional>
#include <optional>
#include <span>

namespace gapbench {

enum class ImportanceRank { both, by_x, by_y, input_order };

struct WeightedTauOptions {
  ImportanceRank rank = ImportanceRank::both;
  bool additive = true;
  std::function<double(std::size_t)> weigher;  ///< of a rank, >= 0; empty: 1 / (rank + 1)
};

std::optional<double> weighted_tau(std::span<const double> x, std::span<const double> y,
                                   const WeightedTauOptions& options = {});

}  // namespace gapbench
