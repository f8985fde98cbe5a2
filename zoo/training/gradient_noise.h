// How much the gradient varies between samples. Torch-free.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "zoo/training/trainable_network.h"
#include "zoo/training/training_data.h"

namespace gapbench {

// Formula   with g_1 .. g_M the gradients of the mean cross-entropy by the P trained parameters, at the network's present
//           weights, on M disjoint minibatches of b training samples each, and g their mean:
//             b / (M - 1) sum_i |g_i - g|^2 / P,   M = min(64, n / b),   b = n / 64 within 1 to 16.
//           The gradient is in evaluation mode: no dropout, batch norm by its running statistics, no augmentation, plain
//           targets. Then samples do not influence each other, and the expectation over the draw is the unbiased variance of
//           the per-sample gradient over the training set, averaged over parameters, whatever b is. Where b = 1 and
//           M = n it is that variance.
// Inputs    network with its weights; data; labels as trained on, one each sample of data.train; the samples are drawn without
//           replacement by a generator keyed by `dataset`, so models trained on the same set share them
// Returns   nats squared per squared unit of a parameter; nothing where n < 2 or a gradient is not finite
// Source    Jiang et al. 2020, "Fantastic generalization measures and where to find them", eqs. 63 and 64
// Error     of the draw: relative, about sqrt(2 / (M - 1)) or less, as the directions are many; sums are in float64
// Cost      M gradients of b samples, at most 64 of 16; 8 P bytes
std::optional<double> gradient_noise(TrainableNetwork& network, const TrainingData& data,
                                     const std::vector<std::int64_t>& labels, std::string_view dataset);

/// The minibatches: number b takes size samples from order[b size] on. Fewer than 2 have no variance.
struct NoiseBatches {
  std::int64_t size = 0, count = 0;
  std::vector<std::uint32_t> order;
};
NoiseBatches noise_batches(std::int64_t n, std::string_view dataset);
/// From sum_i |g_i|^2 and |sum_i g_i|^2.
std::optional<double> noise_of_sums(const NoiseBatches& batches, double squares, double of_sum,
                                    std::int64_t parameters);

}  // namespace gapbench
