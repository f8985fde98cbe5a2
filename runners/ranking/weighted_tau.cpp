#include "runners/ranking/weighted_tau.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "measures/api/error.h"
#include "runners/ranking/correlation.h"

namespace gapbench {

namespace {

using Order = std::vector<std::uint32_t>;

Order order_by(std::span<const double> first, std::span<const double> second) {
  Order order(first.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return first[a] != first[b] ? first[a] < first[b] : second[a] < second[b];
  });
  return order;
}

// Sum and sum of squares of item weights, and their number: enough for the weight of all pairs of a group.
struct Group {
  double sum = 0, squares = 0, count = 0;
  void add(double w) {
    sum += w;
    squares += w * w;
    count += 1;
  }
  double pairs(bool additive) const { return additive ? (count - 1) * sum : (sum * sum - squares) / 2; }
};

template <class Same>
double tied_weight(const Order& order, const std::vector<double>& weight, bool additive, const Same& same) {
  double total = 0;
  Group group;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i > 0 && !same(order[i], order[i - 1])) {
      total += group.pairs(additive);
      group = {};
    }
    group.add(weight[order[i]]);
  }
  return total + group.pairs(additive);
}

std::optional<double> ranked_tau(std::span<const double> x, std::span<const double> y,
                                 const std::vector<double>& weight, bool additive) {
  const Order by_x = order_by(x, y), by_y = order_by(y, x);
  Group all;
  for (const double w : weight) all.add(w);
  const double total = all.pairs(additive);
  const double ties_x = tied_weight(by_x, weight, additive, [&](auto a, auto b) { return x[a] == x[b]; });
  const double ties_y = tied_weight(by_y, weight, additive, [&](auto a, auto b) { return y[a] == y[b]; });
  const double ties_both =
      tied_weight(by_x, weight, additive, [&](auto a, auto b) { return x[a] == x[b] && y[a] == y[b]; });

  // discordant weight: earlier in x, larger in y; a Fenwick tree over y ranks holds weights and counts
  const DenseRanks y_rank = dense_ranks(y);
  std::vector<double> weights(y_rank.distinct + 1, 0.0), counts(y_rank.distinct + 1, 0.0);
  double seen_weight = 0, seen_count = 0, discordant = 0;
  for (std::size_t start = 0; start < by_x.size();) {
    std::size_t end = start;
    for (; end < by_x.size() && x[by_x[end]] == x[by_x[start]]; ++end) {
      const std::uint32_t item = by_x[end];
      double low_weight = 0, low_count = 0;
      for (std::size_t r = y_rank.rank[item] + 1; r > 0; r -= r & (~r + 1)) {
        low_weight += weights[r];
        low_count += counts[r];
      }
      const double above_weight = seen_weight - low_weight, above_count = seen_count - low_count;
      if (above_count > 0)
        discordant += additive ? above_weight + above_count * weight[item] : above_weight * weight[item];
    }
    for (std::size_t i = start; i < end; ++i) {
      const double w = weight[by_x[i]];
      seen_weight += w;
      seen_count += 1;
      for (std::size_t r = y_rank.rank[by_x[i]] + 1; r <= y_rank.distinct; r += r & (~r + 1)) {
        weights[r] += w;
        counts[r] += 1;
      }
    }
    start = end;
  }
  const double untied_x = total - ties_x, untied_y = total - ties_y;
  if (untied_x <= 0 || untied_y <= 0) return std::nullopt;
  const double tau =
      (total - ties_x - ties_y + ties_both - 2 * discordant) / std::sqrt(untied_x) / std::sqrt(untied_y);
  return std::clamp(tau, -1.0, 1.0);
}

}  // namespace

std::optional<double> weighted_tau(std::span<const double> x, std::span<const double> y,
                                   const WeightedTauOptions& options) {
  if (x.size() != y.size()) throw InternalError("weighted_tau: lengths differ");
  const auto constant = [](std::span<const double> v) {
    return std::all_of(v.begin(), v.end(), [&](double a) { return a == v.front(); });
  };
  if (x.size() < 2 || constant(x) || constant(y)) return std::nullopt;
  const auto weigh = [&](std::size_t rank) {
    return options.weigher ? options.weigher(rank) : 1 / (static_cast<double>(rank) + 1);
  };
  const auto with_rank = [&](ImportanceRank how) {
    std::vector<double> weight(x.size());
    if (how == ImportanceRank::input_order) {
      for (std::size_t i = 0; i < weight.size(); ++i) weight[i] = weigh(i);
    } else {
      const Order order = how == ImportanceRank::by_x ? order_by(x, y) : order_by(y, x);
      for (std::size_t i = 0; i < weight.size(); ++i) weight[order[weight.size() - 1 - i]] = weigh(i);
    }
    return ranked_tau(x, y, weight, options.additive);
  };
  if (options.rank != ImportanceRank::both) return with_rank(options.rank);
  const auto a = with_rank(ImportanceRank::by_x), b = with_rank(ImportanceRank::by_y);
  if (!a || !b) return std::nullopt;
  return (*a + *b) / 2;
}

}  // namespace gapbench
