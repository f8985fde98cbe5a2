// The update rules of zoo/training/optimizer.h for all members of a stack at once.
#pragma once

#include <ATen/core/Tensor.h>

#include "zoo/spec/hyperparameters.h"

namespace gapbench::stack {

enum class Rule { momentum, nesterov, adam, rmsprop };

/// The rule that members with these hyper-parameters follow; adam and adamw are one.
Rule rule_of(const HyperParameters& hp);
/// Rows of moving averages a member: 2 for adam, else 1.
int state_sets(Rule rule);

/// The numbers of one member's step, in the order that update() reads them: the optimiser's float32 factors.
///   momentum, nesterov  lr, momentum, weight decay
///   adam                lr / (1 - .9^t), sqrt(1 - .999^t), factor on the weights, weight decay in the gradient
///   rmsprop             lr, weight decay
inline constexpr int coefficient_count = 4;
void fill_coefficients(Rule rule, const HyperParameters& hp, std::int64_t step, double lr, float* out);

/// One step in place: weights and gradients [K, P], state [sets, K, P], coefficients [coefficient_count, K]; a member whose
/// entry of `alive` (bool [K]) is false stays as it is.
void update(Rule rule, const at::Tensor& weights, const at::Tensor& gradients, const at::Tensor& state,
            const at::Tensor& coefficients, const at::Tensor& alive);

}  // namespace gapbench::stack
