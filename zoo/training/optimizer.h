// Update rules as one fused loop per array. Same formulas as PyTorch's optimisers of these names; tested against
// them.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "zoo/spec/hyperparameters.h"

namespace gapbench {

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  /// Updates `weights` of array `index` in place with the learning rate of this step; `step` counts from 1. Element
  /// order must not change between steps.
  virtual void update(std::size_t index, std::int64_t step, double lr, float* weights, const float* gradient,
                      std::size_t n) = 0;
  /// Moving averages to checkpoint: one or more sets of one buffer per array, in array order and in the
  /// elements' order; restore takes the same.
  std::vector<std::vector<float>>& state() { return state_; }

 protected:
  /// `sets` buffers of zeros for each array.
  Optimizer(const std::vector<std::size_t>& sizes, int sets);
  float* buffer(std::size_t index, std::size_t set) { return state_[set * arrays_ + index].data(); }

 private:
  std::size_t arrays_;
  std::vector<std::vector<float>> state_;
};

/// Optimizers, c = weight_decay, b = momentum, t the step:
///   sgd       g += c w;  v = b v + g;  w -= lr v
///   nesterov  g += c w;  v = b v + g;  w -= lr (g + b v)
///   adam      g += c w;  m = .9 m + .1 g;  v = .999 v + .001 g^2;
///             w -= lr m / (1 - .9^t) / (sqrt(v / (1 - .999^t)) + 1e-8)
///   adamw     w -= lr c w, then adam without c
///   rmsprop   g += c w;  v = .99 v + .01 g^2;  w -= lr g / (sqrt(v) + 1e-8)
/// `sizes` are the element counts of the arrays. Throws InternalError on an unknown name.
std::unique_ptr<Optimizer> make_optimizer(const HyperParameters& hp, const std::vector<std::size_t>& sizes);

}  // namespace gapbench
