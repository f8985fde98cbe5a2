// CUDA version: see perturbation.h for the contract. A thread makes one Philox block, hence two neighbouring values.
#include <cuda_runtime.h>

#include "measures/kernels/cuda_launch.h"
#include "measures/kernels/perturbation.h"

namespace gapbench {
namespace kernels {
namespace {

constexpr int threads = 256;

__device__ uint4 philox(unsigned long long counter, unsigned long long stream, unsigned long long key) {
  uint4 c = make_uint4(static_cast<unsigned>(counter), static_cast<unsigned>(counter >> 32),
                       static_cast<unsigned>(stream), static_cast<unsigned>(stream >> 32));
  unsigned k0 = static_cast<unsigned>(key), k1 = static_cast<unsigned>(key >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const unsigned long long p0 = 0xD2511F53ull * c.x, p1 = 0xCD9E8D57ull * c.z;
    c = make_uint4(static_cast<unsigned>(p1 >> 32) ^ c.y ^ k0, static_cast<unsigned>(p1),
                   static_cast<unsigned>(p0 >> 32) ^ c.w ^ k1, static_cast<unsigned>(p0));
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

// ln(k 2^-53), 1 <= k <= 2^53, to 2 units in the last place: k 2^-53 = (1 + r) 2^-e with |r| <= 1/3, r rounded once, hence exact
// enough near 1 as well. One polynomial where logf and log1pf would both run in nearly every warp.
__device__ float log_of(unsigned long long k) {
  int e = __clzll(static_cast<long long>(k)) - 10;
  const unsigned long long f = k << e;  // in [2^53, 2^54)
  const bool high = static_cast<unsigned>(f >> 22) > 0xAAAAAAAAu;
  const auto d = static_cast<long long>(f - (high ? 1ull << 54 : 1ull << 53));
  e -= high;
  const float r = static_cast<float>(d) * (high ? 0x1p-54f : 0x1p-53f);
  float q = 0.134337768f;  // (ln(1 + r) - r + r^2 / 2) / r^3, interpolated at Chebyshev points
  q = fmaf(q, r, -0.147041544f);
  q = fmaf(q, r, 0.141169772f);
  q = fmaf(q, r, -0.165391251f);
  q = fmaf(q, r, 0.200038359f);
  q = fmaf(q, r, -0.25001809f);
  q = fmaf(q, r, 0.333333194f);
  q = fmaf(q, r, -0.5f);
  return fmaf(static_cast<float>(-e), 0.693147181f, fmaf(r * r, q, r));
}

// The normals 2 counter and 2 counter + 1 of the stream.
__device__ float2 normals(unsigned long long counter, unsigned long long stream, unsigned long long key) {
  const uint4 c = philox(counter, stream, key);
  const unsigned long long m0 = static_cast<unsigned long long>(c.x >> 5) << 26 | c.y >> 6;
  const unsigned long long m1 = static_cast<unsigned long long>(c.z >> 5) << 26 | c.w >> 6;
  const float radius = sqrtf(-2 * log_of((1ull << 53) - m0));
  // the angle is octants pi / 4 and x pi / 4, x from 0 to 1, backwards in every other octant
  const unsigned octant = static_cast<unsigned>(m1 >> 50);
  const unsigned bits = static_cast<unsigned>(m1 >> 19) & 0x7FFFFFFFu;
  const bool odd = octant & 1;
  const float x = static_cast<float>(odd ? 0x80000000u - bits : bits) * 0x1p-31f, z = x * x;
  float s = fmaf(-3.59543992e-05f, z, 0.00249000685f);  // sin(x pi / 4) / x
  s = fmaf(s, z, -0.0807454363f);
  s = fmaf(s, z, 0.785398185f) * x;
  float t = fmaf(3.54197118e-06f, z, -0.000325961417f);  // (cos(x pi / 4) - 1) / z
  t = fmaf(t, z, 0.0158543382f);
  t = fmaf(t, z, -0.308425128f);
  t = fmaf(t, z, 1.0f);
  const float sine_here = odd ? t : s, cosine_here = odd ? s : t;
  const bool turned = octant & 2;
  const float cosine = turned ? -sine_here : cosine_here, sine = turned ? cosine_here : sine_here;
  const float signed_radius = octant & 4 ? -radius : radius;
  return make_float2(signed_radius * cosine, signed_radius * sine);
}

template <bool Scaled, bool Pairs>
__global__ void __launch_bounds__(threads) perturb(const float* w, const float* scale, std::int64_t n,
                                                   float sigma, PerturbationStream from, float* out) {
  const std::int64_t pair = static_cast<std::int64_t>(blockIdx.x) * threads + threadIdx.x;
  const std::int64_t i = 2 * pair - static_cast<std::int64_t>(from.first & 1);
  if (i >= n) return;
  const float2 e = normals(from.first / 2 + static_cast<std::uint64_t>(pair), from.stream, from.key);
  if (Pairs && i + 1 < n) {
    const float2 x = *reinterpret_cast<const float2*>(w + i);
    const float2 s = Scaled ? *reinterpret_cast<const float2*>(scale + i) : make_float2(1, 1);
    *reinterpret_cast<float2*>(out + i) =
        make_float2(fmaf(sigma * s.x, e.x, x.x), fmaf(sigma * s.y, e.y, x.y));
    return;
  }
  if (i >= 0) out[i] = fmaf(Scaled ? sigma * scale[i] : sigma, e.x, w[i]);
  if (i + 1 < n) out[i + 1] = fmaf(Scaled ? sigma * scale[i + 1] : sigma, e.y, w[i + 1]);
}

bool even(const void* p) {
  return reinterpret_cast<std::uintptr_t>(p) % sizeof(float2) == 0;
}

}  // namespace

int perturb_cuda(const float* w, const float* s, std::int64_t n, double sigma, const PerturbationStream& from,
                 float* out, void* stream) {
  if (n == 0) return cudaSuccess;
  const std::int64_t pairs = (n + static_cast<std::int64_t>(from.first & 1) + 1) / 2;
  const LaunchShape shape{static_cast<unsigned>((pairs + threads - 1) / threads), threads,
                          static_cast<cudaStream_t>(stream)};
  const auto width = static_cast<float>(sigma);
  const bool aligned = from.first % 2 == 0 && even(w) && even(out) && (s == nullptr || even(s));
  if (s != nullptr && aligned) launch(shape, perturb<true, true>, w, s, n, width, from, out);
  if (s != nullptr && !aligned) launch(shape, perturb<true, false>, w, s, n, width, from, out);
  if (s == nullptr && aligned) launch(shape, perturb<false, true>, w, s, n, width, from, out);
  if (s == nullptr && !aligned) launch(shape, perturb<false, false>, w, s, n, width, from, out);
  return cudaGetLastError();
}

}  // namespace kernels
}  // namespace gapbench
