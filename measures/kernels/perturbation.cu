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

// The normals 2 counter and 2 counter + 1 of the stream.
__device__ float2 normals(unsigned long long counter, unsigned long long stream, unsigned long long key) {
  const uint4 c = philox(counter, stream, key);
  const unsigned long long m0 = static_cast<unsigned long long>(c.x >> 5) << 26 | c.y >> 6;
  const unsigned long long m1 = static_cast<unsigned long long>(c.z >> 5) << 26 | c.w >> 6;
  // ln(1 - u) of the float nearest to u below 1/2, of that nearest to 1 - u above: either keeps its relative accuracy
  const float logarithm =
      m0 >> 52 ? logf(__ull2float_rn((1ull << 53) - m0) * 0x1p-53f) : log1pf(__ull2float_rn(m0) * -0x1p-53f);
  const float radius = sqrtf(-2 * logarithm);
  const unsigned quadrant = static_cast<unsigned>(m1 >> 51);  // exact; only the rest of the angle is rounded
  float s, t;
  sincospif(__ull2float_rn(m1 & (1ull << 51) - 1) * 0x1p-52f, &s, &t);
  const float cosine = quadrant & 1 ? -s : t, sine = quadrant & 1 ? t : s;
  const float signed_radius = quadrant & 2 ? -radius : radius;
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
