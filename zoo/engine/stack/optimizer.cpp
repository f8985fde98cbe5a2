#include "zoo/engine/stack/optimizer.h"

#include <ATen/ops/where.h>

#include <algorithm>
#include <cmath>

#include "measures/api/error.h"

namespace gapbench::stack {

Rule rule_of(const HyperParameters& hp) {
  if (hp.optimizer == "sgd") return Rule::momentum;
  if (hp.optimizer == "nesterov") return Rule::nesterov;
  if (hp.optimizer == "adam" || hp.optimizer == "adamw") return Rule::adam;
  if (hp.optimizer == "rmsprop") return Rule::rmsprop;
  throw InternalError("no optimizer is named " + hp.optimizer);
}

int state_sets(Rule rule) {
  return rule == Rule::adam ? 2 : 1;
}

void fill_coefficients(Rule rule, const HyperParameters& hp, std::int64_t step, double lr, float* out) {
  std::fill(out, out + coefficient_count, 0.0f);
  const auto decay = static_cast<float>(hp.weight_decay);
  switch (rule) {
    case Rule::momentum:
    case Rule::nesterov:
      out[0] = static_cast<float>(lr);
      out[1] = static_cast<float>(hp.momentum);
      out[2] = decay;
      return;
    case Rule::adam: {
      const bool decoupled = hp.optimizer == "adamw";
      const auto t = static_cast<double>(step);
      out[0] = static_cast<float>(lr / (1 - std::pow(0.9, t)));
      out[1] = static_cast<float>(std::sqrt(1 - std::pow(0.999, t)));
      out[2] = static_cast<float>(decoupled ? 1 - lr * hp.weight_decay : 1);
      out[3] = decoupled ? 0.0f : decay;
      return;
    }
    case Rule::rmsprop:
      out[0] = static_cast<float>(lr);
      out[1] = decay;
      return;
  }
}

void update(Rule rule, const at::Tensor& weights, const at::Tensor& gradients, const at::Tensor& state,
            const at::Tensor& coefficients, const at::Tensor& alive) {
  const auto c = [&](std::int64_t i) { return coefficients.select(0, i).unsqueeze(1); };
  const at::Tensor moves = alive.unsqueeze(1);
  const auto set = [&](const at::Tensor& to, const at::Tensor& value) {
    to.copy_(at::where(moves, value, to));
  };
  const at::Tensor v = state.select(0, state.size(0) - 1);  // of adam, the second
  switch (rule) {
    case Rule::momentum:
    case Rule::nesterov: {
      const at::Tensor g = gradients.add(weights.mul(c(2)));
      set(v, v.mul(c(1)).add(g));
      set(weights, weights.sub((rule == Rule::momentum ? v : g.add(v.mul(c(1)))).mul(c(0))));
      return;
    }
    case Rule::adam: {
      const at::Tensor g = gradients.add(weights.mul(c(3))), m = state.select(0, 0);
      set(m, m.mul(0.9f).add(g, 0.1f));
      set(v, v.mul(0.999f).add(g.mul(g), 0.001f));
      set(weights, weights.mul(c(2)).sub(m.mul(c(0)).div(v.sqrt().div(c(1)).add(1e-8f))));
      return;
    }
    case Rule::rmsprop: {
      const at::Tensor g = gradients.add(weights.mul(c(1)));
      set(v, v.mul(0.99f).add(g.mul(g), 0.01f));
      set(weights, weights.sub(g.mul(c(0)).div(v.sqrt().add(1e-8f))));
      return;
    }
  }
}

}  // namespace gapbench::stack
