// p-values of many measures at once: permutation p, Benjamini and Hochberg's q, max-T.
//
// Formula   permutation p = (1 + #{draws at least as extreme}) / (1 + draws). "Extreme" is by the distance from
//           the centre, the known one or else the mean of the draws, in units of the draws' standard deviation,
//           in one direction or in both.
//           q_(i) = min over j >= i of p_(j) m / j, p sorted.
//           max-T: p_family of a measure = (1 + #{draws whose largest standardised value over all measures is at
//           least the measure's}) / (1 + draws); draw r is the same permutation for all measures, so their
//           correlation is respected and the family-wise error is exact.
// Inputs    draws[measure][r], NaN where undefined; the observed values.
// Returns   p, q, p_family in (0, 1].
// Source    B. Phipson, G. Smyth 2010; Y. Benjamini, Y. Hochberg 1995; P. Westfall, S. Young 1993.
// Error     Monte-Carlo; p is never below 1 / (1 + draws).
// Cost      O(measures draws).
#pragma once

#include <optional>
#include <span>
#include <vector>

namespace gapbench {

enum class Tail { two_sided, larger, smaller };

/// Nothing for measures without a value or without a finite draw.
struct PermutationP {
  std::vector<std::optional<double>> p, family;
};
PermutationP permutation_p(const std::vector<std::optional<double>>& observed,
                           const std::vector<std::vector<double>>& draws, Tail tail,
                           std::optional<double> centre = std::nullopt);

/// q-values in the order of the p-values; missing ones do not count.
std::vector<std::optional<double>> benjamini_hochberg(const std::vector<std::optional<double>>& p);

}  // namespace gapbench
