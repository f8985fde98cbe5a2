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
/// `threads` - 1 others; results do not depend on their number. `choice` is for tests, and not `stack`.
/// `with_derivatives`: who asks for the logits will ask for their derivatives, so that one pass gives both.
/// Memory: one network a thread and, for samples out of order, a copy of their images.
std::unique_ptr<Probe> make_network_probe(const Architecture& architecture,
                                          std::shared_ptr<const TrainingData> data,
                                          std::vector<std::int64_t> labels,
                                          std::span<const std::span<const float>> arrays, int threads = 1,
                                          ExecutorChoice choice = ExecutorChoice::automatic,
                                          bool with_derivatives = false);

/// Where the probes of a run compute. `automatic` takes a CUDA device that is there for every network that stacks serve,
/// with stack/stack_probe.h, and the CPU for the others; the other choices are for tests. The models measured at a time
/// share the device's memory. Thread-safe.
class Probes {
 public:
  /// `models`: how many are measured at a time.
  Probes(ExecutorChoice choice, DeviceChoice device, int models);
  ~Probes();

  /// Name of the CUDA device, empty where there is none to use.
  std::string device() const;
  /// As make_network_probe(). Throws InputError where `stack` or `fast` do not serve the architecture.
  std::unique_ptr<Probe> make(const Architecture& architecture, std::shared_ptr<const TrainingData> data,
                              std::vector<std::int64_t> labels,
                              std::span<const std::span<const float>> arrays, int threads,
                              bool with_derivatives) const;

 private:
  struct Impl;
  ExecutorChoice choice_;
  std::unique_ptr<Impl> impl_;  // null: no stacks
};

}  // namespace gapbench
