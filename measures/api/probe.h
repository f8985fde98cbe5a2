// Probe: what gives a measure losses, logits and gradients of a model on its training set. The zoo implements
// it on its engine; a measure never sees how a network is run. Evaluation mode, no augmentation, fixed sample
// order.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gapbench {

class Probe {
 public:
  virtual ~Probe() = default;

  /// What computes, as far as it may change bits; see `executor` in docs/file-formats.md. Empty: not known.
  virtual std::string execution() const { return {}; }

  /// Number n of training samples the probe holds.
  virtual std::int64_t samples() const = 0;
  virtual std::int64_t classes() const = 0;
  /// Labels in sample order, each in [0, classes).
  virtual std::span<const std::int64_t> labels() const = 0;
  /// Logits of the unperturbed model, row-major [samples, classes], computed once and kept.
  virtual std::span<const float> logits() = 0;

  /// One network of several: a full set of parameters in the order and the shapes of Snapshot::arrays(),
  /// concatenated.
  using Parameters = std::span<const float>;
  /// Logits of each of K parameter sets on the given samples (each in [0, samples()), any order), row-major [K, count,
  /// classes] into `out`, for searches that look at few samples first. The bits depend on the arguments, never on the
  /// number of threads.
  /// Throws InternalError when a set has the wrong length. Cost: K count forward passes of one sample, shared by threads.
  virtual void logits_of(std::span<const Parameters> stack, std::span<const std::int64_t> samples,
                         std::span<float> out) = 0;
  /// Gradient of the mean cross-entropy over the given samples at each of K parameter sets, in the same concatenated
  /// order (0 for buffers); dropout off, batch norm by its running statistics. Each set is one thread's work.
  virtual std::vector<std::vector<float>> gradients_of(std::span<const Parameters> stack,
                                                       std::span<const std::int64_t> samples) = 0;
  /// Mean cross-entropy (nats) over all samples for each of K parameter sets. Each sample's loss is float64 arithmetic on
  /// its float32 logits, and so is the sum. Cost: K forward passes over the data.
  virtual std::vector<double> mean_losses(std::span<const Parameters> stack) = 0;
  /// gradients_of over all samples at one parameter set.
  virtual std::vector<float> mean_gradient(Parameters parameters) = 0;
  /// d/dt of the model's logits with every trained parameter multiplied by 1 + t, at t = 0; row-major [samples, classes],
  /// computed once and kept. Cost: about two forward passes over the data, of which one gives the logits.
  virtual std::span<const float> logit_derivatives() = 0;
};

}  // namespace gapbench
