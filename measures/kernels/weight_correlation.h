// Kernel: sums of absolute cosines between the rows of a matrix, or of each of many small matrices, without
// ever holding the N x N matrix of cosines.
//
// Formula   plain:    S = sum_{i<j} |w_i . w_j| / (|w_i| |w_j|) over the rows of non-zero norm;
//           smoothed: M = (1 / N^2) sum_{i,j} |(w_i . w_j + e) / (|w_i| |w_j| + e)|, diagonal and zero rows
//                     included;
//           signed:   T = sum_{i<j} w_i . w_j / (|w_i| |w_j|) = (|sum_i u_i|^2 - v) / 2, v rows of non-zero
//                     norm, u_i their unit vectors.
// Inputs    `batches` matrices of `rows` x `length` float32: element k of row i of matrix b is at
//           data[b * batch_stride + i * row_stride + k]. A dense weight [out, in] is one matrix (rows out,
//           length in, row_stride in). A conv weight [out, in, kh, kw] is `in` matrices (rows out, length
//           kh kw, row_stride in kh kw, batch_stride kh kw): the slices of each input channel. No alignment
//           is asked for. Any of the sizes may be 0.
// Returns   per batch: sum, number of pairs it runs over, rows of zero norm. A row that holds a NaN or an
//           infinity makes the sum of its batch NaN.
// Source    Jin et al., NeurIPS 2020 (arXiv 2010.05983), weight correlation; the smoothed form is that of the
//           paper's released notebooks (e = 1e-5).
// Error     ref: float64 loops, the specification. cpu, cuda: float32 products, float64 sums; each cosine is
//           off by at most cosine_error(length), on CUDA by cosine_error_cuda(length), so |S - S_ref| <= pairs
//           times that. Tests use it. What is seen is smaller by far: errors of products have both signs.
// Cost      plain, smoothed: rows^2 length / 2 multiply-adds per batch; signed: rows length.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gapbench {
namespace kernels {

/// Largest error of one cosine in the float32 CPU version: up to 256 products are summed one after the other (error
/// at most 256 u), of longer rows 128 and then length / 128 block sums, each factor is rounded once, and up to 24 absolute values are summed
/// before float64 takes them; u = 2^-24.
inline constexpr double cosine_error(std::int64_t length) {
  return (static_cast<double>(length < 256 ? length : 256) + static_cast<double>(length) / 128.0 + 30.0) *
         0x1p-24;
}

/// The same for CUDA, where the products of a cosine are summed one after the other, and up to 32 cosines in
/// float32 before float64 takes them.
inline constexpr double cosine_error_cuda(std::int64_t length) {
  return (static_cast<double>(length) + 40.0) * 0x1p-24;
}

struct RowBatches {
  const float* data = nullptr;
  std::int64_t batches = 0, rows = 0, length = 0;
  std::int64_t row_stride = 0, batch_stride = 0;
};

struct CosineSum {
  double sum = 0;
  std::int64_t pairs = 0;      ///< pairs i < j of rows of non-zero norm
  std::int64_t zero_rows = 0;  ///< rows of zero norm
};

/// Writes one CosineSum per batch to `out`.
void absolute_cosine_sums_ref(const RowBatches& in, CosineSum* out);
/// `threads` >= 1; the result does not depend on it.
void absolute_cosine_sums(const RowBatches& in, CosineSum* out, int threads = 1);

/// Writes one mean M per batch to `out`; NaN where a row is not finite, 0 where there are no rows.
void smoothed_cosine_means_ref(const RowBatches& in, double epsilon, double* out);
void smoothed_cosine_means(const RowBatches& in, double epsilon, double* out, int threads = 1);

/// Writes one signed sum T per batch to `out` (float64, exact to rounding).
void signed_cosine_sums(const RowBatches& in, CosineSum* out);

// Gradients of the plain sum.
//
// Formula   d S / d w_i = sum_{j != i} sign(u_i . u_j) (u_j - (u_i . u_j) u_i) / |w_i|, u_i = w_i / |w_i|, sign(0) = 0.
// Inputs    as above. Zero rows take no part.
// Returns   gradient, laid out as the data (the same strides): zero for zero rows, NaN for all of a matrix that has a row that is
//           not finite. Beside it, on the CPU, sums over ordered pairs of non-zero rows.
// Source    as above: the step of weight-correlation descent.
// Error     of row i, its euclidean norm: at most cosine_gradient_error(rows, length) / |w_i|, and 2 / |w_i| for each row j whose
//           cosine with it is so small, cosine_error_cuda(length), that its sign is not certain.
// Cost      2 rows^2 length multiply-adds per batch; CUDA: rows^2 bytes of workspace too.
struct CosineGradientSums {
  double absolute = 0, signed_sum = 0;  ///< sum of |cosines|, of cosines; float32 within a row
  std::int64_t rows = 0;                ///< of non-zero norm
};

/// Up to `rows` unit vectors are summed in float32; on CUDA in parts of up to 256 of them, and then the parts.
inline constexpr double cosine_gradient_error(std::int64_t rows, std::int64_t length) {
  return static_cast<double>(rows) *
         (static_cast<double>(rows < 256 ? rows : 256 + rows / 256) + static_cast<double>(length) + 40.0) *
         0x1p-24;
}
void absolute_cosine_gradients_ref(const RowBatches& in, float* gradient);
/// One thread; `sums`, one per batch, may be null.
void absolute_cosine_gradients(const RowBatches& in, float* gradient, CosineGradientSums* sums = nullptr);

// CUDA, where it was compiled (GAPBENCH_HAVE_CUDA); Torch-free. All pointers but `in` itself are on the
// device. Enqueues on `stream` (a cudaStream_t) and returns without waiting. Results do not depend on the
// launch. Returns a cudaError_t as int.
// `out` is aligned as CosineSum, `workspace` to 256 bytes. Rows and length of one matrix are below 2^31.
/// Bytes of device workspace that absolute_cosine_sums_cuda needs: about that of the rows, each matrix padded to
/// whole tiles of 128 rows by 32 values; 0 for many matrices of short rows.
std::size_t absolute_cosine_sums_cuda_workspace(const RowBatches& in);
int absolute_cosine_sums_cuda(const RowBatches& in, CosineSum* out, void* workspace, void* stream);
/// Each mean is within cosine_error_cuda(length) of the reference.
std::size_t smoothed_cosine_means_cuda_workspace(const RowBatches& in);
int smoothed_cosine_means_cuda(const RowBatches& in, double epsilon, double* out, void* workspace,
                               void* stream);
std::size_t absolute_cosine_gradients_cuda_workspace(const RowBatches& in);
int absolute_cosine_gradients_cuda(const RowBatches& in, float* gradient, void* workspace, void* stream);

}  // namespace kernels
}  // namespace gapbench
