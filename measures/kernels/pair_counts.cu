// CUDA version: see pair_counts.h for the contract. Sums are of integers, so that their order does not matter.
//
// Pairs in two orders: items are sorted by x, and by y among equal x; then their y are sorted, and each that passes k others on its
// way was in k discordant pairs. Both sorts merge runs, first of a tile in shared memory, then a launch for each doubling: a thread
// finds the place of its key in the neighbouring run by bisection. Ties are counted in what is sorted, again by bisection.
//
// Joint signs: pairs are cut into tiles; a thread keeps a few items in registers while those of the other side pass by in shared
// memory.
#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

#include "measures/kernels/cuda_launch.h"
#include "measures/kernels/pair_counts.h"

namespace gapbench {
namespace kernels {
namespace {

constexpr int threads = 256, each = 4, tile = threads * each;  // items of a tile, each way
using Count = unsigned long long;                              // as atomicAdd knows it

__device__ void add(std::int64_t* to, unsigned x) {
  x = sum_of_lanes(x);  // at most 2^25 a thread
  if (threadIdx.x % 32 == 0 && x > 0) atomicAdd(reinterpret_cast<Count*>(to), static_cast<Count>(x));
}

__device__ bool less(double a, double b) {
  return a < b;
}
__device__ bool less(double2 a, double2 b) {
  return a.x < b.x || (a.x == b.x && a.y < b.y);
}

// How many of n sorted keys are less than this one, or with `Equal` not greater.
template <bool Equal, class Key>
__device__ int rank_of(const Key& key, const Key* keys, int n) {
  int low = 0, high = n;
  while (low < high) {
    const int middle = (low + high) / 2;
    if (Equal ? !less(key, keys[middle]) : less(keys[middle], key))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

// Where the i-th of n keys goes when runs of `run`, a power of two, are merged by twos; `passed` grows by the keys that it passes.
template <class Key>
__device__ int merged_place(const Key& key, const Key* keys, int n, int run, int i, unsigned& passed) {
  const int start = i & ~(2 * run - 1), middle = min(start + run, n), end = min(middle + run, n);
  if (i >= middle) return i - (middle - start) + rank_of<true>(key, keys + start, middle - start);
  const int less_than = rank_of<false>(key, keys + middle, end - middle);
  passed += static_cast<unsigned>(less_than);
  return i + less_than;
}

struct BothOf {
  const double *x, *y;
  __device__ double2 operator[](int i) const { return make_double2(x[i], y[i]); }
};
struct SecondOf {
  const double2* pairs;
  __device__ double operator[](int i) const { return pairs[i].y; }
};

// Sorts each tile. `passed` may be null.
template <class Key, class Source>
__global__ void __launch_bounds__(threads) sort_tiles(Source from, int n, Key* to, std::int64_t* passed) {
  __shared__ Key keys[tile];
  const int first = static_cast<int>(blockIdx.x) * tile, here = min(tile, n - first);
  for (int i = threadIdx.x; i < here; i += threads) keys[i] = from[first + i];
  __syncthreads();
  unsigned count = 0;
  for (int run = 1; run < here; run *= 2) {
    Key own[each];
    int place[each];
#pragma unroll
    for (int e = 0; e < each; ++e) {
      const int i = static_cast<int>(threadIdx.x) + threads * e;
      if (i >= here) continue;
      own[e] = keys[i];
      place[e] = merged_place(own[e], keys, here, run, i, count);
    }
    __syncthreads();
#pragma unroll
    for (int e = 0; e < each; ++e)
      if (static_cast<int>(threadIdx.x) + threads * e < here) keys[place[e]] = own[e];
    __syncthreads();
  }
  for (int i = threadIdx.x; i < here; i += threads) to[first + i] = keys[i];
  if (passed != nullptr) add(passed, count);
}

template <class Key>
__global__ void __launch_bounds__(threads)
    merge_runs(const Key* from, int n, int run, Key* to, std::int64_t* passed) {
  const int i = static_cast<int>(blockIdx.x) * threads + static_cast<int>(threadIdx.x);
  unsigned count = 0;
  if (i < n) {
    const Key key = from[i];
    to[merged_place(key, from, n, run, i, count)] = key;
  }
  if (passed != nullptr) add(passed, count);
}

// Each item's ties with those before it.
__global__ void __launch_bounds__(threads) count_ties(const double2* pairs, int n, PairCounts* out) {
  const int i = static_cast<int>(blockIdx.x) * threads + static_cast<int>(threadIdx.x);
  unsigned in_x = 0, in_both = 0;
  if (i < n) {
    const double2 key = pairs[i];
    in_x = static_cast<unsigned>(i - rank_of<false>(make_double2(key.x, -INFINITY), pairs, i));
    in_both = static_cast<unsigned>(i - rank_of<false>(key, pairs, i));
  }
  add(&out->ties_x, in_x);
  add(&out->ties_both, in_both);
}
__global__ void __launch_bounds__(threads) count_ties(const double* y, int n, PairCounts* out) {
  const int i = static_cast<int>(blockIdx.x) * threads + static_cast<int>(threadIdx.x);
  add(&out->ties_y, i < n ? static_cast<unsigned>(i - rank_of<false>(y[i], y, i)) : 0);
}
__global__ void finish(std::int64_t n, PairCounts* out) {
  out->concordant = n * (n - 1) / 2 - out->discordant - out->ties_x - out->ties_y + out->ties_both;
}

// Sorts what `from` holds, in `to` or in `other`; returns which.
template <class Key, class Source>
Key* sorted(const Source& from, int n, Key* to, Key* other, std::int64_t* passed, cudaStream_t s) {
  launch({static_cast<unsigned>((n + tile - 1) / tile), threads, s}, sort_tiles<Key, Source>, from, n, to,
         passed);
  for (int run = tile; run < n; run *= 2) {
    launch({static_cast<unsigned>((n + threads - 1) / threads), threads, s}, merge_runs<Key>, to, n, run,
           other, passed);
    Key* const merged = other;
    other = to;
    to = merged;
  }
  return to;
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

std::size_t pair_counts_cuda_workspace(std::int64_t n) {
  return 2 * static_cast<std::size_t>(n) * sizeof(double2);
}

int pair_counts_cuda(const double* x, const double* y, std::int64_t n, PairCounts* out, void* workspace,
                     void* stream) {
  const auto s = static_cast<cudaStream_t>(stream);
  cudaMemsetAsync(out, 0, sizeof(PairCounts), s);
  if (n == 0) return cudaGetLastError();
  const int count = static_cast<int>(n);
  double2* const first = static_cast<double2*>(workspace);
  double2* const pairs = sorted(BothOf{x, y}, count, first, first + n, nullptr, s);
  const LaunchShape each_item{static_cast<unsigned>((n + threads - 1) / threads), threads, s};
  launch(each_item, static_cast<void (*)(const double2*, int, PairCounts*)>(count_ties), pairs, count, out);
  double* const free = reinterpret_cast<double*>(pairs == first ? first + n : first);
  double* const seconds = sorted(SecondOf{pairs}, count, free, free + n, &out->discordant, s);
  launch(each_item, static_cast<void (*)(const double*, int, PairCounts*)>(count_ties), seconds, count, out);
  launch({1, 1, s}, finish, n, out);
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
