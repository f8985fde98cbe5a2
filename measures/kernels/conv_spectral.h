// Kernel: singular values of circular convolutions, block by block of their Fourier transform.
//
// Formula   K has outputs x inputs slices of kernel_height x kernel_width taps and acts on images of H x W with
//           wrap-around. At stride 1 its singular values are those of the H W blocks
//           A(u, v) = sum over taps (a, b) of K[:, :, a, b] exp(-2 pi i (u a / H + v b / W)).
//           At stride s they are those of the (H / s)(W / s) blocks (1 / s) [A(u + j H / s, v + k W / s)],
//           j, k = 0 .. s - 1 side by side: the frequencies that the stride folds onto (u, v).
//           A(-u, -v) is the conjugate of A(u, v), so that half of the frequencies are enough. A kernel larger
//           than the image wraps around.
// Inputs    W row-major [outputs, inputs, kernel_height, kernel_width] float32; the image's height and width,
//           each taken up to the next multiple of the stride.
// Returns   norm: the largest singular value, 0 for an empty or zero kernel, not converged where W is not
//           finite; singular values: all min(outputs, s^2 inputs) (H / s)(W / s) of them, descending, none
//           where W is not finite.
// Source    Sedghi, Gupta and Long, ICLR 2019, theorem 6; the strided form follows from the decimation of a
//           discrete Fourier transform. Exact for circular padding; conv_operator_norm does zero padding.
// Error     ref: float64 singular value decompositions, relative 1e-13 in practice. cpu: see
//           circular_conv_norm; relative 1e-7. cuda: relative circular_conv_norm_error_cuda.
// Cost      ref: O(H W outputs inputs min(outputs, inputs)) a layer. cpu: O(steps outputs inputs) for each
//           frequency that its bounds do not rule out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "measures/kernels/spectral.h"

namespace gapbench::kernels {

struct CircularConv {
  std::int64_t outputs, inputs, kernel_height, kernel_width, height, width, stride;
};

std::vector<double> circular_conv_singular_values_ref(std::span<const float> w, const CircularConv& shape);
OperatorNorm circular_conv_norm_ref(std::span<const float> w, const CircularConv& shape);

/// The norm alone. Lanczos on A^H A of each frequency in float32, from one fixed Philox start, until its residual r
/// is at most 2e-5 of its Ritz value t, or t + 2 r is below the largest norm squared found before (dropped); the
/// largest are finished in float64 until r is at most 2e-7 t, so that s is within 1e-7 of a singular value. As for
/// every Lanczos method, that no larger one was missed is certain but for a start orthogonal to its vector. Up to 8
/// on the smaller side the Gram matrix is diagonalised instead. `threads` >= 1; the result does not depend on it.
OperatorNorm circular_conv_norm(std::span<const float> w, const CircularConv& shape, int threads = 1);

/// The blocks are rounded to float32, which moves their norm by 2^-24 sqrt(min(rows, columns)) at most, for random roundings
/// much less, and so do the products of the iteration; the residual of at most 2e-7 s^2 adds 1e-7.
inline constexpr double circular_conv_norm_error_cuda = 1e-6;

// CUDA: `w`, `out` and `workspace` (aligned to 256 bytes; up to 256 MiB or one frequency's block, and vectors; of the size that the
// current device asks for) are on the device; a kernel has up to 3,072 taps. Enqueues on `stream` (a cudaStream_t) and returns
// without waiting; the result is the same bits on every launch on a device. Returns a cudaError_t as int. Lanczos iteration,
// its products in float32, from one fixed start, until the residual is 2e-7 s^2, at most 400 steps a frequency; not converged where one that
// could hold the norm took more. A frequency is dropped where its Ritz value stays so far below another one's that it has no
// larger singular value, with a probability of 1 - 1e-6 over random starts. As said above of circular_conv_norm.
std::size_t circular_conv_norm_cuda_workspace(const CircularConv& shape);
int circular_conv_norm_cuda(const float* w, const CircularConv& shape, OperatorNorm* out, void* workspace,
                            void* stream);

}  // namespace gapbench::kernels
