// The Fisher-Rao norm, which two measures share.
#pragma once

#include "measures/api/outcome.h"
#include "measures/api/probe.h"
#include "measures/api/snapshot.h"

namespace gapbench::measures {

// Empirical Fisher-Rao norm.
//
// Formula   (1 / n) sum over samples of <w, grad_w loss_i>^2. The inner product is the derivative of the loss along w, so
//           <w, grad_w loss_i> = sum_k (p_ik - [k = y_i]) dz_ik, with p the softmax and dz the logits' derivative along w.
//           For a ReLU network without biases and norms, dz = kappa z with kappa weight layers.
// Inputs    final values of every trained array (weights, biases, scales and shifts of norms), batch norm not folded, its
//           running statistics fixed; logits, their derivatives, labels.
// Returns   a number >= 0; undefined where it overflows; not applicable without data.
// Source    Liang et al. 2019, definition 5.1 with the empirical labels. No prefix that depends on the depth.
// Error     float32 derivatives, float64 sums: relative 1e-5.
// Cost      about two forward passes over the data, one of which gives the logits; computed once per model.
Outcome fisher_rao_norm(const Snapshot& snapshot, Probe* probe);

/// Mean over samples of (sum_k a_ik (p_ik - [k = y_i]))^2, p the softmax of the logits. Undefined where a logit is not
/// finite.
Outcome mean_squared_loss_derivative(Probe& probe, std::span<const float> along);

}  // namespace gapbench::measures
