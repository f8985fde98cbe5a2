// num-params-jiang: parameter count in the form of Jiang et al.
//
// Formula   sum over layers of k_l^2 c_{l-1} (c_l + 1), k_l the kernel's side (1 for a dense layer), c_l the outputs.
// Inputs    shapes of every layer.
// Returns   a count.
// Source    Jiang et al. 2019, equation 20 as recalled in the literature notes. The 1 stands beside the outputs, not the
//           inputs, so it counts no biases; num-params-biases does.
// Error     exact up to 2^53.
// Cost      O(layers).
#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  double count = 0;
  for (const Layer& layer : snapshot.layers()) {
    const LayerShape s = shape_of(snapshot, layer);
    count += static_cast<double>(s.fan_in()) * static_cast<double>(s.outputs + 1);
  }
  return Outcome::value(count);
}

}  // namespace

Measure num_params_jiang() {
  Measure m;
  m.info.id = "num-params-jiang";
  m.info.name = "Parameter count of Jiang et al.";
  m.info.formula = "sum over layers of fan_in (outputs + 1)";
  m.info.latex = "\\sum_l k_l^2\\,c_{l-1}\\,(c_l+1)";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 20";
  m.info.family = "capacity";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights;
  m.info.invariances = invariant_unit_permutation | invariant_layer_scale | invariant_unit_scale |
                       invariant_relu_rescaling | invariant_bias;
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
