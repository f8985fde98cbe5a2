// CPU version: units of a segment in parallel, 32 products of mantissas side by side, then the units in order.
#include "measures/kernels/log_sums.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "measures/numerics/clones.h"
#include "measures/numerics/parallel_for.h"
#include "measures/numerics/sum.h"

namespace gapbench::kernels {

namespace {

constexpr int lanes = 8, vectors = 4;  // four independent products hide the latency of a multiplication
using Floats = float __attribute__((vector_size(lanes * 4), aligned(4), may_alias));
using Doubles = double __attribute__((vector_size(lanes * 8)));
using Words = std::int64_t __attribute__((vector_size(lanes * 8)));
constexpr std::int64_t mantissa = 0x000FFFFFFFFFFFFF, one = 0x3FF0000000000000, smallest = 0x0010000000000000,
                       largest = 0x7FEFFFFFFFFFFFFF;  // bits of the normal positive doubles
// a lane multiplies this many mantissas below 2: the product stays below 2^256
static_assert(SegmentUnits::values / (lanes * vectors) == 256);

LogSums one_by_one(const float* a, const float* b, std::int64_t n, double floor, double scale) {
  LogSums sum;
  for (std::int64_t i = 0; i < n; ++i) {
    const double d = static_cast<double>(a[i]) - (b != nullptr ? static_cast<double>(b[i]) : 0.0),
                 y = scale * d * d, x = floor + y;
    sum.logarithms += std::log(x);
    sum.shares += y / x;
  }
  return sum;
}

// Of at most SegmentUnits::values values.
GAPBENCH_CLONES void reduce(const float* a, const float* b, std::int64_t n, double floor, double scale,
                            LogSums* out) {
  Doubles product[vectors], shares[vectors] = {};
  Words exponent[vectors] = {}, odd = {};  // odd: negative once an x was not normal
  for (Doubles& p : product) p = Doubles{} + 1.0;
  const std::int64_t whole = n / (lanes * vectors) * (lanes * vectors);
  for (std::int64_t k = 0; k < whole; k += lanes * vectors)
    for (int v = 0; v < vectors; ++v) {
      Doubles d = __builtin_convertvector(*reinterpret_cast<const Floats*>(a + k + v * lanes), Doubles);
      if (b != nullptr)
        d -= __builtin_convertvector(*reinterpret_cast<const Floats*>(b + k + v * lanes), Doubles);
      const Doubles y = scale * d * d, x = floor + y;
      const auto bits = reinterpret_cast<Words>(x);
      exponent[v] += bits >> 52;
      product[v] *= reinterpret_cast<Doubles>((bits & mantissa) | one);
      shares[v] += y / x;
      odd |= (bits - smallest) | (largest - bits);
    }
  std::int64_t exponents = -1023 * whole, any_odd = 0;
  double logarithms = 0, sum = 0;
  for (int v = 0; v < vectors; ++v)
    for (int l = 0; l < lanes; ++l) {
      exponents += exponent[v][l];
      logarithms += std::log(product[v][l]);
      sum += shares[v][l];
      any_odd |= odd[l];
    }
  if (any_odd < 0) {
    *out = one_by_one(a, b, n, floor, scale);
    return;
  }
  const LogSums rest = one_by_one(a + whole, b != nullptr ? b + whole : nullptr, n - whole, floor, scale);
  out->logarithms = static_cast<double>(exponents) * 0x1.62e42fefa39efp-1 + logarithms + rest.logarithms;
  out->shares = sum + rest.shares;
}

}  // namespace

void log_sums(const Segment* segments, std::int64_t count, double floor, double scale, LogSums* out,
              int threads) {
  std::vector<SegmentUnits> plan;
  std::vector<std::int64_t> first{0};
  for (std::int64_t s = 0; s < count; ++s) {
    plan.emplace_back(segments[s], true);
    first.push_back(first.back() + plan.back().count);
  }
  std::vector<LogSums> unit(static_cast<std::size_t>(first.back()));
  parallel_for(first.back(), threads, [&](std::int64_t index, int) {
    const auto s =
        static_cast<std::size_t>(std::upper_bound(first.begin(), first.end(), index) - first.begin() - 1);
    const Segment& in = segments[s];
    const std::int64_t start = (index - first[s]) * SegmentUnits::values,
                       n = std::min(SegmentUnits::values, plan[s].length - start);
    reduce(in.a + start, in.b != nullptr ? in.b + start : nullptr, n, floor, scale,
           &unit[static_cast<std::size_t>(index)]);
  });
  for (std::int64_t s = 0; s < count; ++s) {
    CompensatedSum logarithms, shares;
    LogSums plain;  // compensation makes NaN of infinity
    for (std::int64_t u = first[static_cast<std::size_t>(s)]; u < first[static_cast<std::size_t>(s + 1)];
         ++u) {
      const LogSums& part = unit[static_cast<std::size_t>(u)];
      logarithms.add(part.logarithms);
      shares.add(part.shares);
      plain.logarithms += part.logarithms;
      plain.shares += part.shares;
    }
    out[s] = {std::isfinite(plain.logarithms) ? logarithms.value() : plain.logarithms,
              std::isfinite(plain.shares) ? shares.value() : plain.shares};
  }
}

}  // namespace gapbench::kernels
