// wc-nop: number of parameters as the released code counts it.
//
// Formula   1 + number of weights: its accumulator starts at 1.
// Inputs    shapes.
// Returns   a count.
// Source    released code of Jin et al. 2020 (NoP).
// Error     exact up to 2^53.
// Cost      O(layers).
#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  return Outcome::value(1 + weight_count(snapshot));
}

}  // namespace

Measure wc_nop() {
  Measure m;
  m.info.id = "wc-nop";
  m.info.name = "Number of parameters (released code)";
  m.info.formula = "1 + number of weights";
  m.info.latex = "1+\\sum_l|W_l|";
  m.info.source = "released notebooks of Jin et al. 2020, arXiv 2010.05983 (NoP)";
  m.info.family = "capacity";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights;
  m.info.invariances = invariant_unit_permutation | invariant_layer_scale | invariant_unit_scale |
                       invariant_relu_rescaling | invariant_bias;
  m.info.notes = "Ranks exactly as num-params.";
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
