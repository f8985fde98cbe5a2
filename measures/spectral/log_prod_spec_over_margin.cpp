// log-prod-spec-over-margin: product of squared operator norms over the squared margin (log).
//
// Formula   2 sum over layers of ln s_l - 2 ln margin.
// Inputs    final weights and geometry of every layer, batch norm folded, logits and labels.
// Returns   a logarithm; undefined when a layer is zero, not converged when an iteration did not end; censored
//           where the margin is not positive (margin.h).
// Source    Jiang et al. 2019, equation 31.
// Error     relative 1e-8 of each s_l; the margin that of float32 logits.
// Cost      Shared with log-prod-spec and margin-p10.
#include "measures/api/measure.h"
#include "measures/layers/layers.h"
#include "measures/output/margin.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe* probe) {
  return over_squared_margin(log_product_of_operator_norms(snapshot), snapshot, probe);
}

}  // namespace

Measure log_prod_spec_over_margin() {
  Measure m;
  m.info.id = "log-prod-spec-over-margin";
  m.info.name = "Product of squared operator norms over the squared margin (log)";
  m.info.formula = "2 sum over layers of ln s - 2 ln margin";
  m.info.latex = "\\ln\\Big(\\prod_l s_l^2/\\gamma^2\\Big)";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 31";
  m.info.family = "spectral";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_data | needs_labels;
  m.info.invariances = invariant_unit_permutation | invariant_relu_rescaling;
  m.info.notes = "Usually falls as the gap grows: training scales norms and margin together.";
  m.info.revision = 2;  // batch norm is folded
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
