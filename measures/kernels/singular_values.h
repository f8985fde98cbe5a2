// Kernel: all singular values of many small matrices.
//
// Formula   the square roots of the eigenvalues of A^T A, min(rows, columns) of them.
// Inputs    float32 matrices with any strides: element (r, c) of matrix b is at
//           data[b batch_stride + r row_stride + c column_stride]. The kh kw slices [outputs, inputs] of a convolution are
//           batches = kh kw, batch_stride = 1, row_stride = inputs kh kw, column_stride = kh kw. Sizes may be 0.
// Returns   values[batches, min(rows, columns)], each matrix's in descending order; all NaN for a matrix with a value that is
//           not finite.
// Source    Golub and Kahan, SIAM J. Numer. Anal. B 2 (1965): Householder reflections to a bidiagonal matrix; Fernando and
//           Parlett, Numer. Math. 67 (1994): its values by quotients and differences.
// Error     |s_i - exact| <= singular_values_error(rows, columns) s_1: float64 throughout, and no Gram matrix is formed, which
//           would lose the small values.
// Cost      4 m n^2 - 4/3 n^3 operations a matrix, n = min(rows, columns), m = max: eight matrices side by side in vector
//           registers up to n = largest_interleaved; beyond it, or of a single one, eight columns side by side.
//           cuda: the same, then 8 n^2 for each bit that bisection finds (Golub and Kahan's tridiagonal matrix; Barth, Martin and
//           Wilkinson, Numer. Math. 9 (1967)); one block a matrix, so made for many of them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gapbench {
namespace kernels {

struct MatrixBatch {
  const float* data = nullptr;
  std::int64_t batches = 0, rows = 0, columns = 0;
  std::int64_t batch_stride = 0, row_stride = 0, column_stride = 1;
};

inline constexpr std::int64_t largest_interleaved = 96;

/// Relative to the largest one. Backward error of the reflections and rotations; a test holds it against exact values.
inline constexpr double singular_values_error(std::int64_t rows, std::int64_t columns) {
  return static_cast<double>(rows + columns + 8) * 0x1p-52;
}

void singular_values_ref(const MatrixBatch& in, double* values);
/// `threads` >= 1; the result does not depend on it.
void singular_values(const MatrixBatch& in, double* values, int threads = 1);

// CUDA: in.data, `values` and `workspace` (aligned to 256 bytes; of the size that the current device asks for) are on the device;
// sizes of a matrix are below 2^30, batches below 2^31. Enqueues on `stream` (a cudaStream_t) and returns without waiting; results
// do not depend on the launch. Returns a cudaError_t as int. The workspace is empty while a matrix fits into shared memory: with
// 227 KiB of it up to 165 x 165.
std::size_t singular_values_cuda_workspace(const MatrixBatch& in);
int singular_values_cuda(const MatrixBatch& in, double* values, void* workspace, void* stream);

}  // namespace kernels
}  // namespace gapbench
