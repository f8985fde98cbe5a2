// Choosing a configuration by a measure: what it costs, and how often it hits.
//
// Formula   choice = configuration with the smallest measure (largest, where larger is declared better).
//           regret = gap(choice) - min gap; normalised by median gap - min gap, so 1 = no better than the median.
//           hit = 1 if the choice is among the ceil(q n) smallest gaps; precision = share of the ceil(q n)
//           configurations of smallest measure that are among them. Equal measures: the mean over which of them is
//           taken. Gaps equal to the last of the best count as best.
// Inputs    measure and gap of each configuration; how often each is there (a bootstrap draw; all 1 otherwise).
// Returns   regret in the unit of the gap, the others in [0, 1] (normalised regret >= 0, may exceed 1; nothing
//           where the median is the minimum).
// Source    normalised regret and top-20 % hit rate as in Nakai et al. 2026.
// Error     rounding.
// Cost      O(n log n) once, then O(n) a draw.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace gapbench {

struct Selection {
  double regret = 0;
  std::optional<double> normalised_regret;
  double hit = 0, precision = 0;
};

/// What a draw says of the gaps alone: shared by all measures.
struct BestGaps {
  double least = 0, median = 0, threshold = 0;  ///< threshold: the largest gap among the best
  std::size_t best = 0;                         ///< how many the ceil(q n) best are
};

class SelectionProblem {
 public:
  SelectionProblem(std::span<const double> gap, double q);
  BestGaps best(std::span<const std::uint32_t> times) const;
  /// Configurations by measure, smallest first.
  static std::vector<std::uint32_t> order(std::span<const double> measure, bool larger_is_better);
  Selection select(std::span<const double> measure, std::span<const std::uint32_t> order,
                   const BestGaps& best, std::span<const std::uint32_t> times) const;

 private:
  std::vector<double> gap_;
  std::vector<std::uint32_t> by_gap_;
  double q_;
};

}  // namespace gapbench
