// The learning rate of a step.
#pragma once

#include <cstdint>

#include "zoo/spec/hyperparameters.h"

namespace gapbench {

/// Learning rate of batch `batch` (from 0) of `batches` in epoch `epoch` (from 1). With t = epoch - 1 + batch / batches and w =
/// warmup_epochs: for t < w, lr rises linearly to its full value, (t + 1 / batches) lr / w; after that
///   constant  lr
///   step      lr schedule_factor^k, k the number of milestones m with epoch > m
///   cosine    lr (1 + cos(pi (t - w) / (max_epochs - w))) / 2     (Loshchilov and Hutter 2017, without restarts)
/// Throws InternalError on an unknown schedule.
double learning_rate(const HyperParameters& hp, std::int64_t epoch, std::int64_t batch, std::int64_t batches);

}  // namespace gapbench
