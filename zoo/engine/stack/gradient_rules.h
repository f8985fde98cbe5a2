// What hyper-parameters do to the gradients of a stack between the backward pass and the optimiser, as
// zoo/training/gradient_pipeline.h has it for one model. Rows [K, Layout::trained_size()]; what lies between arrays is 0 and
// stays 0.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "zoo/networks/architecture.h"
#include "zoo/spec/hyperparameters.h"

namespace gapbench::stack {

/// Which of the rules a model has; their strengths are the member's own.
struct GradientRules {
  bool clips = false;
  explicit GradientRules(const HyperParameters& hp);
  std::string key() const;  ///< equal for equal rules
};

/// Scales the gradients of each member of norm above `most` (double [K]), all arrays together, to it.
void clip(const at::Tensor& gradients, const at::Tensor& most);

}  // namespace gapbench::stack
