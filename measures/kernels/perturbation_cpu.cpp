// CPU version: 64 Philox blocks side by side, logarithm, sine and cosine by series in float64. A value depends on its number
// in the stream alone: blocks of the stream are always computed whole.
#include <algorithm>
#include <bit>
#include <cmath>

#include "measures/kernels/perturbation.h"
#include "measures/numerics/clones.h"
#include "measures/numerics/parallel_for.h"

namespace gapbench::kernels {

namespace {

constexpr int lanes = 64;                   // Philox blocks side by side
constexpr std::int64_t task = 128 * lanes;  // values

// ln(v) for 0 < v <= 1, normal: v = 2^e m, sqrt(1/2) < m <= sqrt(2), ln m = 2 artanh((m - 1) / (m + 1)).
inline __attribute__((always_inline)) double logarithm(double v) {
  const auto bits = std::bit_cast<std::uint64_t>(v);
  // subtracting the bits of sqrt(1/2) makes the exponent step where m should
  const std::uint64_t moved = bits - 0x3FE6A09E667F3BCDull;
  const std::uint64_t exponent = moved & 0xFFF0000000000000ull;
  const double m = std::bit_cast<double>(bits - exponent);
  // exponent is e 2^52, e in (-54, 1]: through the mantissa of 3 2^51 + e
  const double e = std::bit_cast<double>(0x4338000000000000ull +
                                         ((exponent >> 52) | (exponent >> 63 ? 0xFFFFFFFFFFFFF000ull : 0))) -
                   0x1.8p52;
  const double f = (m - 1) / (m + 1), g = f * f;
  double p = 2.0 / 21;
  p = p * g + 2.0 / 19;
  p = p * g + 2.0 / 17;
  p = p * g + 2.0 / 15;
  p = p * g + 2.0 / 13;
  p = p * g + 2.0 / 11;
  p = p * g + 2.0 / 9;
  p = p * g + 2.0 / 7;
  p = p * g + 2.0 / 5;
  p = p * g + 2.0 / 3;
  return e * 0x1.62e42fefa39efp-1 + (p * g * f + 2 * f);
}

// The 2 lanes normals of the blocks [counter, counter + lanes).
GAPBENCH_CLONES void normals(std::uint64_t key, std::uint64_t stream, std::uint64_t counter, double* out) {
  std::uint64_t c[4][lanes];
  for (int l = 0; l < lanes; ++l) {
    const std::uint64_t n = counter + static_cast<std::uint64_t>(l);
    c[0][l] = n & 0xFFFFFFFFu;
    c[1][l] = n >> 32;
    c[2][l] = stream & 0xFFFFFFFFu;
    c[3][l] = stream >> 32;
  }
  std::uint64_t k0 = key & 0xFFFFFFFFu, k1 = key >> 32;
  for (int round = 0; round < 10; ++round) {
    for (int l = 0; l < lanes; ++l) {
      const std::uint64_t p0 = 0xD2511F53u * c[0][l], p1 = 0xCD9E8D57u * c[2][l];
      c[0][l] = (p1 >> 32) ^ c[1][l] ^ k0;
      c[1][l] = p1 & 0xFFFFFFFFu;
      c[2][l] = (p0 >> 32) ^ c[3][l] ^ k1;
      c[3][l] = p0 & 0xFFFFFFFFu;
    }
    k0 = (k0 + 0x9E3779B9u) & 0xFFFFFFFFu;
    k1 = (k1 + 0xBB67AE85u) & 0xFFFFFFFFu;
  }
  for (int l = 0; l < lanes; ++l) {
    const std::uint64_t m0 = (c[0][l] >> 5) << 26 | c[1][l] >> 6, m1 = (c[2][l] >> 5) << 26 | c[3][l] >> 6;
    // a 53-bit integer as a double: its halves are exact
    const auto number = [](std::uint64_t m) {
      const double high = std::bit_cast<double>(0x4330000000000000ull | m >> 27) - 0x1p52;
      const double low = std::bit_cast<double>(0x4330000000000000ull | (m & 0x7FFFFFFu)) - 0x1p52;
      return high * 0x1p27 + low;
    };
    const double v = 1 - number(m0) * 0x1p-53;  // exact
    const double radius = std::sqrt(-2 * logarithm(v));
    const double quarters = number(m1) * 0x1p-51, shifted = quarters + 0x1.8p52, whole = shifted - 0x1.8p52;
    const double x = (quarters - whole) * 0x1.921fb54442d18p0, y = x * x;  // |x| <= pi / 4
    double s = -1.0 / 1307674368000.0, t = 1.0 / 20922789888000.0;
    s = s * y + 1.0 / 6227020800.0;
    s = s * y - 1.0 / 39916800.0;
    s = s * y + 1.0 / 362880.0;
    s = s * y - 1.0 / 5040.0;
    s = s * y + 1.0 / 120.0;
    s = s * y - 1.0 / 6.0;
    s = s * y * x + x;
    t = t * y - 1.0 / 87178291200.0;
    t = t * y + 1.0 / 479001600.0;
    t = t * y - 1.0 / 3628800.0;
    t = t * y + 1.0 / 40320.0;
    t = t * y - 1.0 / 720.0;
    t = t * y + 1.0 / 24.0;
    t = t * y - 0.5;
    t = t * y + 1;
    const auto quadrant = std::bit_cast<std::uint64_t>(shifted) & 3;
    const double cosine = quadrant & 1 ? s : t, sine = quadrant & 1 ? t : s;
    // cosine changes sign in quadrants 1 and 2, sine in 2 and 3
    const std::uint64_t cosine_sign = ((quadrant + 1) & 2) << 62, sine_sign = (quadrant & 2) << 62;
    out[2 * l] = radius * std::bit_cast<double>(std::bit_cast<std::uint64_t>(cosine) ^ cosine_sign);
    out[2 * l + 1] = radius * std::bit_cast<double>(std::bit_cast<std::uint64_t>(sine) ^ sine_sign);
  }
}

GAPBENCH_CLONES void add(const float* w, const float* s, std::int64_t n, double sigma, const double* e,
                         float* out) {
  if (s == nullptr)
    for (std::int64_t i = 0; i < n; ++i)
      out[i] = static_cast<float>(static_cast<double>(w[i]) + sigma * e[i]);
  else
    for (std::int64_t i = 0; i < n; ++i)
      out[i] = static_cast<float>(static_cast<double>(w[i]) + sigma * static_cast<double>(s[i]) * e[i]);
}

}  // namespace

void perturb(const float* w, const float* s, std::int64_t n, double sigma, const PerturbationStream& from,
             float* out, int threads) {
  parallel_for((n + task - 1) / task, threads, [&](std::int64_t index, int) {
    double e[2 * lanes];
    for (std::int64_t i = index * task; i < std::min(n, (index + 1) * task);) {
      const std::uint64_t number = from.first + static_cast<std::uint64_t>(i);
      normals(from.key, from.stream, number / 2, e);
      const auto skip = static_cast<std::int64_t>(number % 2);
      const std::int64_t count = std::min({2 * lanes - skip, n - i, (index + 1) * task - i});
      add(w + i, s != nullptr ? s + i : nullptr, count, sigma, e + skip, out + i);
      i += count;
    }
  });
}

}  // namespace gapbench::kernels
