// CUDA version: see perturbation.h for the contract.
#include <cuda_runtime.h>

#include "measures/kernels/cuda_launch.h"
#include "measures/kernels/perturbation.h"

namespace gapbench {
namespace kernels {
namespace {

constexpr int threads = 256;

// What is the same for all values: the keys of the ten rounds, made once on the host.
struct Rounds {
  unsigned key[20];
};

__device__ uint4 philox(unsigned long long counter, unsigned long long stream, const Rounds& rounds) {
  uint4 c = make_uint4(static_cast<unsigned>(counter), static_cast<unsigned>(counter >> 32),
                       static_cast<unsigned>(stream), static_cast<unsigned>(stream >> 32));
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const unsigned long long p0 = 0xD2511F53ull * c.x, p1 = 0xCD9E8D57ull * c.z;
    c = make_uint4(static_cast<unsigned>(p1 >> 32) ^ c.y ^ rounds.key[2 * round], static_cast<unsigned>(p1),
                   static_cast<unsigned>(p0 >> 32) ^ c.w ^ rounds.key[2 * round + 1],
                   static_cast<unsigned>(p0));
  }
  return c;
}

// sqrt(-2 ln(1 - m 2^-53)), m the upper 27 bits of `high` and the upper 26 of `low`. From m or from 2^53 - m, whichever is
// needed to full relative precision, and without 64-bit arithmetic: a series below 1 / 32, the hardware's logarithm above,
// whose error of 2^-22 near 1 the square root of at least 1 / 4 does not magnify beyond 1e-6.
__device__ float radius_of(unsigned high, unsigned low) {
  const bool near = high < 1u << 27;
  const unsigned flip = near ? 0u : ~0u;
  const float f = fmaf(static_cast<float>((high ^ flip) >> 5), 0x1p-27f,
                       static_cast<float>(((low ^ flip) >> 6) - flip) * 0x1p-53f);
  float series = fmaf(f, 0.5f, 0.666666667f);
  series = fmaf(series, f, 1.0f);
  series = fmaf(series, f, 2.0f) * f;
  const float square = fmaxf(near ? series : -1.38629436f * __log2f(f), 1e-30f);  // no 0 * infinity below
  const float inverse = rsqrtf(square), radius = square * inverse;
  return fmaf(fmaf(-radius, radius, square), 0.5f * inverse, radius);
}

// The normals 2 counter and 2 counter + 1 of the stream.
__device__ float2 normals(unsigned long long counter, unsigned long long stream, const Rounds& rounds) {
  const uint4 c = philox(counter, stream, rounds);
  const float radius = radius_of(c.x, c.y);
  // the angle is octants pi / 4 and x pi / 4, x from 0 to 1 by the next 31 bits, backwards in every other octant
  const unsigned octant = c.z >> 29;
  const unsigned backwards = octant & 1 ? 0x7FFFFFFFu : 0u;
  const unsigned bits = ((c.z << 2 & 0x7FFFFF80u) | c.w >> 25) ^ backwards;
  const float x = static_cast<float>(bits) * 0x1p-31f, z = x * x;
  float s = fmaf(-3.59543992e-05f, z, 0.00249000685f);  // sin(x pi / 4) / x
  s = fmaf(s, z, -0.0807454363f);
  s = fmaf(s, z, 0.785398185f) * x;
  float t = fmaf(3.54197118e-06f, z, -0.000325961417f);  // (cos(x pi / 4) - 1) / z
  t = fmaf(t, z, 0.0158543382f);
  t = fmaf(t, z, -0.308425128f);
  t = fmaf(t, z, 1.0f);
  const bool swapped = (octant ^ octant >> 1) & 1;
  const unsigned sine_sign = c.z & 0x80000000u, cosine_sign = (c.z ^ c.z << 1) & 0x80000000u;
  return make_float2(__uint_as_float(__float_as_uint(radius) ^ cosine_sign) * (swapped ? s : t),
                     __uint_as_float(__float_as_uint(radius) ^ sine_sign) * (swapped ? t : s));
}

// A thread makes four values from two Philox blocks.
template <bool Scaled>
__global__ void __launch_bounds__(threads)
    perturb_fours(const float4* w, const float4* scale, std::int64_t fours, float sigma,
                  unsigned long long counter, unsigned long long stream,
                  const __grid_constant__ Rounds rounds, float4* out) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (i >= fours) return;
  const float4 x = w[i], s = Scaled ? scale[i] : make_float4(1, 1, 1, 1);
  const unsigned long long at = counter + 2 * static_cast<unsigned long long>(i);
  const float2 e = normals(at, stream, rounds), f = normals(at + 1, stream, rounds);
  out[i] = make_float4(fmaf(sigma * s.x, e.x, x.x), fmaf(sigma * s.y, e.y, x.y), fmaf(sigma * s.z, f.x, x.z),
                       fmaf(sigma * s.w, f.y, x.w));
}

// At any address, from any number of the stream: a thread makes one Philox block, hence two neighbouring values.
__global__ void __launch_bounds__(threads)
    perturb_pairs(const float* w, const float* scale, std::int64_t n, float sigma, PerturbationStream from,
                  const __grid_constant__ Rounds rounds, float* out) {
  const std::int64_t pair = static_cast<std::int64_t>(blockIdx.x) * threads + threadIdx.x;
  const std::int64_t i = 2 * pair - static_cast<std::int64_t>(from.first & 1);
  if (i >= n) return;
  const float2 e = normals(from.first / 2 + static_cast<std::uint64_t>(pair), from.stream, rounds);
  if (i >= 0) out[i] = fmaf(scale != nullptr ? sigma * scale[i] : sigma, e.x, w[i]);
  if (i + 1 < n) out[i + 1] = fmaf(scale != nullptr ? sigma * scale[i + 1] : sigma, e.y, w[i + 1]);
}

const float4* as_fours(const float* p) {
  return reinterpret_cast<const float4*>(p);
}
bool whole_fours(const void* p) {
  return reinterpret_cast<std::uintptr_t>(p) % sizeof(float4) == 0;
}

}  // namespace

int perturb_cuda(const float* w, const float* s, std::int64_t n, double sigma, const PerturbationStream& from,
                 float* out, void* stream) {
  const auto to = static_cast<cudaStream_t>(stream);
  const auto width = static_cast<float>(sigma);
  Rounds rounds;
  unsigned k0 = static_cast<unsigned>(from.key), k1 = static_cast<unsigned>(from.key >> 32);
  for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)
    rounds.key[2 * round] = k0, rounds.key[2 * round + 1] = k1;
  const auto blocks = [](std::int64_t count) {
    return static_cast<unsigned>((count + threads - 1) / threads);
  };
  const bool fours_fit = from.first % 2 == 0 && whole_fours(w) && whole_fours(out) && whole_fours(s);
  const std::int64_t fours = fours_fit ? n / 4 : 0, done = 4 * fours;
  if (fours > 0)
    launch({blocks(fours), threads, to}, s != nullptr ? perturb_fours<true> : perturb_fours<false>,
           as_fours(w), as_fours(s), fours, width, from.first / 2, from.stream, rounds,
           reinterpret_cast<float4*>(out));
  if (done < n) {
    const PerturbationStream rest{from.key, from.stream, from.first + static_cast<std::uint64_t>(done)};
    const std::int64_t pairs = (n - done + static_cast<std::int64_t>(rest.first & 1) + 1) / 2;
    launch({blocks(pairs), threads, to}, perturb_pairs, w + done, s != nullptr ? s + done : nullptr, n - done,
           width, rest, rounds, out + done);
  }
  return cudaGetLastError();
}

}  // namespace kernels
}  // namespace gapbench
