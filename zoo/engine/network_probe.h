// The engine's side of the probe: losses, logits and gradients of one network on its training data.
#pragma once

#include <memory>

#include "measures/api/probe.h"
#include "zoo/engine/executor.h"
#include "zoo/networks/architecture.h"
#include "zoo/training/training_data.h"

namespace gapbench {

/// `labels` are those the model was trained on (training_labels). `arrays` are the model's row-major final values in
/// architecture.arrays() order, copied. `architecture` must outlive the probe. Work is shared by the calling thread and
/// `threads` - 1 others; results do not depend on their number. `choice` is for tests.
/// `with_derivatives`: who asks for the logits will ask for their derivatives, so that one pass gives both.
/// Memory: one network a thread and, for samples out of order, a copy of their images.
std::unique_ptr<Probe> make_network_probe(const Architecture& architecture,
                                          std::shared_ptr<const TrainingData> data,
                                          std::vector<std::int64_t> labels,
                                          std::span<const std::span<const float>> arrays, int threads = 1,
                                          ExecutorChoice choice = ExecutorChoice::automatic,
                                          bool with_derivatives = false);

}  // namespace gapbench
