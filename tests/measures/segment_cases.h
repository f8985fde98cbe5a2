// Segments over which the CPU and the CUDA version of segment_norms are compared with the reference.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "measures/kernels/segment_norms.h"
#include "measures/numerics/philox.h"
#include "tests/support/catch.h"

struct SegmentCase {
  std::int64_t rows, length;
  bool with_b;
  float scale = 1, special = 0;  ///< `special`, if not 0, replaces the middle value
};

inline const std::vector<SegmentCase>& segment_cases() {
  static const std::vector<SegmentCase> all = [] {
    std::vector<SegmentCase> cases;
    for (const std::int64_t length : {0, 1, 9, 31, 32, 33, 1000, 8191, 8192, 8193})
      for (const std::int64_t rows : {0, 1, 33, 300}) cases.push_back({rows, length, rows != 33});
    cases.push_back({1, (1 << 20) + 1, true});
    cases.push_back({(1 << 20) + 1, 1, false});
    cases.push_back({3, 100000, true});
    cases.push_back({20, 50, true, 1e-42f});
    cases.push_back({20, 50, false, 3e38f});
    cases.push_back({20, 50, false, 0});
    for (const float special :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
      for (const std::int64_t rows : {20, 1, 2}) cases.push_back({rows, 60000 / rows, true, 1, special});
    while (cases.size() < 130) cases.push_back({7, 13, true});  // more than one launch's worth
    return cases;
  }();
  return all;
}

inline std::vector<float> segment_values(const SegmentCase& c, std::uint64_t stream) {
  gapbench::RandomStream random(gapbench::random_key("segments", "values"), stream);
  std::vector<float> values(static_cast<std::size_t>(c.rows * c.length));
  for (float& v : values) v = c.scale * static_cast<float>(2 * random.uniform() - 1);
  if (c.special != 0) values[values.size() / 2] = c.special;
  return values;
}

// The segments of all cases, and what they point to.
struct HostSegments {
  std::vector<std::vector<float>> a, b;
  std::vector<gapbench::kernels::Segment> segments;
  HostSegments() {
    const auto& cases = segment_cases();
    for (std::size_t i = 0; i < cases.size(); ++i) {
      a.push_back(segment_values(cases[i], 2 * i));
      b.push_back(segment_values({cases[i].rows, cases[i].length, true, cases[i].scale}, 2 * i + 1));
      segments.push_back(
          {a[i].data(), cases[i].with_b ? b[i].data() : nullptr, cases[i].rows, cases[i].length});
    }
  }
  std::int64_t count() const { return static_cast<std::int64_t>(segments.size()); }
};

inline void check_close(double found, double expected, double relative) {
  if (std::isnan(expected))
    CHECK(std::isnan(found));
  else if (std::isinf(expected))
    CHECK(found == expected);
  else
    CHECK(std::abs(found - expected) <= relative * expected);
}

inline void check_norms(const std::vector<gapbench::kernels::SegmentNorms>& found,
                        const std::vector<gapbench::kernels::SegmentNorms>& expected, double p, double q) {
  const auto& cases = segment_cases();
  for (std::size_t i = 0; i < cases.size(); ++i) {
    CAPTURE(i, cases[i].rows, cases[i].length, p, q);
    const double error = gapbench::kernels::segment_norms_error(cases[i].rows * cases[i].length);
    check_close(found[i].squares, expected[i].squares, error);
    check_close(found[i].absolute, expected[i].absolute, error);
    check_close(found[i].largest, expected[i].largest, 0);
    check_close(found[i].groups, expected[i].groups, 2 * error + 1e-14);
  }
}
