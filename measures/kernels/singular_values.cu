// CUDA version: see singular_values.h for the contract. A block does one matrix by one-sided Jacobi rotations: pairs of columns
// are rotated until all are orthogonal, and their lengths are the singular values. n / 2 disjoint pairs at a time, `width`
// lanes a pair; n - 1 rounds meet every pair. Matrices that fit are kept in shared memory, larger ones in the workspace.
#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

#include "measures/kernels/cuda_launch.h"
#include "measures/kernels/singular_values.h"

namespace gapbench {
namespace kernels {
namespace {

constexpr std::size_t most_shared = 158 * 1024;  // devices of compute capability 8.0 and 9.0 have more
constexpr int most_sweeps = 60, most_threads = 512;
constexpr double orthogonal =
    0x1p-51;  // cosine of columns that are left as they are: n of them move a value by n 2^-52
constexpr double negligible =
    0x1p-120;  // of squares: such a column moves no value that counts, and would shrink for ever

struct Plan {
  int m, n;    // rows and columns, turned so that m >= n
  int stride;  // of a column, odd: neighbouring columns begin in other banks
  int width;   // lanes a pair, a power of two
  int threads;
  bool turned;
  std::size_t bytes;  // of a matrix
};

Plan plan_of(const MatrixBatch& in) {
  Plan plan;
  plan.turned = in.rows < in.columns;
  plan.m = static_cast<int>(plan.turned ? in.columns : in.rows);
  plan.n = static_cast<int>(plan.turned ? in.rows : in.columns);
  plan.stride = plan.m | 1;
  plan.width = 1;
  while (plan.width < 32 && 4 * plan.width < plan.m) plan.width *= 2;
  const int wanted = ((plan.n + 1) / 2 * plan.width + 31) / 32 * 32;
  plan.threads = wanted < 32 ? 32 : wanted < most_threads ? wanted : most_threads;
  plan.bytes = static_cast<std::size_t>(plan.stride) * static_cast<std::size_t>(plan.n) * sizeof(double);
  return plan;
}

// Makes columns x and y orthogonal; whether they were not. All lanes of a warp come here, those without a pair with m = 0.
__device__ bool rotate(double* x, double* y, int m, int lane, int width) {
  double xx = 0, yy = 0, xy = 0;
  for (int k = lane; k < m; k += width) {
    xx += x[k] * x[k];
    yy += y[k] * y[k];
    xy += x[k] * y[k];
  }
  xx = sum_of_lanes(xx, width);
  yy = sum_of_lanes(yy, width);
  xy = sum_of_lanes(xy, width);
  if (!(fabs(xy) > orthogonal * sqrt(xx) * sqrt(yy)) || min(xx, yy) <= negligible * max(xx, yy)) return false;
  const double zeta = (yy - xx) / (2 * xy);
  const double t = copysign(1.0, zeta) / (fabs(zeta) + sqrt(1 + zeta * zeta));
  const double c = 1 / sqrt(1 + t * t), s = c * t;
  for (int k = lane; k < m; k += width) {
    const double a = x[k], b = y[k];
    x[k] = c * a - s * b;
    y[k] = s * a + c * b;
  }
  return true;
}

__global__ void __launch_bounds__(most_threads)
    jacobi(MatrixBatch in, Plan plan, double* workspace, double* values) {
  const std::int64_t batch = blockIdx.x;
  const int m = plan.m, n = plan.n, threads = static_cast<int>(blockDim.x),
            thread = static_cast<int>(threadIdx.x);
  double* const a = workspace != nullptr ? workspace + batch * plan.stride * n : dynamic_shared<double>();
  bool finite = true;
  for (std::int64_t i = thread; i < static_cast<std::int64_t>(m) * n; i += threads) {
    // along the matrix' own rows, so that neighbouring threads read neighbouring values
    const std::int64_t r = i / in.columns, c = i % in.columns;
    const float x = in.data[batch * in.batch_stride + r * in.row_stride + c * in.column_stride];
    finite = finite && isfinite(x);
    a[plan.turned ? r * plan.stride + c : c * plan.stride + r] = static_cast<double>(x);
  }
  const bool broken = __syncthreads_or(!finite);
  const int lane = thread % plan.width, together = threads / plan.width;
  const int seats = (n + 1) / 2 * 2, rounds = seats - 1;  // one seat is empty where n is odd
  bool rotated = !broken && n > 1;
  for (int sweep = 0; rotated && sweep < most_sweeps; ++sweep) {
    bool mine = false;
    for (int round = 0; round < rounds; ++round) {
      // a tournament: the last seat stays, the others turn by one a round
      for (int p0 = 0; p0 < seats / 2; p0 += together) {
        const int p = p0 + thread / plan.width;
        const int i = p == 0 ? seats - 1 : (round + p) % rounds, j = (round + rounds - p) % rounds;
        const bool pair = p < seats / 2 && i < n && j < n;
        double* const x = a + (pair ? min(i, j) * plan.stride : 0);
        double* const y = a + (pair ? max(i, j) * plan.stride : 0);
        mine = rotate(x, y, pair ? m : 0, lane, plan.width) || mine;
      }
      __syncthreads();
    }
    rotated = __syncthreads_or(mine);
  }
  // lengths, each written to its place in descending order; `rotated`: no convergence, never seen
  __shared__ double lengths[512];
  double* const out = values + batch * n;
  const bool kept = n <= 512;
  double* const length =
      kept ? lengths : workspace + static_cast<std::int64_t>(gridDim.x) * plan.stride * n + batch * n;
  for (int c0 = 0; c0 < n; c0 += together) {
    const int c = c0 + thread / plan.width;
    double squares = 0;
    for (int k = lane; k < m && c < n; k += plan.width)
      squares += a[c * plan.stride + k] * a[c * plan.stride + k];
    squares = sum_of_lanes(squares, plan.width);
    if (lane == 0 && c < n) length[c] = sqrt(squares);
  }
  __syncthreads();
  for (int c = thread; c < n; c += threads) {
    int place = 0;
    for (int k = 0; k < n; ++k) place += length[k] > length[c] || (length[k] == length[c] && k < c);
    if (broken || rotated)
      out[c] = nan("");
    else
      out[place] = length[c];
  }
}

}  // namespace

std::size_t singular_values_cuda_workspace(const MatrixBatch& in) {
  const Plan plan = plan_of(in);
  if (plan.bytes <= most_shared) return 0;
  return static_cast<std::size_t>(in.batches) *
         (plan.bytes + static_cast<std::size_t>(plan.n) * sizeof(double));
}

int singular_values_cuda(const MatrixBatch& in, double* values, void* workspace, void* stream) {
  const Plan plan = plan_of(in);
  if (in.batches == 0 || plan.n == 0) return cudaSuccess;
  const bool shared = plan.bytes <= most_shared;
  if (shared)
    cudaFuncSetAttribute(jacobi, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(most_shared));
  const LaunchShape shape{static_cast<unsigned>(in.batches), static_cast<unsigned>(plan.threads),
                          static_cast<cudaStream_t>(stream), shared ? plan.bytes : 0};
  launch(shape, jacobi, in, plan, shared ? nullptr : static_cast<double*>(workspace), values);
  return cudaGetLastError();
}

}  // namespace kernels
}  // namespace gapbench
