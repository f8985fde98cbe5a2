// CPU version: Philox blocks side by side in vector registers, logarithm, sine and cosine by series in float64. A value depends on its number
// in the stream alone: blocks of the stream are always computed whole.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "measures/kernels/perturbation.h"
#include "measures/numerics/clones.h"
#include "measures/numerics/parallel_for.h"

namespace gapbench::kernels {

namespace {

constexpr int lanes = 8, vectors = 2;  // Philox blocks side by side, in registers
constexpr int blocks = lanes * vectors;
constexpr std::int64_t task = 512 * blocks;  // values
using Doubles = double __attribute__((vector_size(lanes * 8)));
using Words = std::uint64_t __attribute__((vector_size(lanes * 8)));

#define GAPBENCH_INLINE inline __attribute__((always_inline))

// ln(v) for 0 < v <= 1, normal: v = 2^e m, sqrt(1/2) < m <= sqrt(2), ln m = 2 artanh((m - 1) / (m + 1)).
// In place: vectors as values would depend on the instruction set in their calling convention.
GAPBENCH_INLINE void logarithm(Doubles& v) {
  const auto bits = reinterpret_cast<Words>(v);
  // subtracting the bits of sqrt(1/2) makes the exponent step where m should
  const Words exponent = (bits - 0x3FE6A09E667F3BCDull) & 0xFFF0000000000000ull;
  const auto m = reinterpret_cast<Doubles>(bits - exponent);
  // exponent is e 2^52, e in (-54, 1]: shifted down and made positive, through the mantissa of 2^52
  const Doubles e = reinterpret_cast<Doubles>(((exponent + (1024ull << 52)) >> 52) | 0x4330000000000000ull) -
                    (0x1p52 + 1024);
  const Doubles f = (m - 1.0) / (m + 1.0), g = f * f;
  Doubles p = g * (2.0 / 21) + 2.0 / 19;
  p = p * g + 2.0 / 17;
  p = p * g + 2.0 / 15;
  p = p * g + 2.0 / 13;
  p = p * g + 2.0 / 11;
  p = p * g + 2.0 / 9;
  p = p * g + 2.0 / 7;
  p = p * g + 2.0 / 5;
  p = p * g + 2.0 / 3;
  v = e * 0x1.62e42fefa39efp-1 + (p * g * f + 2.0 * f);
}

// A 53-bit integer as a double: its halves are exact.
GAPBENCH_INLINE void number(const Words& m, Doubles& out) {
  const Doubles high = reinterpret_cast<Doubles>(m >> 27 | 0x4330000000000000ull) - 0x1p52;
  const Doubles low = reinterpret_cast<Doubles>((m & 0x7FFFFFFull) | 0x4330000000000000ull) - 0x1p52;
  out = high * 0x1p27 + low;
}

// The 2 blocks normals of the Philox blocks [counter, counter + blocks).
GAPBENCH_CLONES void normals(std::uint64_t key, std::uint64_t stream, std::uint64_t counter, double* out) {
  Words c0[vectors], c1[vectors], c2[vectors], c3[vectors];
  constexpr std::uint64_t low_word = 0xFFFFFFFFu;
  for (int v = 0; v < vectors; ++v) {
    const Words n = counter + static_cast<std::uint64_t>(v * lanes) + Words{0, 1, 2, 3, 4, 5, 6, 7};
    c0[v] = n & low_word;
    c1[v] = n >> 32;
    c2[v] = Words{} + (stream & low_word);
    c3[v] = Words{} + (stream >> 32);
  }
  std::uint64_t k0 = key & low_word, k1 = key >> 32;
  for (int round = 0; round < 10; ++round) {
    for (int v = 0; v < vectors; ++v) {
      const Words p0 = c0[v] * 0xD2511F53ull, p1 = c2[v] * 0xCD9E8D57ull;
      c0[v] = (p1 >> 32) ^ c1[v] ^ k0;
      c1[v] = p1 & low_word;
      c2[v] = (p0 >> 32) ^ c3[v] ^ k1;
      c3[v] = p0 & low_word;
    }
    k0 = (k0 + 0x9E3779B9u) & low_word;
    k1 = (k1 + 0xBB67AE85u) & low_word;
  }
  for (int v = 0; v < vectors; ++v) {
    const Words m0 = (c0[v] >> 5) << 26 | c1[v] >> 6, m1 = (c2[v] >> 5) << 26 | c3[v] >> 6;
    Doubles radius, quarters;
    number(m0, radius);
    radius = 1.0 - radius * 0x1p-53;  // exact
    logarithm(radius);
    radius *= -2.0;
    double roots[lanes];
    std::memcpy(roots, &radius, sizeof roots);
    for (double& r : roots) r = std::sqrt(r);
    std::memcpy(&radius, roots, sizeof roots);
    number(m1, quarters);
    quarters *= 0x1p-51;
    const Doubles shifted = quarters + 0x1.8p52, whole = shifted - 0x1.8p52;
    const Doubles x = (quarters - whole) * 0x1.921fb54442d18p0, y = x * x;  // |x| <= pi / 4
    Doubles s = y * (-1.0 / 1307674368000.0) + 1.0 / 6227020800.0;
    s = s * y - 1.0 / 39916800.0;
    s = s * y + 1.0 / 362880.0;
    s = s * y - 1.0 / 5040.0;
    s = s * y + 1.0 / 120.0;
    s = s * y - 1.0 / 6.0;
    s = s * y * x + x;
    Doubles t = y * (1.0 / 20922789888000.0) - 1.0 / 87178291200.0;
    t = t * y + 1.0 / 479001600.0;
    t = t * y - 1.0 / 3628800.0;
    t = t * y + 1.0 / 40320.0;
    t = t * y - 1.0 / 720.0;
    t = t * y + 1.0 / 24.0;
    t = t * y - 0.5;
    t = t * y + 1.0;
    const auto quadrant = reinterpret_cast<Words>(shifted);
    const auto odd = (quadrant & 1) != 0;
    const Doubles cosine = odd ? s : t, sine = odd ? t : s;
    // cosine changes sign in quadrants 1 and 2, sine in 2 and 3
    const Words cosine_sign = ((quadrant + 1) & 2) << 62, sine_sign = (quadrant & 2) << 62;
    const Doubles a = radius * reinterpret_cast<Doubles>(reinterpret_cast<Words>(cosine) ^ cosine_sign),
                  b = radius * reinterpret_cast<Doubles>(reinterpret_cast<Words>(sine) ^ sine_sign);
    const Doubles first = __builtin_shuffle(a, b, Words{0, 8, 1, 9, 2, 10, 3, 11}),
                  second = __builtin_shuffle(a, b, Words{4, 12, 5, 13, 6, 14, 7, 15});
    std::memcpy(out + 2 * lanes * v, &first, sizeof first);
    std::memcpy(out + 2 * lanes * v + lanes, &second, sizeof second);
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
    alignas(64) double e[2 * blocks];
    for (std::int64_t i = index * task; i < std::min(n, (index + 1) * task);) {
      const std::uint64_t number = from.first + static_cast<std::uint64_t>(i);
      normals(from.key, from.stream, number / 2, e);
      const auto skip = static_cast<std::int64_t>(number % 2);
      const std::int64_t count = std::min({2 * blocks - skip, n - i, (index + 1) * task - i});
      add(w + i, s != nullptr ? s + i : nullptr, count, sigma, e + skip, out + i);
      i += count;
    }
  });
}

}  // namespace gapbench::kernels
