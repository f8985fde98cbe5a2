// Jiang's K and the PGDL score: published values, and plain loops over all pairs.
#include <array>
#include <cmath>
#include <map>

#include "runners/ranking/jiang_k.h"
#include "runners/ranking/pgdl_score.h"
#include "tests/runners/protocols/grid.h"
#include "tests/runners/protocols/pgdl_task1.h"
#include "tests/support/catch.h"

using namespace gapbench;
using testing::coarse_values;
using testing::grid;
using testing::random_values;
using testing::Values;

namespace {

using Key = std::vector<std::uint32_t>;
using Table = std::array<std::array<double, 2>, 2>;  // [V_x][V_g]

double log_term(double p, double q, double r) {
  return p > 0 ? p * std::log2(p / (q * r)) : 0;
}

double information(const Table& t, double n) {
  double sum = 0;
  for (std::size_t a = 0; a < 2; ++a)
    for (std::size_t b = 0; b < 2; ++b)
      sum += log_term(t[a][b] / n, (t[a][0] + t[a][1]) / n, (t[0][b] + t[1][b]) / n);
  return sum;
}

// Tables per cell of the levels of the axes in `set`, over ordered pairs of positions; self pairs or copies of
// an item only when asked for.
std::map<Key, Table> tables(const Design& d, const std::vector<std::size_t>& set, const Values& x,
                            const Values& g, const std::vector<std::uint32_t>& item, bool self) {
  std::map<Key, Table> all;
  for (std::size_t i = 0; i < item.size(); ++i)
    for (std::size_t j = 0; j < item.size(); ++j) {
      if (!self && item[i] == item[j]) continue;
      Key key;
      for (const std::size_t a : set) {
        key.push_back(d.axes[a].level[item[i]]);
        key.push_back(d.axes[a].level[item[j]]);
      }
      ++all[key][x[i] > x[j]][g[item[i]] > g[item[j]]];
    }
  return all;
}

std::optional<double> ratio(const std::map<Key, Table>& cells, bool pgdl) {
  double i = 0, h = 0;
  for (const auto& [key, t] : cells) {
    const double n = t[0][0] + t[0][1] + t[1][0] + t[1][1], p = (t[0][1] + t[1][1]) / n;
    const double epsilon = pgdl ? 1e-12 : 0;
    double entropy = 0;
    for (const double q : {p, 1 - p})
      if (q > 0) entropy -= q * std::log2(q + epsilon);
    i += (pgdl ? 1 : n) * information(t, n);
    h += (pgdl ? 1 : n) * entropy;
  }
  if (h == 0) return std::nullopt;
  return i / h;
}

struct Evaluation {
  std::vector<JiangK> k;
  std::vector<PgdlScore> pgdl;
};

Evaluation evaluate(const Design& d, const std::vector<Values>& measures, const PairSample& sample,
                    const Conditioning& conditioning) {
  Evaluation e;
  SignCountsMemory memory;
  std::vector<CellCounts> counts;
  std::vector<std::span<const double>> spans(measures.begin(), measures.end());
  std::size_t next = 0;
  for (const LaneBlock& block : lane_blocks(spans)) {
    count_signs(conditioning.plan, sample, block, memory, counts);
    for (const auto& lane : block.measures) REQUIRE(lane.measure == next++);
    for (auto& r : jiang_k(conditioning, counts, block)) e.k.push_back(std::move(r));
    if (!d.why_not_full_grid())
      for (auto& r : pgdl_score(conditioning, counts, block)) e.pgdl.push_back(std::move(r));
  }
  return e;
}

}  // namespace

TEST_CASE("the published PGDL scores of task 1 come out to 12 decimals, and Jiang's K as computed apart") {
  const auto task = testing::pgdl_task1();
  const std::map<std::string, double> published = {
      {"VPM_1", 0.060700993773}, {"VPM_80", 0.056105256539}, {"VR", 0.093162888051}, {"WCV", 0.277451042877}};
  const Conditioning conditioning(task.design);
  std::vector<Values> measures;
  for (const auto& [name, values] : task.measures) measures.push_back(values);
  const Evaluation e = evaluate(task.design, measures, identity_sample(task.gap), conditioning);
  std::size_t m = 0;
  for (const auto& [name, values] : task.measures) {
    const auto& expected = task.expected[name];
    const auto set_name = [&](std::size_t s) {
      std::vector<std::string> names;
      for (const std::size_t a : conditioning.sets[s]) names.push_back(task.design.axes[a].name);
      return names;
    };
    CHECK(*e.pgdl[m].score == Approx(published.at(name)).epsilon(0).margin(6e-13));
    CHECK(set_name(e.pgdl[m].set) == expected["cmi_pgdl_pair"].get<std::vector<std::string>>());
    CHECK(*e.k[m].k == Approx(expected["K_jiang"].get<double>()).epsilon(0).margin(1e-12));
    CHECK(set_name(e.k[m].set) == expected["K_set"].get<std::vector<std::string>>());
    CHECK(*e.k[m].ratio[0] == Approx(expected["cmi_jiang_S0"].get<double>()).epsilon(0).margin(1e-12));
    for (std::size_t s = 1; s < conditioning.sets.size(); ++s) {
      const auto names = set_name(s);
      if (names.size() == 1)
        CHECK(*e.k[m].ratio[s] ==
              Approx(expected["cmi_jiang_S1"][names[0]].get<double>()).epsilon(0).margin(1e-12));
      else
        CHECK(*e.pgdl[m].ratio[s] ==
              Approx(expected["cmi_all_pairs"][names[0] + "|" + names[1]].get<double>())
                  .epsilon(0)
                  .margin(1e-12));
    }
    ++m;
  }
}

TEST_CASE("a single axis as the measure scores exactly 0, an additive model of all of them well above") {
  const auto task = testing::pgdl_task1();
  const Conditioning conditioning(task.design);
  std::vector<Values> measures;
  Values additive(task.gap.size(), 0.0);
  for (const DesignAxis& axis : task.design.axes) {
    Values mean(axis.levels, 0.0), count(axis.levels, 0.0), values;
    for (std::size_t i = 0; i < task.gap.size(); ++i) {
      mean[axis.level[i]] += task.gap[i];
      ++count[axis.level[i]];
    }
    for (std::size_t i = 0; i < task.gap.size(); ++i) {
      values.push_back(mean[axis.level[i]] / count[axis.level[i]]);
      // on a full grid least squares of an additive model is the sum of the level means, less a constant
      additive[i] += values.back();
    }
    measures.push_back(values);
  }
  measures.push_back(additive);
  const Evaluation e = evaluate(task.design, measures, identity_sample(task.gap), conditioning);
  for (std::size_t m = 0; m + 1 < measures.size(); ++m) CHECK(*e.pgdl[m].score == Approx(0).margin(1e-12));
  CHECK(*e.pgdl.back().score == Approx(0.225011).epsilon(0).margin(6e-7));
}

TEST_CASE("counts give what a loop over all pairs gives, with ties, holes, permutations and repeated items") {
  RandomStream random(9);
  for (int trial = 0; trial < 12; ++trial) {
    const bool ties = trial % 2 == 1, holes = trial % 3 == 2, many = trial % 4 == 0;
    Design d = grid(trial % 5 == 4 ? std::vector<std::uint32_t>{5} : std::vector<std::uint32_t>{3, 2, 2, 2},
                    trial == 7 ? 2 : 1);
    if (holes) d = d.subset({0, 1, 3, 4, 2});
    const Values gap = ties ? coarse_values(d.items, 100 + trial, 4) : random_values(d.items, 100 + trial);
    std::vector<Values> measures;
    for (std::uint64_t m = 0; m < (many ? 70u : 3u); ++m)
      measures.push_back(m % 2 == 1 ? coarse_values(d.items, 7 * m + 1, 3)
                                    : random_values(d.items, 7 * m + 1));
    measures.emplace_back(d.items, 1.0);  // a constant
    std::vector<std::uint32_t> item, measured;
    for (std::uint32_t i = 0; i < d.items; ++i) item.push_back(i);
    measured = item;
    if (trial >= 4 && trial < 8) random.shuffle(measured.begin(), measured.end());
    if (trial >= 8) {
      for (auto& i : item) i = random.below(static_cast<std::uint32_t>(d.items));
      measured = item;
    }
    const Conditioning conditioning(d);
    const PairSample sample = sort_sample(gap, item, measured);
    const Evaluation e = evaluate(d, measures, sample, conditioning);
    REQUIRE(e.k.size() == measures.size());
    for (std::size_t m = 0; m < measures.size(); ++m) {
      Values x;
      for (const std::uint32_t i : measured) x.push_back(measures[m][i]);
      double smallest = 2;
      for (std::size_t s = 0; s < conditioning.sets.size(); ++s) {
        INFO("trial " << trial << " measure " << m << " set " << s);
        const auto expected = ratio(tables(d, conditioning.sets[s], x, gap, item, false), false);
        REQUIRE(e.k[m].ratio[s].has_value() == expected.has_value());
        if (expected) {
          CHECK(*e.k[m].ratio[s] == Approx(*expected).epsilon(0).margin(1e-11));
          smallest = std::min(smallest, *expected);
        }
        if (!e.pgdl.empty() && trial < 8 && conditioning.sets[s].size() == 2)
          CHECK(*e.pgdl[m].ratio[s] ==
                Approx(*ratio(tables(d, conditioning.sets[s], x, gap, item, true), true))
                    .epsilon(0)
                    .margin(1e-11));
      }
      REQUIRE(e.k[m].k.has_value() == (smallest < 2));
      if (e.k[m].k) CHECK(*e.k[m].k == Approx(smallest).epsilon(0).margin(1e-11));
      if (m + 1 == measures.size() && e.k[m].k) CHECK(*e.k[m].k == 0);
    }
  }
}

TEST_CASE("counts beyond 16 and 8 bits are exact") {
  const Design d = grid({2}, 400);  // 800 items: cells of up to 160,000 pairs
  const Values gap = random_values(d.items, 1), x = random_values(d.items, 2);
  SignCountsMemory memory;
  std::vector<CellCounts> counts;
  const auto blocks = lane_blocks({std::span<const double>(x)});
  count_signs(SummationPlan(d, {partition_by(d, {0})}), identity_sample(gap), blocks[0], memory, counts);
  std::array<std::array<std::int64_t, 2>, 2> both{}, larger{};
  for (std::size_t i = 0; i < d.items; ++i)
    for (std::size_t j = 0; j < d.items; ++j) {
      const auto u = d.axes[0].level[i], v = d.axes[0].level[j];
      larger[u][v] += gap[i] > gap[j];
      both[u][v] += gap[i] > gap[j] && x[i] > x[j];
    }
  for (std::uint32_t u = 0; u < 2; ++u)
    for (std::uint32_t v = 0; v < 2; ++v) {
      CHECK(counts[0].both[(u * 2 + v) * lane_count + blocks[0].measures[0].lane] == both[u][v]);
      CHECK(counts[0].gap_larger[u * 2 + v] == larger[u][v]);
      CHECK(counts[0].pairs[u * 2 + v] == (u == v ? 400 * 399 : 400 * 400));
    }
}
