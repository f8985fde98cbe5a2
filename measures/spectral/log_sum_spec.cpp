// log-sum-spec: geometric-mean form of the product of operator norms.
//
// Formula   ln L + (1 / L) 2 sum over layers of ln s_l, L layers.
// Inputs    final weights and geometry of every layer, batch norm folded.
// Returns   a logarithm; undefined when a layer is zero, not converged when an iteration did not end.
// Source    Jiang et al. 2019, equation 35: the name says sum, the formula is L times the geometric mean.
// Error     relative 1e-8 of each s_l.
// Cost      Shared with log-prod-spec.
#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  return geometric_mean_form(log_product_of_operator_norms(snapshot), snapshot);
}

}  // namespace

Measure log_sum_spec() {
  Measure m;
  m.info.id = "log-sum-spec";
  m.info.name = "Geometric-mean form of the product of operator norms (log)";
  m.info.formula = "ln L + (2/L) sum over layers of ln s";
  m.info.latex = "\\ln\\left(L\\Big(\\prod_l s_l^2\\Big)^{1/L}\\right)";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 35";
  m.info.family = "spectral";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights;
  m.info.invariances = invariant_unit_permutation | invariant_relu_rescaling | invariant_bias;
  m.info.revision = 2;  // batch norm is folded
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
