// The CPU version of log_sums against the reference, the reference against closed forms.
#include <numbers>

#include "tests/measures/log_sum_cases.h"

using namespace gapbench;
using namespace gapbench::kernels;

TEST_CASE("log sums agree with the reference") {
  const HostSegments host;
  const std::vector<Segment>& segments = host.segments;
  const std::int64_t count = host.count();
  std::vector<LogSums> expected(segments.size()), one(segments.size()), three(segments.size());
  for (const auto& [floor, scale] : floors_and_scales) {
    log_sums_ref(segments.data(), count, floor, scale, expected.data());
    log_sums(segments.data(), count, floor, scale, one.data(), 1);
    log_sums(segments.data(), count, floor, scale, three.data(), 3);
    check_log_sums(one, expected, segments, floor, scale);
    CHECK(std::memcmp(one.data(), three.data(), one.size() * sizeof(LogSums)) == 0);
  }
}

TEST_CASE("log sums in closed form, at an odd address") {
  // products of consecutive integers: x_i = 1 + (i - 1), i = 1 .. 100, sum ln x = ln 100!
  std::vector<float> memory(102, 7.0f);
  for (int i = 0; i < 100; ++i) memory[static_cast<std::size_t>(i + 1)] = std::sqrt(static_cast<float>(i));
  const Segment s{memory.data() + 1, nullptr, 4, 25};
  for (const auto sums : {&log_sums_ref, +[](const Segment* in, std::int64_t n, double floor, double scale,
                                             LogSums* o) { log_sums(in, n, floor, scale, o, 1); }}) {
    LogSums n;
    sums(&s, 1, 1, 1, &n);
    CHECK(std::abs(n.logarithms - std::lgamma(101.0)) < 100 * 0x1p-24);  // roots are rounded to float32
    double shares = 0;
    for (int i = 0; i < 100; ++i) shares += 1 - 1.0 / (i + 1);
    CHECK(std::abs(n.shares - shares) < 100 * 0x1p-24);
    sums(&s, 1, 0, 1, &n);  // the first x is 0
    CHECK(n.logarithms == -std::numeric_limits<double>::infinity());
    CHECK(std::isnan(n.shares));
  }
  CHECK(memory.front() == 7);
  CHECK(memory.back() == 7);
  // the KL divergence of normals of other variances: 33 weights of variances 0.5 + 2 d^2 against a prior of variance 1
  std::vector<float> a(33, 0.75f);
  LogSums n;
  const Segment of_a{a.data(), nullptr, 1, 33};
  log_sums(&of_a, 1, 0.5, 2, &n);
  CHECK(std::abs(n.logarithms - 33 * std::log(1.625)) < 1e-13);
}

TEST_CASE("shares are the derivative of the logarithms by ln scale") {
  const std::vector<float> a = segment_values({30, 40, true}, 5), b = segment_values({30, 40, true}, 6);
  const Segment s{a.data(), b.data(), 30, 40};
  const double scale = 0.3, step = 1e-5;
  LogSums up, down, here;
  log_sums(&s, 1, 0.01, scale * std::exp(step), &up);
  log_sums(&s, 1, 0.01, scale * std::exp(-step), &down);
  log_sums(&s, 1, 0.01, scale, &here);
  CHECK(std::abs((up.logarithms - down.logarithms) / (2 * step) - here.shares) < 1e-5);
}
