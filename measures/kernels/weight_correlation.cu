// CUDA versions: see weight_correlation.h for the contract. Nothing waits, nothing is allocated, and every sum has a fixed
// order, so the bits do not depend on how blocks were scheduled. Sums of cosines go three ways:
//
// Very many matrices of few short rows (a convolution of many input channels and few outputs): few_rows, one launch that is bound by
// the one read of the weights.
//
// Many matrices of short rows (the slices of a convolution): slice_sums, one launch. A block reads the rows of a few
// matrices once, keeps them scaled in shared memory, and its lanes hold rows in registers while the others pass by.
//
// Else three steps: inverse norms; rows scaled and transposed into panels, padded with zeros to whole tiles; one block per
// tile of cosines on or above the diagonal, whose absolute values are summed where they are. Tiles of 128 x 128, 8 x 8 cosines a
// thread, where they fill the device; else of 64 x 64 or 32 x 32, whose steps are shared between warps. A tile's steps come in
// through asynchronous copies, two blocks of steps ahead. Smoothed means and gradients take the same steps with other sums at
// their end.
#include <cuda_pipeline.h>
#include <cuda_runtime.h>

#include <cmath>
#include <type_traits>

#include "measures/kernels/cuda_launch.h"
#include "measures/kernels/weight_correlation.h"

namespace gapbench {
namespace kernels {
namespace {

constexpr int threads = 256, warps = threads / 32;
constexpr int panel_tile = 128, panel_steps_tile = 64;  // what panels are padded to: whole tiles of any size
constexpr int stages = 3;

__host__ __device__ constexpr std::int64_t blocks_of(std::int64_t n, std::int64_t size) {
  return (n + size - 1) / size;
}
constexpr std::int64_t tiles_above(std::int64_t rows, int tile) {
  return blocks_of(rows, tile) * (blocks_of(rows, tile) + 1) / 2;
}

// Two factors whose product is 1 / |w| for a sum of squares, which alone leaves float32 for rows of denormal or huge
// numbers; the first is a power of two. Zeros for a zero row, NaN for one that is not finite.
__device__ float2 inverse_norm(double squares) {
  if (squares == 0) return make_float2(0, 0);
  if (!isfinite(squares)) return make_float2(nanf(""), nanf(""));
  if (squares > 1e-30 && squares < 1e30) return make_float2(1, 1 / sqrtf(static_cast<float>(squares)));
  int exponent;
  const double mantissa = frexp(1 / sqrt(squares), &exponent);
  const int half = exponent / 2;
  return make_float2(ldexpf(1.0f, half), static_cast<float>(ldexp(mantissa, exponent - half)));
}

// ---- many matrices of short rows

// What a block of slice_sums keeps in shared memory: rows of each matrix scaled to unit length, sums, counts.
struct SlicePlan {
  int channels_log2, padded;  // matrices a block; rows of one, padded
  int row_tiles, column_tiles, items;
};

__host__ __device__ constexpr int slice_stride(int length) {
  return (length + 3) / 4 * 4;
}

// One item is a tile of 32 Each rows i by 32 rows j of one matrix; a warp does an item, a lane Each rows i.
template <int Length, int Each>
__global__ void __launch_bounds__(threads) slice_sums(RowBatches in, SlicePlan plan, CosineSum* out) {
  constexpr int stride = slice_stride(Length);
  float4* const memory = dynamic_shared<float4>();
  const int channels = 1 << plan.channels_log2;
  float* const unit = reinterpret_cast<float*>(memory);
  double* const partial =
      reinterpret_cast<double*>(unit + static_cast<std::size_t>(channels) * plan.padded * stride);
  int* const zeros = reinterpret_cast<int*>(partial + channels * plan.items);
  int* const broken = zeros + channels;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) << plan.channels_log2;
  const int rows = static_cast<int>(in.rows), length = static_cast<int>(in.length);
  for (int c = threadIdx.x; c < channels; c += threads) zeros[c] = broken[c] = 0;
  __syncthreads();
  for (int i = threadIdx.x; i < plan.padded << plan.channels_log2; i += threads) {
    const int r = i >> plan.channels_log2,
              c = i & (channels - 1);  // neighbours in memory go to neighbouring threads
    float w[stride] = {};
    if (r < rows && first + c < in.batches) {
      const float* const from = in.data + (first + c) * in.batch_stride + r * in.row_stride;
      double squares = 0;
#pragma unroll
      for (int k = 0; k < Length; ++k) {
        if (k < length) w[k] = from[k];
        squares += static_cast<double>(w[k]) * static_cast<double>(w[k]);
      }
      const float2 scale = inverse_norm(squares);
      if (squares == 0) atomicAdd(zeros + c, 1);
      if (isnan(scale.x)) atomicAdd(broken + c, 1);
#pragma unroll
      for (int k = 0; k < Length; ++k) w[k] = w[k] * scale.x * scale.y;
    }
    float4* const to = memory + (c * plan.padded + r) * (stride / 4);
#pragma unroll
    for (int k = 0; k < stride; k += 4) to[k / 4] = make_float4(w[k], w[k + 1], w[k + 2], w[k + 3]);
  }
  __syncthreads();
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (int item = warp; item < plan.items << plan.channels_log2; item += warps) {
    const int c = item / plan.items;
    int row_tile = 0, column_tile = item % plan.items;
    for (; column_tile >= plan.column_tiles - row_tile * Each; ++row_tile)
      column_tile -= plan.column_tiles - row_tile * Each;
    column_tile += row_tile * Each;
    const int i0 = row_tile * 32 * Each + lane, j0 = column_tile * 32;
    const float4* const matrix = memory + c * plan.padded * (stride / 4);
    const auto load = [&](int row, float* w) {
#pragma unroll
      for (int k = 0; k < stride; k += 4) {
        const float4 part = matrix[row * (stride / 4) + k / 4];
        w[k] = part.x, w[k + 1] = part.y, w[k + 2] = part.z, w[k + 3] = part.w;
      }
    };
    float mine[Each][stride], sum[Each] = {};
#pragma unroll
    for (int e = 0; e < Each; ++e) load(i0 + 32 * e, mine[e]);
    const auto pass = [&](auto wanted) {
#pragma unroll 4
      for (int j = j0; j < j0 + 32; ++j) {
        float other[stride];
        load(j, other);
#pragma unroll
        for (int e = 0; e < Each; ++e) {
          float product = 0;
#pragma unroll
          for (int k = 0; k < Length; ++k) product = fmaf(mine[e][k], other[k], product);
          if (wanted(i0 + 32 * e, j)) sum[e] += fabsf(product);  // missing rows are zero
        }
      }
    };
    if (column_tile >= (row_tile + 1) * Each)
      pass([](int, int) { return true; });
    else
      pass([](int i, int j) { return i < j; });
    double total = 0;
#pragma unroll
    for (int e = 0; e < Each; ++e) total += static_cast<double>(sum[e]);
    total = sum_of_lanes(total);
    if (lane == 0) partial[item] = total;
  }
  __syncthreads();
  for (int c = warp; c < channels && first + c < in.batches; c += warps) {
    double total = 0;
    for (int t = lane; t < plan.items; t += 32) total += partial[c * plan.items + t];
    total = sum_of_lanes(total);
    if (lane == 0) {
      const std::int64_t present = rows - zeros[c];
      out[first + c] = {broken[c] > 0 ? nan("") : total, present * (present - 1) / 2, zeros[c]};
    }
  }
}

constexpr std::size_t most_shared = 96 * 1024, usual_shared = 32 * 1024;

template <int Length, int Each>
bool sum_slices(const RowBatches& in, CosineSum* out, cudaStream_t stream) {
  SlicePlan plan;
  plan.padded = static_cast<int>(blocks_of(in.rows, 32 * Each) * 32 * Each);
  plan.row_tiles = plan.padded / (32 * Each);
  plan.column_tiles = static_cast<int>(blocks_of(in.rows, 32));
  plan.items = 0;
  for (int t = 0; t < plan.row_tiles; ++t) plan.items += plan.column_tiles - t * Each;
  const std::size_t one = static_cast<std::size_t>(plan.padded) * slice_stride(Length) * sizeof(float) +
                          static_cast<std::size_t>(plan.items) * sizeof(double) + 2 * sizeof(int);
  if (one > most_shared) return false;
  if (out == nullptr) return true;
  plan.channels_log2 = 0;
  while (plan.channels_log2 < 4 && (one << (plan.channels_log2 + 1)) <= usual_shared &&
         in.batches >> (plan.channels_log2 + 1) >= 264)  // two blocks on each of 132 multiprocessors
    ++plan.channels_log2;
  const std::size_t bytes = one << plan.channels_log2;
  cudaFuncSetAttribute(slice_sums<Length, Each>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                       static_cast<int>(most_shared));
  const auto grid = static_cast<unsigned>(blocks_of(in.batches, std::int64_t{1} << plan.channels_log2));
  launch({grid, threads, stream, bytes}, slice_sums<Length, Each>, in, plan, out);
  return true;
}

template <int Length>
bool sum_slices_of(const RowBatches& in, CosineSum* out, cudaStream_t stream) {
  constexpr int most = Length > 25 ? 1 : Length > 9 ? 2 : 4;  // rows that a lane's registers hold
  if (most == 1 || in.rows <= 32) return sum_slices<Length, 1>(in, out, stream);
  if (most == 2 || in.rows < 256) return sum_slices < Length, most<2 ? 1 : 2>(in, out, stream);
  return sum_slices<Length, most>(in, out, stream);
}

// False where the rows are too long, or the matrices too large or too few to fill the device. Without `out` nothing runs.
bool sum_slices(const RowBatches& in, CosineSum* out, cudaStream_t stream) {
  if (in.rows > 2048 || (in.rows > 128 && in.batches < 16)) return false;
  if (in.length <= 4) return sum_slices_of<4>(in, out, stream);
  if (in.length <= 9) return sum_slices_of<9>(in, out, stream);
  if (in.length <= 16) return sum_slices_of<16>(in, out, stream);
  if (in.length <= 25) return sum_slices_of<25>(in, out, stream);
  if (in.length <= 49) return sum_slices_of<49>(in, out, stream);
  return false;
}

// ---- very many matrices of few short rows

constexpr int few_threads = 128, few_most = 64, few_each = 8, few_length = 9;

// A group of Lanes neighbouring lanes does one matrix of up to 8 Lanes rows, a lane 8 of them, and a block 128 / Lanes
// matrices that lie side by side. Their rows come in as they lie, the next block's while these are worked on.
template <int Lanes, bool Whole>  // Whole: 8 Lanes rows of few_length, not fewer or shorter ones
__global__ void __launch_bounds__(few_threads, 4)
    few_rows(RowBatches in, int stride, bool in_fours, std::int64_t chunks, CosineSum* out) {
  constexpr int matrices = few_threads / Lanes;
  float* const memory = dynamic_shared<float>();
  const int rows = Whole ? few_each * Lanes : static_cast<int>(in.rows);
  const int length = Whole ? few_length : static_cast<int>(in.length);
  const int lane = threadIdx.x % Lanes, matrix = threadIdx.x / Lanes;
  const auto fetch = [&](std::int64_t chunk, float* to) {
    const std::int64_t first = chunk * matrices;
    const float* const from = in.data + first * length;
    const int n = static_cast<int>(min(static_cast<std::int64_t>(matrices), in.batches - first)) * length;
    const int fours = in_fours ? n / 4 : 0, rest = n - 4 * fours;
    for (int r = threadIdx.x / 32; r < rows; r += few_threads / 32) {
      const float* const row = from + r * in.row_stride;
      for (int i = threadIdx.x % 32; i < fours; i += 32)
        __pipeline_memcpy_async(to + r * stride + 4 * i, row + 4 * i, 16);
      for (int i = 4 * fours + static_cast<int>(threadIdx.x) % 32; i < 4 * fours + rest; i += 32)
        __pipeline_memcpy_async(to + r * stride + i, row + i, 4);
    }
  };
  float *here = memory, *next = memory + rows * stride;
  fetch(blockIdx.x, here);
  __pipeline_commit();
  for (std::int64_t chunk = blockIdx.x; chunk < chunks; chunk += gridDim.x) {
    if (chunk + gridDim.x < chunks) fetch(chunk + gridDim.x, next);
    __pipeline_commit();
    __pipeline_wait_prior(1);
    __syncthreads();
    // A lane's rows, scaled to unit length there and, for the others of the group, where they were.
    float* const own = here + lane * stride + matrix * length;
    float mine[few_each][few_length];
    const auto load = [&] {
#pragma unroll
      for (int e = 0; e < few_each; ++e)
#pragma unroll
        for (int k = 0; k < few_length; ++k)
          mine[e][k] = lane + Lanes * e < rows && k < length ? own[e * Lanes * stride + k] : 0;
    };
    load();
    float squares[few_each];
    bool usual = true;
#pragma unroll
    for (int e = 0; e < few_each; ++e) {
      squares[e] = 0;
#pragma unroll
      for (int k = 0; k < few_length; ++k) squares[e] = fmaf(mine[e][k], mine[e][k], squares[e]);
      if (lane + Lanes * e >= rows) squares[e] = 1;  // zeros, of whatever length
      usual = usual && squares[e] > 1e-30f && squares[e] < 1e30f;
    }
    int zeros = 0, broken = 0;
    if (usual) {
#pragma unroll
      for (int e = 0; e < few_each; ++e) {
        const float inverse = rsqrtf(squares[e]);
#pragma unroll
        for (int k = 0; k < few_length; ++k) {
          mine[e][k] *= inverse;
          if (Lanes > 1 && lane + Lanes * e < rows && k < length) own[e * Lanes * stride + k] = mine[e][k];
        }
      }
    } else {
#pragma unroll 1
      for (int r = lane; r < rows; r += Lanes) {
        float* const row = here + r * stride + matrix * length;
        double exact = 0;
        for (int k = 0; k < length; ++k) exact += static_cast<double>(row[k]) * static_cast<double>(row[k]);
        const float2 scale = inverse_norm(exact);
        zeros += exact == 0;
        broken += isnan(scale.x);
        for (int k = 0; k < length; ++k) row[k] = row[k] * scale.x * scale.y;
      }
      load();
    }
    __syncwarp();
    float sum[few_each] = {};
    double total = 0;
#pragma unroll
    for (int b = 0; b < few_each; ++b) {
#pragma unroll 2
      for (int l = 0; l < Lanes; ++l) {
        const int j = b * Lanes + l;
        if (j >= rows) break;
        float other[few_length];
#pragma unroll
        for (int k = 0; k < few_length; ++k)
          other[k] = Lanes == 1 ? mine[b][k] : k < length ? here[j * stride + matrix * length + k] : 0;
#pragma unroll
        for (int e = 0; e <= b; ++e) {
          float product = 0;
#pragma unroll
          for (int k = 0; k < few_length; ++k) product = fmaf(mine[e][k], other[k], product);
          if (e < b || lane < l) sum[e] += fabsf(product);
        }
      }
      if ((b + 1) * Lanes % 32 == 0 || b + 1 == few_each)  // no more than 32 of a row in float32
#pragma unroll
        for (int e = 0; e < few_each; ++e) {
          total += static_cast<double>(sum[e]);
          sum[e] = 0;
        }
    }
    total = sum_of_lanes(total, Lanes);
    zeros = sum_of_lanes(zeros, Lanes);
    broken = sum_of_lanes(broken, Lanes);
    const std::int64_t b = chunk * matrices + matrix, present = rows - zeros;
    if (lane == 0 && b < in.batches)
      out[b] = {broken > 0 ? nan("") : total, present * (present - 1) / 2, zeros};
    __syncthreads();  // all are done with these before the next are fetched over them
    float* const done = here;
    here = next;
    next = done;
  }
}

template <int Lanes>
bool sum_few_rows_of(const RowBatches& in, CosineSum* out, cudaStream_t stream) {
  constexpr std::int64_t matrices = few_threads / Lanes,
                         resident = 396;  // three blocks on each of 132 multiprocessors
  const std::int64_t chunks = blocks_of(in.batches, matrices);
  if (chunks < resident / 3) return false;
  if (out == nullptr) return true;
  const int stride =
      static_cast<int>(blocks_of(matrices * in.length, 32) * 32 + 4);  // rows in different banks
  const std::size_t bytes =
      2 * static_cast<std::size_t>(in.rows) * static_cast<std::size_t>(stride) * sizeof(float);
  const bool whole = in.rows == few_each * Lanes && in.length == few_length;
  const auto kernel = whole ? few_rows<Lanes, true> : few_rows<Lanes, false>;
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(most_shared));
  const bool in_fours = reinterpret_cast<std::uintptr_t>(in.data) % 16 == 0 && in.row_stride % 4 == 0;
  launch({static_cast<unsigned>(chunks < resident ? chunks : resident), few_threads, stream, bytes}, kernel,
         in, stride, in_fours, chunks, out);
  return true;
}

// False where rows are too many or too long, matrices not side by side, or too few. Without `out` nothing runs.
bool sum_few_rows(const RowBatches& in, CosineSum* out, cudaStream_t stream) {
  if (in.rows > few_most || in.length > few_length || in.length < 1 || in.batch_stride != in.length)
    return false;
  if (in.rows <= 8) return sum_few_rows_of<1>(in, out, stream);
  if (in.rows <= 16) return sum_few_rows_of<2>(in, out, stream);
  if (in.rows <= 32) return sum_few_rows_of<4>(in, out, stream);
  return sum_few_rows_of<8>(in, out, stream);
}

// ---- any matrices

// Sum of squares of a row, by one warp; all of its lanes get it.
__device__ double squares_of(const RowBatches& in, std::int64_t row) {
  const float* w = in.data + row / in.rows * in.batch_stride + row % in.rows * in.row_stride;
  double sum = 0;
  for (std::int64_t k = threadIdx.x % 32; k < in.length; k += 32)
    sum += static_cast<double>(w[k]) * static_cast<double>(w[k]);
  return sum_of_lanes(sum);
}

__global__ void __launch_bounds__(threads) inverse_norms(RowBatches in, float2* inverse) {
  const std::int64_t row = (static_cast<std::int64_t>(blockIdx.x) * threads + threadIdx.x) / 32;
  if (row >= in.batches * in.rows) return;
  const double squares = squares_of(in, row);
  if (threadIdx.x % 32 == 0) inverse[row] = inverse_norm(squares);
}

// panels[k * panel_rows + r] of each matrix: unit rows, step by step, zero where there is no row or step. A block moves
// 32 steps of 32 rows.
// Unless null, `units` are the same unit rows, padded as panels are, as they lie.
__global__ void __launch_bounds__(threads)
    make_panels(RowBatches in, const float2* inverse, float* panels, float* units) {
  __shared__ float block[32][33];
  const std::int64_t panel_rows = blocks_of(in.rows, panel_tile) * panel_tile,
                     panel_steps = blocks_of(in.length, panel_steps_tile) * panel_steps_tile;
  const std::int64_t across = panel_rows / 32, down = panel_steps / 32;
  const std::int64_t batch = blockIdx.x / (across * down), rest = blockIdx.x % (across * down);
  const std::int64_t r0 = rest / down * 32, k0 = rest % down * 32;
  const int x = threadIdx.x % 32, y = threadIdx.x / 32;
  for (int i = y; i < 32; i += warps) {
    const std::int64_t r = r0 + i, k = k0 + x;
    float value = 0;
    if (r < in.rows && k < in.length) {
      const float2 scale = inverse[batch * in.rows + r];
      value = in.data[batch * in.batch_stride + r * in.row_stride + k] * scale.x * scale.y;
    }
    block[i][x] = value;
    if (units != nullptr) units[(batch * panel_rows + r) * panel_steps + k] = value;
  }
  __syncthreads();
  float* const to = panels + batch * panel_rows * panel_steps;
  for (int i = y; i < 32; i += warps) to[(k0 + i) * panel_rows + r0 + x] = block[x][i];
}

// Row and column of the t-th tile on or above the diagonal, columns first: (0,0) (0,1) (1,1) (0,2) (1,2) (2,2) ...
__device__ void tile_position(std::int64_t t, std::int64_t& row, std::int64_t& column) {
  column = static_cast<std::int64_t>((sqrt(8.0 * static_cast<double>(t) + 1) - 1) / 2);
  while (column * (column + 1) / 2 > t) --column;  // the square root may be one off
  while ((column + 1) * (column + 2) / 2 <= t) ++column;
  row = t - column * (column + 1) / 2;
}

// values[step * rows + row] of each matrix; of the padded steps `length` are not zero everywhere.
struct Panels {
  const float* values;
  int rows, steps, length;
};

// Calls fetch(stage) for each block of steps, two ahead of use(stage, block), which finds it there.
template <class Fetch, class Use>
__device__ void in_stages(int blocks, const Fetch& fetch, const Use& use) {
  for (int s = 0; s < stages - 1; ++s) {
    if (s < blocks) fetch(s);
    __pipeline_commit();
  }
  int stage = 0;
  for (int block = 0; block < blocks; ++block) {
    __pipeline_wait_prior(stages - 2);
    __syncthreads();  // the block of steps is there for all, and all are done with the one before it
    if (block + stages - 1 < blocks) fetch(stage == 0 ? stages - 1 : stage - 1);
    __pipeline_commit();
    use(stage, block);
    stage = stage + 1 == stages ? 0 : stage + 1;
  }
}

// Of a 128 x 128 tile a warp owns 64 x 32, a lane two groups of four rows by two of four columns: the first ones, in groups. Neighbouring
// lanes read the same words: fewer shared-memory transactions.
__device__ int first_row_group() {
  return static_cast<int>(threadIdx.x) / 128 * 16 + (static_cast<int>(threadIdx.x) >> 1 & 7);
}
__device__ int first_column_group() {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  return warp % 4 * 8 + (lane >> 3 & 2 | lane & 1);
}

using TileMemory = float4[stages][1024];  // a stage: steps x Size of the tile's rows, then of its columns

// A tile of Size x Size cosines: where it is, and the `count` of them that are this thread's. Of small tiles, `groups` of warps
// share the steps.
template <int Size>
struct Tile {
  static constexpr int steps = 2048 / Size, groups = Size == 128 ? 1 : Size == 64 ? 2 : 8;
  static constexpr int count = Size * Size / threads;
  static constexpr int each = Size == 128 ? 8 : 4;  // columns of a lane, which has eight rows

  std::int64_t batch;
  std::int64_t first_row, first_column;  // of the matrix
  int row, column;                       // of this thread's sums, in groups of four
  int to_column;                         // first_column - first_row: 0 on the diagonal
  float cosine[count];

  __device__ int row_of(int i) const {  // in the tile, of the i-th cosine of this thread
    if constexpr (groups == 1) return row * 4 + i / 8 / 4 * 32 + i / 8 % 4;
    return (static_cast<int>(threadIdx.x) + threads * i) / Size;
  }
  __device__ int column_of(int i) const {
    if constexpr (groups == 1) return column * 4 + i % 8 / 4 * 16 + i % 4;
    return (static_cast<int>(threadIdx.x) + threads * i) % Size;
  }

  // The block's tile of `tiles` a matrix.
  __device__ void multiply(TileMemory& memory, const Panels& panels, std::int64_t tiles) {
    constexpr int quarter = Size / 4;  // float4s of a step
    batch = blockIdx.x / tiles;
    std::int64_t tile_row, tile_column;
    tile_position(blockIdx.x % tiles, tile_row, tile_column);
    first_row = tile_row * Size;
    first_column = tile_column * Size;
    to_column = static_cast<int>(first_column - first_row);
    const float* from = panels.values + (batch * panels.steps + threadIdx.x / quarter) * panels.rows +
                        first_row + threadIdx.x % quarter * 4;
    const auto fetch = [&](int stage) {  // the next block of steps
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        __pipeline_memcpy_async(&memory[stage][threadIdx.x + threads * i], from, 16);
        __pipeline_memcpy_async(&memory[stage][512 + threadIdx.x + threads * i], from + to_column, 16);
        from += threads / quarter * static_cast<std::int64_t>(panels.rows);
      }
    };
    constexpr int next_row = Size == 128 ? 8 : 4;  // to a lane's other four rows
    int group = 0;
    if constexpr (Size == 128) {
      row = first_row_group();
      column = first_column_group();
    } else {  // a warp owns 32 x 32, a lane two groups of four rows by one of columns
      constexpr int across = Size / 32;
      const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, of_group = warp % (across * across);
      group = warp / (across * across);
      row = of_group / across * 8 + lane / 8;
      column = of_group % across * 8 + lane % 8;
    }
    float product[8][each];
#pragma unroll
    for (int i = 0; i < 8; ++i)
#pragma unroll
      for (int j = 0; j < each; ++j) product[i][j] = 0;
    in_stages(static_cast<int>(blocks_of(panels.length, steps)), fetch, [&](int stage, int) {
      const float4* const here = memory[stage] + group * (steps / groups) * quarter;
#pragma unroll
      for (int k = 0; k < steps / groups; ++k) {
        const float4 a0 = here[k * quarter + row], a1 = here[k * quarter + row + next_row];
        const float a[8] = {a0.x, a0.y, a0.z, a0.w, a1.x, a1.y, a1.z, a1.w};
        float b[each];
#pragma unroll
        for (int j = 0; j < each; j += 4) {
          const float4 part = here[512 + k * quarter + column + j];  // four columns, the next ones 16 on
          b[j] = part.x, b[j + 1] = part.y, b[j + 2] = part.z, b[j + 3] = part.w;
        }
#pragma unroll
        for (int i = 0; i < 8; ++i)
#pragma unroll
          for (int j = 0; j < each; ++j) product[i][j] = fmaf(a[i], b[j], product[i][j]);
      }
    });
    if constexpr (groups == 1) {
#pragma unroll
      for (int i = 0; i < 8; ++i)
#pragma unroll
        for (int j = 0; j < each; ++j) cosine[i * each + j] = product[i][j];
    } else {  // the groups' parts, in a fixed order
      __syncthreads();
      float4* const parts = memory[0];
#pragma unroll
      for (int i = 0; i < 8; ++i)
        parts[(group * Size + row * 4 + i / 4 * 16 + i % 4) * quarter + column] =
            make_float4(product[i][0], product[i][1], product[i][2], product[i][3]);
      __syncthreads();
      const float* const part = reinterpret_cast<const float*>(parts);
#pragma unroll
      for (int i = 0; i < count; ++i) {
        cosine[i] = 0;
#pragma unroll
        for (int g = 0; g < groups; ++g) cosine[i] += part[g * Size * Size + threadIdx.x + threads * i];
      }
    }
  }
};

// The block's sum, to one place.
__device__ void put_sum(double sum, TileMemory& memory, double* to) {
  sum = sum_of_lanes(sum);
  __syncthreads();
  double* const of_warp = reinterpret_cast<double*>(&memory);
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x == 0) {
    double total = 0;
    for (int w = 0; w < warps; ++w) total += of_warp[w];
    *to = total;
  }
}

template <int Size>
__global__ void __launch_bounds__(threads, Size == 128 ? 2 : 3)
    tile_sums(Panels panels, std::int64_t tiles, double* partial) {
  __shared__ TileMemory memory;
  Tile<Size> t;
  t.multiply(memory, panels, tiles);
  double sum = 0;
#pragma unroll
  for (int i = 0; i < t.count; ++i)
    if (t.to_column > 0 || t.row_of(i) < t.column_of(i)) sum += fabs(static_cast<double>(t.cosine[i]));
  put_sum(sum, memory, partial + blockIdx.x);
}

__global__ void __launch_bounds__(threads)
    finish(RowBatches in, const float2* inverse, const double* partial, std::int64_t count, CosineSum* out) {
  __shared__ double sums[threads];
  __shared__ int zeros[threads], bad[threads];
  const std::int64_t batch = blockIdx.x;
  double sum = 0;
  for (std::int64_t t = threadIdx.x; t < count; t += threads) sum += partial[batch * count + t];
  int zero = 0, broken = 0;
  for (std::int64_t i = threadIdx.x; i < in.rows; i += threads) {
    const float s = inverse[batch * in.rows + i].x;
    zero += s == 0;
    broken += isnan(s);
  }
  sums[threadIdx.x] = sum;
  zeros[threadIdx.x] = zero;
  bad[threadIdx.x] = broken;
  for (int step = threads / 2; step > 0; step /= 2) {
    __syncthreads();
    if (threadIdx.x < step) {
      sums[threadIdx.x] += sums[threadIdx.x + step];
      zeros[threadIdx.x] += zeros[threadIdx.x + step];
      bad[threadIdx.x] += bad[threadIdx.x + step];
    }
  }
  if (threadIdx.x == 0) {
    const std::int64_t rows = in.rows - zeros[0];
    out[batch] = {bad[0] > 0 ? nan("") : sums[0], rows * (rows - 1) / 2, zeros[0]};
  }
}

// ---- smoothed means: the same tiles, with other terms

__global__ void __launch_bounds__(threads) row_norms(RowBatches in, double* norms) {
  const std::int64_t row = (static_cast<std::int64_t>(blockIdx.x) * threads + threadIdx.x) / 32;
  if (row >= in.batches * in.rows) return;
  const double squares = squares_of(in, row);
  if (threadIdx.x % 32 == 0) norms[row] = sqrt(squares);
}

template <int Size>
__global__ void __launch_bounds__(threads, Size == 128 ? 2 : 3)
    smoothed_tile_sums(Panels panels, std::int64_t tiles, int rows, const double* norms, double epsilon,
                       double* partial) {
  __shared__ TileMemory memory;
  Tile<Size> t;
  t.multiply(memory, panels, tiles);
  const double* const norm = norms + t.batch * rows;
  double sum = 0;
#pragma unroll
  for (int i = 0; i < t.count; ++i) {
    const std::int64_t r = t.first_row + t.row_of(i), c = t.first_column + t.column_of(i);
    if (r >= c || c >= rows) continue;  // r < rows too
    const double size = norm[r] * norm[c];
    sum += fabs((static_cast<double>(t.cosine[i]) * size + epsilon) / (size + epsilon));
  }
  put_sum(sum, memory, partial + blockIdx.x);
}

__global__ void __launch_bounds__(threads)
    finish_means(std::int64_t rows, const double* norms, double epsilon, const double* partial,
                 std::int64_t count, double* out) {
  __shared__ double of_warp[warps];
  double sum = 0;
  for (std::int64_t t = threadIdx.x; t < count; t += threads) sum += 2 * partial[blockIdx.x * count + t];
  for (std::int64_t i = threadIdx.x; i < rows; i += threads) {
    const double norm = norms[blockIdx.x * rows + i], square = norm * norm;
    // an infinite one is no row either
    sum += isfinite(norm) ? fabs((square + epsilon) / (square + epsilon)) : nan("");
  }
  sum = sum_of_lanes(sum);
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x > 0) return;
  double total = 0;
  for (int w = 0; w < warps; ++w) total += of_warp[w];
  out[blockIdx.x] = rows > 0 ? total / (static_cast<double>(rows) * static_cast<double>(rows)) : 0;
}

// ---- gradients: the signs of all cosines, their product with the unit rows, and its part orthogonal to each row

// A sign is kept as the first byte of the float32 one half, negative or not.
constexpr unsigned char plus_half = 0x3F, minus_half = 0xBF;

template <int Size>
__global__ void __launch_bounds__(threads, Size == 128 ? 2 : 3)
    tile_signs(Panels panels, std::int64_t tiles, unsigned char* signs) {
  __shared__ TileMemory memory;
  Tile<Size> t;
  t.multiply(memory, panels, tiles);
  const std::int64_t panel_rows = panels.rows;
  unsigned char* const matrix = signs + t.batch * panel_rows * panel_rows;
#pragma unroll
  for (int i = 0; i < t.count; ++i) {
    const std::int64_t r = t.first_row + t.row_of(i), c = t.first_column + t.column_of(i);
    const float x = t.cosine[i];
    const unsigned char sign = r == c ? 0 : x > 0 ? plus_half : x < 0 ? minus_half : 0;
    matrix[r * panel_rows + c] = sign;
    if (t.to_column > 0) matrix[c * panel_rows + r] = sign;
  }
}

constexpr int sum_steps = 16, sum_flush = 256;

struct SumMemory {
  unsigned signs[stages][sum_steps][128 / 4];
  float4 units[stages][sum_steps][128 / 4];
};

// sums[i][k] = sum_j sign(i, j) u_j[k]: a block does 128 rows by 128 k, a thread 8 by 8, as in a Tile; up to 256 of the terms are summed
// one after the other.
__global__ void __launch_bounds__(threads, 1)
    signed_row_sums(const unsigned char* signs, const float* units, int panel_rows, int panel_steps, int rows,
                    int length, float* sums) {
  __shared__ SumMemory memory;
  const std::int64_t down = blocks_of(rows, 128), across = blocks_of(length, 128);
  const std::int64_t batch = blockIdx.x / (down * across), rest = blockIdx.x % (down * across);
  const int i0 = static_cast<int>(rest / across) * 128, k0 = static_cast<int>(rest % across) * 128;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const unsigned char* sign =
      signs + (batch * panel_rows + threadIdx.x / 8) * panel_rows + i0 + threadIdx.x % 8 * 16;
  const float* unit = units + (batch * panel_rows + warp) * panel_steps + k0 + lane * 4;
  const bool within = k0 + lane * 4 < panel_steps;
  const auto fetch = [&](int stage) {
    if (threadIdx.x < sum_steps * 8)
      __pipeline_memcpy_async(&memory.signs[stage][threadIdx.x / 8][threadIdx.x % 8 * 4], sign, 16);
    sign += sum_steps * static_cast<std::int64_t>(panel_rows);
#pragma unroll
    for (int j = 0; j < sum_steps; j += warps) {
      if (within) __pipeline_memcpy_async(&memory.units[stage][warp + j][lane], unit, 16);
      unit += warps * static_cast<std::int64_t>(panel_steps);
    }
  };
  const int row = first_row_group(), column = first_column_group();
  const int blocks = static_cast<int>(blocks_of(rows, sum_steps));
  float total[8][8] = {}, part[8][8] = {};
  in_stages(blocks, fetch, [&](int stage, int block) {
#pragma unroll 4
    for (int k = 0; k < sum_steps; ++k) {
      const unsigned s0 = memory.signs[stage][k][row], s1 = memory.signs[stage][k][row + 8];
      const float4 b0 = memory.units[stage][k][column], b1 = memory.units[stage][k][column + 4];
      const float b[8] = {b0.x, b0.y, b0.z, b0.w, b1.x, b1.y, b1.z, b1.w};
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const float half = __uint_as_float((i < 4 ? s0 : s1) << (24 - i % 4 * 8) & 0xFF000000u);
#pragma unroll
        for (int j = 0; j < 8; ++j) part[i][j] = fmaf(half, b[j], part[i][j]);
      }
    }
    if ((block + 1) % (sum_flush / sum_steps) == 0 || block + 1 == blocks)
#pragma unroll
      for (int i = 0; i < 8; ++i)
#pragma unroll
        for (int j = 0; j < 8; ++j) {
          total[i][j] += part[i][j];
          part[i][j] = 0;
        }
  });
#pragma unroll
  for (int i = 0; i < 8; ++i)
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      const int r = i0 + row * 4 + i / 4 * 32 + i % 4, k = k0 + column * 4 + j / 4 * 16 + j % 4;
      if (r < rows && k < length) sums[(batch * rows + r) * length + k] = 2 * total[i][j];
    }
}

// A warp a row: gradient = (sums - (sums . u) u) / |w|.
__global__ void __launch_bounds__(threads)
    make_orthogonal(RowBatches in, const float2* inverse, const float* sums, float* gradient) {
  const std::int64_t row = (static_cast<std::int64_t>(blockIdx.x) * threads + threadIdx.x) / 32;
  const int lane = threadIdx.x % 32;
  if (row >= in.batches * in.rows) return;
  const std::int64_t at = row / in.rows * in.batch_stride + row % in.rows * in.row_stride;
  const float2 scale = inverse[row];
  const float* const sum = sums + row * in.length;
  const auto unit = [&](std::int64_t k) {
    return static_cast<double>(in.data[at + k] * scale.x) * static_cast<double>(scale.y);
  };
  double dot = 0;
  for (std::int64_t k = lane; k < in.length; k += 32) dot += static_cast<double>(sum[k]) * unit(k);
  dot = sum_of_lanes(dot);
  for (std::int64_t k = lane; k < in.length; k += 32)
    gradient[at + k] = static_cast<float>((static_cast<double>(sum[k]) - dot * unit(k)) *
                                          static_cast<double>(scale.x) * static_cast<double>(scale.y));
}

constexpr std::size_t aligned(std::size_t bytes) {
  return (bytes + 255) / 256 * 256;
}

int padded_rows(const RowBatches& in) {
  return static_cast<int>(blocks_of(in.rows, panel_tile) * panel_tile);
}
int padded_steps(const RowBatches& in) {
  return static_cast<int>(blocks_of(in.length, panel_steps_tile) * panel_steps_tile);
}

Panels panels_of(const RowBatches& in, const float* values) {
  return {values, padded_rows(in), padded_steps(in), static_cast<int>(in.length)};
}

// The largest tile whose blocks fill the places of 132 multiprocessors well enough; small tiles read more a cosine.
int tile_size(const RowBatches& in) {
  const auto share = [&](int tile, std::int64_t places) {
    const std::int64_t blocks = in.batches * tiles_above(in.rows, tile);
    return static_cast<double>(blocks) / static_cast<double>(blocks_of(blocks, places) * places);
  };
  return share(128, 2 * 132) >= 0.7 ? 128 : share(64, 3 * 132) >= 0.6 ? 64 : 32;
}

// Calls `with` with the tile's size as a type.
template <class With>
void with_tile(int size, const With& with) {
  if (size == 128)
    with(std::integral_constant<int, 128>());
  else if (size == 64)
    with(std::integral_constant<int, 64>());
  else
    with(std::integral_constant<int, 32>());
}

// Where in the workspace what lies, in bytes.
struct Layout {
  std::size_t panels, partial, end;  // behind the inverse norms
  std::size_t norms = 0, end_means;  // of the smoothed means
  std::size_t units, signs, sums, end_gradients;
  explicit Layout(const RowBatches& in) {
    const auto batches = static_cast<std::size_t>(in.batches), rows = static_cast<std::size_t>(in.rows);
    const auto panel_rows = static_cast<std::size_t>(padded_rows(in));
    const auto panel = panel_rows * static_cast<std::size_t>(padded_steps(in));
    panels = aligned(batches * rows * sizeof(float2));
    partial = panels + aligned(batches * panel * sizeof(float));
    end = partial +
          aligned(batches * static_cast<std::size_t>(tiles_above(in.rows, tile_size(in))) * sizeof(double));
    norms = end;
    end_means = norms + aligned(batches * rows * sizeof(double));
    units = partial;
    signs = units + aligned(batches * panel * sizeof(float));
    sums = signs + aligned(batches * panel_rows * panel_rows);
    end_gradients = sums + aligned(batches * rows * static_cast<std::size_t>(in.length) * sizeof(float));
  }
};

// The first two of the three steps; rows > 0.
void enqueue_panels(const RowBatches& in, float2* inverse, float* panels, cudaStream_t s,
                    float* units = nullptr) {
  launch({static_cast<unsigned>(blocks_of(in.batches * in.rows, warps)), threads, s}, inverse_norms, in,
         inverse);
  const std::int64_t moves = in.batches * (padded_rows(in) / 32) * (padded_steps(in) / 32);
  if (moves > 0) launch({static_cast<unsigned>(moves), threads, s}, make_panels, in, inverse, panels, units);
}

}  // namespace

std::size_t absolute_cosine_sums_cuda_workspace(const RowBatches& in) {
  const bool short_rows =
      in.rows > 0 && (sum_few_rows(in, nullptr, nullptr) || sum_slices(in, nullptr, nullptr));
  return short_rows ? 0 : Layout(in).end;
}

int absolute_cosine_sums_cuda(const RowBatches& in, CosineSum* out, void* workspace, void* stream) {
  if (in.batches == 0) return cudaSuccess;
  const auto s = static_cast<cudaStream_t>(stream);
  if (in.rows > 0 && (sum_few_rows(in, out, s) || sum_slices(in, out, s))) return cudaGetLastError();
  const Layout layout(in);
  char* const memory = static_cast<char*>(workspace);
  float2* const inverse = static_cast<float2*>(workspace);
  float* const panels = reinterpret_cast<float*>(memory + layout.panels);
  double* const partial = reinterpret_cast<double*>(memory + layout.partial);
  const int size = tile_size(in);
  const std::int64_t tiles = tiles_above(in.rows, size);
  if (in.rows > 0) {
    enqueue_panels(in, inverse, panels, s);
    with_tile(size, [&](auto tile) {
      launch({static_cast<unsigned>(in.batches * tiles), threads, s}, tile_sums<tile.value>,
             panels_of(in, panels), tiles, partial);
    });
  }
  launch({static_cast<unsigned>(in.batches), threads, s}, finish, in, inverse, partial, tiles, out);
  return cudaGetLastError();
}

std::size_t smoothed_cosine_means_cuda_workspace(const RowBatches& in) {
  return Layout(in).end_means;
}

int smoothed_cosine_means_cuda(const RowBatches& in, double epsilon, double* out, void* workspace,
                               void* stream) {
  if (in.batches == 0) return cudaSuccess;
  const auto s = static_cast<cudaStream_t>(stream);
  const Layout layout(in);
  char* const memory = static_cast<char*>(workspace);
  float2* const inverse = static_cast<float2*>(workspace);
  float* const panels = reinterpret_cast<float*>(memory + layout.panels);
  double* const partial = reinterpret_cast<double*>(memory + layout.partial);
  double* const norms = reinterpret_cast<double*>(memory + layout.norms);
  const int size = tile_size(in);
  const std::int64_t tiles = tiles_above(in.rows, size);
  if (in.rows > 0) {
    enqueue_panels(in, inverse, panels, s);
    launch({static_cast<unsigned>(blocks_of(in.batches * in.rows, warps)), threads, s}, row_norms, in, norms);
    with_tile(size, [&](auto tile) {
      launch({static_cast<unsigned>(in.batches * tiles), threads, s}, smoothed_tile_sums<tile.value>,
             panels_of(in, panels), tiles, static_cast<int>(in.rows), norms, epsilon, partial);
    });
  }
  launch({static_cast<unsigned>(in.batches), threads, s}, finish_means, in.rows, norms, epsilon, partial,
         tiles, out);
  return cudaGetLastError();
}

std::size_t absolute_cosine_gradients_cuda_workspace(const RowBatches& in) {
  return Layout(in).end_gradients;
}

int absolute_cosine_gradients_cuda(const RowBatches& in, float* gradient, void* workspace, void* stream) {
  if (in.batches == 0 || in.rows == 0 || in.length == 0) return cudaSuccess;
  const auto s = static_cast<cudaStream_t>(stream);
  const Layout layout(in);
  char* const memory = static_cast<char*>(workspace);
  float2* const inverse = static_cast<float2*>(workspace);
  float* const panels = reinterpret_cast<float*>(memory + layout.panels);
  float* const units = reinterpret_cast<float*>(memory + layout.units);
  unsigned char* const signs = reinterpret_cast<unsigned char*>(memory + layout.signs);
  float* const sums = reinterpret_cast<float*>(memory + layout.sums);
  enqueue_panels(in, inverse, panels, s, units);
  const int size = tile_size(in);
  const std::int64_t tiles = tiles_above(in.rows, size);
  with_tile(size, [&](auto tile) {
    launch({static_cast<unsigned>(in.batches * tiles), threads, s}, tile_signs<tile.value>,
           panels_of(in, panels), tiles, signs);
  });
  const std::int64_t blocks = in.batches * blocks_of(in.rows, 128) * blocks_of(in.length, 128);
  launch({static_cast<unsigned>(blocks), threads, s}, signed_row_sums, signs, units, padded_rows(in),
         padded_steps(in), static_cast<int>(in.rows), static_cast<int>(in.length), sums);
  launch({static_cast<unsigned>(blocks_of(in.batches * in.rows, warps)), threads, s}, make_orthogonal, in,
         inverse, sums, gradient);
  return cudaGetLastError();
}

}  // namespace kernels
}  // namespace gapbench
