// CPU version. Blocks of samples are turned so that neighbouring lanes hold neighbouring samples, whatever the number of
// classes; blocks run in parallel and are added in order.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "measures/kernels/logit_statistics.h"
#include "measures/numerics/clones.h"
#include "measures/numerics/instruction_set.h"
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

// Copies the values in [low, high] to `out`, which has room for `room` and eight more; `below` becomes the number of smaller
// ones. Returns how many it copied, or -1 where they are more than `room`.
std::int64_t copy_between(const double* values, std::int64_t n, double low, double high, double* out,
                          std::int64_t room, std::int64_t& below) {
  std::int64_t count = 0, smaller = 0;
  for (std::int64_t i = 0; i < n && count <= room; ++i) {
    out[count] = values[i];
    count += values[i] >= low && values[i] <= high;
    smaller += values[i] < low;
  }
  below = smaller;
  return count <= room ? count : -1;
}

#if defined(__x86_64__)
__attribute__((target("avx512f,avx512vl"))) std::int64_t copy_between_avx512(const double* values,
                                                                             std::int64_t n, double low,
                                                                             double high, double* out,
                                                                             std::int64_t room,
                                                                             std::int64_t& below) {
  const __m512d lows = _mm512_set1_pd(low), highs = _mm512_set1_pd(high);
  std::int64_t count = 0, smaller = 0, i = 0;
  for (; i + 8 <= n && count <= room; i += 8) {
    const __m512d x = _mm512_loadu_pd(values + i);
    const __mmask8 is_smaller = _mm512_cmp_pd_mask(x, lows, _CMP_LT_OQ);
    const __mmask8 between = static_cast<__mmask8>(_mm512_cmp_pd_mask(x, highs, _CMP_LE_OQ) & ~is_smaller);
    _mm512_storeu_pd(out + count, _mm512_maskz_compress_pd(between, x));
    count += std::popcount(between);
    smaller += std::popcount(is_smaller);
  }
  if (count > room) return -1;
  std::int64_t below_rest = 0;
  const std::int64_t rest = copy_between(values + i, n - i, low, high, out + count, room - count, below_rest);
  below = smaller + below_rest;
  return rest < 0 ? -1 : count + rest;
}
#endif

// Two order statistics of a sample enclose the one wanted (Floyd and Rivest 1975): one pass copies what lies between them. The
// sample is every so many-th value; where it misleads, nth_element decides.
double selected(double* values, std::int64_t n, std::int64_t k) {
  if (n >= 512) {
    const auto size = static_cast<std::int64_t>(std::pow(static_cast<double>(n), 2.0 / 3));
    const double share = static_cast<double>(k) / static_cast<double>(n),
                 place = share * static_cast<double>(size), spread = 3 * std::sqrt(place * (1 - share)) + 1;
    const auto first = static_cast<std::int64_t>(std::floor(place - spread)),
               last = static_cast<std::int64_t>(std::ceil(place + spread));
    const std::int64_t room = n / 2;
    const auto memory = std::make_unique_for_overwrite<double[]>(static_cast<std::size_t>(room + 16));
    for (std::int64_t i = 0; i < size; ++i) memory[static_cast<std::size_t>(i)] = values[i * n / size];
    const double low =
        first < 1 ? -std::numeric_limits<double>::infinity() : selected(memory.get(), size, first);
    const double high =
        last > size ? std::numeric_limits<double>::infinity() : selected(memory.get(), size, last);
    std::int64_t below = 0;
#if defined(__x86_64__)
    const auto copy = instruction_set() == InstructionSet::avx512 ? copy_between_avx512 : copy_between;
#else
    const auto copy = copy_between;
#endif
    const std::int64_t between = copy(values, n, low, high, memory.get(), room, below);
    if (between > 0 && below < k && k <= below + between)
      return low == high ? low : selected(memory.get(), between, k - below);
  }
  std::nth_element(values, values + (k - 1), values + n);
  return values[k - 1];
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
  return selected(values, n, k);
}

}  // namespace gapbench::kernels
