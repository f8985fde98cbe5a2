// The engine's side of the probe: losses, logits and gradients of one network on its training data.
#pragma once

#include <memory>

#include "measures/api/probe.h"
#include "zoo/networks/architecture.h"
#include "zoo/training/training_data.h"

namespace gapbench {

/// `labels` are those the model was trained on (training_labels). `arrays` are the model's row-major final values in architecture.arrays() order, copied. `architecture`
/// must outlive the probe. Single-threaded: the caller sets LibTorch's thread count.
std::unique_ptr<Probe> make_network_probe(const Architecture& architecture,
                                          std::shared_ptr<const TrainingData> data,
                                          std::vector<std::int64_t> labels,
                                          std::span<const std::span<const float>> arrays);

}  // namespace gapbench
