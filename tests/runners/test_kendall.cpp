// Kendall's tau against counting all pairs, the exact law against all permutations, the bootstrap's weights against
// real copies.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "measures/api/error.h"
#include "measures/numerics/philox.h"
#include "runners/ranking/bootstrap.h"
#include "runners/ranking/kendall.h"
#include "tests/support/catch.h"

using namespace gapbench;

namespace {

struct Counts {
  std::int64_t concordant = 0, discordant = 0, ties_x = 0, ties_y = 0, ties_both = 0, pairs = 0;
  double tau_a() const { return static_cast<double>(concordant - discordant) / static_cast<double>(pairs); }
  double tau_b() const {
    return static_cast<double>(concordant - discordant) /
           std::sqrt(static_cast<double>(pairs - ties_x) * static_cast<double>(pairs - ties_y));
  }
};

Counts count_all_pairs(const std::vector<double>& x, const std::vector<double>& y) {
  Counts c;
  for (std::size_t i = 0; i < x.size(); ++i)
    for (std::size_t j = i + 1; j < x.size(); ++j) {
      ++c.pairs;
      const bool tied_x = x[i] == x[j], tied_y = y[i] == y[j];
      c.ties_x += tied_x;
      c.ties_y += tied_y;
      c.ties_both += tied_x && tied_y;
      if (tied_x || tied_y) continue;
      ++((x[i] < x[j]) == (y[i] < y[j]) ? c.concordant : c.discordant);
    }
  return c;
}

// `levels` 0: no ties
std::vector<double> random_values(RandomStream& random, std::size_t n, std::uint32_t levels) {
  std::vector<double> v(n);
  for (double& x : v) x = levels == 0 ? random.normal() : static_cast<double>(random.below(levels)) - 2;
  return v;
}

}  // namespace

TEST_CASE("all counts and taus agree with counting every pair") {
  RandomStream random(random_key("kendall test", "values"));
  for (const std::size_t n : {2u, 3u, 4u, 7u, 8u, 9u, 31u, 64u, 100u})
    for (const std::uint32_t levels_x : {0u, 2u, 5u})
      for (const std::uint32_t levels_y : {0u, 2u, 5u})
        for (int repeat = 0; repeat < 5; ++repeat) {
          const auto x = random_values(random, n, levels_x), y = random_values(random, n, levels_y);
          const Counts c = count_all_pairs(x, y);
          const Kendall k = kendall(x, y);
          INFO("n " << n << ", levels " << levels_x << " " << levels_y);
          CHECK(k.n == static_cast<std::int64_t>(n));
          CHECK(k.concordant == c.concordant);
          CHECK(k.discordant == c.discordant);
          CHECK(k.ties_x == c.ties_x);
          CHECK(k.ties_y == c.ties_y);
          CHECK(k.ties_both == c.ties_both);
          REQUIRE(k.tau_a);
          CHECK(*k.tau_a == Approx(c.tau_a()).margin(1e-15));
          const bool constant = c.ties_x == c.pairs || c.ties_y == c.pairs;
          REQUIRE(k.tau_b.has_value() == !constant);
          REQUIRE(k.p_value.has_value() == !constant);
          if (constant) {
            CHECK(k.p_method == "none");
            continue;
          }
          CHECK(*k.tau_b == Approx(c.tau_b()).margin(1e-14));
          const bool ties = c.ties_x > 0 || c.ties_y > 0;
          const bool exact = !ties && (n <= 33 || std::min(c.concordant, c.discordant) <= 1);
          CHECK(k.p_method == (exact ? "exact" : "normal"));
          CHECK(*k.p_value >= 0);
          CHECK(*k.p_value <= 1);
        }
}

TEST_CASE("counts agree with counting every pair at every length of sort and tree") {
  RandomStream random(random_key("kendall test", "long"));
  // what the sort's leading bits do not tell apart, or what they waste: one exponent with changes in the last bits
  // only, all magnitudes from denormal to largest, both zeros, integers
  enum Kind { normal, ties, close, wide, count };
  const auto values = [&](std::size_t n, int kind) {
    std::vector<double> v(n);
    for (double& x : v) {
      const double sign = random.below(2) == 0 ? 1 : -1;
      if (kind == normal) x = random.normal();
      if (kind == ties) x = sign * random.below(6);  // 0 and -0 are tied
      if (kind == close) x = random.below(4) == 0 ? -1.0 : 1 + 0x1p-52 * random.below(1000);
      if (kind == wide) x = sign * std::ldexp(1.0, static_cast<int>(random.below(2098)) - 1074);
    }
    return v;
  };
  for (const std::size_t n :
       {0u, 1u, 2u, 15u, 16u, 17u, 31u, 32u, 33u, 199u, 200u, 255u, 256u, 257u, 1000u, 4097u, 20000u})
    for (int kind_x = 0; kind_x < count; ++kind_x)
      for (int kind_y = 0; kind_y < count; ++kind_y) {
        if (n > 2000 && (kind_x + 1) % count != kind_y) continue;
        const auto x = values(n, kind_x), y = values(n, kind_y);
        const Counts c = count_all_pairs(x, y);
        const Kendall k = kendall(x, y);
        INFO("n " << n << ", kinds " << kind_x << " " << kind_y);
        if (n < 2) {
          CHECK_FALSE(k.tau_a);
          continue;
        }
        CHECK(k.concordant == c.concordant);
        CHECK(k.discordant == c.discordant);
        CHECK(k.ties_x == c.ties_x);
        CHECK(k.ties_y == c.ties_y);
        CHECK(k.ties_both == c.ties_both);
      }
  // a million in reverse order but for ties of ten
  std::vector<double> up(1000000), down(up.size());
  for (std::size_t i = 0; i < up.size(); ++i) {
    up[i] = static_cast<double>(i);
    down[i] = -static_cast<double>(i / 10);
  }
  const Kendall k = kendall(up, down);
  CHECK(k.ties_y == 4500000);
  CHECK(k.concordant == 0);
  CHECK(k.discordant == 499999500000 - 4500000);
}

TEST_CASE("perfect order, reversed order, and what has no tau") {
  const std::vector<double> up = {1, 2, 3, 4, 5}, down = {5, 4, 3, 2, 1}, flat(5, 3.0);
  CHECK(*kendall(up, up).tau_b == 1);
  CHECK(*kendall(up, down).tau_b == -1);
  CHECK(*kendall(up, up).p_value == Approx(2.0 / 120).epsilon(1e-14));  // 2 of 5! orders are as extreme
  CHECK_FALSE(kendall(up, flat).tau_b);
  CHECK(*kendall(up, flat).tau_a == 0);
  CHECK_FALSE(kendall(flat, up).p_value);
  CHECK_FALSE(kendall(std::vector<double>{}, std::vector<double>{}).tau_a);
  CHECK_FALSE(kendall(std::vector<double>{1}, std::vector<double>{1}).tau_a);
  CHECK_THROWS_AS(kendall(up, std::vector<double>{1, 2}), InternalError);
  const std::vector<double> nan = {1, 2, std::nan(""), 4, 5};
  CHECK_THROWS_AS(kendall(nan, up), InternalError);
  const std::vector<double> infinite = {1, 2, std::numeric_limits<double>::infinity(), 4, 5};
  CHECK_THROWS_AS(kendall(up, infinite), InternalError);
  const std::vector<double> infinite_below = {1, 2, -std::numeric_limits<double>::infinity(), 4, 5};
  CHECK_THROWS_AS(kendall(infinite_below, up), InternalError);
}

TEST_CASE("the exact p-value is the share of permutations that are as extreme") {
  for (std::int64_t n = 2; n <= 7; ++n) {
    const std::int64_t pairs = n * (n - 1) / 2;
    std::vector<std::int64_t> with_discordant(static_cast<std::size_t>(pairs) + 1);
    std::vector<int> order(static_cast<std::size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    double permutations = 0;
    do {
      std::int64_t inversions = 0;
      for (std::size_t i = 0; i < order.size(); ++i)
        for (std::size_t j = i + 1; j < order.size(); ++j) inversions += order[i] > order[j];
      ++with_discordant[static_cast<std::size_t>(inversions)];
      ++permutations;
    } while (std::next_permutation(order.begin(), order.end()));
    for (std::int64_t d = 0; d <= pairs; ++d) {
      double extreme = 0;
      for (std::int64_t other = 0; other <= pairs; ++other)
        if (std::abs(pairs - 2 * other) >= std::abs(pairs - 2 * d))
          extreme += static_cast<double>(with_discordant[static_cast<std::size_t>(other)]);
      INFO("n " << n << ", discordant " << d);
      CHECK(kendall_exact_p(n, d) == Approx(extreme / permutations).epsilon(1e-13));
    }
  }
}

TEST_CASE("tau-b of weights is tau-b of copies") {
  RandomStream random(random_key("kendall test", "weights"));
  for (const std::uint32_t levels : {0u, 3u})
    for (int repeat = 0; repeat < 60; ++repeat) {
      const std::size_t n = 2 + random.below(20);
      const auto x = random_values(random, n, levels), y = random_values(random, n, levels);
      WeightedKendall weighted(x, y);
      for (int draw = 0; draw < 3;
           ++draw) {  // again and again on one object: nothing is left from the last call
        std::vector<std::uint32_t> weights(n);
        std::vector<double> copies_x, copies_y;
        for (std::size_t i = 0; i < n; ++i) {
          weights[i] = random.below(4);
          copies_x.insert(copies_x.end(), weights[i], x[i]);
          copies_y.insert(copies_y.end(), weights[i], y[i]);
        }
        const auto found = weighted.tau_b(weights);
        const Counts c = count_all_pairs(copies_x, copies_y);
        const bool defined = c.pairs > 0 && c.ties_x < c.pairs && c.ties_y < c.pairs;
        REQUIRE(found.has_value() == defined);
        if (defined) CHECK(*found == Approx(c.tau_b()).margin(1e-14));
      }
    }
}

TEST_CASE("quantile interpolates between order statistics") {
  const std::vector<double> v = {1, 2, 4, 8};
  CHECK(quantile(v, 0) == 1);
  CHECK(quantile(v, 1) == 8);
  CHECK(quantile(v, 0.5) == Approx(3));
  CHECK(quantile(v, 0.25) == Approx(1.75));
  CHECK(quantile(v, 0.9) == Approx(6.8));
  CHECK(quantile(std::vector<double>{5}, 0.3) == 5);
}

TEST_CASE("bootstrap draws whole configurations, as many as there are") {
  const BootstrapDraws draws(7, 200, 3);
  std::vector<double> drawn(7);
  for (std::size_t r = 0; r < draws.resamples(); ++r) {
    const auto counts = draws.counts(r);
    REQUIRE(counts.size() == 7);
    CHECK(std::accumulate(counts.begin(), counts.end(), 0u) == 7);
    for (std::size_t c = 0; c < 7; ++c) drawn[c] += counts[c];
  }
  for (const double d : drawn) CHECK(std::abs(d - 200) < 5 * std::sqrt(200.0));  // about Poisson(200)
  const BootstrapDraws again(7, 200, 3), other(7, 200, 4);
  CHECK(std::equal(draws.counts(5).begin(), draws.counts(5).end(), again.counts(5).begin()));
  bool differs = false;
  for (std::size_t r = 0; r < 200; ++r)
    differs = differs || !std::equal(draws.counts(r).begin(), draws.counts(r).end(), other.counts(r).begin());
  CHECK(differs);
}

TEST_CASE("the bootstrap interval is the quantiles of tau-b over resampled models") {
  RandomStream random(random_key("kendall test", "bootstrap"));
  const std::size_t configurations = 8, seeds = 3;
  std::vector<double> x, y;
  std::vector<std::uint32_t> configuration;
  for (std::size_t c = 0; c < configurations; ++c)
    for (std::size_t s = 0; s < seeds; ++s) {
      x.push_back(static_cast<double>(c) + random.normal());
      y.push_back(static_cast<double>(c) + random.normal());
      configuration.push_back(static_cast<std::uint32_t>(c));
    }
  const BootstrapDraws draws(configurations, 100, 1);
  std::vector<double> taus;
  for (std::size_t r = 0; r < draws.resamples(); ++r) {
    std::vector<double> copies_x, copies_y;
    for (std::size_t i = 0; i < x.size(); ++i) {
      copies_x.insert(copies_x.end(), draws.counts(r)[configuration[i]], x[i]);
      copies_y.insert(copies_y.end(), draws.counts(r)[configuration[i]], y[i]);
    }
    taus.push_back(count_all_pairs(copies_x, copies_y).tau_b());
  }
  std::sort(taus.begin(), taus.end());
  const auto interval = bootstrap_tau_b(x, y, configuration, draws, 0.9);
  REQUIRE(interval);
  // position 0.05 * 99 = 4.95 and 0.95 * 99 = 94.05 among the order statistics
  CHECK(interval->low == Approx(taus[4] + 0.95 * (taus[5] - taus[4])).margin(1e-12));
  CHECK(interval->high == Approx(taus[94] + 0.05 * (taus[95] - taus[94])).margin(1e-12));
  CHECK(interval->undefined_resamples == 0);

  // two models, one a configuration: half of the resamples draw one of them twice and have no tau
  const auto pair = bootstrap_tau_b(std::vector<double>{1, 2}, std::vector<double>{1, 2},
                                    std::vector<std::uint32_t>{0, 1}, BootstrapDraws(2, 400, 1), 0.9);
  REQUIRE(pair);
  CHECK(pair->low == 1);
  CHECK(pair->high == 1);
  CHECK(std::abs(static_cast<double>(pair->undefined_resamples) - 200) < 50);
  CHECK_FALSE(bootstrap_tau_b(std::vector<double>{1, 1}, std::vector<double>{1, 2},
                              std::vector<std::uint32_t>{0, 1}, BootstrapDraws(2, 50, 1), 0.9));
}
