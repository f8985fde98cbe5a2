// log-sum-spec-over-margin: geometric-mean form of log-prod-spec-over-margin.
//
// Formula   ln L + (1 / L) (2 sum over layers of ln s_l - 2 ln margin), L layers.
// Inputs    final weights and geometry of every layer, batch norm folded, logits and labels.
// Returns   a logarithm; undefined when a layer is zero, not converged when an iteration did not end; censored
//           where the margin is not positive (margin.h).
// Source    Jiang et al. 2019, equation 34.
// Error     as log-prod-spec-over-margin.
// Cost      Shared with log-prod-spec and margin-p10.
#include "measures/api/measure.h"
#include "measures/layers/layers.h"
#include "measures/output/margin.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe* probe) {
  return geometric_mean_form(over_squared_margin(log_product_of_operator_norms(snapshot), snapshot, probe),
                             snapshot);
}

}  // namespace

Measure log_sum_spec_over_margin() {
  Measure m;
  m.info.id = "log-sum-spec-over-margin";
  m.info.name = "Geometric-mean form of log-prod-spec-over-margin";
  m.info.formula = "ln L + (1/L) (2 sum over layers of ln s - 2 ln margin)";
  m.info.latex = "\\ln\\left(L\\Big(\\prod_l s_l^2/\\gamma^2\\Big)^{1/L}\\right)";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 34";
  m.info.family = "spectral";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_data | needs_labels;
  m.info.invariances = invariant_unit_permutation | invariant_relu_rescaling;
  m.info.revision = 2;  // batch norm is folded
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
