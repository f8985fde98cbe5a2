#include "runners/ranking/selection.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace gapbench {

SelectionProblem::SelectionProblem(std::span<const double> gap, double q)
    : gap_(gap.begin(), gap.end()), by_gap_(order(gap, false)), q_(q) {}

std::vector<std::uint32_t> SelectionProblem::order(std::span<const double> measure, bool larger_is_better) {
  std::vector<std::uint32_t> order(measure.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    if (measure[a] != measure[b]) return larger_is_better ? measure[a] > measure[b] : measure[a] < measure[b];
    return a < b;
  });
  return order;
}

BestGaps SelectionProblem::best(std::span<const std::uint32_t> times) const {
  const std::size_t n = std::accumulate(times.begin(), times.end(), std::size_t{0});
  BestGaps b;
  b.best = std::max<std::size_t>(1, static_cast<std::size_t>(std::ceil(q_ * static_cast<double>(n) - 1e-9)));
  const std::size_t low = (n - 1) / 2, high = n / 2;
  std::size_t seen = 0;
  for (const std::uint32_t c : by_gap_) {
    const std::size_t before = seen;
    seen += times[c];
    const auto holds = [&](std::size_t position) { return before <= position && position < seen; };
    if (holds(0)) b.least = gap_[c];
    if (holds(b.best - 1)) b.threshold = gap_[c];
    if (holds(low)) b.median += gap_[c] / 2;
    if (holds(high)) b.median += gap_[c] / 2;
  }
  return b;
}

Selection SelectionProblem::select(std::span<const double> measure, std::span<const std::uint32_t> order,
                                   const BestGaps& best, std::span<const std::uint32_t> times) const {
  Selection s;
  bool first = true;
  double hits = 0, taken = 0;
  const auto wanted = static_cast<double>(best.best);
  for (std::size_t start = 0; start < order.size() && taken < wanted;) {
    double count = 0, gaps = 0, good = 0;
    std::size_t end = start;
    for (; end < order.size() && measure[order[end]] == measure[order[start]]; ++end) {
      const double t = times[order[end]];
      count += t;
      gaps += t * gap_[order[end]];
      if (gap_[order[end]] <= best.threshold) good += t;
    }
    start = end;
    if (count == 0) continue;
    if (first) {
      s.regret = gaps / count - best.least;
      s.hit = good / count;
      first = false;
    }
    const double share = std::min(1.0, (wanted - taken) / count);
    hits += share * good;
    taken += share * count;
  }
  s.precision = hits / wanted;
  if (best.median > best.least) s.normalised_regret = s.regret / (best.median - best.least);
  return s;
}

}  // namespace gapbench
