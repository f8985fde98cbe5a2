// Kernel: Gaussian perturbation of weights, drawn and added in one pass.
//
// Formula   out_i = w_i + sigma s_i e_i, e_i the (first + i)-th number of RandomStream(key, stream).normal(): Philox4x32-10
//           and Box and Muller, two normals from each block of four words (measures/numerics/philox.h).
// Inputs    w[n], s[n] or null (ones), float32 at any float address; sigma; key, stream, first. n may be 0.
// Returns   out[n]; may be w itself. A cut of [first, first + n) into calls gives the same bits.
// Source    Salmon et al., SC 2011; Box and Muller, Ann. Math. Stat. 29 (1958).
// Error     |out - ref| <= 2^-23 |ref| + c sigma |s_i|: one rounding to float32 may go the other way; c = 1e-14 for cpu
//           (float64), perturbation_error_cuda for cuda (float32 logarithm, sine and cosine).
// Cost      half a Philox block and half a Box-Muller pair a value; one read of w and s, one write.
#pragma once

#include <cstdint>

namespace gapbench {
namespace kernels {

/// A radius is at most sqrt(2 ln 2^53) = 8.6, and off by 6 units in the last place after its product with sine or cosine.
inline constexpr double perturbation_error_cuda = 4e-6;

struct PerturbationStream {
  std::uint64_t key = 0, stream = 0;
  std::uint64_t first = 0;  ///< number in the stream of the first value
};

void perturb_ref(const float* w, const float* s, std::int64_t n, double sigma, const PerturbationStream& from,
                 float* out);
/// `threads` >= 1; the result does not depend on it.
void perturb(const float* w, const float* s, std::int64_t n, double sigma, const PerturbationStream& from,
             float* out, int threads = 1);
/// CUDA: pointers are on the device. Enqueues on `stream` (a cudaStream_t) and returns without waiting. Returns a
/// cudaError_t as int.
int perturb_cuda(const float* w, const float* s, std::int64_t n, double sigma, const PerturbationStream& from,
                 float* out, void* stream);

}  // namespace kernels
}  // namespace gapbench
