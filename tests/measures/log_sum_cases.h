// Floors and scales for the segments of segment_cases.h, and the check of log_sums against its stated error.
#pragma once

#include <cstring>

#include "measures/kernels/log_sums.h"
#include "tests/measures/segment_cases.h"

// The bounds' floor of 1e-6; no floor, where a zero gives ln 0; no scale; x that are not normal.
inline constexpr std::pair<double, double> floors_and_scales[] = {
    {1e-6, 0.09}, {0, 2}, {3, 0}, {1e-300, 1e-305}, {1e300, 1e10}};

inline double size_of_logarithms(const gapbench::kernels::Segment& s, double floor, double scale) {
  double sum = 0;
  for (std::int64_t i = 0; i < s.rows * s.length; ++i) {
    const double d = static_cast<double>(s.a[i]) - (s.b != nullptr ? static_cast<double>(s.b[i]) : 0.0);
    sum += std::abs(std::log(floor + scale * d * d));
  }
  return sum;
}

inline void check_log_sums(const std::vector<gapbench::kernels::LogSums>& found,
                           const std::vector<gapbench::kernels::LogSums>& expected,
                           const std::vector<gapbench::kernels::Segment>& segments, double floor,
                           double scale) {
  for (std::size_t i = 0; i < segments.size(); ++i) {
    CAPTURE(i, segments[i].rows, segments[i].length, floor, scale);
    const double error = gapbench::kernels::log_sums_error(segments[i].rows * segments[i].length),
                 size = size_of_logarithms(segments[i], floor, scale);
    if (std::isfinite(expected[i].logarithms))
      CHECK(std::abs(found[i].logarithms - expected[i].logarithms) <= error + 0x1p-51 * size);
    else
      CHECK((found[i].logarithms == expected[i].logarithms ||
             (std::isnan(found[i].logarithms) && std::isnan(expected[i].logarithms))));
    if (std::isnan(expected[i].shares))
      CHECK(std::isnan(found[i].shares));
    else
      CHECK(std::abs(found[i].shares - expected[i].shares) <= error);
  }
}
