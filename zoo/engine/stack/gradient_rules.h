// What hyper-parameters do to the gradients of a stack between the backward pass and the optimiser, as
// zoo/training/gradient_pipeline.h has it for one model. Rows [K, Layout::trained_size()]; what lies between arrays is 0 and
// stays 0.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "zoo/engine/stack/layout.h"
#include "zoo/networks/architecture.h"
#include "zoo/spec/hyperparameters.h"
#include "zoo/training/gradient_map.h"

namespace gapbench::stack {

/// Which of the rules a model has; their strengths are the member's own.
struct GradientRules {
  bool climbs = false;  ///< sharpness-aware minimisation
  bool clips = false;
  std::optional<DescentForm> descent;  ///< of weight-correlation descent
  std::vector<std::size_t> covered;    ///< weight arrays that it covers
  GradientRules(const HyperParameters& hp, const Architecture& architecture);
  std::string key() const;  ///< equal for equal rules
};

/// The weights of each member, moved by `radius` (double [K]) along its gradients, all arrays together.
at::Tensor climbed(const at::Tensor& weights, const at::Tensor& gradients, const at::Tensor& radius);
/// Scales the gradients of each member of norm above `most` (double [K]), all arrays together, to it.
void clip(const at::Tensor& gradients, const at::Tensor& most);

/// add_weight_correlation_gradient() of zoo/training/gradient_map.h for each member, of weight array `array` of its network;
/// coefficients double [K]. Formula, source and error are there. Memory: 8 times the array and 4 times descent_floats() values
/// a member.
void add_weight_correlation_gradient(DescentForm form, const at::Tensor& coefficients,
                                     const Architecture& architecture, const Layout& layout,
                                     std::size_t array, const at::Tensor& weights,
                                     const at::Tensor& gradients);
/// Cosines of a member that are in memory at a time.
std::int64_t descent_floats(const Architecture& architecture, const Layout& layout, std::size_t array);

}  // namespace gapbench::stack
