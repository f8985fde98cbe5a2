// CUDA version: see singular_values.h for the contract. A block does one matrix, turned so that it has no more columns than rows:
// Householder reflections from the left and the right in turn make it bidiagonal, then its singular values are bisected, all at the
// same time, as the positive eigenvalues of the tridiagonal matrix [0 B^T; B 0] in the order of Golub and Kahan (1965).
//
// A step of the reduction reads the matrix twice and writes it once: the reflection from the right that is still to be applied,
// I - f u u^T, and the next one from the left are applied together, column by column, a column in the registers of a warp; then
// z = A u for the reflection from the right that follows. Columns that find no place in shared memory are kept in the workspace:
// the first, which the reduction leaves first.
#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

#include "measures/kernels/cuda_lanczos.h"
#include "measures/kernels/cuda_launch.h"
#include "measures/kernels/singular_values.h"

namespace gapbench {
namespace kernels {
namespace {

constexpr int most_threads = 512;
constexpr double negligible =
    0x1p-140;  // of squares of off-diagonals: added to a zero it moves no value that counts

struct Plan {
  int m, n;     // rows and columns, turned so that m >= n
  int threads;  // of a block
  int stride;   // of a column, odd: neighbouring columns begin in other banks
  int kept;     // columns in shared memory, the last
  int lanes;    // that share a value's bisection, a power of two
  bool turned, vectors_shared;
  std::size_t vectors, shared_bytes;  // doubles, bytes
};

// What a block keeps beside the matrix.
struct Vectors {
  double *u, *z, *bidiagonal, *squares, *v;
  int* counts;
  __device__ Vectors(double* at, const Plan& plan) {
    const int rows = (plan.m + 31) / 32 * 32;
    u = at;
    z = u + plan.n;
    bidiagonal = z + (rows > plan.threads ? rows : plan.threads);
    squares = bidiagonal + 2 * plan.n;
    v = squares + 2 * plan.n + 8;
    counts = reinterpret_cast<int*>(v + (plan.m > 256 ? plan.m : 0));
  }
};

std::size_t vectors_of(const Plan& plan) {
  const int rows = (plan.m + 31) / 32 * 32;
  return static_cast<std::size_t>(5) * static_cast<std::size_t>(plan.n) +
         static_cast<std::size_t>((rows > plan.threads ? rows : plan.threads) + 8 +
                                  (plan.m > 256 ? plan.m : 0) + plan.threads / 2);
}

Plan plan_of(const MatrixBatch& in) {
  Plan plan{};
  plan.turned = in.rows < in.columns;
  plan.m = static_cast<int>(plan.turned ? in.columns : in.rows);
  plan.n = static_cast<int>(plan.turned ? in.rows : in.columns);
  plan.stride = plan.m | 1;
  const int n = plan.n;
  plan.threads = plan.m <= 32    ? (plan.m * n <= 512 ? 32 : 128)
                 : plan.m <= 64  ? (n <= 8    ? 32
                                    : n <= 32 ? 128
                                              : 256)
                 : plan.m <= 128 ? (n <= 32   ? 128
                                    : n <= 64 ? 256
                                              : 512)
                                 : most_threads;
  plan.lanes = 1;
  while (plan.lanes < 32 && n * 2 * plan.lanes <= plan.threads &&
         (plan.lanes == 1 || n * 2 * plan.lanes <= 32))
    plan.lanes *= 2;
  plan.vectors = vectors_of(plan);
  const std::size_t most = most_shared_bytes() - 1024,
                    column = static_cast<std::size_t>(plan.stride) * sizeof(double);
  plan.vectors_shared = plan.vectors * sizeof(double) <= most;
  const std::size_t left = plan.vectors_shared ? (most - plan.vectors * sizeof(double)) / column : 0;
  plan.kept = left < static_cast<std::size_t>(n) ? static_cast<int>(left) : n;
  plan.shared_bytes =
      plan.vectors_shared ? plan.vectors * sizeof(double) + static_cast<std::size_t>(plan.kept) * column : 0;
  return plan;
}

// The reflection I - factor v v^T that maps x to `to` times the first unit vector, v = x - to e_1.
struct Reflection {
  double to = 0, factor = 0;
  __device__ Reflection(double squares, double head, int length) {
    const double norm = sqrt(squares);
    to = head;
    if (length == 1 || norm == 0) return;
    to = -copysign(norm, head);
    factor = 1 / (norm * (norm + fabs(head)));
  }
};

// Eigenvalues above x > 0, by the signs of the leading minors of x - T, T of zero diagonal and of squared off-diagonals
// squares[rows], rows a multiple of 8.
__device__ int count_above(const double* squares, int rows, double x) {
  double before = 1, here = x;
  int changes = 0;
  for (int i = 0; i < rows; i += 8) {
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      const double next = fma(x, here, -(squares[i + k] * before));
      changes += (__double_as_longlong(next) ^ __double_as_longlong(here)) < 0;
      before = here;
      here = next;
    }
    // back to a size near 1: eight rows change it by a factor between 2^-560 and 2^16
    const long long exponent = __double_as_longlong(fmax(fabs(here), fabs(before))) >> 52;
    const double factor = __longlong_as_double((2046 - exponent) << 52);
    before *= factor;
    here *= factor;
  }
  return changes;
}

// Rows: of a lane, all of them; 0 where they are too many for registers. Whole: all is in shared memory.
template <int Rows, bool Whole>
__global__ void __launch_bounds__(Rows == 1 || Rows == 2 ? 256 : most_threads, Rows == 1 || Rows == 2 ? 4 : 1)
    singular(MatrixBatch in, Plan plan, double* workspace, double* values) {
  constexpr int held = Rows > 0 ? Rows : 1, side_by_side = Rows == 1 ? 4 : 2;
  __shared__ double factor_of_row, largest_of_warp[most_threads / 32];
  const std::int64_t batch = blockIdx.x;
  const int m = plan.m, n = plan.n, threads = static_cast<int>(blockDim.x),
            thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 32, warp = thread / 32, warps = threads / 32, left = n - plan.kept;
  double* const shared = dynamic_shared<double>();
  double* const global =
      Whole ? nullptr
            : workspace + batch * (static_cast<std::int64_t>(left) * plan.stride +
                                   (plan.vectors_shared ? 0 : static_cast<std::int64_t>(plan.vectors)));
  double* const columns = Whole || plan.vectors_shared ? shared + plan.vectors : nullptr;
  const Vectors at(
      Whole || plan.vectors_shared ? shared : global + static_cast<std::int64_t>(left) * plan.stride, plan);
  const auto column = [&](int j) {
    if (Whole) return columns + j * plan.stride;
    return j < left ? global + static_cast<std::int64_t>(j) * plan.stride
                    : columns + (j - left) * plan.stride;
  };
  bool finite = true;
  for (std::int64_t i = thread; i < static_cast<std::int64_t>(m) * n; i += threads) {
    // along the matrix' own rows, so that neighbouring threads read neighbouring values
    const std::int64_t r = i / in.columns, c = i % in.columns;
    const float x = in.data[batch * in.batch_stride + r * in.row_stride + c * in.column_stride];
    finite = finite && isfinite(x);
    column(static_cast<int>(plan.turned ? r : c))[plan.turned ? c : r] = static_cast<double>(x);
  }
  double* const out = values + batch * n;
  if (__syncthreads_or(!finite)) {
    for (int i = thread; i < n; i += threads) out[i] = nan("");
    return;
  }

  // z is kept as one part for each group of threads that has a thread for every row
  const int padded = (m + 31) / 32 * 32, groups = padded < threads ? threads / padded : 1;
  for (int step = 0; step < n; ++step) {
    double z[held] = {}, v[held] = {}, squares = 0, head = 0;
    const double factor_of_z = step > 0 ? factor_of_row : 0, u_here = step > 0 ? at.u[step] : 0;
    const double* const first = column(step);
    if constexpr (Rows > 0) {
#pragma unroll
      for (int r = 0; r < held; ++r) {
        const int row = lane + 32 * r;
        if (row < step || row >= m) continue;
        if (step > 0) {
          for (int g = 0; g < groups; ++g) z[r] += at.z[g * padded + row];
          z[r] *= factor_of_z;
        }
        v[r] = first[row] - z[r] * u_here;
        squares += v[r] * v[r];
        if (row == step) head = v[r];
      }
      squares = sum_of_lanes(squares);
      head = __shfl_sync(0xffffffffu, head, step % 32);
    } else {
      for (int row = step + thread; row < m; row += threads) {
        const double x = first[row] - (step > 0 ? factor_of_z * at.z[row] * u_here : 0);
        at.v[row] = x;
        squares += x * x;
      }
      squares = block_total<most_threads>(squares);
      head = at.v[step];
      __syncthreads();
    }
    const Reflection of_column(squares, head, m - step);
    if (thread == 0) at.bidiagonal[2 * step] = of_column.to;
    if (step + 1 == n) break;
    if constexpr (Rows > 0) {
#pragma unroll
      for (int r = 0; r < held; ++r)
        if (lane + 32 * r == step) v[r] = head - of_column.to;
      for (int j = step + 1 + warp; j < n; j += side_by_side * warps) {
        double a[side_by_side][held], dots[side_by_side] = {};
#pragma unroll
        for (int s = 0; s < side_by_side; ++s) {
          const int c = j + s * warps;
          const double* const from = column(min(c, n - 1));
          const double u = step > 0 ? at.u[min(c, n - 1)] : 0;
#pragma unroll
          for (int r = 0; r < held; ++r) {
            const int row = lane + 32 * r;
            a[s][r] = row >= step && row < m ? from[row] - z[r] * u : 0;
            dots[s] += v[r] * a[s][r];
          }
        }
#pragma unroll
        for (int hop = 16; hop > 0; hop /= 2)
#pragma unroll
          for (int s = 0; s < side_by_side; ++s) dots[s] += __shfl_xor_sync(0xffffffffu, dots[s], hop);
#pragma unroll
        for (int s = 0; s < side_by_side; ++s) {
          const int c = j + s * warps;
          if (c >= n) continue;
          double* const to = column(c);
          const double weight = of_column.factor * dots[s];
#pragma unroll
          for (int r = 0; r < held; ++r) {
            const int row = lane + 32 * r;
            if (row >= step && row < m) to[row] = a[s][r] - weight * v[r];
          }
        }
      }
    } else {
      if (thread == 0) at.v[step] = head - of_column.to;
      __syncthreads();
      for (int j = step + 1 + warp; j < n; j += warps) {
        double* const here = column(j);
        const double u = step > 0 ? factor_of_z * at.u[j] : 0;
        double dot = 0;
#pragma unroll 4
        for (int row = step + lane; row < m; row += 32)
          dot += at.v[row] * (here[row] - (step > 0 ? at.z[row] * u : 0));
        const double weight = of_column.factor * sum_of_lanes(dot);
#pragma unroll 4
        for (int row = step + lane; row < m; row += 32)
          here[row] = here[row] - (step > 0 ? at.z[row] * u : 0) - weight * at.v[row];
      }
    }
    __syncthreads();
    if (warp == 0) {
      double row_squares = 0;
      for (int j = step + 1 + lane; j < n; j += 32) {
        const double x = column(j)[step];
        at.u[j] = x;
        row_squares += x * x;
      }
      row_squares = sum_of_lanes(row_squares);
      const double row_head = column(step + 1)[step];
      const Reflection of_row(row_squares, row_head, n - 1 - step);
      if (lane == 0) {
        at.u[step + 1] = row_head - of_row.to;
        at.bidiagonal[2 * step + 1] = of_row.to;
        factor_of_row = of_row.factor;
      }
    }
    __syncthreads();
    for (int i = thread; i < padded * groups; i += threads) {
      const int row = i % padded, group = i / padded;
      double sum = 0;
      if (row > step && row < m) {
#pragma unroll 4
        for (int j = step + 1 + group; j < n; j += groups) sum += column(j)[row] * at.u[j];
      }
      at.z[i] = sum;
    }
    __syncthreads();
  }
  __syncthreads();

  double largest = 0;
  for (int i = thread; i < 2 * n - 1; i += threads)
    largest = fmax(largest, fabs(at.bidiagonal[i]) + (i > 0 ? fabs(at.bidiagonal[i - 1]) : 0));
  for (int hop = 16; hop > 0; hop /= 2) largest = fmax(largest, __shfl_xor_sync(0xffffffffu, largest, hop));
  if (lane == 0) largest_of_warp[warp] = largest;
  __syncthreads();
  for (int w = 0; w < warps; ++w) largest = fmax(largest, largest_of_warp[w]);
  if (largest == 0) {
    for (int i = thread; i < n; i += threads) out[i] = 0;
    return;
  }
  const int exponent = ilogb(largest), rows = (2 * n - 1 + 7) / 8 * 8;
  const double unit = ldexp(1.0, -exponent), upper = largest * unit * (1 + 0x1p-50);
  for (int i = thread; i < rows; i += threads) {
    const double b = i < 2 * n - 1 ? at.bidiagonal[i] * unit : 0;
    at.squares[i] = i < 2 * n - 1 ? fmax(b * b, negligible) : 0;
  }
  __syncthreads();
  const auto point = [&](int t) { return upper * (t + 1) / (threads + 1); };
  at.counts[thread] = count_above(at.squares, rows, point(thread));
  __syncthreads();
  // `lanes` of a warp share a value; all values take the same number of passes, so that equal ones meet the same points
  const int lanes = plan.lanes, part = lane % lanes;
  const double enough = static_cast<double>(m + n + 8) * 0x1p-55;
  for (int start = warp * 32 / lanes; start < n; start += threads / lanes) {
    const int value = start + lane / lanes;
    int low = 0, high = threads;  // points below the value: between them
    while (low < high) {
      const int middle = (low + high) / 2;
      if (at.counts[middle] > value)
        low = middle + 1;
      else
        high = middle;
    }
    double lower = low > 0 ? point(low - 1) : 0, width = upper / (threads + 1);
    while (width > enough) {
      const double piece = width / (lanes + 1);
      const bool above = count_above(at.squares, rows, lower + piece * (part + 1)) > value;
      const unsigned all = __ballot_sync(0xffffffffu, above) >> (lane - part);
      lower += piece * __popc(lanes < 32 ? all & ((1u << lanes) - 1) : all);
      width = piece;
    }
    if (part == 0 && value < n) out[value] = ldexp(lower + width / 2, exponent);
  }
}

using Kernel = void (*)(MatrixBatch, Plan, double*, double*);
template <int Rows>
Kernel kernel_of(const Plan& plan) {
  return plan.kept == plan.n ? singular<Rows, true> : singular<Rows, false>;
}

}  // namespace

std::size_t singular_values_cuda_workspace(const MatrixBatch& in) {
  const Plan plan = plan_of(in);
  return static_cast<std::size_t>(in.batches) * sizeof(double) *
         (static_cast<std::size_t>(plan.n - plan.kept) * static_cast<std::size_t>(plan.stride) +
          (plan.vectors_shared ? 0 : plan.vectors));
}

int singular_values_cuda(const MatrixBatch& in, double* values, void* workspace, void* stream) {
  const Plan plan = plan_of(in);
  if (in.batches == 0 || plan.n == 0) return cudaSuccess;
  const Kernel kernel = plan.m <= 32    ? kernel_of<1>(plan)
                        : plan.m <= 64  ? kernel_of<2>(plan)
                        : plan.m <= 128 ? kernel_of<4>(plan)
                        : plan.m <= 256 ? kernel_of<8>(plan)
                                        : kernel_of<0>(plan);
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                       static_cast<int>(plan.shared_bytes));
  launch({static_cast<unsigned>(in.batches), static_cast<unsigned>(plan.threads),
          static_cast<cudaStream_t>(stream), plan.shared_bytes},
         kernel, in, plan, static_cast<double*>(workspace), values);
  return cudaGetLastError();
}

}  // namespace kernels
}  // namespace gapbench
