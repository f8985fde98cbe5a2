// num-params: number of weights.
//
// Formula   sum over layers of the number of entries of W_l; no biases.
// Inputs    shapes.
// Returns   a count.
// Source    Dziugaite et al. 2020; Jiang et al. 2019, equation 20, also counts biases.
// Error     exact up to 2^53.
// Cost      O(layers).
#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  return Outcome::value(weight_count(snapshot));
}

}  // namespace

Measure num_params() {
  Measure m;
  m.info.id = "num-params";
  m.info.name = "Number of weights";
  m.info.formula = "sum over layers of the number of weights";
  m.info.latex = "\\sum_l|W_l|";
  m.info.source = "Dziugaite et al. 2020, arXiv 2010.11924; Jiang et al. 2019";
  m.info.family = "capacity";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights;
  m.info.invariances = invariant_unit_permutation | invariant_layer_scale | invariant_unit_scale |
                       invariant_relu_rescaling | invariant_bias;
  m.info.notes = "A baseline: it does not look at the weights. Biases are not counted.";
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
