#include "runners/ranking/u_statistic.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "runners/ranking/correlation.h"

namespace gapbench {

namespace {

// For each item: of the items with smaller x, those with smaller y less those with larger y, times `sign`, added.
void add_smaller(const std::vector<std::uint32_t>& x, const DenseRanks& y, int sign,
                 std::vector<std::int64_t>& out) {
  std::vector<std::uint32_t> order(x.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return x[a] < x[b]; });
  std::vector<std::int64_t> tree(y.distinct + 1, 0);
  const auto up_to = [&](std::size_t r) {  // items with y rank below r
    std::int64_t sum = 0;
    for (; r > 0; r -= r & (~r + 1)) sum += tree[r];
    return sum;
  };
  std::int64_t seen = 0;
  for (std::size_t start = 0; start < order.size();) {
    std::size_t end = start;
    for (; end < order.size() && x[order[end]] == x[order[start]]; ++end) {
      const std::size_t r = y.rank[order[end]];
      out[order[end]] += sign * (up_to(r) - (seen - up_to(r + 1)));
    }
    for (std::size_t i = start; i < end; ++i, ++seen)
      for (std::size_t r = y.rank[order[i]] + 1; r <= y.distinct; r += r & (~r + 1)) ++tree[r];
    start = end;
  }
}

}  // namespace

std::vector<std::int64_t> concordance_sums(std::span<const double> x, std::span<const double> y) {
  DenseRanks rx = dense_ranks(x);
  const DenseRanks ry = dense_ranks(y);
  std::vector<std::int64_t> sums(x.size(), 0);
  add_smaller(rx.rank, ry, 1, sums);
  for (std::uint32_t& r : rx.rank) r = static_cast<std::uint32_t>(rx.distinct) - 1 - r;
  add_smaller(rx.rank, ry, -1, sums);
  return sums;
}

std::optional<EstimateWithError> tau_with_error(std::span<const std::int64_t> concordance) {
  const auto n = static_cast<double>(concordance.size());
  if (n < 3) return std::nullopt;
  double mean = 0, squares = 0;
  for (const std::int64_t c : concordance) mean += static_cast<double>(c) / n;
  for (const std::int64_t c : concordance)
    squares += (static_cast<double>(c) - mean) * (static_cast<double>(c) - mean);
  const double tau = mean / (n - 1);
  const double variance =
      2 / (n * (n - 1)) * (2 * (n - 2) / (n * (n - 1) * (n - 1)) * squares + 1 - tau * tau);
  return EstimateWithError{tau, std::sqrt(std::max(0.0, variance))};
}

std::optional<EstimateWithError> tau_difference(std::span<const std::int64_t> first,
                                                std::span<const std::int64_t> second) {
  const auto n = static_cast<double>(first.size());
  if (n < 3 || first.size() != second.size()) return std::nullopt;
  const auto d = [&](std::size_t i) { return static_cast<double>(first[i] - second[i]) / (n - 1); };
  double mean = 0, squares = 0;
  for (std::size_t i = 0; i < first.size(); ++i) mean += d(i) / n;
  for (std::size_t i = 0; i < first.size(); ++i) squares += (d(i) - mean) * (d(i) - mean);
  return EstimateWithError{mean, std::sqrt(4 / n * squares / (n - 1))};
}

}  // namespace gapbench
