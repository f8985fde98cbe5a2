// CUDA version of absolute_cosine_sums: see weight_correlation.h for the contract. Three launches on one stream:
//   1. inverse norms, one warp a row, float64;
//   2. one block per 64 x 64 tile on or above the diagonal: products in shared memory, absolute values summed in registers, one
//      float64 partial per tile; the cosines are never stored;
//   3. partials of a matrix summed in a fixed order, so the bits do not depend on how blocks were scheduled.
#include <cuda_runtime.h>

#include <cmath>

#include "measures/kernels/weight_correlation.h"

namespace gapbench {
namespace kernels {
namespace {

constexpr int tile = 64, steps = 16, threads = 256, each = 4;  // a thread owns 4 x 4 products of a tile

__host__ __device__ std::int64_t tiles_across(std::int64_t rows) {
  return (rows + tile - 1) / tile;
}
__host__ __device__ std::int64_t tiles_above(std::int64_t rows) {
  return tiles_across(rows) * (tiles_across(rows) + 1) / 2;
}

// inverse[b * rows + i]: two factors whose product is 1 / |w_i|, which alone leaves float32 for rows of denormal or
// huge numbers; the first is a power of two. Zeros for a zero row, NaN for one that is not finite.
__global__ void inverse_norms(RowBatches in, float2* inverse) {
  const std::int64_t row = (static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
  const int lane = threadIdx.x % 32;
  if (row >= in.batches * in.rows) return;
  const float* w = in.data + row / in.rows * in.batch_stride + row % in.rows * in.row_stride;
  double sum = 0;
  for (std::int64_t k = lane; k < in.length; k += 32)
    sum += static_cast<double>(w[k]) * static_cast<double>(w[k]);
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
  if (lane != 0) return;
  if (sum == 0 || !isfinite(sum)) {
    const float same = sum == 0 ? 0.0f : nanf("");
    inverse[row] = make_float2(same, same);
    return;
  }
  int exponent;
  const double mantissa = frexp(1 / sqrt(sum), &exponent);
  const int half = exponent / 2;
  inverse[row] = make_float2(ldexpf(1.0f, half), static_cast<float>(ldexp(mantissa, exponent - half)));
}

// Row and column of the t-th tile on or above the diagonal, columns first: (0,0) (0,1) (1,1) (0,2) (1,2) (2,2) ...
__device__ void tile_position(std::int64_t t, std::int64_t& row, std::int64_t& column) {
  column = static_cast<std::int64_t>((sqrt(8.0 * static_cast<double>(t) + 1) - 1) / 2);
  while (column * (column + 1) / 2 > t) --column;  // the square root may be one off
  while ((column + 1) * (column + 2) / 2 <= t) ++column;
  row = t - column * (column + 1) / 2;
}

__global__ void __launch_bounds__(threads) tile_sums(RowBatches in, const float2* inverse, double* partial) {
  __shared__ float a[steps][tile + 4], b[steps][tile + 4];
  __shared__ double warp_sum[threads / 32];
  const std::int64_t batch = blockIdx.y;
  std::int64_t tile_row, tile_column;
  tile_position(blockIdx.x, tile_row, tile_column);
  const float* base = in.data + batch * in.batch_stride;
  const float2* scale = inverse + batch * in.rows;
  const auto scaled = [&](std::int64_t r, std::int64_t k) {
    return r < in.rows && k < in.length ? base[r * in.row_stride + k] * scale[r].x * scale[r].y : 0.0f;
  };
  const int row = threadIdx.x / (tile / each) * each, column = threadIdx.x % (tile / each) * each;
  float product[each][each] = {};
  for (std::int64_t k0 = 0; k0 < in.length; k0 += steps) {
    for (int i = threadIdx.x; i < tile * steps; i += threads) {
      const int r = i / steps, k = i % steps;
      // a scaled row is a unit vector: values of any magnitude stay inside float32
      a[k][r] = scaled(tile_row * tile + r, k0 + k);
      b[k][r] = scaled(tile_column * tile + r, k0 + k);
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < steps; ++k)
#pragma unroll
      for (int i = 0; i < each; ++i)
#pragma unroll
        for (int j = 0; j < each; ++j) product[i][j] = fmaf(a[k][row + i], b[k][column + j], product[i][j]);
    __syncthreads();
  }
  double sum = 0;
  for (int i = 0; i < each; ++i)
    for (int j = 0; j < each; ++j)
      if (tile_row * tile + row + i < tile_column * tile + column + j)
        sum += fabs(static_cast<double>(product[i][j]));
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
  if (threadIdx.x % 32 == 0) warp_sum[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x == 0) {
    double total = 0;
    for (int w = 0; w < threads / 32; ++w) total += warp_sum[w];
    partial[batch * tiles_above(in.rows) + blockIdx.x] = total;
  }
}

__global__ void __launch_bounds__(threads)
    finish(RowBatches in, const float2* inverse, const double* partial, CosineSum* out) {
  __shared__ double sums[threads];
  __shared__ int zeros[threads], bad[threads];
  const std::int64_t batch = blockIdx.x, count = tiles_above(in.rows);
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
    out[batch].sum = bad[0] > 0 ? nan("") : sums[0];
    out[batch].pairs = rows * (rows - 1) / 2;
    out[batch].zero_rows = zeros[0];
  }
}

std::size_t aligned(std::size_t bytes) {
  return (bytes + 255) / 256 * 256;
}

}  // namespace

std::size_t absolute_cosine_sums_cuda_workspace(const RowBatches& in) {
  return aligned(static_cast<std::size_t>(in.batches * in.rows) * sizeof(float2)) +
         aligned(static_cast<std::size_t>(in.batches * tiles_above(in.rows)) * sizeof(double));
}

int absolute_cosine_sums_cuda(const RowBatches& in, CosineSum* out, void* workspace, void* stream) {
  if (in.batches == 0) return cudaSuccess;
  const auto s = static_cast<cudaStream_t>(stream);
  float2* inverse = static_cast<float2*>(workspace);
  double* partial =
      reinterpret_cast<double*>(static_cast<char*>(workspace) +
                                aligned(static_cast<std::size_t>(in.batches * in.rows) * sizeof(float2)));
  constexpr std::int64_t largest_grid_y = 65535;  // more matrices than that go in several launches
  if (in.rows > 0) {
    const std::int64_t warps = in.batches * in.rows;
    inverse_norms<<<static_cast<unsigned>((warps * 32 + threads - 1) / threads), threads, 0, s>>>(in,
                                                                                                  inverse);
    for (std::int64_t first = 0; first < in.batches; first += largest_grid_y) {
      RowBatches part = in;
      part.data = in.data + first * in.batch_stride;
      part.batches = in.batches - first < largest_grid_y ? in.batches - first : largest_grid_y;
      const dim3 grid(static_cast<unsigned>(tiles_above(in.rows)), static_cast<unsigned>(part.batches));
      tile_sums<<<grid, threads, 0, s>>>(part, inverse + first * in.rows,
                                         partial + first * tiles_above(in.rows));
    }
  }
  finish<<<static_cast<unsigned>(in.batches), threads, 0, s>>>(in, inverse, partial, out);
  return cudaGetLastError();
}

}  // namespace kernels
}  // namespace gapbench
