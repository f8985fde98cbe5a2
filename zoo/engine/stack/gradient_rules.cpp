#include "zoo/engine/stack/gradient_rules.h"

#include <ATen/ops/bmm.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

namespace gapbench::stack {
namespace {

// double [K]
at::Tensor norms(const at::Tensor& rows) {
  return rows.to(at::kDouble).square().sum(1).sqrt();
}

// The units that a layer's weight correlation compares: of a dense layer or a 1x1 convolution one set, of a larger convolution
// one for each input channel.
struct Units {
  bool by_channel = false;
  std::int64_t sets = 1, length = 0, count = 0;
  std::int64_t at_a_time() const {  // sets whose cosines are in memory
    constexpr std::int64_t most_cosines = 1 << 22;
    return std::clamp(most_cosines / (count * count), std::int64_t{1}, sets);
  }
  // A row's part as [K, sets, length, count].
  at::Tensor view(const at::Tensor& rows, const Place& p) const {
    const at::Tensor part = rows.narrow(1, p.offset, p.size());
    if (!by_channel) return part.view({rows.size(0), 1, length, count});
    return part.view({rows.size(0), length, sets, count}).transpose(1, 2);
  }
};

Units units_of(const Architecture& architecture, const Layout& layout, std::size_t array) {
  const Place& p = layout[array];
  Units units;
  units.by_channel = architecture.arrays()[array].shape.size() == 4 && p.positions > 1;
  units.sets = units.by_channel ? p.inputs : 1;
  units.length = units.by_channel ? p.positions : p.positions * p.inputs;
  units.count = p.outputs;
  return units;
}

// c0 of the released code, brought into [0.5, 5] by powers of ten; 1 where units are all parallel.
at::Tensor released_factor(double inputs, double units, const at::Tensor& mean_cosine) {
  const at::Tensor c = mean_cosine.neg()
                           .add(1)
                           .reciprocal()
                           .add(mean_cosine.mul(units - 1).add(1).reciprocal())
                           .mul(inputs * (units - 1));
  const at::Tensor up = c.mul(2).log10().neg().ceil().clamp_min(0),  // steps of ten to 0.5 or more
      raised = c.mul(at::pow(10.0, up)), down = raised.div(5).log10().ceil().clamp_min(0);
  return raised.div(at::pow(10.0, down)).masked_fill(c.isfinite().logical_and(c.gt(0)).logical_not(), 1);
}

}  // namespace

GradientRules::GradientRules(const HyperParameters& hp, const Architecture& architecture)
    : climbs(hp.sam_radius > 0), clips(hp.clip_norm > 0) {
  if (hp.wcd <= 0) return;
  descent = parse_descent_form(hp.wcd_form);
  const auto& layers = architecture.layers();
  for (std::size_t l = 0; l < layers.size(); ++l)
    if (descent_covers(hp.wcd_layers, hp.network, l, layers.size())) covered.push_back(layers[l].weight);
}

std::string GradientRules::key() const {
  std::string text = climbs ? " climbing" : "";
  if (clips) text += " clipped";
  if (descent) text += " descent " + std::to_string(static_cast<int>(*descent));
  for (const std::size_t array : covered) text += " " + std::to_string(array);
  return text;
}

at::Tensor climbed(const at::Tensor& weights, const at::Tensor& gradients, const at::Tensor& radius) {
  const at::Tensor norm = norms(gradients);
  const at::Tensor scale = radius.div(norm).masked_fill(norm.eq(0), 0);
  return weights.add(gradients.mul(scale.to(at::kFloat).unsqueeze(1)));
}

void clip(const at::Tensor& gradients, const at::Tensor& most) {
  const at::Tensor norm = norms(gradients);
  const at::Tensor scale = most.div(norm).masked_fill(norm.le(most), 1);
  gradients.mul_(scale.to(at::kFloat).unsqueeze(1));
}

std::int64_t descent_floats(const Architecture& architecture, const Layout& layout, std::size_t array) {
  const Units units = units_of(architecture, layout, array);
  return units.at_a_time() * units.count * units.count;
}

void add_weight_correlation_gradient(DescentForm form, const at::Tensor& coefficients,
                                     const Architecture& architecture, const Layout& layout,
                                     std::size_t array, const at::Tensor& weights,
                                     const at::Tensor& gradients) {
  const Units units = units_of(architecture, layout, array);
  if (units.count < 2) return;
  const std::int64_t members = weights.size(0);
  const at::Tensor w = units.view(weights, layout[array]), g = units.view(gradients, layout[array]);
  const at::Tensor s = at::zeros(w.sizes(), w.options());  // S of the header, [K, sets, length, count]
  const auto doubles = coefficients.options();
  const at::Tensor present = at::zeros({members, units.sets}, doubles), absolute = at::zeros_like(present),
                   together = at::zeros_like(present);  // units that are not zero, sums of |cos| and of cos
  for (std::int64_t first = 0; first < units.sets; first += units.at_a_time()) {
    const std::int64_t sets = std::min(units.at_a_time(), units.sets - first);
    const at::Tensor v = w.narrow(1, first, sets).reshape({members * sets, units.length, units.count}),
                     norm = v.square().sum(1, true).sqrt(), zero = norm.eq(0),
                     u = v.div(norm).masked_fill(zero, 0);
    const at::Tensor cosine = at::bmm(u.transpose(1, 2), u);
    cosine.diagonal(0, 1, 2).zero_();
    const at::Tensor own = at::bmm(u, cosine.sign().transpose(1, 2));
    const auto per_set = [&](const at::Tensor& sums) { return sums.view({members, sets}); };
    const at::Tensor count = per_set(norm.gt(0).sum({1, 2}, false, at::kDouble));
    present.narrow(1, first, sets).copy_(count);
    absolute.narrow(1, first, sets).copy_(per_set(cosine.abs().sum({1, 2}, false, at::kDouble)));
    together.narrow(1, first, sets).copy_(per_set(cosine.sum({1, 2}, false, at::kDouble)));
    s.narrow(1, first, sets)
        .copy_(own.sub(u.mul(own.mul(u).sum(1, true)))
                   .div(norm)
                   .masked_fill(zero, 0)
                   .view({members, sets, units.length, units.count})
                   .div(count.sub(1).clamp_min(1).to(at::kFloat).view({members, sets, 1, 1})));
  }
  const auto n = static_cast<double>(units.count);
  const at::Tensor others = present.sub(1), pairs = present.mul(others), all = pairs.sum(1, true);
  at::Tensor factor = coefficients.unsqueeze(1);
  if (form == DescentForm::released) {
    factor = units.by_channel
                 ? factor.expand(present.sizes())
                 : factor.mul(released_factor(static_cast<double>(units.length), n, together.div(pairs)));
  } else {
    // rho is a sum of |cos| over ordered pairs divided by their number: each pair moves w_i twice
    factor = factor.mul(2).mul(others).div(all);
    if (form == DescentForm::g) {
      const at::Tensor rho = absolute.sum(1, true).div(all);
      const auto fan_in = static_cast<double>(units.length * units.sets);
      const at::Tensor slope = rho.mul(fan_in * n * (n - 1)).div(rho.neg().add(1).mul(rho.mul(n - 1).add(1)));
      factor = factor.mul(slope.masked_fill(rho.ge(1), 0));  // g is infinite at 1, its direction undefined
    }
  }
  factor = factor.masked_fill(others.lt(1), 0);
  g.add_(s.mul(factor.to(at::kFloat).view({members, units.sets, 1, 1})));
}

}  // namespace gapbench::stack
