// Selection by a measure, by hand and against an expanded list for draws with repetitions.
#include <algorithm>
#include <cmath>

#include "runners/ranking/selection.h"
#include "tests/runners/protocols/grid.h"
#include "tests/support/catch.h"

using namespace gapbench;
using testing::coarse_values;
using testing::Values;

namespace {

Selection select(const Values& x, const Values& gap, double q, bool larger = false) {
  const SelectionProblem problem(gap, q);
  const std::vector<std::uint32_t> once(gap.size(), 1);
  return problem.select(x, SelectionProblem::order(x, larger), problem.best(once), once);
}

}  // namespace

TEST_CASE("regret, hit and precision by hand") {
  const Values gap = {0.5, 0.1, 0.2, 0.3, 0.4};
  const Selection good = select({5, 1, 2, 3, 4}, gap, 0.4);
  CHECK(good.regret == 0);
  CHECK(*good.normalised_regret == 0);
  CHECK(good.hit == 1);
  CHECK(good.precision == 1);
  const Selection bad = select({1, 5, 2, 3, 4}, gap, 0.4);
  CHECK(bad.regret == Approx(0.4));
  CHECK(*bad.normalised_regret == Approx(2));  // median 0.3
  CHECK(bad.hit == 0);
  CHECK(bad.precision == 0.5);
  // the same as the largest of the negated measure
  CHECK(select({-1, -5, -2, -3, -4}, gap, 0.4, true).regret == Approx(0.4));
  // a constant measure picks at random
  const Selection blind = select(Values(5, 1.0), gap, 0.4);
  CHECK(blind.regret == Approx(0.2));
  CHECK(blind.hit == Approx(0.4));
  CHECK(blind.precision == Approx(0.4));
  CHECK_FALSE(select({1, 2}, {0.1, 0.1}, 0.2).normalised_regret);
}

TEST_CASE("a draw with repetitions is the expanded list") {
  RandomStream random(3);
  for (int trial = 0; trial < 50; ++trial) {
    const std::size_t n = 2 + random.below(12);
    const Values gap = coarse_values(n, 10 + trial, 6), x = coarse_values(n, 90 + trial, 4);
    std::vector<std::uint32_t> times(n, 0);
    for (std::size_t i = 0; i < n; ++i) ++times[random.below(static_cast<std::uint32_t>(n))];
    Values all_gaps, all_x;
    for (std::size_t i = 0; i < n; ++i)
      for (std::uint32_t t = 0; t < times[i]; ++t) {
        all_gaps.push_back(gap[i]);
        all_x.push_back(x[i]);
      }
    const SelectionProblem problem(gap, 0.2);
    const Selection draw = problem.select(x, SelectionProblem::order(x, false), problem.best(times), times);
    // the expanded list, directly
    Values sorted = all_gaps;
    std::sort(sorted.begin(), sorted.end());
    const auto k = static_cast<std::size_t>(std::ceil(0.2 * static_cast<double>(n) - 1e-9));
    const double least_x = *std::min_element(all_x.begin(), all_x.end());
    double sum = 0, count = 0, hits = 0;
    for (std::size_t i = 0; i < n; ++i)
      if (all_x[i] == least_x) {
        sum += all_gaps[i];
        hits += all_gaps[i] <= sorted[k - 1];
        ++count;
      }
    CHECK(draw.regret == Approx(sum / count - sorted[0]).margin(1e-12));
    CHECK(draw.hit == Approx(hits / count));
    const double median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
    REQUIRE(draw.normalised_regret.has_value() == (median > sorted[0]));
    if (draw.normalised_regret) CHECK(*draw.normalised_regret == Approx(draw.regret / (median - sorted[0])));
  }
}
