// num-params-biases: number of weights and biases.
//
// Formula   sum over layers of outputs (fan_in + 1), without the 1 where a layer has no bias.
// Inputs    shapes of every layer.
// Returns   a count; scales and shifts of batch norm are not in it.
// Source    released code of Neyshabur et al. (n_param), which skips batch norm.
// Error     exact up to 2^53.
// Cost      O(layers).
#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  double count = weight_count(snapshot);
  for (const Layer& layer : snapshot.layers())
    if (layer.bias) count += static_cast<double>(snapshot.arrays()[*layer.bias].final.size());
  return Outcome::value(count);
}

}  // namespace

Measure num_params_biases() {
  Measure m;
  m.info.id = "num-params-biases";
  m.info.name = "Number of weights and biases";
  m.info.formula = "sum over layers of outputs (fan_in + 1)";
  m.info.latex = "\\sum_l N_l\\,(m_l+1)";
  m.info.source = "released code of Neyshabur et al. 2019, arXiv 1805.12076";
  m.info.family = "capacity";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights;
  m.info.invariances = invariant_unit_permutation | invariant_layer_scale | invariant_unit_scale |
                       invariant_relu_rescaling | invariant_bias;
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
