// CPU version. Blocks of samples are turned so that neighbouring lanes hold neighbouring samples, whatever the number of
// classes; blocks run in parallel and are added in order.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "measures/kernels/logit_statistics.h"
#include "measures/numerics/clones.h"
#include "measures/numerics/parallel_for.h"
#include "measures/numerics/sum.h"

namespace gapbench::kernels {

namespace {

constexpr int lanes = 64;             // samples side by side
constexpr std::int64_t block = 4096;  // samples a task

// exp(x) for -700 <= x <= 0 to 2 units in the last place: x = n ln 2 + r, |r| <= ln(2) / 2, and the series of exp(r).
inline __attribute__((always_inline)) double exponential(double x) {
  constexpr double shift = 0x1.8p52, ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33;
  const double shifted = x * 0x1.71547652b82fep0 + shift, n = shifted - shift;
  const double r = (x - n * ln2_high) - n * ln2_low;
  double e = 1.0 / 6227020800.0;
  e = e * r + 1.0 / 479001600.0;
  e = e * r + 1.0 / 39916800.0;
  e = e * r + 1.0 / 3628800.0;
  e = e * r + 1.0 / 362880.0;
  e = e * r + 1.0 / 40320.0;
  e = e * r + 1.0 / 5040.0;
  e = e * r + 1.0 / 720.0;
  e = e * r + 1.0 / 120.0;
  e = e * r + 1.0 / 24.0;
  e = e * r + 1.0 / 6.0;
  e = e * r + 0.5;
  e = e * r + 1.0;
  e = e * r + 1.0;
  return std::bit_cast<double>(std::bit_cast<std::uint64_t>(e) +
                               (std::bit_cast<std::uint64_t>(shifted) << 52));
}

// `turned` holds [classes][lanes]; per lane: largest logit, largest but for the label's, sum of exp(z - largest), and
// a number that is 0 where all are finite, else NaN.
GAPBENCH_CLONES void reduce(const float* turned, const double* own_label, std::int64_t classes,
                            double* largest, double* rival, double* sum, double* finite) {
  for (int l = 0; l < lanes; ++l) {
    largest[l] = rival[l] = -std::numeric_limits<double>::infinity();
    sum[l] = finite[l] = 0;
  }
  for (std::int64_t k = 0; k < classes; ++k) {
    const float* const z = turned + k * lanes;
    const auto number = static_cast<double>(k);
    for (int l = 0; l < lanes; ++l) {
      const double x = static_cast<double>(z[l]);
      finite[l] += x - x;
      largest[l] = x > largest[l] ? x : largest[l];
      const double other = own_label[l] == number ? -std::numeric_limits<double>::infinity() : x;
      rival[l] = other > rival[l] ? other : rival[l];
    }
  }
  for (std::int64_t k = 0; k < classes; ++k) {
    const float* const z = turned + k * lanes;
    for (int l = 0; l < lanes; ++l) {
      const double x = static_cast<double>(z[l]) - largest[l];
      const double e = exponential(x > -700 ? x : -700.0);
      sum[l] += x > -700 ? e : 0.0;
    }
  }
}

}  // namespace

void logit_statistics(const float* logits, const std::int64_t* labels, std::int64_t samples,
                      std::int64_t classes, double* margins, LogitStatistics* out, int threads) {
  const std::int64_t blocks = (samples + block - 1) / block;
  std::vector<LogitStatistics> part(static_cast<std::size_t>(blocks));
  std::vector<std::vector<float>> memory(static_cast<std::size_t>(std::max(threads, 1)));
  parallel_for(blocks, threads, [&](std::int64_t b, int thread) {
    std::vector<float>& turned = memory[static_cast<std::size_t>(thread)];
    turned.resize(static_cast<std::size_t>(classes * lanes));
    LogitStatistics& total = part[static_cast<std::size_t>(b)];
    CompensatedSum cross_entropy;
    double own_label[lanes], largest[lanes], rival[lanes], sum[lanes], finite[lanes];
    const std::int64_t end = std::min(samples, (b + 1) * block);
    for (std::int64_t start = b * block; start < end; start += lanes) {
      const int count = static_cast<int>(std::min<std::int64_t>(lanes, end - start));
      for (int l = 0; l < lanes; ++l) {
        const std::int64_t i = start + std::min(l, count - 1);  // lanes without a sample repeat the last one
        own_label[l] = static_cast<double>(labels[i]);
        for (std::int64_t k = 0; k < classes; ++k)
          turned[static_cast<std::size_t>(k * lanes + l)] = logits[i * classes + k];
      }
      reduce(turned.data(), own_label, classes, largest, rival, sum, finite);
      for (int l = 0; l < count; ++l) {
        const double own = static_cast<double>(logits[(start + l) * classes + labels[start + l]]);
        const bool usable = finite[l] == 0;
        const double margin = usable ? own - rival[l] : std::numeric_limits<double>::quiet_NaN();
        if (margins != nullptr) margins[start + l] = margin;
        total.not_finite += !usable;
        total.correct += margin > 0;
        if (usable) cross_entropy.add(std::log(sum[l]) + (largest[l] - own));
      }
    }
    total.cross_entropy = cross_entropy.value();
  });
  CompensatedSum cross_entropy;
  *out = {};
  for (const LogitStatistics& p : part) {
    cross_entropy.add(p.cross_entropy);
    out->correct += p.correct;
    out->not_finite += p.not_finite;
  }
  out->cross_entropy = cross_entropy.value();
}

double kth_smallest(double* values, std::int64_t n, std::int64_t k) {
  std::nth_element(values, values + (k - 1), values + n);
  return values[k - 1];
}

}  // namespace gapbench::kernels
