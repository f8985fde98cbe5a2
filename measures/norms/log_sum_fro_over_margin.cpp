// log-sum-fro-over-margin: geometric-mean form of log-prod-fro-over-margin.
//
// Formula   ln L + (1 / L) (2 sum over layers of ln ||W_l||_F - 2 ln margin), L layers.
// Inputs    final weights of every layer, batch norm folded, logits and labels.
// Returns   a logarithm; undefined when a layer is zero; censored where the margin is not positive (margin.h).
// Source    Jiang et al. 2019, equation 38.
// Error     as log-prod-fro-over-margin.
// Cost      Shared with log-prod-fro and margin-p10.
#include "measures/api/measure.h"
#include "measures/layers/layers.h"
#include "measures/output/margin.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe* probe) {
  return geometric_mean_form(over_squared_margin(log_product_of_frobenius_norms(snapshot), snapshot, probe),
                             snapshot);
}

}  // namespace

Measure log_sum_fro_over_margin() {
  Measure m;
  m.info.id = "log-sum-fro-over-margin";
  m.info.name = "Geometric-mean form of log-prod-fro-over-margin";
  m.info.formula = "ln L + (1/L) (2 sum over layers of ln |W|_F - 2 ln margin)";
  m.info.latex = "\\ln\\left(L\\Big(\\prod_l\\|W_l\\|_F^2/\\gamma^2\\Big)^{1/L}\\right)";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 38";
  m.info.family = "norms";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_data | needs_labels;
  m.info.invariances = invariant_unit_permutation | invariant_relu_rescaling;
  m.info.revision = 2;  // batch norm is folded
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
