// Update rules as one fused loop per array. Same formulas as torch.optim.SGD and torch.optim.Adam (L2 weight
// decay added to the gradient); tested against them.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "zoo/spec/hyperparameters.h"

namespace gapbench {

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  /// Updates `weights` of array `index` in place; `step` counts from 1. Element order must not change between
  /// steps.
  virtual void update(std::size_t index, std::int64_t step, float* weights, const float* gradient,
                      std::size_t n) = 0;
  /// Moving averages to checkpoint: one or more sets of one buffer per array, in array order and in the
  /// elements' order; restore takes the same.
  virtual std::vector<std::vector<float>>& state() = 0;
};

/// sgd:  g += wd w;  v = momentum v + g;  w -= lr v.
/// adam: g += wd w;  m = .9 m + .1 g;  v = .999 v + .001 g^2;  w -= lr m / (1 - .9^t) / (sqrt(v / (1 -
/// .999^t)) + 1e-8). `sizes` are the element counts of the arrays. Throws InternalError on an unknown name.
std::unique_ptr<Optimizer> make_optimizer(const HyperParameters& hp, const std::vector<std::size_t>& sizes);

}  // namespace gapbench
