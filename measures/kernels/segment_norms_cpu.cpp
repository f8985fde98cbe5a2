// CPU version: units of a segment in parallel, 32 float64 sums side by side, then the units in order.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "measures/kernels/segment_norms.h"
#include "measures/numerics/clones.h"
#include "measures/numerics/parallel_for.h"
#include "measures/numerics/sum.h"

namespace gapbench::kernels {

namespace {

constexpr int lanes = 8, vectors = 4;  // four independent sums hide the latency of an addition
using Floats = float __attribute__((vector_size(lanes * 4), aligned(4), may_alias));
using Doubles = double __attribute__((vector_size(lanes * 8)));

double power_sum(const float* a, const float* b, std::int64_t n, double p) {
  double sum = 0;
  for (std::int64_t k = 0; k < n; ++k)
    sum +=
        std::pow(std::abs(static_cast<double>(a[k]) - (b != nullptr ? static_cast<double>(b[k]) : 0.0)), p);
  return sum;
}

// squares, absolute and largest of n differences
GAPBENCH_CLONES void reduce(const float* a, const float* b, std::int64_t n, double* out) {
  Doubles squares[vectors] = {}, absolute[vectors] = {}, largest[vectors] = {};
  std::int64_t k = 0;
  for (; k + lanes * vectors <= n; k += lanes * vectors)
    for (int v = 0; v < vectors; ++v) {
      Doubles d = __builtin_convertvector(*reinterpret_cast<const Floats*>(a + k + v * lanes), Doubles);
      if (b != nullptr)
        d -= __builtin_convertvector(*reinterpret_cast<const Floats*>(b + k + v * lanes), Doubles);
      d = d < 0 ? -d : d;
      squares[v] += d * d;
      absolute[v] += d;
      largest[v] = d > largest[v] ? d : largest[v];
    }
  double s = 0, t = 0, m = 0;
  for (int v = 0; v < vectors; ++v)
    for (int i = 0; i < lanes; ++i) {
      s += squares[v][i];
      t += absolute[v][i];
      m = largest[v][i] > m ? largest[v][i] : m;
    }
  for (; k < n; ++k) {
    const double d = std::abs(static_cast<double>(a[k]) - (b != nullptr ? static_cast<double>(b[k]) : 0.0));
    s += d * d;
    t += d;
    m = d > m ? d : m;
  }
  out[0] = s;
  out[1] = t;
  out[2] = m;
}

}  // namespace

void segment_norms(const Segment* segments, std::int64_t count, double p, double q, SegmentNorms* out,
                   int threads) {
  const bool flat = p == q;
  std::vector<SegmentUnits> plan;
  std::vector<std::int64_t> first{0};
  for (std::int64_t s = 0; s < count; ++s) {
    plan.emplace_back(segments[s], flat);
    first.push_back(first.back() + plan.back().count);
  }
  std::vector<SegmentNorms> unit(
      static_cast<std::size_t>(first.back()));  // groups: of a part of a row its power sum
  parallel_for(first.back(), threads, [&](std::int64_t index, int) {
    const auto s =
        static_cast<std::size_t>(std::upper_bound(first.begin(), first.end(), index) - first.begin() - 1);
    const SegmentUnits& u = plan[s];
    const Segment& in = segments[s];
    const std::int64_t at = index - first[s];
    const std::int64_t row = at / u.units_a_row * u.rows_a_unit,
                       k = at % u.units_a_row * SegmentUnits::values;
    const std::int64_t n = std::min(SegmentUnits::values, u.length - k),
                       end = std::min(row + u.rows_a_unit, u.rows);
    SegmentNorms& sum = unit[static_cast<std::size_t>(index)];
    for (std::int64_t r = row; r < end; ++r) {
      const float* const a = in.a + r * u.length + k;
      const float* const b = in.b != nullptr ? in.b + r * u.length + k : nullptr;
      double part[3];
      reduce(a, b, n, part);
      sum.squares += part[0];
      sum.absolute += part[1];
      sum.largest = std::max(sum.largest, part[2]);
      const double power = p == 2 ? part[0] : p == 1 ? part[1] : power_sum(a, b, n, p);
      sum.groups += u.units_a_row > 1 || flat ? power : std::pow(power, q / p);
    }
  });
  for (std::int64_t s = 0; s < count; ++s) {
    const auto i = static_cast<std::size_t>(s);
    SegmentNorms n;
    CompensatedSum squares, absolute, groups;  // of units: what a long segment adds to the error of one unit
    double power = 0;
    bool broken = false;
    for (std::int64_t at = 0; at < plan[i].count; ++at) {
      const SegmentNorms& part = unit[static_cast<std::size_t>(first[i] + at)];
      broken = broken || std::isnan(part.absolute);
      squares.add(part.squares);
      absolute.add(part.absolute);
      n.largest = std::max(n.largest, part.largest);
      if (flat || plan[i].units_a_row == 1) {
        groups.add(part.groups);
      } else {
        power += part.groups;
        if ((at + 1) % plan[i].units_a_row == 0) {
          groups.add(std::pow(power, q / p));
          power = 0;
        }
      }
    }
    n.squares = squares.value();
    n.absolute = absolute.value();
    n.groups = groups.value();
    if (std::isinf(n.largest))
      n.squares = n.absolute = n.groups = n.largest;  // compensation makes NaN of infinity
    if (broken) {
      const double nan = std::numeric_limits<double>::quiet_NaN();
      n = {nan, nan, nan, nan};
    }
    out[s] = n;
  }
}

}  // namespace gapbench::kernels
