#include "zoo/engine/stack/gradient_rules.h"

#include <ATen/ops/where.h>

namespace gapbench::stack {
namespace {

// double [K]
at::Tensor norms(const at::Tensor& rows) {
  return rows.to(at::kDouble).square().sum(1).sqrt();
}

}  // namespace

GradientRules::GradientRules(const HyperParameters& hp) : clips(hp.clip_norm > 0) {}

std::string GradientRules::key() const {
  return clips ? " clipped" : "";
}

void clip(const at::Tensor& gradients, const at::Tensor& most) {
  const at::Tensor norm = norms(gradients);
  const at::Tensor scale = at::where(norm.gt(most), most.div(norm), 1.0);
  gradients.mul_(scale.to(at::kFloat).unsqueeze(1));
}

}  // namespace gapbench::stack
