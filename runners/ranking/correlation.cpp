#include "runners/ranking/correlation.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "measures/api/error.h"

namespace gapbench {

std::optional<double> pearson(std::span<const double> x, std::span<const double> y) {
  if (x.size() != y.size()) throw InternalError("pearson: lengths differ");
  if (x.size() < 2) return std::nullopt;
  // scaled by the largest deviation, so that squares neither overflow nor vanish
  const auto deviations = [](std::span<const double> values) {
    const double n = static_cast<double>(values.size());
    double mean = 0;
    for (const double v : values) mean += v / n;
    std::vector<double> d(values.begin(), values.end());
    double largest = 0;
    for (double& v : d) largest = std::max(largest, std::abs(v -= mean));
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    if (*low == *high || largest == 0) return std::vector<double>();
    for (double& v : d) v /= largest;
    return d;
  };
  const std::vector<double> dx = deviations(x), dy = deviations(y);
  if (dx.empty() || dy.empty()) return std::nullopt;
  double xx = 0, yy = 0, xy = 0;
  for (std::size_t i = 0; i < dx.size(); ++i) {
    xx += dx[i] * dx[i];
    yy += dy[i] * dy[i];
    xy += dx[i] * dy[i];
  }
  return std::clamp(xy / std::sqrt(xx) / std::sqrt(yy), -1.0, 1.0);
}

std::vector<double> average_ranks(std::span<const double> values) {
  std::vector<std::uint32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (std::size_t start = 0; start < order.size();) {
    std::size_t end = start;
    while (end < order.size() && values[order[end]] == values[order[start]]) ++end;
    const double rank = 0.5 * static_cast<double>(start + end + 1);
    for (std::size_t i = start; i < end; ++i) ranks[order[i]] = rank;
    start = end;
  }
  return ranks;
}

DenseRanks dense_ranks(std::span<const double> values) {
  std::vector<double> levels(values.begin(), values.end());
  std::sort(levels.begin(), levels.end());
  levels.erase(std::unique(levels.begin(), levels.end()), levels.end());
  DenseRanks d;
  d.distinct = levels.size();
  d.rank.reserve(values.size());
  for (const double v : values)
    d.rank.push_back(
        static_cast<std::uint32_t>(std::lower_bound(levels.begin(), levels.end(), v) - levels.begin()));
  return d;
}

std::optional<double> spearman(std::span<const double> x, std::span<const double> y) {
  return pearson(average_ranks(x), average_ranks(y));
}

std::optional<double> tau_c(const Kendall& k, std::size_t distinct_x, std::size_t distinct_y) {
  const auto m = static_cast<double>(std::min(distinct_x, distinct_y));
  if (k.n < 2 || m < 2) return std::nullopt;
  const auto n = static_cast<double>(k.n);
  return 2 * static_cast<double>(k.concordant - k.discordant) / n / n * m / (m - 1);
}

}  // namespace gapbench
