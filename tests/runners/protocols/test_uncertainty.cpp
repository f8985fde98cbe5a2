// Analytic errors against the published data and plain loops; p-values of many measures.
#include <cmath>

#include "runners/ranking/bootstrap.h"
#include "runners/ranking/friedman.h"
#include "runners/ranking/multiplicity.h"
#include "runners/ranking/u_statistic.h"
#include "tests/runners/protocols/grid.h"
#include "tests/runners/protocols/pgdl_task1.h"
#include "tests/support/catch.h"

using namespace gapbench;
using testing::coarse_values;
using testing::random_values;
using testing::Values;

TEST_CASE("analytic errors of tau are as computed apart, and near the bootstrap's") {
  const auto task = testing::pgdl_task1();
  for (const auto& [name, values] : task.measures) {
    const auto tau = tau_with_error(concordance_sums(values, task.gap));
    CHECK(tau->value == Approx(task.expected[name]["tau_a"].get<double>()).margin(1e-14));
    CHECK(tau->standard_error ==
          Approx(task.expected[name]["tau_se_asymptotic"].get<double>()).epsilon(1e-12));
  }
  const auto sums = [&](const char* name) { return concordance_sums(task.measures.at(name), task.gap); };
  const auto wide = tau_difference(sums("WCV"), sums("VR"));
  CHECK(wide->value == Approx(0.2412).epsilon(0).margin(5e-5));
  CHECK(wide->standard_error == Approx(0.0437).epsilon(0).margin(5e-5));
  CHECK(tau_difference(sums("VR"), sums("VPM_1"))->value == Approx(0.0439).epsilon(0).margin(5e-5));
  CHECK(tau_difference(sums("VR"), sums("VPM_1"))->standard_error == Approx(0.0396).epsilon(0).margin(5e-5));
  CHECK(tau_difference(sums("VPM_80"), sums("VPM_1"))->value == Approx(0.0031).epsilon(0).margin(5e-5));
  CHECK(tau_difference(sums("VPM_80"), sums("VPM_1"))->standard_error ==
        Approx(0.0308).epsilon(0).margin(5e-5));
}

TEST_CASE("concordance sums are those of a plain loop, with ties") {
  for (std::uint64_t trial = 0; trial < 20; ++trial) {
    const std::size_t n = 1 + trial * 3;
    const Values x = trial % 2 ? coarse_values(n, trial, 4) : random_values(n, trial);
    const Values y = trial % 3 ? coarse_values(n, 50 + trial, 5) : random_values(n, 50 + trial);
    const auto sums = concordance_sums(x, y);
    for (std::size_t i = 0; i < n; ++i) {
      std::int64_t expected = 0;
      for (std::size_t j = 0; j < n; ++j)
        expected += ((x[i] > x[j]) - (x[i] < x[j])) * ((y[i] > y[j]) - (y[i] < y[j]));
      CHECK(sums[i] == expected);
    }
  }
  CHECK_FALSE(tau_with_error(std::vector<std::int64_t>{1, 1}));
}

TEST_CASE("permutation p counts draws that are as extreme, by direction") {
  const std::vector<std::vector<double>> draws = {{-2, -1, 0, 1, 2}, {-1, 0, 0, 0, 1}};
  const auto two = permutation_p({2.0, 0.5}, draws, Tail::two_sided);
  CHECK(*two.p[0] == Approx(3.0 / 6));
  CHECK(*two.p[1] == Approx(3.0 / 6));
  const auto larger = permutation_p({2.0, -1.0}, draws, Tail::larger);
  CHECK(*larger.p[0] == Approx(2.0 / 6));
  CHECK(*larger.p[1] == Approx(1));
  const auto smaller = permutation_p({-3.0, std::nullopt}, draws, Tail::smaller);
  CHECK(*smaller.p[0] == Approx(1.0 / 6));
  CHECK_FALSE(smaller.p[1]);
  CHECK_FALSE(smaller.family[1]);
}

TEST_CASE("max-T accounts for the number of measures and for their correlation") {
  // by hand: standard deviations sqrt(2.5) and sqrt(0.5); largest standardised value of each draw:
  // max(1.265, 1.414), 0.632, 0, 0.632, max(1.265, 1.414)
  const std::vector<std::vector<double>> draws = {{-2, -1, 0, 1, 2}, {-1, 0, 0, 0, 1}};
  const auto p = permutation_p({2.0, 1.0}, draws, Tail::two_sided);
  CHECK(*p.family[0] == Approx(3.0 / 6));
  CHECK(*p.family[1] == Approx(3.0 / 6));
  CHECK(*permutation_p({1.0, 1.0}, draws, Tail::two_sided).family[0] == Approx(5.0 / 6));
  // copies of one measure cost nothing; independent ones do
  const Values one = random_values(999, 1), other = random_values(999, 2);
  Values sorted = one;
  std::sort(sorted.begin(), sorted.end());
  const double observed = quantile(sorted, 0.95);
  const auto copies = permutation_p({observed, observed}, {one, one}, Tail::larger);
  CHECK(*copies.family[0] == *copies.p[0]);
  const auto independent = permutation_p({observed, observed}, {one, other}, Tail::larger);
  CHECK(*independent.family[0] == Approx(0.0975).margin(0.025));
}

TEST_CASE("Benjamini and Hochberg's q, by hand") {
  const auto q = benjamini_hochberg({0.01, std::nullopt, 0.04, 0.03, 0.5});
  CHECK(*q[0] == Approx(0.04));
  CHECK_FALSE(q[1]);
  CHECK(*q[2] == Approx(0.04 * 4 / 3));
  CHECK(*q[3] == Approx(0.04 * 4 / 3));
  CHECK(*q[4] == Approx(0.5));
}

TEST_CASE("Friedman needs two ledgers and two measures") {
  CHECK_FALSE(friedman({{1, 2, 3}}));
  CHECK_FALSE(friedman({{1}, {2}}));
  CHECK(chi2_tail(3.841458820694124, 1) == Approx(0.05).epsilon(1e-12));
}
