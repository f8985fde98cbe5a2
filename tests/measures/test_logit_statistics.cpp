// The CPU versions of logit_statistics and kth_smallest against their references, and against closed forms.
#include <algorithm>
#include <cstring>

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
