// log-prod-spec: product of squared operator norms.
//
// Formula   2 sum over layers of ln s_l, s_l the true operator norm: singular value of a dense layer; of a
//           convolution the norm of the linear map it applies, with its stride, zero padding and real
//           input size.
// Inputs    final weights and geometry of every layer, batch norm folded.
// Returns   a logarithm; undefined when a layer is zero, not converged when an iteration did not end.
// Source    Jiang et al. 2019, equation 32, with zero padding in place of the circular one of the FFT
//           forms.
// Error     relative 1e-8 of each s_l.
// Cost      Dense O(fan_in^2 outputs) or so; conv O(steps) passes of the layer.
#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  return log_product_of_operator_norms(snapshot);
}

}  // namespace

Measure log_prod_spec() {
  Measure m;
  m.info.id = "log-prod-spec";
  m.info.name = "Product of squared operator norms (log)";
  m.info.formula = "2 sum over layers of ln s, s the operator norm";
  m.info.latex = "\\ln\\prod_l s_l^2";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 32";
  m.info.family = "spectral";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights;
  m.info.invariances = invariant_unit_permutation | invariant_relu_rescaling | invariant_bias;
  m.info.notes = "Dominated by depth: compare at equal depth, or use log-sum-spec.";
  m.info.revision = 2;  // batch norm is folded
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
