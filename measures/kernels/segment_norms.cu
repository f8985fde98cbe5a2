// CUDA version: see segment_norms.h for the contract. One block per unit, then one block per segment that takes its units
// in a fixed order. Segments travel as kernel arguments, up to 64 a launch.
#include <cuda_runtime.h>

#include <cmath>

#include "measures/kernels/segment_norms.h"

namespace gapbench {
namespace kernels {
namespace {

constexpr int threads = 256, most_segments = 64;

struct Launch {
  Segment segment[most_segments];
  SegmentUnits units[most_segments];
  std::int64_t first[most_segments + 1];  // unit
  int count;
  double p, q;
};

__device__ SegmentNorms combined(SegmentNorms a, const SegmentNorms& b) {
  return {a.squares + b.squares, a.absolute + b.absolute, fmax(a.largest, b.largest), a.groups + b.groups};
}

// Of neighbouring `width` lanes, a power of two; all of them get it.
__device__ SegmentNorms across(SegmentNorms n, int width) {
  for (int step = width / 2; step > 0; step /= 2)
    n = combined(n, {__shfl_xor_sync(0xffffffffu, n.squares, step), __shfl_xor_sync(0xffffffffu, n.absolute, step),
                     __shfl_xor_sync(0xffffffffu, n.largest, step), __shfl_xor_sync(0xffffffffu, n.groups, step)});
  return n;
}

__device__ SegmentNorms of_block(SegmentNorms n) {
  __shared__ SegmentNorms of_warp[threads / 32];
  n = across(n, 32);
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = n;
  __syncthreads();
  n = of_warp[0];
  for (int w = 1; w < threads / 32; ++w) n = combined(n, of_warp[w]);
  return n;
}

__device__ double raised(double x, double exponent) {
  return exponent == 1 ? x : exponent == 0.5 ? sqrt(x) : exponent == 2 ? x * x : pow(x, exponent);
}

// groups holds the sum of p-th powers
__device__ void add(SegmentNorms& n, const float* a, const float* b, std::int64_t at, double p) {
  const double d = fabs(static_cast<double>(a[at]) - (b != nullptr ? static_cast<double>(b[at]) : 0.0));
  n.squares += d * d;
  n.absolute += d;
  n.largest = fmax(n.largest, d);
  if (p != 1 && p != 2) n.groups += pow(d, p);
}

__device__ void set_power(SegmentNorms& n, double p) {
  if (p == 1) n.groups = n.absolute;
  if (p == 2) n.groups = n.squares;
}

__device__ int segment_of(const Launch& in, std::int64_t unit) {
  int low = 0, high = in.count;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (in.first[middle] <= unit)
      low = middle;
    else
      high = middle;
  }
  return low;
}

__global__ void __launch_bounds__(threads) of_units(const __grid_constant__ Launch in, SegmentNorms* units) {
  const int index = segment_of(in, blockIdx.x);
  const Segment s = in.segment[index];
  const SegmentUnits u = in.units[index];
  const std::int64_t at = blockIdx.x - in.first[index];
  const std::int64_t row = at / u.units_a_row * u.rows_a_unit, k0 = at % u.units_a_row * SegmentUnits::values;
  const std::int64_t start = row * u.length + k0;
  const float* const a = s.a + start;
  const float* const b = s.b != nullptr ? s.b + start : nullptr;
  SegmentNorms n{};
  if (u.rows == 1 || u.units_a_row > 1) {  // a part of one row
    const int count = static_cast<int>(min(static_cast<std::int64_t>(SegmentUnits::values), u.length - k0));
    if (count == SegmentUnits::values) {
#pragma unroll 8
      for (int k = 0; k < SegmentUnits::values; k += threads) add(n, a, b, k + threadIdx.x, in.p);
    } else {
      for (int k = threadIdx.x; k < count; k += threads) add(n, a, b, k, in.p);
    }
    n = of_block(n);
    set_power(n, in.p);
    if (u.units_a_row == 1 && in.p != in.q) n.groups = raised(n.groups, in.q / in.p);
  } else {  // whole short rows, one for each 32 lanes or fewer
    const int length = static_cast<int>(u.length);
    int width = 1;
    while (width < 32 && width < length) width *= 2;
    const int rows = static_cast<int>(min(u.rows_a_unit, u.rows - row)), lane = threadIdx.x % width;
    const int together = threads / width;
    for (int r0 = 0; r0 < rows; r0 += together) {  // all lanes take part in the exchange
      const int r = r0 + threadIdx.x / width;
      SegmentNorms mine{};
      if (r < rows)
#pragma unroll 4
        for (int k = lane; k < length; k += width) add(mine, a, b, static_cast<std::int64_t>(r) * length + k, in.p);
      mine = across(mine, width);
      set_power(mine, in.p);
      mine.groups = raised(mine.groups, in.q / in.p);
      if (lane == 0 && r < rows) n = combined(n, mine);
    }
    n = of_block(n);
  }
  if (threadIdx.x == 0) units[blockIdx.x] = n;
}

__global__ void __launch_bounds__(threads)
    of_segments(const __grid_constant__ Launch in, const SegmentNorms* units, SegmentNorms* out) {
  const int index = blockIdx.x;
  const SegmentUnits u = in.units[index];
  const SegmentNorms* const mine = units + in.first[index];
  SegmentNorms n{};
  const bool parts = u.units_a_row > 1 && in.p != in.q;  // of rows
  if (parts)
    for (std::int64_t r = threadIdx.x; r < u.rows; r += threads) {
      SegmentNorms row{};
      for (std::int64_t i = 0; i < u.units_a_row; ++i) row = combined(row, mine[r * u.units_a_row + i]);
      row.groups = raised(row.groups, in.q / in.p);
      n = combined(n, row);
    }
  else
    for (std::int64_t i = threadIdx.x; i < u.count; i += threads) n = combined(n, mine[i]);
  n = of_block(n);
  if (isnan(n.absolute)) n = {nan(""), nan(""), nan(""), nan("")};
  if (threadIdx.x == 0) out[index] = n;
}

template <class Use>
void for_each_launch(const Segment* segments, std::int64_t count, double p, double q, const Use& use) {
  for (std::int64_t start = 0; start < count; start += most_segments) {
    Launch launch{};
    launch.p = p;
    launch.q = q;
    launch.count = static_cast<int>(count - start < most_segments ? count - start : most_segments);
    for (int i = 0; i < launch.count; ++i) {
      launch.segment[i] = segments[start + i];
      launch.units[i] = SegmentUnits(segments[start + i], p == q);
      launch.first[i + 1] = launch.first[i] + launch.units[i].count;
    }
    use(launch, start);
  }
}

}  // namespace

std::size_t segment_norms_cuda_workspace(const Segment* segments, std::int64_t count, double p, double q) {
  std::int64_t units = 0;
  for (std::int64_t s = 0; s < count; ++s) units += SegmentUnits(segments[s], p == q).count;
  return static_cast<std::size_t>(units) * sizeof(SegmentNorms);
}

int segment_norms_cuda(const Segment* segments, std::int64_t count, double p, double q, SegmentNorms* out,
                       void* workspace, void* stream) {
  SegmentNorms* units = static_cast<SegmentNorms*>(workspace);
  const auto s = static_cast<cudaStream_t>(stream);
  for_each_launch(segments, count, p, q, [&](const Launch& launch, std::int64_t start) {
    const std::int64_t blocks = launch.first[launch.count];
    if (blocks > 0) of_units<<<static_cast<unsigned>(blocks), threads, 0, s>>>(launch, units);
    of_segments<<<static_cast<unsigned>(launch.count), threads, 0, s>>>(launch, units, out + start);
    units += blocks;
  });
  return cudaGetLastError();
}

}  // namespace kernels
}  // namespace gapbench
