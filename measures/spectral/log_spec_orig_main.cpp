// log-spec-orig-main: main term of the spectral bound, reference 0 (log).
//
// Formula   ln(prod over layers of s_l^2 / margin^2 * sum over layers of ||W_l||_F^2 / s_l^2).
// Inputs    final weights and geometry of every layer, batch norm folded, logits and labels.
// Returns   a logarithm; undefined when a layer is zero, not converged when an iteration did not end; censored
//           where the margin is not positive (margin.h).
// Source    Jiang et al. 2019, equation 30.
// Error     as log-prod-spec-over-margin.
// Cost      Shared with log-prod-spec and margin-p10.
#include "measures/api/measure.h"
#include "measures/layers/layers.h"
#include "measures/output/margin.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe* probe) {
  return over_squared_margin(log_spectral_main_term(snapshot, frobenius_norms(snapshot)), snapshot, probe);
}

}  // namespace

Measure log_spec_orig_main() {
  Measure m;
  m.info.id = "log-spec-orig-main";
  m.info.name = "Main term of the spectral bound, reference 0 (log)";
  m.info.formula = "2 sum over layers of ln s - 2 ln margin + ln sum over layers of |W|_F^2 / s^2";
  m.info.latex = "\\ln\\Big(\\prod_l s_l^2\\,\\gamma^{-2}\\sum_l\\|W_l\\|_F^2/s_l^2\\Big)";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 30";
  m.info.family = "spectral";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_data | needs_labels;
  m.info.invariances = invariant_unit_permutation | invariant_relu_rescaling;
  m.info.revision = 2;  // batch norm is folded
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
