// The projection of iterates: moments of the sparse sign matrix, and which steps are kept.
#include "zoo/training/iterate_log.h"

#include <cmath>

#include "tests/support/catch.h"

using namespace gapbench;

TEST_CASE("a projection keeps squared lengths on average, with the stated variance") {
  // columns are independent, so that each block of them is another matrix
  for (const std::int64_t dimension : {8, 64}) {
    for (const bool heavy : {false, true}) {
      CAPTURE(dimension, heavy);
      std::vector<double> x;
      for (int i = 0; i < 40; ++i) x.push_back(heavy && i < 2 ? 30 : std::sin(i) + 0.2);
      double squares = 0, fourth = 0;
      for (const double v : x) {
        squares += v * v;
        fourth += v * v * v * v;
      }
      const int draws = 20000;
      double sum = 0, sum_of_squares = 0;
      for (int d = 0; d < draws; ++d) {
        std::vector<double> y(static_cast<std::size_t>(dimension));
        for (std::size_t e = 0; e < x.size(); ++e) {
          const auto column = projection_column(static_cast<std::uint64_t>(d) * x.size() + e, dimension);
          for (std::size_t b = 0; b < column.size(); ++b) {
            if (static_cast<std::int64_t>(column[b].row) >= dimension / 4) FAIL("a row outside its quarter");
            y[b * static_cast<std::size_t>(dimension) / 4 + column[b].row] +=
                column[b].negative ? -x[e] / 2 : x[e] / 2;
          }
        }
        double length = 0;
        for (const double v : y) length += v * v;
        sum += length / squares;
        sum_of_squares += length * length / (squares * squares);
      }
      const double mean = sum / draws, variance = sum_of_squares / draws - mean * mean,
                   expected = 2.0 / static_cast<double>(dimension) * (1 - fourth / (squares * squares));
      CHECK(std::abs(mean - 1) < 5 * std::sqrt(expected / draws));
      CHECK(variance == Approx(expected).epsilon(0.1));
      CHECK(variance < 1.1 * 2 / static_cast<double>(dimension));
    }
  }
}

TEST_CASE("the steps that are kept are the last of a run whose end is known, and else the last so far") {
  const LogIterates log{5, 8};
  const auto first = [&](const nlohmann::json& changes, std::int64_t steps) {
    nlohmann::json values = {{"batch_size", 10}, {"max_epochs", 4}, {"target_cross_entropy", 0}};
    values.update(changes);
    return first_kept_iterate(log, HyperParameters::from_json(values, "test"), 25, steps);
  };
  // 3 steps an epoch, 12 in all: 8 to 12 are kept
  for (const auto& [steps, expected] : {std::pair{1, 2}, {6, 7}, {7, 8}, {8, 8}, {10, 8}, {12, 8}})
    CHECK(first(nlohmann::json::object(), steps) == expected);
  // the epoch that reaches the cap is finished: 9 steps
  CHECK(first({{"max_steps", 7}}, 9) == 5);
  CHECK(first({{"max_steps", 7}}, 4) == 5);
  CHECK(first({{"max_steps", 1000}}, 12) == 8);
  // with a target any epoch may be the last
  for (const auto& [steps, expected] : {std::pair{1, 1}, {5, 1}, {6, 2}, {12, 8}})
    CHECK(first({{"target_cross_entropy", 0.01}}, steps) == expected);
  const HyperParameters hp = HyperParameters::from_json({{"batch_size", 25}, {"max_epochs", 3}}, "test");
  Iterates kept{8, std::vector<float>(3 * 8)};
  CHECK(complete(kept, log, hp, 25, 3));
  CHECK(kept.count() == 3);
  CHECK_FALSE(complete(kept, log, hp, 25, 2));
  CHECK_FALSE(complete(kept, {5, 12}, hp, 25, 3));
  CHECK_FALSE(complete({}, log, hp, 25, 3));
}
