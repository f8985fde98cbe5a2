// CUDA version: see log_sums.h for the contract. One block per unit, then one block per segment that takes its units in a
// fixed order. Segments travel as kernel arguments, up to 64 a launch.
#include <cuda_runtime.h>

#include <cfloat>
#include <cmath>
#include <cstdint>

#include "measures/kernels/cuda_launch.h"
#include "measures/kernels/log_sums.h"

namespace gapbench {
namespace kernels {
namespace {

constexpr int threads = 256, warps = threads / 32, most_segments = 64;
constexpr std::int64_t unit_values =
    32768;  // 128 mantissas below 2 a thread: their product stays below 2^128

struct Launch {
  const float* a[most_segments];
  const float* b[most_segments];
  std::int64_t length[most_segments];
  std::int64_t first[most_segments + 1];  // unit
  int count;
  double floor, scale;
};

__device__ LogSums of_block(LogSums n) {
  __shared__ LogSums part[warps];
  for (int step = 16; step > 0; step /= 2) {
    n.logarithms += __shfl_xor_sync(0xffffffffu, n.logarithms, step);
    n.shares += __shfl_xor_sync(0xffffffffu, n.shares, step);
  }
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = n;
  __syncthreads();
  n = part[0];
  for (int w = 1; w < warps; ++w) {
    n.logarithms += part[w].logarithms;
    n.shares += part[w].shares;
  }
  return n;
}

template <bool WithB>
__device__ LogSums of_unit(const float* a, const float* b, int n, double floor, double scale) {
  double product = 1, shares = 0, odd = 0;  // odd: logarithms of what split() leaves
  int exponent = 0;
  bool usual = true;
  const auto square = [&](float p, float q) {
    const double d = static_cast<double>(p) - static_cast<double>(q);
    return scale * d * d;
  };
  // x as mantissa and exponent, y in units of that power of two; what is left to the end counts as 1 and 0.
  struct Term {
    double mantissa, scaled;
  };
  const auto biased_exponent = [](double x) {  // x is not below 0
    return static_cast<unsigned>(__double_as_longlong(x) >> 52);
  };
  const auto fits = [](unsigned biased) { return biased - 1 < 2045; };  // x and 2^-(its exponent) are normal
  const auto split = [&](double y) {
    const long long bits = __double_as_longlong(floor + y);
    const unsigned biased = biased_exponent(floor + y);
    if (!fits(biased)) {
      usual = false;
      return Term{1, 0};
    }
    exponent += static_cast<int>(biased) - 1023;
    return Term{__longlong_as_double((bits & 0x000FFFFFFFFFFFFFll) | 0x3FF0000000000000ll),
                y * __longlong_as_double(static_cast<long long>(2046 - biased) << 52)};
  };
  // Of two values at a time: y / x + y' / x' = (y x' + y' x) / (x x'), by Newton's steps from a float32 reciprocal. A division of
  // double has a branch for odd values.
  const auto take = [&](double y, double other) {
    const Term s = split(y), t = split(other);
    const double both = s.mantissa * t.mantissa;
    product *= both;
    double reciprocal = static_cast<double>(__fdividef(1.0f, static_cast<float>(both)));
    reciprocal = fma(reciprocal, fma(-both, reciprocal, 1.0), reciprocal);
    reciprocal = fma(reciprocal, fma(-both, reciprocal, 1.0), reciprocal);
    shares = fma(fma(s.scaled, t.mantissa, t.scaled * s.mantissa), reciprocal, shares);
  };
  // A branch would keep the compiler from reading the next values before it is done with one: `ahead` of them are on their way,
  // and the odd ones wait till the end.
  constexpr int ahead = 8;
  int k = threadIdx.x;
  for (; k + (ahead - 1) * threads < n; k += ahead * threads) {
    float p[ahead], q[ahead] = {};
#pragma unroll
    for (int i = 0; i < ahead; ++i) {
      p[i] = a[k + i * threads];
      if (WithB) q[i] = b[k + i * threads];
    }
#pragma unroll
    for (int i = 0; i < ahead; i += 2) take(square(p[i], q[i]), square(p[i + 1], q[i + 1]));
  }
  for (; k < n; k += threads) {
    const Term s = split(square(a[k], WithB ? b[k] : 0.0f));
    product *= s.mantissa;
    shares += s.scaled / s.mantissa;
  }
  if (!usual)
    for (k = threadIdx.x; k < n; k += threads) {
      const double y = square(a[k], WithB ? b[k] : 0.0f), x = floor + y;
      if (fits(biased_exponent(x))) continue;
      odd += log(x);
      shares += y / x;
    }
  return {static_cast<double>(exponent) * 0x1.62e42fefa39efp-1 + log(product) + odd, shares};
}

__global__ void __launch_bounds__(threads, 4) of_units(const __grid_constant__ Launch in, LogSums* units) {
  int low = 0, high = in.count;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (in.first[middle] <= blockIdx.x ? low : high) = middle;
  }
  const std::int64_t start = (blockIdx.x - in.first[low]) * unit_values;
  const int n = static_cast<int>(min(unit_values, in.length[low] - start));
  const LogSums sums = of_block(
      in.b[low] != nullptr ? of_unit<true>(in.a[low] + start, in.b[low] + start, n, in.floor, in.scale)
                           : of_unit<false>(in.a[low] + start, nullptr, n, in.floor, in.scale));
  if (threadIdx.x == 0) units[blockIdx.x] = sums;
}

__global__ void __launch_bounds__(threads)
    of_segments(const __grid_constant__ Launch in, const LogSums* units, LogSums* out) {
  LogSums n;
  for (std::int64_t i = in.first[blockIdx.x] + threadIdx.x; i < in.first[blockIdx.x + 1]; i += threads) {
    n.logarithms += units[i].logarithms;
    n.shares += units[i].shares;
  }
  n = of_block(n);
  if (threadIdx.x == 0) out[blockIdx.x] = n;
}

std::int64_t units_of(const Segment& s) {
  return (s.rows * s.length + unit_values - 1) / unit_values;
}

}  // namespace

std::size_t log_sums_cuda_workspace(const Segment* segments, std::int64_t count) {
  std::int64_t units = 0;
  for (std::int64_t s = 0; s < count; ++s) units += units_of(segments[s]);
  return static_cast<std::size_t>(units) * sizeof(LogSums);
}

int log_sums_cuda(const Segment* segments, std::int64_t count, double floor, double scale, LogSums* out,
                  void* workspace, void* stream) {
  LogSums* units = static_cast<LogSums*>(workspace);
  const auto s = static_cast<cudaStream_t>(stream);
  for (std::int64_t start = 0; start < count; start += most_segments) {
    Launch in{};
    in.floor = floor;
    in.scale = scale;
    in.count = static_cast<int>(count - start < most_segments ? count - start : most_segments);
    for (int i = 0; i < in.count; ++i) {
      const Segment& segment = segments[start + i];
      in.a[i] = segment.a;
      in.b[i] = segment.b;
      in.length[i] = segment.rows * segment.length;
      in.first[i + 1] = in.first[i] + units_of(segment);
    }
    const std::int64_t blocks = in.first[in.count];
    if (blocks > 0) launch({static_cast<unsigned>(blocks), threads, s}, of_units, in, units);
    launch({static_cast<unsigned>(in.count), threads, s}, of_segments, in, units, out + start);
    units += blocks;
  }
  return cudaGetLastError();
}

}  // namespace kernels
}  // namespace gapbench
