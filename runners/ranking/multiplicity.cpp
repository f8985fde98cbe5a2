#include "runners/ranking/multiplicity.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gapbench {

PermutationP permutation_p(const std::vector<std::optional<double>>& observed,
                           const std::vector<std::vector<double>>& draws, Tail tail,
                           std::optional<double> centre) {
  const std::size_t measures = observed.size();
  PermutationP result;
  result.p.resize(measures);
  result.family.resize(measures);
  std::size_t count = 0;
  for (const auto& d : draws) count = std::max(count, d.size());
  std::vector<double> largest(count, -std::numeric_limits<double>::infinity());
  std::vector<double> extreme(measures, 0.0);
  for (std::size_t m = 0; m < measures; ++m) {
    double mean = 0, squares = 0, n = 0;
    for (const double v : draws[m])
      if (!std::isnan(v)) {
        mean += v;
        ++n;
      }
    if (!observed[m] || n < 2) continue;
    mean /= n;
    for (const double v : draws[m])
      if (!std::isnan(v)) squares += (v - mean) * (v - mean);
    mean = centre.value_or(mean);
    const double deviation = std::sqrt(squares / (n - 1));
    // a constant null: every draw is as extreme as the value where that equals it
    const auto standardised = [&](double v) {
      const double d = tail == Tail::smaller  ? mean - v
                       : tail == Tail::larger ? v - mean
                                              : std::abs(v - mean);
      return deviation > 0 ? d / deviation : d > 1e-12 ? std::numeric_limits<double>::max() : 0;
    };
    extreme[m] = standardised(*observed[m]);
    double at_least = 1;
    for (std::size_t r = 0; r < draws[m].size(); ++r) {
      if (std::isnan(draws[m][r])) continue;
      const double t = standardised(draws[m][r]);
      at_least += t >= extreme[m] - 1e-12;
      largest[r] = std::max(largest[r], t);
    }
    result.p[m] = at_least / (1 + n);
  }
  for (std::size_t m = 0; m < measures; ++m) {
    if (!result.p[m]) continue;
    double at_least = 1;
    for (const double t : largest) at_least += t >= extreme[m] - 1e-12;
    result.family[m] = at_least / (1 + static_cast<double>(count));
  }
  return result;
}

std::vector<std::optional<double>> benjamini_hochberg(const std::vector<std::optional<double>>& p) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < p.size(); ++i)
    if (p[i]) order.push_back(i);
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return *p[a] > *p[b]; });
  std::vector<std::optional<double>> q(p.size());
  const auto m = static_cast<double>(order.size());
  double smallest = 1;
  for (std::size_t k = 0; k < order.size(); ++k) {
    smallest = std::min(smallest, *p[order[k]] * m / (m - static_cast<double>(k)));
    q[order[k]] = smallest;
  }
  return q;
}

}  // namespace gapbench
