// Kendall's rank correlation.
//
// Formula   over the n0 = n (n - 1) / 2 pairs of items: C concordant, D discordant, S = C - D; n1, n2, n3 pairs
//           tied in x, in y, in both; C + D = n0 - n1 - n2 + n3.
//           tau-a = S / n0,  tau-b = S / sqrt((n0 - n1) (n0 - n2)).
// Inputs    x[n], y[n]: finite numbers in the same order of items.
// Returns   all counts as 64-bit integers, both taus, and the two-sided p-value of S under independence: the
//           exact (Mahonian) law where there are no ties and n <= 33 or min(C, D) <= 1, else the normal law with
//           the variance that accounts for ties and no continuity correction: the rule of scipy.stats.kendalltau.
// Source    M. G. Kendall, Biometrika 30 (1938) and "Rank Correlation Methods"; as W. R. Knight's algorithm,
//           JASA 61 (1966), with radix sorts and a 16-ary counting tree over ranks for its merge sort.
// Error     counts are exact; taus to rounding; the exact p to about 1e-13 relative.
// Cost      O(n log n) time, O(n) memory.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace gapbench {

struct Kendall {
  std::int64_t n = 0;
  std::int64_t concordant = 0, discordant = 0;
  std::int64_t ties_x = 0, ties_y = 0, ties_both = 0;  ///< pairs; ties_both are part of the other two
  std::optional<double> tau_a;                         ///< nothing for n < 2
  std::optional<double> tau_b;                         ///< nothing for n < 2 or a constant x or y
  std::optional<double> p_value;                       ///< as tau_b
  std::string_view p_method = "none";                  ///< "exact", "normal", "none"
};

/// Throws InternalError when the lengths differ, a value is not finite, or there are 2^32 items or more.
Kendall kendall(std::span<const double> x, std::span<const double> y);

/// P(|S| >= |s|) for n items without ties, from the number of discordant pairs. Cost: O(n min(d, n0 - d)).
double kendall_exact_p(std::int64_t n, std::int64_t discordant);

/// tau-b of the multiset in which item i is there weight[i] >= 0 times: the bootstrap's inner loop. Copies of
/// one item are tied with each other in x and y, which tau-b leaves out. Sorts once; a call costs O(n log n)
/// and allocates nothing.
class WeightedKendall {
 public:
  WeightedKendall(std::span<const double> x, std::span<const double> y);
  /// Weights in the items' order. Nothing where the multiset is constant in x or y. Not thread-safe.
  std::optional<double> tau_b(std::span<const std::uint32_t> weights);

 private:
  std::vector<std::uint32_t> order_;   // items by x, then y
  std::vector<std::uint32_t> y_rank_;  // of order_[i], from 1
  std::vector<bool> new_x_, new_xy_;   // whether order_[i] begins a new value of x, of (x, y)
  std::vector<std::int64_t> tree_;     // Fenwick tree over y ranks
  std::vector<std::int64_t> y_total_;  // weight of each y rank
};

}  // namespace gapbench
