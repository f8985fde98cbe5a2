// The probe on a device: the parameter sets of a call as the members of a stack, on images that stay there.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "measures/api/probe.h"
#include "zoo/networks/architecture.h"
#include "zoo/training/training_data.h"

namespace gapbench::stack {

/// What the stack probes of a run share: a device, its memory, and the training sets on it. Thread-safe.
class ProbeDevice {
 public:
  /// `probes`: how many compute at a time; each takes its share of the memory.
  ProbeDevice(const at::Device& device, int probes) : device_(device), probes_(probes) {}
  const at::Device& device() const { return device_; }
  /// Training images [n, size] on the device. Those that no probe holds any more make room for others.
  at::Tensor images(const std::shared_ptr<const TrainingData>& data);
  /// Floats of the values of one pass of a probe: a fixed number, or the power of two that a share of the memory free at the
  /// first call of images() holds.
  std::int64_t floats_of_a_pass() const { return floats_; }

 private:
  struct Images {
    std::shared_ptr<const TrainingData> data;
    at::Tensor images;
  };
  at::Device device_;
  int probes_;
  std::mutex mutex_;
  std::map<const TrainingData*, Images> images_;
  std::int64_t floats_ = 0;
};

/// As make_network_probe(), on `device`; stacks must serve the architecture (layout.h). Parameter sets and samples of a call
/// go through in blocks that a pass of floats_of_a_pass() holds; where the device's memory ends all the same, in blocks of
/// half the size. Each calling thread has a stream of its own.
/// Bits depend on the arguments and the device; on CUDA also, where its memory is short, on how much of it is free.
/// `before_pass`, for tests, is told the floats of each pass before it is made; what it throws is as if the pass threw.
std::unique_ptr<Probe> make_stack_probe(const Architecture& architecture,
                                        std::shared_ptr<const TrainingData> data,
                                        std::vector<std::int64_t> labels,
                                        std::span<const std::span<const float>> arrays, ProbeDevice& device,
                                        bool with_derivatives = false,
                                        std::function<void(std::int64_t floats)> before_pass = {});

}  // namespace gapbench::stack
