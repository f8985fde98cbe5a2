// CUDA version: see segment_norms.h for the contract. One block per unit, then one block per segment that takes its units
// in a fixed order. Segments travel as kernel arguments, up to 64 a launch. Without b a value needs one conversion, two
// operations in float64 and a maximum in float32: memory bounds it.
#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

#include "measures/kernels/cuda_launch.h"
#include "measures/kernels/segment_norms.h"

namespace gapbench {
namespace kernels {
namespace {

constexpr int threads = 256, warps = threads / 32, most_segments = 64;

// How a segment is cut: into units of whole rows, `width` lanes a row, or, where a block has enough to do with one row, of
// parts of a row. Larger units spread the cost of a block's sums, smaller ones fill the device.
struct Units {
  std::int64_t length = 0, rows = 0, rows_a_unit = 1, units_a_row = 1;  // one of the last two is 1
  std::int64_t count = 0, part = 0;                                     // values of a part
  int width = threads;                                                  // lanes that share a row
};

std::int64_t unit_size(const Segment* segments, std::int64_t count) {
  std::int64_t total = 0, size = 4096;
  for (std::int64_t s = 0; s < count; ++s) total += segments[s].rows * segments[s].length;
  while (size < 32768 && total / size > 2048) size *= 2;
  return size;
}

// Rows do not matter where p = q: one row.
Units cut(const Segment& s, bool flat, std::int64_t size) {
  Units u;
  u.length = flat ? s.rows * s.length : s.length;
  u.rows = flat ? 1 : s.rows;
  u.part = size;
  if (u.length * u.rows == 0) return u;
  if (u.rows == 1 || u.length > size / warps) {
    u.units_a_row = (u.length + size - 1) / size;
    u.count = u.rows * u.units_a_row;
    return u;
  }
  u.width = 1;
  while (u.width < 32 && 4 * u.width < u.length) u.width *= 2;  // four values a lane
  const std::int64_t together = threads / u.width, rounds = size / u.length / together;
  u.rows_a_unit = together * (rounds > 1 ? rounds : 1);
  u.count = (u.rows + u.rows_a_unit - 1) / u.rows_a_unit;
  return u;
}

struct Launch {
  Segment segment[most_segments];
  Units units[most_segments];
  std::int64_t first[most_segments + 1];  // unit
  int count;
  double p, q;
};

__device__ SegmentNorms combined(SegmentNorms a, const SegmentNorms& b) {
  return {a.squares + b.squares, a.absolute + b.absolute, fmax(a.largest, b.largest), a.groups + b.groups};
}

__device__ SegmentNorms of_warp(SegmentNorms n) {
  for (int step = 16; step > 0; step /= 2)
    n = combined(
        n, {__shfl_xor_sync(0xffffffffu, n.squares, step), __shfl_xor_sync(0xffffffffu, n.absolute, step),
            __shfl_xor_sync(0xffffffffu, n.largest, step), __shfl_xor_sync(0xffffffffu, n.groups, step)});
  return n;
}

__device__ SegmentNorms of_block(SegmentNorms n) {
  __shared__ SegmentNorms part[warps];
  n = of_warp(n);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = n;
  __syncthreads();
  n = part[0];
  for (int w = 1; w < warps; ++w) n = combined(n, part[w]);
  return n;
}

__device__ double raised(double x, double exponent) {
  return exponent == 1 ? x : exponent == 0.5 ? sqrt(x) : exponent == 2 ? x * x : pow(x, exponent);
}

// The power of |d| that groups sum. one, two: p, with q 1 or 2 or p; no pow is compiled in.
enum class Power { one, two, any };

// Sums of one lane; the largest |d| is exact in float32 where there is no b.
template <Power P, bool WithB>
struct Sums {
  double squares = 0, absolute = 0, power = 0;
  float largest = 0;
  double largest_difference = 0;

  __device__ void add(float a, float b, double p) {
    double d = static_cast<double>(a);
    if (WithB) {
      d = fabs(d - static_cast<double>(b));
      largest_difference = d > largest_difference ? d : largest_difference;
    } else {
      d = fabs(d);
      largest = fmaxf(largest, fabsf(a));
    }
    squares += d * d;
    absolute += d;
    if (P == Power::any) power += p == 1 ? d : p == 2 ? d * d : pow(d, p);
  }
  __device__ void add(float4 a, float4 b, double p) {
    add(a.x, b.x, p);
    add(a.y, b.y, p);
    add(a.z, b.z, p);
    add(a.w, b.w, p);
  }
  // This lane's share of `count` values that `width` lanes read together: four values a load where a and b allow it.
  __device__ void add(const float* a, const float* b, int count, int lane, int width, double p) {
    constexpr int ahead = P == Power::any ? 1 : 4;  // loads in flight
    const int address = static_cast<int>(reinterpret_cast<std::uintptr_t>(a) / sizeof(float) % 4);
    const bool apart =
        WithB && static_cast<int>(reinterpret_cast<std::uintptr_t>(b) / sizeof(float) % 4) != address;
    const int head = apart ? count : min((4 - address) % 4, count), fours = (count - head) / 4;
#pragma unroll 4
    for (int k = lane; k < head; k += width) add(a[k], WithB ? b[k] : 0, p);
    const float4* const a4 = reinterpret_cast<const float4*>(a + head);
    const float4* const b4 = reinterpret_cast<const float4*>(b + head);
    int k = lane;
    for (; k + (ahead - 1) * width < fours; k += ahead * width) {
      float4 x[ahead], y[ahead] = {};
#pragma unroll
      for (int i = 0; i < ahead; ++i) {
        x[i] = __ldg(a4 + k + i * width);
        if (WithB) y[i] = __ldg(b4 + k + i * width);
      }
#pragma unroll
      for (int i = 0; i < ahead; ++i) add(x[i], y[i], p);
    }
    for (; k < fours; k += width) add(__ldg(a4 + k), WithB ? __ldg(b4 + k) : float4{}, p);
    for (k = head + 4 * fours + lane; k < count; k += width) add(a[k], WithB ? b[k] : 0, p);
  }
  __device__ void add(const Sums& row) {
    squares += row.squares;
    absolute += row.absolute;
    largest = fmaxf(largest, row.largest);
    largest_difference = fmax(largest_difference, row.largest_difference);
  }
  __device__ double of_group() const {
    return P == Power::one ? absolute : P == Power::two ? squares : power;
  }
  __device__ SegmentNorms with(double groups) const {
    return {squares, absolute, WithB ? largest_difference : static_cast<double>(largest), groups};
  }
};

template <Power P>
__device__ double group(double power, const Launch& in) {
  const double exponent = in.q / in.p;
  if (P == Power::any) return raised(power, exponent);
  return exponent == 1 ? power : exponent == 0.5 ? sqrt(power) : power * power;
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

template <Power P, bool WithB>
__device__ SegmentNorms of_unit(const Launch& in, const Segment& s, const Units& u, std::int64_t at) {
  const std::int64_t row = at / u.units_a_row * u.rows_a_unit, k0 = at % u.units_a_row * u.part;
  const float* a = s.a + row * u.length + k0;
  const float* b = WithB ? s.b + row * u.length + k0 : nullptr;
  Sums<P, WithB> all;
  if (u.width == threads) {  // one row or a part of it
    all.add(a, b, static_cast<int>(min(u.part, u.length - k0)), threadIdx.x, threads, in.p);
    SegmentNorms n = of_block(all.with(all.of_group()));
    if (u.units_a_row == 1) n.groups = group<P>(n.groups, in);
    return n;
  }
  const int length = static_cast<int>(u.length), rows = static_cast<int>(min(u.rows_a_unit, u.rows - row));
  const int lane = threadIdx.x % u.width, together = threads / u.width;
  double groups = 0;
  for (int r0 = 0; r0 < rows; r0 += together) {  // all lanes take part in the exchange
    const int r = r0 + threadIdx.x / u.width;
    const std::int64_t start = static_cast<std::int64_t>(r) * length;
    Sums<P, WithB> mine;
    if (r < rows) mine.add(a + start, WithB ? b + start : nullptr, length, lane, u.width, in.p);
    const double power = sum_of_lanes(mine.of_group(), u.width);
    if (lane == 0 && r < rows) groups += group<P>(power, in);
    all.add(mine);
  }
  return of_block(all.with(groups));
}

template <Power P>
__global__ void __launch_bounds__(threads) of_units(const __grid_constant__ Launch in, SegmentNorms* units) {
  const int index = segment_of(in, blockIdx.x);
  const Segment s = in.segment[index];
  const Units u = in.units[index];
  const std::int64_t at = blockIdx.x - in.first[index];
  const SegmentNorms n = s.b != nullptr ? of_unit<P, true>(in, s, u, at) : of_unit<P, false>(in, s, u, at);
  if (threadIdx.x == 0) units[blockIdx.x] = n;
}

__global__ void __launch_bounds__(threads)
    of_segments(const __grid_constant__ Launch in, const SegmentNorms* units, SegmentNorms* out) {
  const int index = blockIdx.x, lane = threadIdx.x % 32;
  const Units u = in.units[index];
  const SegmentNorms* const mine = units + in.first[index];
  SegmentNorms n{};
  if (u.units_a_row > 1 && in.p != in.q) {  // parts of rows: a warp a row
    for (std::int64_t r = threadIdx.x / 32; r < u.rows; r += warps) {
      SegmentNorms row{};
      for (std::int64_t i = lane; i < u.units_a_row; i += 32)
        row = combined(row, mine[r * u.units_a_row + i]);
      row = of_warp(row);
      row.groups = raised(row.groups, in.q / in.p);
      if (lane == 0) n = combined(n, row);
    }
  } else {
    for (std::int64_t i = threadIdx.x; i < u.count; i += threads) n = combined(n, mine[i]);
  }
  n = of_block(n);
  if (isnan(n.absolute)) n = {nan(""), nan(""), nan(""), nan("")};
  if (threadIdx.x == 0) out[index] = n;
}

template <class Use>
void for_each_launch(const Segment* segments, std::int64_t count, double p, double q, const Use& use) {
  const std::int64_t size = unit_size(segments, count);
  for (std::int64_t start = 0; start < count; start += most_segments) {
    Launch in{};
    in.p = p;
    in.q = q;
    in.count = static_cast<int>(count - start < most_segments ? count - start : most_segments);
    for (int i = 0; i < in.count; ++i) {
      in.segment[i] = segments[start + i];
      in.units[i] = cut(segments[start + i], p == q, size);
      in.first[i + 1] = in.first[i] + in.units[i].count;
    }
    use(in, start);
  }
}

}  // namespace

std::size_t segment_norms_cuda_workspace(const Segment* segments, std::int64_t count, double p, double q) {
  const std::int64_t size = unit_size(segments, count);
  std::int64_t units = 0;
  for (std::int64_t s = 0; s < count; ++s) units += cut(segments[s], p == q, size).count;
  return static_cast<std::size_t>(units) * sizeof(SegmentNorms);
}

int segment_norms_cuda(const Segment* segments, std::int64_t count, double p, double q, SegmentNorms* out,
                       void* workspace, void* stream) {
  SegmentNorms* units = static_cast<SegmentNorms*>(workspace);
  const auto s = static_cast<cudaStream_t>(stream);
  const bool plain = p == q || q == 1 || q == 2;
  const auto kernel = plain && p == 2   ? of_units<Power::two>
                      : plain && p == 1 ? of_units<Power::one>
                                        : of_units<Power::any>;
  for_each_launch(segments, count, p, q, [&](const Launch& in, std::int64_t start) {
    const std::int64_t blocks = in.first[in.count];
    if (blocks > 0) launch({static_cast<unsigned>(blocks), threads, s}, kernel, in, units);
    launch({static_cast<unsigned>(in.count), threads, s}, of_segments, in, units, out + start);
    units += blocks;
  });
  return cudaGetLastError();
}

}  // namespace kernels
}  // namespace gapbench
