// CUDA version: see logit_statistics.h for the contract. One thread a sample for up to 64 classes: a row of up to
// 16 in its registers, a longer one in shared memory. Of more classes, one warp a sample, which keeps up to 1,024 logits in
// registers. One partial sum a block, added in a fixed order by the last kernel.
#include <cuda_runtime.h>

#include <cfloat>
#include <cmath>

#include "measures/kernels/cuda_launch.h"
#include "measures/kernels/logit_statistics.h"

namespace gapbench {
namespace kernels {
namespace {

constexpr int threads = 256, warps = threads / 32, most_in_thread = 16, most_staged = 64, largest_grid = 4096;

__device__ LogitStatistics combined(const LogitStatistics& a, const LogitStatistics& b) {
  return {a.cross_entropy + b.cross_entropy, a.correct + b.correct, a.not_finite + b.not_finite};
}

__device__ LogitStatistics of_block(LogitStatistics s) {
  __shared__ LogitStatistics of_warp[warps];
  for (int step = 16; step > 0; step /= 2)
    s = combined(
        s, {__shfl_xor_sync(0xffffffffu, s.cross_entropy, step),
            static_cast<std::int64_t>(__shfl_xor_sync(0xffffffffu, static_cast<long long>(s.correct), step)),
            static_cast<std::int64_t>(
                __shfl_xor_sync(0xffffffffu, static_cast<long long>(s.not_finite), step))});
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = s;
  __syncthreads();
  s = of_warp[0];
  for (int w = 1; w < warps; ++w) s = combined(s, of_warp[w]);
  return s;
}

__device__ void add(LogitStatistics& s, float own, float rival, double sum, bool finite, double* margin) {
  const double m = finite ? static_cast<double>(own) - static_cast<double>(rival) : nan("");
  if (margin != nullptr) *margin = m;
  s.not_finite += !finite;
  s.correct += m > 0;
  if (finite)  // ln sum exp(z - largest) + largest - own
    s.cross_entropy += log(sum) + (static_cast<double>(fmaxf(own, rival)) - static_cast<double>(own));
}

__global__ void __launch_bounds__(threads)
    staged(const float* logits, const std::int64_t* labels, std::int64_t samples, int classes,
           double* margins, LogitStatistics* partial) {
  float* const tile = dynamic_shared<float>();
  const int stride = classes | 1;  // odd: no two lanes in one bank
  // where this thread's first value goes, and how much further each next one: no division a value
  const int first_row = static_cast<int>(threadIdx.x) / classes,
            first_column = static_cast<int>(threadIdx.x) % classes;
  const int rows_on = threads / classes, columns_on = threads % classes;
  LogitStatistics total{};
  for (std::int64_t start = static_cast<std::int64_t>(blockIdx.x) * threads; start < samples;
       start += static_cast<std::int64_t>(gridDim.x) * threads) {
    const int here = static_cast<int>(min(static_cast<std::int64_t>(threads), samples - start));
    const float* const from = logits + start * classes;
    int row = first_row, column = first_column;
    __syncthreads();
#pragma unroll 4
    for (int i = threadIdx.x; i < here * classes; i += threads) {
      tile[row * stride + column] = from[i];
      row += rows_on;
      column += columns_on;
      if (column >= classes) column -= classes, ++row;
    }
    __syncthreads();
    if (threadIdx.x >= here) continue;
    float* const z = tile + threadIdx.x * stride;
    const int label = static_cast<int>(labels[start + threadIdx.x]);
    const float own = z[label];
    z[label] = -FLT_MAX;  // while the others' largest is looked for; no finite one is below
    float rival = -FLT_MAX, zero = own * 0;  // NaN once a logit is not finite
    for (int k = 0; k < classes; ++k) {
      zero = fmaf(z[k], 0.0f, zero);
      rival = fmaxf(rival, z[k]);
    }
    z[label] = own;
    if (classes == 1) rival = -INFINITY;
    const bool finite = zero == 0;
    const float largest = fmaxf(own, rival);
    double sum = 0;
    for (int k = 0; k < classes; ++k) sum += static_cast<double>(expf(z[k] - largest));
    add(total, own, rival, sum, finite, margins != nullptr ? margins + start + threadIdx.x : nullptr);
  }
  total = of_block(total);
  if (threadIdx.x == 0) partial[blockIdx.x] = total;
}

template <int Width>
struct alignas(Width * sizeof(float)) Floats {
  float value[Width];
};

// `Most` floats in reads of `Width`; beyond `n` nothing is read and -FLT_MAX is there. `stride` reads lie between two.
template <int Most, int Width>
__device__ void read_row(const float* row, int first, int stride, int n, float (&z)[Most]) {
#pragma unroll
  for (int e = 0; e < Most / Width; ++e) {
    const int at = first + stride * e;
    Floats<Width> part;
#pragma unroll
    for (int k = 0; k < Width; ++k) part.value[k] = -FLT_MAX;
    if (Width * at < n) part = reinterpret_cast<const Floats<Width>*>(row)[at];
#pragma unroll
    for (int k = 0; k < Width; ++k) z[e * Width + k] = part.value[k];
  }
}

// sum exp(z[e] - largest), four at a time in float32. What is not there is -FLT_MAX and adds 0, or, where the largest logit
// is that too, 1: see without_missing.
template <int Most>
__device__ double exponentials(const float (&z)[Most], float largest) {
  double sum = 0;
#pragma unroll
  for (int e = 0; e < Most; e += 4)
    sum += static_cast<double>((expf(z[e] - largest) + expf(z[e + 1] - largest)) +
                               (expf(z[e + 2] - largest) + expf(z[e + 3] - largest)));
  return sum;
}

__device__ double without_missing(double sum, float largest, int missing) {
  return largest == -FLT_MAX ? sum - missing : sum;
}

// Rows side by side lie in the same lines, which the cache gives to all of a warp's lanes.
template <int Most, int Width>
__global__ void __launch_bounds__(threads)
    row_a_thread(const float* logits, const std::int64_t* labels, std::int64_t samples, int classes,
                 double* margins, LogitStatistics* partial) {
  LogitStatistics total{};
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * threads + threadIdx.x; i < samples;
       i += static_cast<std::int64_t>(gridDim.x) * threads) {
    const float* const row = logits + i * classes;
    float z[Most];
    const int label = static_cast<int>(labels[i]);
    read_row<Most, Width>(row, 0, 1, classes, z);
    float own = 0, rival = -FLT_MAX, zero = 0;  // NaN once a logit is not finite
#pragma unroll
    for (int k = 0; k < Most; ++k) {
      zero = fmaf(z[k], 0.0f, zero);
      if (k == label)
        own = z[k];
      else
        rival = fmaxf(rival, z[k]);
    }
    if (classes == 1) rival = -INFINITY;
    const float largest = fmaxf(own, rival);
    const double sum = without_missing(exponentials(z, largest), largest, Most - classes);
    add(total, own, rival, sum, zero == 0, margins != nullptr ? margins + i : nullptr);
  }
  total = of_block(total);
  if (threadIdx.x == 0) partial[blockIdx.x] = total;
}

template <int Each, int Width>  // logits a lane, in reads of Width
__global__ void __launch_bounds__(threads, Each > 16 ? 4 : 6)
    row_a_warp(const float* logits, const std::int64_t* labels, std::int64_t samples, int classes,
               double* margins, LogitStatistics* partial) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  LogitStatistics total{};
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * warps + warp; i < samples;
       i += static_cast<std::int64_t>(gridDim.x) * warps) {
    const float* const row = logits + i * classes;
    const int label = static_cast<int>(labels[i]);
    float z[Each];
    read_row<Each, Width>(row, lane, 32, classes, z);
    const int to_label = label - lane * Width;
    float rival = -FLT_MAX, zero = 0;  // NaN once a logit is not finite; there are at least two classes
#pragma unroll
    for (int e = 0; e < Each; ++e) {
      zero = fmaf(z[e], 0.0f, zero);
      if (to_label != e / Width * 32 * Width + e % Width) rival = fmaxf(rival, z[e]);
    }
    for (int step = 16; step > 0; step /= 2) rival = fmaxf(rival, __shfl_xor_sync(0xffffffffu, rival, step));
    const bool finite = __all_sync(0xffffffffu, zero == 0);
    const float own = row[label], largest = fmaxf(own, rival);
    const double sum = without_missing(sum_of_lanes(exponentials(z, largest)), largest, 32 * Each - classes);
    if (lane == 0) add(total, own, rival, sum, finite, margins != nullptr ? margins + i : nullptr);
  }
  total = of_block(total);
  if (threadIdx.x == 0) partial[blockIdx.x] = total;
}

__global__ void __launch_bounds__(threads)
    by_warp(const float* logits, const std::int64_t* labels, std::int64_t samples, std::int64_t classes,
            double* margins, LogitStatistics* partial) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  LogitStatistics total{};
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * warps + warp; i < samples;
       i += static_cast<std::int64_t>(gridDim.x) * warps) {
    const float* const z = logits + i * classes;
    const std::int64_t label = labels[i];
    float rival = -INFINITY;
    bool finite = true;
    for (std::int64_t k = lane; k < classes; k += 32) {
      finite = finite && isfinite(z[k]);
      if (k != label) rival = fmaxf(rival, z[k]);
    }
    for (int step = 16; step > 0; step /= 2) rival = fmaxf(rival, __shfl_xor_sync(0xffffffffu, rival, step));
    finite = __all_sync(0xffffffffu, finite);
    const float own = z[label], largest = fmaxf(own, rival);
    double sum = 0;  // the second read is of the cache
    for (std::int64_t k = lane; k < classes; k += 32) sum += static_cast<double>(expf(z[k] - largest));
    sum = sum_of_lanes(sum);
    if (lane == 0) add(total, own, rival, sum, finite, margins != nullptr ? margins + i : nullptr);
  }
  total = of_block(total);
  if (threadIdx.x == 0) partial[blockIdx.x] = total;
}

__global__ void __launch_bounds__(threads)
    finish(const LogitStatistics* partial, int count, LogitStatistics* out) {
  LogitStatistics total{};
  for (int i = threadIdx.x; i < count; i += threads) total = combined(total, partial[i]);
  total = of_block(total);
  if (threadIdx.x == 0) *out = total;
}

unsigned grid_for(std::int64_t samples, int a_block) {
  const std::int64_t blocks = (samples + a_block - 1) / a_block;
  return static_cast<unsigned>(blocks < 1 ? 1 : blocks < largest_grid ? blocks : largest_grid);
}

// ---- order statistic, by radix selection

constexpr int select_threads = 512;  // few blocks: each adds its counts to the others'
constexpr int digit_bits = 11, bins = 1 << digit_bits, bins_each = bins / select_threads;
constexpr int first_shift = 55, first_bits = 9, first_copies = 4;  // 9 bits, then five times 11
constexpr int list_shift = 44;             // the digit after which candidates are listed,
constexpr unsigned most_listed = 1 << 16;  // if there are so few

// What is known of the key so far, and how many keys with that beginning lie below the wanted one.
struct Selection {
  unsigned long long prefix, rank;
  unsigned done;              // blocks of the pass
  unsigned listed, gathered;  // keys in the list; whether there is one
  unsigned counts[bins];
  double list[most_listed];
};

__device__ unsigned long long key_of(double value) {
  const auto bits = static_cast<unsigned long long>(__double_as_longlong(value + 0.0));
  return bits >> 63 ? ~bits : bits | 1ull << 63;
}
__device__ double value_of(unsigned long long key) {
  return __longlong_as_double(static_cast<long long>(key >> 63 ? key & ~(1ull << 63) : ~key));
}

struct Pick {
  unsigned digit, keys;
  unsigned long long rank;
};

// The digit whose keys hold the wanted rank, how many keys that are and the rank among them, by a scan of the counts.
__device__ Pick pick(const unsigned* counts, unsigned long long rank) {
  __shared__ unsigned of_warp[select_threads / 32];
  __shared__ Pick found;
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, first = threadIdx.x * bins_each;
  unsigned own = 0;
  for (int i = 0; i < bins_each; ++i) own += counts[first + i];
  unsigned below = own;  // and with it, for now
  for (unsigned hop = 1; hop < 32; hop *= 2) {
    const unsigned other = __shfl_up_sync(0xffffffffu, below, hop);
    if (lane >= hop) below += other;
  }
  if (lane == 31) of_warp[warp] = below;
  __syncthreads();
  for (unsigned w = 0; w < warp; ++w) below += of_warp[w];
  below -= own;
  if (rank >= below && rank - below < own) {
    unsigned digit = first;
    while (rank - below >= counts[digit]) below += counts[digit++];
    found = {digit, counts[digit], rank - below};
  }
  __syncthreads();
  return found;
}

__global__ void __launch_bounds__(select_threads) begin_selection(Selection* s, std::int64_t k) {
  for (int i = threadIdx.x; i < bins; i += select_threads) s->counts[i] = 0;
  if (threadIdx.x > 0) return;
  s->prefix = 0;
  s->rank = static_cast<unsigned long long>(k - 1);
  s->done = s->listed = s->gathered = 0;
}

// Calls take(value) of every value that is this thread's; eight are on their way at a time.
template <class Take>
__device__ void for_values(const double* values, std::int64_t n, const Take& take) {
  constexpr int ahead = 8;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * select_threads;
  std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * select_threads + threadIdx.x;
  for (; i + (ahead - 1) * step < n; i += ahead * step) {
    double v[ahead];
#pragma unroll
    for (int e = 0; e < ahead; ++e) v[e] = values[i + e * step];
#pragma unroll
    for (int e = 0; e < ahead; ++e) take(v[e]);
  }
  for (; i < n; i += step) take(values[i]);
}

// Counts the next digit of keys that begin as the wanted one; the last block to finish picks it. First digits of most lists are
// alike, so neighbouring lanes count them in different copies.
template <bool First>
__global__ void __launch_bounds__(select_threads, 3)
    count_digits(const double* values, std::int64_t n, int shift, Selection* s, double* out) {
  __shared__ unsigned counts[bins + first_copies];
  __shared__ bool last;
  if (s->gathered) return;
  for (int i = threadIdx.x; i < bins + first_copies; i += select_threads) counts[i] = 0;
  constexpr int stride = First ? (1 << first_bits) + 1 : 0;  // a digit's copies are in different banks
  unsigned* const mine = counts + threadIdx.x % first_copies * stride;
  const unsigned long long prefix = s->prefix, mask = First ? 0 : ~0ull << (shift + digit_bits);
  __syncthreads();
  for_values(values, n, [&](double value) {
    const unsigned long long key = key_of(value);
    if ((key & mask) == prefix) atomicAdd(mine + (key >> shift & (bins - 1)), 1u);
  });
  __syncthreads();
  for (int i = threadIdx.x; i < (First ? 1 << first_bits : bins); i += select_threads) {
    unsigned found_here = counts[i];
    if (First)
      for (int c = 1; c < first_copies; ++c) found_here += counts[c * stride + i];
    if (found_here > 0) atomicAdd(s->counts + i, found_here);
  }
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) last = atomicAdd(&s->done, 1u) == gridDim.x - 1;
  __syncthreads();
  if (!last) return;
  for (int i = threadIdx.x; i < bins; i += select_threads) counts[i] = atomicExch(s->counts + i, 0u);
  const unsigned long long rank = s->rank;
  __syncthreads();
  const Pick found = pick(counts, rank);
  if (threadIdx.x > 0) return;
  s->prefix = prefix | static_cast<unsigned long long>(found.digit) << shift;
  s->rank = found.rank;
  s->done = 0;
  s->gathered = shift == list_shift && found.keys <= most_listed;
  if (shift == 0) *out = value_of(s->prefix);
}

// Lists the values whose keys begin as the wanted one; their order, which differs from run to run, does not matter.
__global__ void __launch_bounds__(select_threads, 3)
    gather(const double* values, std::int64_t n, Selection* s) {
  if (!s->gathered) return;
  const unsigned long long prefix = s->prefix;
  for_values(values, n, [&](double value) {
    if ((key_of(value) & ~0ull << list_shift) == prefix) s->list[atomicAdd(&s->listed, 1u)] = value;
  });
}

// The rest of the digits, from the list.
__global__ void __launch_bounds__(select_threads) select_listed(Selection* s, double* out) {
  __shared__ unsigned counts[bins];
  if (!s->gathered) return;
  unsigned long long prefix = s->prefix, rank = s->rank;
  const int n = static_cast<int>(s->listed);
  for (int shift = list_shift - digit_bits; shift >= 0; shift -= digit_bits) {
    for (int i = threadIdx.x; i < bins; i += select_threads) counts[i] = 0;
    __syncthreads();
    for_values(s->list, n, [&](double value) {
      const unsigned long long key = key_of(value);
      if ((key & ~0ull << (shift + digit_bits)) == prefix)
        atomicAdd(counts + (key >> shift & (bins - 1)), 1u);
    });
    __syncthreads();
    const Pick found = pick(counts, rank);
    prefix |= static_cast<unsigned long long>(found.digit) << shift;
    rank = found.rank;
  }
  if (threadIdx.x == 0) *out = value_of(prefix);
}

}  // namespace

std::size_t logit_statistics_cuda_workspace(std::int64_t samples) {
  return static_cast<std::size_t>(grid_for(samples, warps)) * sizeof(LogitStatistics);
}

int logit_statistics_cuda(const float* logits, const std::int64_t* labels, std::int64_t samples,
                          std::int64_t classes, double* margins, LogitStatistics* out, void* workspace,
                          void* stream) {
  const auto s = static_cast<cudaStream_t>(stream);
  const auto partial = static_cast<LogitStatistics*>(workspace);
  const unsigned grid = grid_for(samples, classes <= most_staged ? threads : warps);
  const auto start = [&](auto kernel, std::size_t bytes = 0) {
    launch({grid, threads, s, bytes}, kernel, logits, labels, samples, static_cast<int>(classes), margins,
           partial);
  };
  const auto address = reinterpret_cast<std::uintptr_t>(logits);
  const bool fours = classes % 4 == 0 && address % sizeof(float4) == 0;
  const bool twos = classes % 2 == 0 && address % sizeof(float2) == 0;
  if (classes <= 8) {
    start(twos ? row_a_thread<8, 2> : row_a_thread<8, 1>);
  } else if (classes <= most_in_thread) {
    start(fours ? row_a_thread<16, 4> : twos ? row_a_thread<16, 2> : row_a_thread<16, 1>);
  } else if (classes <= most_staged) {
    const auto bytes =
        static_cast<std::size_t>(threads) * static_cast<std::size_t>(classes | 1) * sizeof(float);
    cudaFuncSetAttribute(staged, cudaFuncAttributeMaxDynamicSharedMemorySize,
                         threads * (most_staged | 1) * static_cast<int>(sizeof(float)));
    start(staged, bytes);
  } else if (classes <= 128) {
    start(fours ? row_a_warp<4, 4> : row_a_warp<4, 1>);
  } else if (classes <= 256) {
    start(fours ? row_a_warp<8, 4> : row_a_warp<8, 1>);
  } else if (classes <= 512) {
    start(fours ? row_a_warp<16, 4> : row_a_warp<16, 1>);
  } else if (classes <= 1024) {
    start(fours ? row_a_warp<32, 4> : row_a_warp<32, 1>);
  } else {
    launch({grid, threads, s}, by_warp, logits, labels, samples, classes, margins, partial);
  }
  launch({1, threads, s}, finish, partial, static_cast<int>(grid), out);
  return cudaGetLastError();
}

std::size_t kth_smallest_cuda_workspace() {
  return sizeof(Selection);
}

int kth_smallest_cuda(const double* values, std::int64_t n, std::int64_t k, double* out, void* workspace,
                      void* stream) {
  const auto s = static_cast<cudaStream_t>(stream);
  const auto selection = static_cast<Selection*>(workspace);
  launch({1, select_threads, s}, begin_selection, selection, k);
  const std::int64_t blocks = (n + 8 * threads - 1) / (8 * threads),
                     most = 396;  // three on each of 132 multiprocessors
  const auto grid = static_cast<unsigned>(blocks < most ? blocks : most);
  launch({grid, select_threads, s}, count_digits<true>, values, n, first_shift, selection, out);
  for (int shift = first_shift - digit_bits; shift >= 0; shift -= digit_bits) {
    launch({grid, select_threads, s}, count_digits<false>, values, n, shift, selection, out);
    if (shift == list_shift) launch({grid, select_threads, s}, gather, values, n, selection);
  }
  launch({1, select_threads, s}, select_listed, selection, out);
  return cudaGetLastError();
}

}  // namespace kernels
}  // namespace gapbench
