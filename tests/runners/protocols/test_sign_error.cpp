// Sign error over environments: the published small environments, and plain loops over all pairs of runs.
#include <cmath>
#include <map>

#include "runners/ranking/bootstrap.h"
#include "runners/ranking/robust_rmse.h"
#include "runners/ranking/sign_error.h"
#include "tests/runners/protocols/grid.h"
#include "tests/support/catch.h"

using namespace gapbench;
using testing::coarse_values;
using testing::grid;
using testing::random_values;
using testing::Values;

namespace {

constexpr double missing = std::numeric_limits<double>::quiet_NaN();

struct Small {
  Values gaps_a, gaps_b, x_a, x_b;
  double weight, squares, ess, loss;
};

}  // namespace

TEST_CASE("weights have the published constants") {
  CHECK(hoeffding_weight(0.011774100225, 1e4) == 0);
  CHECK(hoeffding_weight(-0.019601501768, 1e4) == Approx(0.0).margin(1e-10));
  // published before the shift by 1/2, which leaves 0 below 0.0196
  const std::map<double, double> published = {
      {0.02, 0.5319214226}, {0.025, 0.8319740821}, {0.03, 0.9560576531}, {0.05, 0.9999850934}};
  for (const auto& [difference, w] : published) {
    CHECK(hoeffding_weight(difference, 1e4) == Approx(w - 0.5).epsilon(0).margin(6e-11));
    CHECK(hoeffding_weight(-difference, 1e4) == hoeffding_weight(difference, 1e4));
  }
  CHECK(hoeffding_weight(0.015, 1e4) == 0);
  CHECK(hoeffding_weight(0.5, 1e4) == 0.5);
}

TEST_CASE("the published small environments come out") {
  const Values a = {.10, .12, .09}, b = {.20, .18};
  const std::vector<Small> table = {{a, b, {1.0, 1.2, 0.9}, {2.0, 1.8}, 2.99999993908, 1.49999993908, 6.0, 0},
                                    {a, b, {3.0, 2.5, 3.2}, {2.0, 2.2}, 2.99999993908, 1.49999993908, 6.0, 1},
                                    {{.10, .11}, {.30, .31}, {1, 2}, {3, 4}, 2, 1, 4, 0},
                                    {{.100, .110, .118},
                                     {.120, .125, .140},
                                     {1, 5, 2},
                                     {3, 3, 0},
                                     1.4945535037,
                                     0.5988302484,
                                     3.7300890887,
                                     0.7565189177}};
  const Design d = grid({2});
  const auto pairs = axis_pairs(d);
  for (const Small& s : table) {
    Values gap = s.gaps_a, x = s.x_a;
    std::vector<std::uint32_t> configuration(s.gaps_a.size(), 0);
    gap.insert(gap.end(), s.gaps_b.begin(), s.gaps_b.end());
    x.insert(x.end(), s.x_b.begin(), s.x_b.end());
    configuration.resize(gap.size(), 1);
    const Runs runs = Runs::from(gap, configuration, 2);
    const Environments environments(pairs, runs, {});
    REQUIRE(environments.all().size() == 1);
    const Environment& e = environments.all()[0];
    CHECK(e.weight == Approx(s.weight).epsilon(0).margin(6e-11));
    CHECK(e.weight_squares == Approx(s.squares).epsilon(0).margin(6e-11));
    CHECK(e.ess == Approx(s.ess).epsilon(0).margin(6e-10));
    CHECK(*environments.losses(x)[0] == Approx(s.loss).epsilon(0).margin(6e-11));
    CHECK(*environments.losses(Values(x.size(), 7.0))[0] == 0.5);  // a constant measure is a coin flip
  }
}

TEST_CASE("environments and their losses are what a loop over all ordered pairs of runs gives") {
  for (const bool hoeffding : {true, false}) {
    Design d = grid({2, 3, 2});
    if (!hoeffding) d = d.subset({0, 1, 2, 3, 5, 6, 8, 9, 11});
    Values gap, x;
    std::vector<std::uint32_t> configuration;
    RandomStream random(5);
    for (std::uint32_t c = 0; c < d.items; ++c)
      for (std::uint32_t s = 0; s < 2 + c % 3; ++s) {  // 2 to 4 seeds
        gap.push_back(0.02 * static_cast<double>(random.below(5)) + 0.002 * random.uniform());
        x.push_back(random.below(6));
        configuration.push_back(c);
      }
    x[3] = missing;
    const Runs runs = Runs::from(gap, configuration, d.items);
    SignErrorOptions options;
    options.hoeffding = hoeffding;
    options.min_ess = hoeffding ? 2.7 : 0.9;
    const Environments environments(axis_pairs(d), runs, options);
    // the loop: ordered configuration pairs that differ in one axis
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::array<double, 4>> sums;  // loss, w, w^2, axis
    for (std::size_t i = 0; i < gap.size(); ++i)
      for (std::size_t j = 0; j < gap.size(); ++j) {
        std::size_t different = 0, axis = 0;
        for (std::size_t a = 0; a < d.axes.size(); ++a)
          if (d.axes[a].level[configuration[i]] != d.axes[a].level[configuration[j]]) {
            ++different;
            axis = a;
          }
        if (different != 1 || std::isnan(x[i]) || std::isnan(x[j])) continue;
        double w = 1;
        if (hoeffding) {
          const double delta = 1 - 2 * std::exp(-2 * 1e4 * std::pow(std::abs(gap[i] - gap[j]) / 2, 2));
          w = delta > 0 ? std::max(0.0, delta * delta - 0.5) : 0;
        }
        const auto sign = [](double v) { return v > 0 ? 1 : v < 0 ? -1 : 0; };
        auto& s = sums[{configuration[i], configuration[j]}];
        s[0] += w * (1 - sign(x[i] - x[j]) * sign(gap[i] - gap[j])) / 2;
        s[1] += w;
        s[2] += w * w;
        s[3] = static_cast<double>(axis);
      }
    CHECK(sums.size() == 2 * environments.all().size());
    const auto losses = environments.losses(x);
    std::size_t counted = 0;
    std::map<std::array<std::uint32_t, 3>, std::array<double, 3>> family_sums;
    std::vector<std::uint32_t> family_of;
    std::map<std::array<std::uint32_t, 3>, std::uint32_t> family_index;
    for (std::size_t e = 0; e < environments.all().size(); ++e) {
      const Environment& environment = environments.all()[e];
      const auto& forward = sums.at({environment.a, environment.b});
      CHECK(forward[3] == environment.axis);
      CHECK(sums.at({environment.b, environment.a})[0] == Approx(forward[0]).margin(1e-14));
      const bool counts = forward[1] > 0 && forward[1] * forward[1] / forward[2] >= *options.min_ess;
      REQUIRE(losses[e].has_value() == counts);
      if (counts) CHECK(*losses[e] == Approx(forward[0] / forward[1]).margin(1e-14));
      counted += counts;
      const auto& level = d.axes[environment.axis].level;
      const std::array<std::uint32_t, 3> key = {environment.axis, level[environment.a], level[environment.b]};
      family_of.push_back(family_index.try_emplace(key, family_index.size()).first->second);
      for (std::size_t k = 0; k < 3; ++k) family_sums[key][k] += forward[k];
    }
    CHECK(counted > 3);
    if (hoeffding) CHECK(counted < losses.size());
    const auto families = environments.family_losses(x, family_of, family_index.size());
    for (const auto& [key, s] : family_sums) {
      const auto& loss = families[family_index.at(key)];
      REQUIRE(loss.has_value() == (s[1] > 0 && s[1] * s[1] / s[2] >= *options.min_ess));
      if (loss) CHECK(*loss == Approx(s[0] / s[1]).margin(1e-13));
    }
  }
}

TEST_CASE("the default threshold scales with the seeds, where the published one would delete everything") {
  const Design d = grid({2, 2});
  Values gap;
  std::vector<std::uint32_t> configuration;
  for (std::uint32_t c = 0; c < 4; ++c)
    for (int s = 0; s < 3; ++s) {
      gap.push_back(0.1 * c + 0.001 * s);
      configuration.push_back(c);
    }
  const Runs runs = Runs::from(gap, configuration, 4);
  SignErrorOptions published;
  published.min_ess = 12;
  const Environments scaled(axis_pairs(d), runs, {}), strict(axis_pairs(d), runs, published);
  CHECK(scaled.min_ess() == Approx(0.12 * 9));
  CHECK(scaled.kept() == 4);
  CHECK(scaled.kept(0) == 2);
  CHECK(strict.kept() == 0);
  // "numerically close" to the threshold counts, as in the published code
  SignErrorOptions close;
  close.min_ess = 9 + 5e-5;
  CHECK(Environments(axis_pairs(d), runs, close).kept() == 4);
  close.min_ess = 9.001;
  CHECK(Environments(axis_pairs(d), runs, close).kept() == 0);
}

TEST_CASE("losses are summarised as numpy does") {
  const auto s = summarise({0, 1, 0.5, 0.25});
  CHECK(s->mean == Approx(0.4375));
  CHECK(s->q90 == Approx(0.85));  // 0.5 + 0.7 * 0.5
  CHECK(s->max == 1);
  CHECK_FALSE(summarise({}));
  const auto cdf = loss_cdf(Values{0, 1, 0.5, 0.255}, 100);
  CHECK(cdf[0] == Approx(0.25));
  CHECK(cdf[24] == Approx(0.25));
  CHECK(cdf[25] == Approx(0.5));
  CHECK(cdf[48] == Approx(0.5));
  CHECK(cdf[49] == Approx(0.75));
  CHECK(cdf[99] == 1);
}

TEST_CASE("robust RMSE: closed forms") {
  // one environment: least squares; w = r sd(g), RMSE = sd(g) sqrt(1 - r^2)
  const Values x = {1, 2, 3, 5}, g = {1, 3, 2, 7};
  const Groups one = {{0, 1, 2, 3}};
  const double sd = std::sqrt(20.75 / 4), r = 12.25 / std::sqrt(8.75 * 20.75);
  const auto fit = robust_rmse(x, g, one);
  CHECK(fit->baseline == Approx(sd).epsilon(1e-9));
  CHECK(fit->rmse == Approx(sd * std::sqrt(1 - r * r)).epsilon(1e-9));
  CHECK(fit->w == Approx(r * sd).epsilon(1e-6));
  // a measure that falls with the gap, or is constant, gives the baseline exactly
  Values negative = x;
  for (double& v : negative) v = -v;
  CHECK(robust_rmse(negative, g, one)->rmse == robust_rmse(negative, g, one)->baseline);
  CHECK(robust_rmse(Values(4, 0.1), g, one)->rmse == Approx(sd).epsilon(1e-9));
  // two environments of one run each, bias only: half the distance of their gaps
  CHECK(robust_rmse(Values{0, 1}, Values{1, 4}, {{0}, {1}})->baseline == Approx(1.5).epsilon(1e-9));
  CHECK(robust_rmse(Values{0, 1}, Values{1, 4}, {{0}, {1}})->rmse == Approx(0).margin(1e-6));
  CHECK_FALSE(robust_rmse(x, g, {}));
}

TEST_CASE("the families of environments have the published numbers of members") {
  const Design d = grid({2, 5, 5, 5, 4});
  Groups runs(d.items);
  for (std::uint32_t i = 0; i < d.items; ++i) runs[i] = {i};
  std::size_t pooled = 0;
  const std::vector<std::size_t> published = {500, 200, 200, 200, 250};
  for (std::size_t a = 0; a < 5; ++a) {
    CHECK(axis_environments(d, runs, a).size() == published[a]);
    pooled += axis_environments(d, runs, a).size();
  }
  CHECK(pooled == 1350);
  CHECK(level_environments(d, runs).size() == 21);
}
