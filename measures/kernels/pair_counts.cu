// CUDA version: see pair_counts.h for the contract. Pairs are cut into tiles; a thread keeps a few items in registers while those
// of the other side pass by in shared memory. Sums are of integers, so that their order does not matter.
#include <cuda_runtime.h>

#include <cstdint>

#include "measures/kernels/cuda_launch.h"
#include "measures/kernels/pair_counts.h"

namespace gapbench {
namespace kernels {
namespace {

constexpr int threads = 256, each = 4, tile = threads * each;  // items of a tile, each way
using Count = unsigned long long;                              // as atomicAdd knows it

__device__ void add(std::int64_t* to, unsigned x) {
  x = sum_of_lanes(x);  // at most 2^12 a thread
  if (threadIdx.x % 32 == 0 && x > 0) atomicAdd(reinterpret_cast<Count*>(to), static_cast<Count>(x));
}

// Tile t of those on or above the diagonal, columns first.
__device__ void tile_position(std::int64_t t, std::int64_t& row, std::int64_t& column) {
  column = static_cast<std::int64_t>((sqrt(8.0 * static_cast<double>(t) + 1) - 1) / 2);
  while (column * (column + 1) / 2 > t) --column;  // the square root may be one off
  while ((column + 1) * (column + 2) / 2 <= t) ++column;
  row = t - column * (column + 1) / 2;
}

__global__ void __launch_bounds__(threads)
    count_pairs(const double* x, const double* y, int n, PairCounts* out) {
  __shared__ double2 others[tile];
  std::int64_t row, column;
  tile_position(blockIdx.x, row, column);
  const int i0 = static_cast<int>(row) * tile, j0 = static_cast<int>(column) * tile, here = min(tile, n - j0);
  for (int j = threadIdx.x; j < here; j += threads) others[j] = make_double2(x[j0 + j], y[j0 + j]);
  __syncthreads();
  unsigned concordant = 0, discordant = 0, ties_x = 0, ties_y = 0, ties_both = 0;
#pragma unroll
  for (int e = 0; e < each; ++e) {
    const int i = i0 + e * threads + static_cast<int>(threadIdx.x);
    if (i >= n) continue;
    const double xi = x[i], yi = y[i];
    const int first = row == column ? i - j0 + 1 : 0;
#pragma unroll 8
    for (int j = first; j < here; ++j) {
      const double2 o = others[j];
      const bool x_less = xi<o.x, x_more = xi> o.x, y_less = yi<o.y, y_more = yi> o.y;
      concordant += (x_less && y_less) || (x_more && y_more);
      discordant += (x_less && y_more) || (x_more && y_less);
      const bool same_x = !(x_less || x_more), same_y = !(y_less || y_more);
      ties_x += same_x;
      ties_y += same_y;
      ties_both += same_x && same_y;
    }
  }
  add(&out->concordant, concordant);
  add(&out->discordant, discordant);
  add(&out->ties_x, ties_x);
  add(&out->ties_y, ties_y);
  add(&out->ties_both, ties_both);
}

// A block does `tile` items of one group u against all of group v, of one measure: blockIdx.x = (part of u, u), y = v, z = m.
__global__ void __launch_bounds__(threads)
    count_signs(const std::int32_t* gap, const std::int32_t* x, std::int64_t n, const std::int32_t* begin,
                int groups, int parts, std::int64_t* both) {
  __shared__ int2 others[tile];
  const int u = static_cast<int>(blockIdx.x) / parts, v = static_cast<int>(blockIdx.y);
  const std::int32_t* const value = x + blockIdx.z * n;
  const int p0 = begin[u] + static_cast<int>(blockIdx.x) % parts * tile, p_end = begin[u + 1];
  if (p0 >= p_end) return;
  int own_gap[each], own_value[each];
#pragma unroll
  for (int e = 0; e < each; ++e) {
    const int p = p0 + e * threads + static_cast<int>(threadIdx.x);
    own_gap[e] = p < p_end ? gap[p] : INT32_MIN;  // no gap is smaller
    own_value[e] = p < p_end ? value[p] : INT32_MIN;
  }
  for (int q0 = begin[v]; q0 < begin[v + 1]; q0 += tile) {
    const int here = min(tile, begin[v + 1] - q0);
    __syncthreads();  // the tile before is done with
    for (int q = threadIdx.x; q < here; q += threads) others[q] = make_int2(gap[q0 + q], value[q0 + q]);
    __syncthreads();
    unsigned count = 0;
#pragma unroll 8
    for (int q = 0; q < here; ++q) {
      const int2 o = others[q];
#pragma unroll
      for (int e = 0; e < each; ++e) count += own_gap[e] > o.x && own_value[e] > o.y;
    }
    add(both + (static_cast<std::int64_t>(blockIdx.z) * groups + u) * groups + v, count);
  }
}

}  // namespace

int pair_counts_cuda(const double* x, const double* y, std::int64_t n, PairCounts* out, void* stream) {
  const auto s = static_cast<cudaStream_t>(stream);
  cudaMemsetAsync(out, 0, sizeof(PairCounts), s);
  const std::int64_t across = (n + tile - 1) / tile, tiles = across * (across + 1) / 2;
  if (tiles > 0)
    launch({static_cast<unsigned>(tiles), threads, s}, count_pairs, x, y, static_cast<int>(n), out);
  return cudaGetLastError();
}

int sign_counts_cuda(const std::int32_t* gap, const std::int32_t* x, std::int64_t n, std::int64_t measures,
                     const std::int32_t* begin, std::int64_t groups, std::int64_t largest_group,
                     std::int64_t* both, void* stream) {
  const auto s = static_cast<cudaStream_t>(stream);
  const std::int64_t cells = measures * groups * groups;
  if (cells == 0) return cudaSuccess;
  cudaMemsetAsync(both, 0, static_cast<std::size_t>(cells) * sizeof(std::int64_t), s);
  const std::int64_t parts = (largest_group + tile - 1) / tile;
  if (parts == 0) return cudaGetLastError();
  LaunchShape shape{static_cast<unsigned>(parts * groups), threads, s};
  shape.blocks_y = static_cast<unsigned>(groups);
  shape.blocks_z = static_cast<unsigned>(measures);
  launch(shape, count_signs, gap, x, n, begin, static_cast<int>(groups), static_cast<int>(parts), both);
  return cudaGetLastError();
}

}  // namespace kernels
}  // namespace gapbench
