// Kendall's variants, weighted tau, Spearman, Pearson against the published SciPy and R tables.
#include <numeric>

#include "runners/ranking/correlation.h"
#include "runners/ranking/weighted_tau.h"
#include "tests/support/catch.h"

using namespace gapbench;

namespace {

using Values = std::vector<double>;

struct Golden {
  Values x, y;
  double tau_b, p;
};

Values iota(std::size_t n) {
  Values v(n);
  std::iota(v.begin(), v.end(), 0.0);
  return v;
}

Values swapped(std::size_t n, std::vector<std::size_t> firsts) {
  Values v = iota(n);
  for (const std::size_t i : firsts) std::swap(v[i], v[i + 1]);
  return v;
}

}  // namespace

TEST_CASE("Kendall's tau-b and p are those of SciPy's and R's tables") {
  const std::vector<Golden> table = {
      {{5, 2, 1, 3, 6, 4, 7, 8}, {5, 2, 6, 3, 1, 8, 7, 4}, 0, 1},
      {{0, 5, 2, 1, 3, 6, 4, 7, 8}, {5, 2, 0, 6, 3, 1, 8, 7, 4}, 0, 1},
      {{5, 2, 1, 3, 6, 4, 7}, {5, 2, 6, 3, 1, 7, 4}, -0.14285714286, 0.77261904762},
      {{2, 1, 3, 6, 4, 7, 8}, {2, 6, 3, 1, 8, 7, 4}, 0.047619047619, 1},
      {iota(10), iota(10), 1, 5.511463844797e-07},
      {iota(10), swapped(10, {1}), 0.9555555555555556, 5.511463844797e-06},
      {iota(10), swapped(10, {1, 5}), 0.9111111111111111, 2.976190476190e-05},
      {{12, 2, 1, 12, 2}, {1, 4, 7, 1, 0}, -0.47140452079103173, 0.28274545993277},
  };
  for (const Golden& g : table) {
    const Kendall k = kendall(g.x, g.y);
    CHECK(*k.tau_b == Approx(g.tau_b).margin(1e-10));
    CHECK(*k.p_value == Approx(g.p).epsilon(1e-10));
  }
}

TEST_CASE("tau-a, tau-b and tau-c differ where there are ties") {
  const Values x = {12, 2, 1, 12, 2}, y = {1, 4, 7, 1, 0};
  const Kendall k = kendall(x, y);
  CHECK(*k.tau_a == Approx(-0.4).epsilon(1e-14));
  CHECK(*tau_c(k, 3, 4) == Approx(-0.48).epsilon(1e-14));
  const Values z = {1, 1, 2};
  const Kendall same = kendall(z, z);
  CHECK(*same.tau_a == Approx(2.0 / 3).epsilon(1e-14));
  CHECK(*same.tau_b == Approx(1).epsilon(1e-14));
  CHECK(*tau_c(same, 2, 2) == Approx(0.8888888888888889).epsilon(1e-14));
  CHECK_FALSE(tau_c(kendall(Values{2, 2, 2}, Values{1, 2, 3}), 1, 3));
  CHECK_FALSE(tau_c(kendall(Values{}, Values{}), 0, 0));
}

TEST_CASE("weighted tau is SciPy's in every variant") {
  const Values x = {12, 2, 1, 12, 2}, y = {1, 4, 7, 1, 0};
  const auto tau = [&](ImportanceRank rank, bool additive) {
    return *weighted_tau(x, y, {rank, additive, {}});
  };
  CHECK(*weighted_tau(x, y) == Approx(-0.5669496815368272).epsilon(1e-13));
  CHECK(tau(ImportanceRank::by_x, true) == Approx(-0.4157652301037516).epsilon(1e-13));
  CHECK(tau(ImportanceRank::by_y, true) == Approx(-0.7181341329699029).epsilon(1e-13));
  CHECK(tau(ImportanceRank::both, false) == Approx(-0.6220571695180104).epsilon(1e-13));
  CHECK(tau(ImportanceRank::by_x, false) == Approx(-0.4064485096624689).epsilon(1e-13));
  CHECK(tau(ImportanceRank::by_y, false) == Approx(-0.8376658293735517).epsilon(1e-13));
  CHECK(tau(ImportanceRank::input_order, true) == Approx(-0.5160439794026185).epsilon(1e-13));
  // a constant weight gives tau-b
  const auto constant = [](std::size_t) { return 3.0; };
  CHECK(*weighted_tau(x, y, {ImportanceRank::both, true, constant}) ==
        Approx(-0.47140452079103173).epsilon(1e-13));
  CHECK_FALSE(weighted_tau(Values{2, 2, 2}, Values{1, 2, 3}));
  CHECK_FALSE(weighted_tau(Values{}, Values{}));
}

TEST_CASE("Pearson keeps its digits under offsets and scales, and says nothing of a constant") {
  const Values x = {1, 2, 3, 5}, y = {1, 3, 2, 7};
  const double r = *pearson(x, y);
  // by hand: deviations -1.75 -0.75 0.25 2.25 and -2.25 -0.25 -1.25 3.75
  CHECK(r == Approx(12.25 / std::sqrt(8.75 * 20.75)).epsilon(1e-14));
  Values shifted = x, tiny = y, huge = y;
  for (double& v : shifted) v += 1e9;
  for (double& v : tiny) v *= 1e-200;
  for (double& v : huge) v *= 1e300;
  CHECK(*pearson(shifted, y) == Approx(r).epsilon(1e-7));
  CHECK(*pearson(x, tiny) == Approx(r).epsilon(1e-13));
  CHECK(*pearson(x, huge) == Approx(r).epsilon(1e-13));
  CHECK(*spearman(x, y) == Approx(0.8).epsilon(1e-14));  // 1 - 6 * 2 / (4 * 15)
  CHECK(average_ranks(Values{3, 1, 3, 2}) == Values{3.5, 1, 3.5, 2});
  CHECK_FALSE(pearson(Values{1, 1, 1}, Values{1, 2, 3}));
  CHECK_FALSE(pearson(Values{0.1, 0.1, 0.1}, Values{1, 2, 3}));  // whose mean is not exactly 0.1
  CHECK_FALSE(spearman(Values{1}, Values{1}));
}
