// Kernels: margins, cross-entropy and accuracy of a batch of logits, and an order statistic by selection.
//
// Formula   per sample, z its logits, y its label: margin = z_y - max over j != y of z_j (infinite for one class);
//           cross-entropy = ln sum_k exp(z_k) - z_y; correct where margin > 0: a tie counts as wrong.
// Inputs    logits [samples, classes] row-major float32, labels [samples] in [0, classes); classes >= 1.
// Returns   margins[samples], if asked for; over the samples: sum of cross-entropies (nats), number of correct ones, and of
//           samples with a logit that is not finite, whose margin is NaN and which are in neither of the other two.
// Source    definitions; margins as in Bartlett et al. 2017, arXiv 1706.08498.
// Error     margins and counts are exact (float64 differences of float32). Cross-entropy of a sample: ref and cpu 1e-14 times
//           max(1, largest |z|); cuda adds logit_error_cuda(classes), for its float32 exponentials.
// Cost      one read of the logits; classes + 1 exponentials and logarithms a sample.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

namespace gapbench {
namespace kernels {

/// Of one cross-entropy in nats: exponentials to 2 units in the last place of arguments rounded once, whose weighted mean
/// is at most ln(classes) + 1, and two roundings of the sum of four.
inline double logit_error_cuda(std::int64_t classes) {
  return (8.0 + std::log(static_cast<double>(classes))) * 0x1p-24;
}

struct LogitStatistics {
  double cross_entropy = 0;  ///< sum over samples with finite logits, nats
  std::int64_t correct = 0, not_finite = 0;
};

/// `margins` may be null.
void logit_statistics_ref(const float* logits, const std::int64_t* labels, std::int64_t samples,
                          std::int64_t classes, double* margins, LogitStatistics* out);
/// `threads` >= 1; the result does not depend on it.
void logit_statistics(const float* logits, const std::int64_t* labels, std::int64_t samples,
                      std::int64_t classes, double* margins, LogitStatistics* out, int threads = 1);

// Order statistic.
//
// Formula   the k-th smallest of n values, 1 <= k <= n.
// Inputs    values without NaN, fewer than 2^32 on CUDA. The CPU versions reorder them.
// Source    Floyd and Rivest, Commun. ACM 18 (1975), on the CPU; on CUDA radix selection over order-preserving 64-bit keys.
// Error     exact.
// Cost      O(n). CUDA: three reads, of which two count 9 and 11 bits and one lists the up to 2^16 values that agree in them; six reads
//           where more do.
double kth_smallest_ref(double* values, std::int64_t n, std::int64_t k);
double kth_smallest(double* values, std::int64_t n, std::int64_t k);

// CUDA: all pointers are on the device, `workspace` aligned to 256 bytes. Enqueues on `stream` (a cudaStream_t) and returns
// without waiting; results do not depend on the launch. Returns a cudaError_t as int. Values are left as they are.
std::size_t logit_statistics_cuda_workspace(std::int64_t samples);
int logit_statistics_cuda(const float* logits, const std::int64_t* labels, std::int64_t samples,
                          std::int64_t classes, double* margins, LogitStatistics* out, void* workspace,
                          void* stream);
std::size_t kth_smallest_cuda_workspace();
int kth_smallest_cuda(const double* values, std::int64_t n, std::int64_t k, double* out, void* workspace,
                      void* stream);

}  // namespace kernels
}  // namespace gapbench
