// The CPU versions of logit_statistics and kth_smallest against their references, and against closed forms.
#include <algorithm>
#include <cstring>

#include "measures/numerics/instruction_set.h"
#include "tests/measures/logit_cases.h"

using namespace gapbench::kernels;

TEST_CASE("logit statistics agree with the reference on any number of threads") {
  for_each_logit_case([](const LogitCase& c) {
    std::vector<double> margins(c.labels.size()), again(c.labels.size());
    LogitStatistics one, three;
    logit_statistics(c.logits.data(), c.labels.data(), c.samples, c.classes, margins.data(), &one, 1);
    check_logits(c, margins, one, 1e-14);
    logit_statistics(c.logits.data(), c.labels.data(), c.samples, c.classes, again.data(), &three, 3);
    CHECK(one.cross_entropy == three.cross_entropy);
    CHECK(
        (margins.empty() || std::memcmp(margins.data(), again.data(), margins.size() * sizeof(double)) == 0));
    logit_statistics(c.logits.data(), c.labels.data(), c.samples, c.classes, nullptr, &three, 2);
    CHECK(three.correct == one.correct);
  });
}

TEST_CASE("logit statistics of known logits, between guards") {
  const std::vector<float> logits{99, 2, 1, 0, 5, 5, 5, -1, 0, -3, 99};
  const std::vector<std::int64_t> labels{0, 1, 2};
  std::vector<double> margins{99, 0, 0, 0, 99};
  LogitStatistics s;
  for (const auto statistics :
       {&logit_statistics_ref,
        +[](const float* z, const std::int64_t* y, std::int64_t n, std::int64_t k, double* m,
            LogitStatistics* o) { logit_statistics(z, y, n, k, m, o, 1); }}) {
    statistics(logits.data() + 1, labels.data(), 3, 3, margins.data() + 1, &s);
    CHECK(margins == std::vector<double>{99, 1, 0, -3, 99});
    CHECK(s.correct == 1);  // a tie counts as wrong
    CHECK(s.not_finite == 0);
    const double expected = std::log(1 + std::exp(-1) + std::exp(-2)) + std::log(3) + 3 +
                            std::log(1 + std::exp(-1) + std::exp(-3));
    CHECK(s.cross_entropy == Approx(expected).epsilon(1e-14));
  }
}

TEST_CASE("the order statistic is that of a sorted list") {
  for_each_selection([](const std::vector<double>& values, std::int64_t k) {
    std::vector<double> a = values, b = values;
    CAPTURE(values.size(), k);
    CHECK(kth_smallest(a.data(), static_cast<std::int64_t>(a.size()), k) ==
          kth_smallest_ref(b.data(), static_cast<std::int64_t>(b.size()), k));
  });
}

TEST_CASE("selection whose sample misleads, and on narrower vectors") {
  const std::int64_t n = 100000;
  std::vector<double> rising, falling, periodic, constant(n, 2.5);
  for (std::int64_t i = 0; i < n; ++i) {
    rising.push_back(static_cast<double>(i));
    falling.push_back(static_cast<double>(n - i));
    // the sample sees the few large values alone: every place it takes is a multiple of n / 2154 = 46.4, rounded down
    const bool sampled = i == (i * 2154 + n - 1) / n * n / 2154;
    periodic.push_back(sampled ? 1e6 + static_cast<double>(i) : static_cast<double>(i % 977));
  }
  for (const auto set : {gapbench::InstructionSet::generic, gapbench::widest_instruction_set()}) {
    gapbench::use_instruction_set(set);
    for (const auto& values : {rising, falling, periodic, constant})
      for (const std::int64_t k : {std::int64_t{1}, std::int64_t{2}, n / 10, n / 2, n - 1, n}) {
        CAPTURE(k, to_string(set));
        std::vector<double> a = values, b = values;
        CHECK(kth_smallest(a.data(), n, k) == kth_smallest_ref(b.data(), n, k));
        std::sort(a.begin(), a.end());
        std::sort(b.begin(), b.end());
        CHECK(a == b);  // reordered, none lost
      }
  }
  gapbench::use_instruction_set(gapbench::widest_instruction_set());
}
