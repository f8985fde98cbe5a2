// fro-over-spec: sum of stable ranks.
//
// Formula   sum over layers of ||W_l||_F^2 / s_l^2.
// Inputs    final weights and geometry of every layer, batch norm folded.
// Returns   a number > 0; undefined when a layer is zero, not converged when an iteration did not end.
// Source    Jiang et al. 2019, equation 33.
// Error     relative 2e-8.
// Cost      Shared with log-prod-spec.
#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  return sum_of_squared_ratios(snapshot, frobenius_norms(snapshot));
}

}  // namespace

Measure fro_over_spec() {
  Measure m;
  m.info.id = "fro-over-spec";
  m.info.name = "Sum of stable ranks";
  m.info.formula = "sum over layers of |W|_F^2 / s^2";
  m.info.latex = "\\sum_l\\|W_l\\|_F^2/s_l^2";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 33";
  m.info.family = "spectral";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights;
  m.info.invariances =
      invariant_unit_permutation | invariant_layer_scale | invariant_relu_rescaling | invariant_bias;
  m.info.notes =
      "The numerator is the kernel's norm and the denominator the operator's: a term of a convolution can be "
      "below 1.";
  m.info.revision = 2;  // batch norm is folded
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
