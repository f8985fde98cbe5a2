// vc-dim: bound from the VC dimension of a convolutional network.
//
// Formula   (4000 sqrt(d (log2(6 d n))^3 sum over layers of k_l^2 c_l c_{l-1}) + sqrt(ln(1 / delta)))^2, d the number of
//           weight layers, n the larger side of the input image, k_l the kernel's side, c_l the channels; delta = 0.05.
// Inputs    shapes of every layer and of the input; a network whose input is not known counts as its first layer's.
// Returns   a number > 0; not applicable to a network without weight layers.
// Source    Jiang et al. 2019, equation 19 as recalled in the literature notes, after Bartlett et al. 2019. delta is a
//           constant that no source fixes; its term is below 1e-6 of the value.
// Error     float64.
// Cost      O(layers).
#include <algorithm>
#include <cmath>

#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

constexpr double delta = 0.05;

double input_side(const Snapshot& snapshot) {
  if (snapshot.plan()) {
    const Extent& image = snapshot.plan()->ops.front().in;
    return static_cast<double>(std::max(image.height, image.width));
  }
  const Layer& first = snapshot.layers().front();
  return static_cast<double>(std::max(first.input_height, first.input_width));
}

Outcome compute(const Snapshot& snapshot, Probe*) {
  if (snapshot.layers().empty()) return Outcome::not_applicable("the network has no weight layers");
  const auto depth = static_cast<double>(snapshot.layers().size());
  const double logarithm = std::log2(6 * depth * input_side(snapshot));
  const double root =
      4000 * std::sqrt(depth * std::pow(logarithm, 3) * weight_count(snapshot)) + std::sqrt(-std::log(delta));
  return Outcome::value(root * root);
}

}  // namespace

Measure vc_dim() {
  Measure m;
  m.info.id = "vc-dim";
  m.info.name = "VC-dimension bound";
  m.info.formula =
      "(4000 sqrt(d log2(6 d n)^3 P) + sqrt(ln 20))^2, n the image's side, P the number of weights";
  m.info.latex =
      "\\Big(4000\\sqrt{d\\,\\log_2^3(6dn)\\sum_l "
      "k_l^2c_lc_{l-1}}+\\sqrt{\\ln(1/\\delta)}\\Big)^2,\\quad\\delta=0.05";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 19";
  m.info.family = "capacity";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights;
  m.info.invariances = invariant_unit_permutation | invariant_layer_scale | invariant_unit_scale |
                       invariant_relu_rescaling | invariant_bias;
  m.info.notes = "A function of the architecture alone: all models of one architecture are tied.";
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
