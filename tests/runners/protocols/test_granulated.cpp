// Granulated Kendall against the published data, by hand, and in its properties.
#include <cmath>

#include "runners/ranking/granulated.h"
#include "tests/runners/protocols/grid.h"
#include "tests/runners/protocols/pgdl_task1.h"
#include "tests/support/catch.h"

using namespace gapbench;

using testing::grid;
using testing::random_values;
using testing::Values;

TEST_CASE("psi of the published task is as computed apart") {
  const auto task = testing::pgdl_task1();
  const auto axes = axis_pairs(task.design);
  for (const auto& [name, values] : task.measures) {
    const Granulated g = granulated(axes, values, task.gap);
    for (std::size_t a = 0; a < axes.size(); ++a) {
      CHECK(*g.axes[a].psi ==
            Approx(task.expected[name]["psi_axis"][task.design.axes[a].name].get<double>()).margin(1e-12));
      CHECK(g.axes[a].cells_used == 96 / task.design.axes[a].levels);
      CHECK(g.axes[a].cells_possible == g.axes[a].cells_used);
      CHECK(g.axes[a].cells_constant == 0);
      CHECK(g.axes[a].cells_tied_gap == 0);
    }
    CHECK(*g.psi == Approx(task.expected[name]["Psi"].get<double>()).margin(1e-12));
  }
}

TEST_CASE("a function of one axis alone has psi 0 along every other") {
  const Design d = grid({3, 2, 4});
  const auto axes = axis_pairs(d);
  Values x, y;
  for (std::size_t i = 0; i < d.items; ++i) {
    x.push_back(d.axes[0].level[i]);
    y.push_back(2.0 * d.axes[0].level[i] + 0.3 * d.axes[1].level[i] + 0.01 * d.axes[2].level[i]);
  }
  const Granulated zero = granulated(axes, x, y);
  CHECK(*zero.axes[0].psi == 1);
  CHECK(*zero.axes[1].psi == 0);
  CHECK(*zero.axes[2].psi == 0);
  CHECK(*zero.psi == Approx(1.0 / 3));
  CHECK(zero.axes[1].cells_constant == 12);
  const Granulated skip = granulated(axes, x, y, ConstantCell::skip);
  CHECK_FALSE(skip.axes[1].psi);
  CHECK(skip.axes[1].cells_used == 0);
  CHECK(*skip.psi == 1);
}

TEST_CASE("a monotone map of the measure within a cell changes nothing; a two-level axis counts pairs") {
  const Design d = grid({2, 3});
  const auto axes = axis_pairs(d);
  const Values x = random_values(6, 1), y = random_values(6, 2);
  // axis 1's cells are the items of one level of axis 0: map each by a monotone map of its own
  Values mapped = x;
  for (std::size_t i = 0; i < 6; ++i)
    mapped[i] = d.axes[0].level[i] == 0 ? std::exp(5 * x[i]) : -1 / (x[i] + 1);
  CHECK(*granulated(axes, mapped, y).axes[1].psi == *granulated(axes, x, y).axes[1].psi);
  // two levels: (concordant - discordant) / cells
  int sum = 0;
  for (std::size_t i = 0; i < 3; ++i) sum += (x[i] < x[i + 3]) == (y[i] < y[i + 3]) ? 1 : -1;
  CHECK(*granulated(axes, x, y).axes[0].psi == Approx(sum / 3.0));
}

TEST_CASE("a grid with holes uses the cells there are, and counts them") {
  const Design full = grid({2, 2});
  const Design holes = full.subset({0, 1, 2});  // (0,0) (0,1) (1,0)
  const auto axes = axis_pairs(holes);
  const Granulated g = granulated(axes, Values{1, 2, 3}, Values{1, 2, 2});
  CHECK(*g.axes[0].psi == 1);  // the cell with level 0 of axis 1
  CHECK(g.axes[0].cells_used == 1);
  CHECK(g.axes[0].cells_possible == 2);
  CHECK(g.axes[0].cells_tied_gap == 0);
  CHECK(*g.axes[1].psi == 1);
  CHECK(*holes.why_not_full_grid() == "1 of the grid's 4 combinations of levels are missing");
  CHECK(*grid({2, 2}, 3).why_not_full_grid() == "8 of 12 items repeat a combination of levels");
  CHECK_FALSE(full.why_not_full_grid());
}

TEST_CASE("seeds as a fixed coordinate, and as all cross pairs, are what a plain loop gives") {
  Design d = grid({2, 3}, 4);
  const Values x = random_values(d.items, 3), y = random_values(d.items, 4);
  const auto seed = [](std::size_t i) { return i % 4; };
  for (const bool fixed : {false, true}) {
    if (fixed)
      for (std::size_t i = 0; i < d.items; ++i) d.fixed.push_back(static_cast<std::uint32_t>(seed(i)));
    const Granulated g = granulated(axis_pairs(d), x, y);
    for (std::size_t a = 0; a < 2; ++a) {
      const std::size_t other = 1 - a;
      double total = 0;
      int cells = 0;
      for (std::uint32_t l = 0; l < d.axes[other].levels; ++l)
        for (std::size_t s = 0; s < (fixed ? 4u : 1u); ++s) {
          double sum = 0, pairs = 0;
          for (std::size_t i = 0; i < d.items; ++i)
            for (std::size_t j = 0; j < i; ++j) {
              if (d.axes[other].level[i] != l || d.axes[other].level[j] != l) continue;
              if (d.axes[a].level[i] == d.axes[a].level[j]) continue;
              if (fixed && (seed(i) != s || seed(j) != s)) continue;
              sum += (x[i] > x[j]) == (y[i] > y[j]) ? 1 : -1;
              ++pairs;
            }
          total += sum / pairs;
          ++cells;
        }
      CHECK(*g.axes[a].psi == Approx(total / cells).margin(1e-14));
      CHECK(g.axes[a].cells_used == static_cast<std::size_t>(cells));
    }
  }
}
