// Tables of pair sums against tau-b of the drawn runs, and against a plain loop.
#include <cmath>
#include <set>

#include "runners/ranking/correlation.h"
#include "runners/ranking/kendall.h"
#include "runners/ranking/pair_tables.h"
#include "tests/runners/protocols/grid.h"
#include "tests/support/catch.h"

using namespace gapbench;
using testing::coarse_values;
using testing::random_values;
using testing::Values;

TEST_CASE("resampled tau-b and tau-c are those of the drawn runs") {
  for (std::uint64_t trial = 0; trial < 6; ++trial) {
    RandomStream random(trial);
    const std::uint32_t configurations = 2 + static_cast<std::uint32_t>(trial) * 5;
    std::vector<std::uint32_t> configuration;
    for (std::uint32_t c = 0; c < configurations; ++c)
      for (std::uint32_t s = 0; s <= random.below(4); ++s) configuration.push_back(c);
    const std::size_t n = configuration.size();
    const Values gap = trial % 2 ? coarse_values(n, trial + 10, 6) : random_values(n, trial + 10);
    std::vector<Values> measures = {random_values(n, 1), coarse_values(n, 2, 3), Values(n, 1.0),
                                    random_values(n, 3)};
    for (std::size_t i = 0; i < n; i += 3) measures[3][i] = std::numeric_limits<double>::quiet_NaN();
    const Runs runs = Runs::from(gap, configuration, configurations);
    const BootstrapDraws draws(configurations, 21, trial);
    const auto taus = resampled_tau({measures.begin(), measures.end()}, runs, draws);
    for (std::size_t m = 0; m < measures.size(); ++m)
      for (std::size_t r = 0; r < draws.resamples(); ++r) {
        Values x, y;
        for (std::size_t i = 0; i < n; ++i)
          for (std::uint32_t t = 0; t < draws.counts(r)[configuration[i]]; ++t)
            if (!std::isnan(measures[m][i])) {
              x.push_back(measures[m][i]);
              y.push_back(gap[i]);
            }
        const Kendall k = kendall(x, y);
        REQUIRE(std::isnan(taus[m].tau_b[r]) == !k.tau_b);
        if (k.tau_b) CHECK(taus[m].tau_b[r] == Approx(*k.tau_b).epsilon(0).margin(1e-14));
        const auto levels = [](const Values& v) { return std::set<double>(v.begin(), v.end()).size(); };
        const auto c = tau_c(k, levels(x), levels(y));
        REQUIRE(std::isnan(taus[m].tau_c[r]) == !c);
        if (c) CHECK(taus[m].tau_c[r] == Approx(*c).epsilon(0).margin(1e-14));
      }
  }
}

TEST_CASE("mean signs are those of a plain loop over runs with values") {
  const std::vector<std::uint32_t> configuration = {0, 0, 1, 1, 1, 2, 3, 3};
  Values x = coarse_values(8, 1, 4);
  x[3] = x[5] = std::numeric_limits<double>::quiet_NaN();
  const Runs runs = Runs::from(random_values(8, 2), configuration, 4);
  const MeanSigns signs({std::span<const double>(x)}, runs);
  for (std::size_t c = 0; c < 4; ++c)
    for (std::size_t d = c + 1; d < 4; ++d) {
      double sum = 0, count = 0;
      for (const auto i : runs.of[c])
        for (const auto j : runs.of[d])
          if (!std::isnan(x[i]) && !std::isnan(x[j])) {
            sum += (x[i] > x[j]) - (x[i] < x[j]);
            ++count;
          }
      CHECK(signs.at(c, d)[0] == Approx(count > 0 ? sum / count : 0).margin(1e-7));
    }
}
