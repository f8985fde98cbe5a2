// Kernels: norms of weight arrays and of the operators they stand for. Plain float64 loops and Eigen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace gapbench::kernels {

/// Squared Frobenius norm sum_i (a_i - b_i)^2; b may be empty (zeros). Error: rounding of float64,
/// sums of 8,192 compensated. Cost: O(n).
double squared_distance(std::span<const float> a, std::span<const float> b);

struct OperatorNorm {
  double value = 0;
  double residual = 0;          ///< |A^T A v - value^2 v| / value^2 at the end; 0 for a direct method
  std::int64_t iterations = 0;  ///< 0 for a direct method
  bool converged = true;
};

// Operator (spectral) norm of a dense layer.
//
// Formula   s = max |W x| / |x|, the largest singular value.
// Inputs    W row-major [outputs, inputs] float32.
// Returns   s; zero for an empty or zero matrix; not converged where W is not finite.
// Source    Golub and Van Loan, Matrix Computations, chapter 8.
// Error     up to 256 on the smaller side: eigenvalues of the Gram matrix in float64, relative 1e-12 in
//           practice; beyond: as conv_operator_norm.
// Cost      O(outputs inputs min + min^3), or O(steps outputs inputs).
OperatorNorm dense_operator_norm(std::span<const float> w, std::int64_t outputs, std::int64_t inputs);

// Operator norm of a convolution with its real zero padding and stride, on inputs of its real size.
//
// Formula   s = max |A x| / |x|, A the linear map of [inputs, height, width] images that the layer applies.
// Inputs    W row-major [outputs, inputs, kernel_height, kernel_width] float32 and the geometry; no bias.
// Returns   s by Lanczos on A^T A or A A^T, whichever is smaller, with full re-orthogonalisation from a fixed
//           Philox start, stopped at a residual of 1e-8 relative to s^2, at most 300 steps. A 1x1 kernel with
//           stride 1 and no padding is the dense matrix, done directly.
// Source    Golub and Van Loan, Matrix Computations, chapter 10; the ground truth for the FFT forms, which are
//           exact only for circular padding.
// Error     relative to s about half the residual, less where singular values are separated.
// Cost      O(steps outputs inputs kh kw positions) time, O(steps) vectors of memory.
struct ConvShape {
  std::int64_t outputs, inputs, kernel_height, kernel_width, height, width, stride, padding;
};
OperatorNorm conv_operator_norm(std::span<const float> w, const ConvShape& shape);

// CUDA: `w`, `out` and `workspace` (aligned to 256 bytes) are on the device; images with their borders have less than 2^31 values
// (cudaErrorInvalidValue). Enqueues on `stream` (a cudaStream_t) and returns without waiting; the result is the same bits on every
// launch on a device. Returns a cudaError_t as int. The same iteration, stopping rule and limit from another fixed start, without
// re-orthogonalisation, and dense layers too; O(1) vectors of memory, and two float64 copies of the weights.
std::size_t conv_operator_norm_cuda_workspace(const ConvShape& shape);
int conv_operator_norm_cuda(const float* w, const ConvShape& shape, OperatorNorm* out, void* workspace,
                            void* stream);

// The spectral proxy of the weight-correlation paper's released code.
//
// Formula   dense: sqrt(|G|_inf), G = W W^T or W^T W, whichever is smaller, |G|_inf the largest row sum of
//           absolute values;
//           conv: sqrt(sum over the kernel's positions p of |K_p K_p^T|_inf), K_p the [inputs, outputs] slice.
// Inputs    W row-major [outputs, inputs] or [outputs, inputs, positions] float32.
// Returns   an upper bound of the operator norm for a dense layer; for a convolution no bound either way.
// Source    released notebooks of Jin et al. 2020 (PSN, SoSP).
// Error     float64 rounding.
// Cost      O(positions inputs^2 outputs).
double notebook_spectral_proxy_dense(std::span<const float> w, std::int64_t outputs, std::int64_t inputs);
double notebook_spectral_proxy_conv(std::span<const float> w, std::int64_t outputs, std::int64_t inputs,
                                    std::int64_t positions);

}  // namespace gapbench::kernels
