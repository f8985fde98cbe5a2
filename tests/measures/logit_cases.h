// Logits over which the CPU and the CUDA version of logit_statistics are compared with the reference.
#pragma once

#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "measures/kernels/logit_statistics.h"
#include "measures/numerics/philox.h"
#include "tests/support/catch.h"

struct LogitCase {
  std::int64_t samples, classes;
  std::vector<float> logits;
  std::vector<std::int64_t> labels;
};

inline LogitCase logit_case(std::int64_t samples, std::int64_t classes, float scale) {
  gapbench::RandomStream random(gapbench::random_key("logits", "values"),
                                static_cast<std::uint64_t>(samples * 7919 + classes));
  LogitCase c{samples, classes, {}, {}};
  for (std::int64_t i = 0; i < samples; ++i) {
    c.labels.push_back(random.below(static_cast<std::uint32_t>(classes)));
    for (std::int64_t k = 0; k < classes; ++k)  // steps of an eighth, so that some samples are tied
      c.logits.push_back(scale * static_cast<float>(std::floor(8 * random.normal()) / 8));
  }
  return c;
}

template <class Check>
void for_each_logit_case(const Check& check) {
  for (const std::int64_t classes :
       {1, 2, 7, 8, 9, 10, 12, 16, 17, 31, 32, 33, 64, 65, 128, 129, 500, 1000, 1024, 1025})
    for (const std::int64_t samples : {0, 1, 31, 32, 33, 300}) check(logit_case(samples, classes, 2));
  check(logit_case((1 << 20) + 2001, 3, 2));  // more than one round of blocks on CUDA
  check(logit_case(10000, 10, 2));
  for (const std::int64_t classes : {10, 70})
    for (const float scale : {1e-42f, 0.0f, 300.0f, 1e37f}) check(logit_case(500, classes, scale));
  for (const std::int64_t classes : {3, 10, 40, 70, 1000, 1500}) {  // the lowest logits there can be
    LogitCase c = logit_case(40, classes, 1);
    for (std::int64_t k = 0; k < 20 * classes; ++k)
      c.logits[static_cast<std::size_t>(k)] = std::numeric_limits<float>::lowest();
    check(c);
  }
  for (const std::int64_t classes : {1, 7, 100, 1500})
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity()}) {
      LogitCase c = logit_case(100, classes, 1);
      c.logits[3] = bad;
      c.logits[static_cast<std::size_t>(50 * classes + c.labels[50])] = bad;
      check(c);
    }
}

inline void check_logits(const LogitCase& c, const std::vector<double>& margins,
                         const gapbench::kernels::LogitStatistics& found, double error_a_sample) {
  CAPTURE(c.samples, c.classes);
  std::vector<double> expected_margins(margins.size());
  gapbench::kernels::LogitStatistics expected;
  gapbench::kernels::logit_statistics_ref(c.logits.data(), c.labels.data(), c.samples, c.classes,
                                          expected_margins.data(), &expected);
  CHECK(found.correct == expected.correct);
  CHECK(found.not_finite == expected.not_finite);
  double largest = 1;
  for (const float z : c.logits)
    if (std::isfinite(z)) largest = std::max(largest, std::abs(static_cast<double>(z)));
  CHECK(std::abs(found.cross_entropy - expected.cross_entropy) <=
        static_cast<double>(c.samples) * (error_a_sample + 1e-14 * largest));
  bool same = true;
  for (std::size_t i = 0; i < margins.size(); ++i)
    same = same &&
           (margins[i] == expected_margins[i] || (std::isnan(margins[i]) && std::isnan(expected_margins[i])));
  CHECK(same);
}

// Lists of values and ranks for the order statistic.
template <class Check>
void for_each_selection(const Check& check) {
  for (const std::int64_t n : {1, 31, 32, 33, 1000, (1 << 20) + 1}) {
    gapbench::RandomStream random(gapbench::random_key("selection", "values"), static_cast<std::uint64_t>(n));
    std::vector<double> normal, few;
    for (std::int64_t i = 0; i < n; ++i) {
      normal.push_back(random.normal());
      few.push_back(static_cast<double>(random.below(3)) - 1);
    }
    normal[0] = -std::numeric_limits<double>::infinity();
    normal.back() = 1e300;
    normal[static_cast<std::size_t>(n / 2)] = -0.0;
    few[static_cast<std::size_t>(n / 2)] = std::numeric_limits<double>::denorm_min();
    for (const std::int64_t k : {std::int64_t{1}, (n + 9) / 10, (n + 1) / 2, n}) {
      check(normal, k);
      check(few, k);
    }
  }
}
