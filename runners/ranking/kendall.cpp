#include "runners/ranking/kendall.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>

#include "measures/api/error.h"

namespace gapbench {

namespace {

std::int64_t pairs(std::int64_t n) {
  return n * (n - 1) / 2;
}

// Sums over the tie groups of a sorted sequence: t (t - 1) / 2, t (t - 1) (t - 2) and t (t - 1) (2 t + 5).
struct TieSums {
  std::int64_t pairs = 0;
  double triples = 0, variance = 0;
  void add(std::int64_t t) {
    const auto d = static_cast<double>(t);
    pairs += t * (t - 1) / 2;
    triples += d * (d - 1) * (d - 2);
    variance += d * (d - 1) * (2 * d + 5);
  }
};

template <class Same>
TieSums tie_sums(std::size_t n, const Same& same_as_previous) {
  TieSums sums;
  std::int64_t run = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (i > 0 && !same_as_previous(i)) {
      sums.add(run);
      run = 0;
    }
    ++run;
  }
  sums.add(run);
  return sums;
}

// Sorts the numbers 0 .. n - 1 by a 64-bit key each, equal keys by number: by the leading 32 bits in which the keys
// differ with radix passes, then the few that agree in those by the whole key.
class KeySort {
 public:
  explicit KeySort(std::size_t n) : keys_(n), items_(n), buffer_(n) {}
  std::vector<std::uint64_t>& keys() { return keys_; }
  std::uint32_t number(std::size_t i) const { return static_cast<std::uint32_t>(items_[i]); }
  bool same_as_previous(std::size_t i) const {
    return items_[i] >> 32 == items_[i - 1] >> 32 && keys_[number(i)] == keys_[number(i - 1)];
  }

  void sort() {
    const auto [low, high] = std::minmax_element(keys_.begin(), keys_.end());
    const std::uint64_t least = *low;
    const int dropped = std::max(0, static_cast<int>(std::bit_width(*high - least)) - 32);
    for (std::size_t i = 0; i < keys_.size(); ++i) items_[i] = (keys_[i] - least) >> dropped << 32 | i;
    if (items_.size() < 40) {
      std::sort(items_.begin(), items_.end());
    } else if (items_.size() < 10000) {
      radix_sort<8>();
    } else {
      radix_sort<11>();
    }
    if (dropped > 0) sort_equal_prefixes();
  }

 private:
  template <int bits>
  void radix_sort() {
    constexpr int passes = (32 + bits - 1) / bits;
    constexpr std::uint64_t mask = (1u << bits) - 1;
    std::array<std::array<std::uint32_t, mask + 1>, passes> begin{};
    for (const std::uint64_t item : items_)
      for (int pass = 0; pass < passes; ++pass) ++begin[pass][item >> (32 + bits * pass) & mask];
    for (int pass = 0; pass < passes; ++pass) {
      const int shift = 32 + bits * pass;
      auto& to = begin[pass];
      if (to[items_[0] >> shift & mask] == items_.size()) continue;  // all have the same digit
      std::exclusive_scan(to.begin(), to.end(), to.begin(), 0u);
      for (const std::uint64_t item : items_) buffer_[to[item >> shift & mask]++] = item;
      items_.swap(buffer_);
    }
  }

  void sort_equal_prefixes() {
    const auto before = [&](std::uint64_t a, std::uint64_t b) {
      const auto i = static_cast<std::uint32_t>(a), j = static_cast<std::uint32_t>(b);
      return keys_[i] != keys_[j] ? keys_[i] < keys_[j] : i < j;
    };
    for (auto start = items_.begin(); start != items_.end();) {
      auto end = start + 1;
      while (end != items_.end() && *end >> 32 == *start >> 32) ++end;
      if (end - start > 1 && !std::is_sorted(start, end, before)) std::sort(start, end, before);
      start = end;
    }
  }

  std::vector<std::uint64_t> keys_, items_, buffer_;  // an item: leading bits of its key, then its number
};

// Order-preserving; both zeros are one.
std::uint64_t order_key(double value) {
  const auto bits = std::bit_cast<std::uint64_t>(value + 0.0);
  return bits >> 63 ? ~bits : bits | std::uint64_t{1} << 63;
}

// Strict inversions of ranks below `levels`: a tree of 16 children a node over the ranks, in which counter j of a
// node is the number of ranks so far in its children after the j-th. A rank adds one vector and reads one counter
// of one node in each layer.
std::int64_t count_inversions(std::span<const std::uint32_t> ranks, std::uint32_t levels) {
  using Node = std::array<std::uint32_t, 16>;
  static constexpr auto ones_below = [] {
    std::array<Node, 16> rows{};
    for (std::size_t child = 0; child < 16; ++child)
      for (std::size_t j = 0; j < child; ++j) rows[child][j] = 1;
    return rows;
  }();
  std::array<std::size_t, 9> first{};  // node of each layer, leaves first
  std::size_t nodes = 0, layers = 0;
  for (std::size_t width = levels; layers == 0 || width > 1; ++layers) {
    width = (width + 15) / 16;
    first[layers] = nodes;
    nodes += width;
  }
  std::vector<Node> tree(nodes);
  std::int64_t inversions = 0;
  for (const std::uint32_t rank : ranks) {
    std::uint32_t larger = 0;
    std::size_t rest = rank;
    for (std::size_t layer = 0; layer < layers; ++layer, rest /= 16) {
      Node& node = tree[first[layer] + rest / 16];
      const Node& row = ones_below[rest % 16];
      larger += node[rest % 16];
      for (std::size_t j = 0; j < 16; ++j) node[j] += row[j];
    }
    inversions += larger;
  }
  return inversions;
}

double normal_p(std::int64_t n_items, double s, const TieSums& x, const TieSums& y) {
  const auto n = static_cast<double>(n_items);
  double variance = (n * (n - 1) * (2 * n + 5) - x.variance - y.variance) / 18;
  variance += 2 * static_cast<double>(x.pairs) * static_cast<double>(y.pairs) / (n * (n - 1));
  if (n_items > 2) variance += x.triples * y.triples / (9 * n * (n - 1) * (n - 2));
  return std::erfc(std::abs(s) / std::sqrt(2 * variance));
}

}  // namespace

double kendall_exact_p(std::int64_t n, std::int64_t discordant) {
  const std::int64_t all = pairs(n), c = std::min(discordant, all - discordant);
  if (2 * c == all) return 1;
  // p[k] = probability of k inversions in a random permutation of the items so far; adding item i spreads it
  // over k..k+i-1
  std::vector<double> p(static_cast<std::size_t>(c) + 1, 0.0), next(p.size());
  p[0] = 1;
  for (std::int64_t i = 2; i <= n; ++i) {
    double window = 0;
    for (std::int64_t k = 0; k <= c; ++k) {
      window += p[static_cast<std::size_t>(k)];
      if (k >= i) window -= p[static_cast<std::size_t>(k - i)];
      next[static_cast<std::size_t>(k)] = window / static_cast<double>(i);
    }
    p.swap(next);
  }
  return std::min(1.0, 2 * std::accumulate(p.begin(), p.end(), 0.0));
}

Kendall kendall(std::span<const double> x, std::span<const double> y) {
  if (x.size() != y.size()) throw InternalError("kendall: lengths differ");
  if (x.size() >> 32 != 0) throw InternalError("kendall: 2^32 items or more");
  for (std::size_t i = 0; i < x.size(); ++i)
    if (!std::isfinite(x[i]) || !std::isfinite(y[i])) throw InternalError("kendall: a value is not finite");
  Kendall k;
  k.n = static_cast<std::int64_t>(x.size());
  if (k.n < 2) return k;
  KeySort sorted(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) sorted.keys()[i] = order_key(y[i]);
  sorted.sort();
  std::vector<std::uint64_t> x_keys(x.size());  // in the order of y
  std::vector<std::uint32_t> rank(x.size());    // of y, equal where y is
  for (std::size_t i = 0; i < x.size(); ++i) {
    x_keys[i] = order_key(x[sorted.number(i)]);
    rank[i] = i == 0 ? 0 : rank[i - 1] + (sorted.same_as_previous(i) ? 0 : 1);
  }
  const std::uint32_t levels = rank.back() + 1;
  const TieSums ty = tie_sums(x.size(), [&](std::size_t i) { return rank[i] == rank[i - 1]; });
  sorted.keys().swap(x_keys);
  sorted.sort();  // within a tie of x, y ascends: no inversion is counted there
  std::vector<std::uint32_t> by_x(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) by_x[i] = rank[sorted.number(i)];
  const auto same_x = [&](std::size_t i) { return sorted.same_as_previous(i); };
  const TieSums tx = tie_sums(x.size(), same_x);
  const TieSums txy = tie_sums(x.size(), [&](std::size_t i) { return by_x[i] == by_x[i - 1] && same_x(i); });
  k.discordant = count_inversions(by_x, levels);
  const std::int64_t all = pairs(k.n);
  k.ties_x = tx.pairs;
  k.ties_y = ty.pairs;
  k.ties_both = txy.pairs;
  k.concordant = all - k.ties_x - k.ties_y + k.ties_both - k.discordant;
  const auto s = static_cast<double>(k.concordant - k.discordant);
  k.tau_a = s / static_cast<double>(all);
  if (k.ties_x == all || k.ties_y == all) return k;
  // in float64 the root of a square is exact: without ties tau-b is tau-a, and a perfect order has 1
  const double tau_b =
      s / std::sqrt(static_cast<double>(all - k.ties_x) * static_cast<double>(all - k.ties_y));
  k.tau_b = std::clamp(tau_b, -1.0, 1.0);
  const bool ties = k.ties_x > 0 || k.ties_y > 0;
  if (!ties && (k.n <= 33 || std::min(k.discordant, k.concordant) <= 1)) {
    k.p_value = kendall_exact_p(k.n, k.discordant);
    k.p_method = "exact";
  } else {
    k.p_value = normal_p(k.n, s, tx, ty);
    k.p_method = "normal";
  }
  return k;
}

WeightedKendall::WeightedKendall(std::span<const double> x, std::span<const double> y)
    : order_(x.size()), y_rank_(x.size()), new_x_(x.size()), new_xy_(x.size()) {
  std::vector<double> levels(y.begin(), y.end());
  std::sort(levels.begin(), levels.end());
  levels.erase(std::unique(levels.begin(), levels.end()), levels.end());
  std::iota(order_.begin(), order_.end(), 0u);
  std::sort(order_.begin(), order_.end(),
            [&](std::uint32_t a, std::uint32_t b) { return x[a] != x[b] ? x[a] < x[b] : y[a] < y[b]; });
  for (std::size_t i = 0; i < order_.size(); ++i) {
    const double value = y[order_[i]];
    y_rank_[i] =
        static_cast<std::uint32_t>(std::lower_bound(levels.begin(), levels.end(), value) - levels.begin()) +
        1;
    new_x_[i] = i == 0 || x[order_[i]] != x[order_[i - 1]];
    new_xy_[i] = new_x_[i] || value != y[order_[i - 1]];
  }
  tree_.resize(levels.size() + 1);
  y_total_.resize(levels.size() + 1);
}

std::optional<double> WeightedKendall::tau_b(std::span<const std::uint32_t> weights) {
  std::fill(tree_.begin(), tree_.end(), 0);
  std::fill(y_total_.begin(), y_total_.end(), 0);
  const std::size_t levels = tree_.size() - 1, n = order_.size();
  // twice the number of pairs within a group of total weight w, plus w: w squared
  std::int64_t total = 0, squares_x = 0, squares_y = 0, squares_xy = 0, discordant = 0;
  for (std::size_t start = 0; start < n;) {
    std::size_t end = start;
    std::int64_t group = 0, cell = 0;
    for (; end < n && (end == start || !new_x_[end]); ++end) {
      const std::int64_t w = weights[order_[end]];
      if (new_xy_[end]) {
        squares_xy += cell * cell;
        cell = 0;
      }
      cell += w;
      group += w;
      if (w == 0) continue;
      std::int64_t not_above = 0;  // weight of smaller x with y at most this one
      for (std::size_t r = y_rank_[end]; r > 0; r -= r & (~r + 1)) not_above += tree_[r];
      discordant += w * (total - not_above);
    }
    squares_xy += cell * cell;
    squares_x += group * group;
    for (std::size_t i = start; i < end; ++i) {
      const std::int64_t w = weights[order_[i]];
      if (w == 0) continue;
      y_total_[y_rank_[i]] += w;
      for (std::size_t r = y_rank_[i]; r <= levels; r += r & (~r + 1)) tree_[r] += w;
    }
    total += group;
    start = end;
  }
  for (const std::int64_t w : y_total_) squares_y += w * w;
  const std::int64_t untied_x = (total * total - squares_x) / 2, untied_y = (total * total - squares_y) / 2;
  if (untied_x == 0 || untied_y == 0) return std::nullopt;
  // C + D = n0 - n1 - n2 + n3
  const std::int64_t comparable = (total * total - squares_x - squares_y + squares_xy) / 2;
  return static_cast<double>(comparable - 2 * discordant) /
         std::sqrt(static_cast<double>(untied_x) * static_cast<double>(untied_y));
}

}  // namespace gapbench
