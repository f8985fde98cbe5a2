// path-norm-over-margin: squared l2 path norm over the squared margin (log).
//
// Formula   ln of the path norm (path_sum.h) - 2 ln margin.
// Inputs    plan and final arrays, batch norm folded; logits and labels.
// Returns   a logarithm; undefined where every path is 0; not applicable with layer norm; censored where the margin is
//           not positive (margin.h).
// Source    Jiang et al. 2019, equation 43, whose value is the exponential of this one.
// Error     that of the margin.
// Cost      Shared with path-norm and margin-p10.
#include "measures/api/measure.h"
#include "measures/output/margin.h"
#include "measures/paths/path_sum.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe* probe) {
  return over_squared_margin(log_path_sum(snapshot), snapshot, probe);
}

}  // namespace

Measure path_norm_over_margin() {
  Measure m;
  m.info.id = "path-norm-over-margin";
  m.info.name = "Squared l2 path norm over the squared margin (log)";
  m.info.formula = "path-norm - 2 ln margin";
  m.info.latex = "\\ln\\Big(\\sum_k f_{w^2}(\\mathbf 1)_k/\\gamma^2\\Big)";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 43";
  m.info.family = "paths";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_data | needs_labels;
  m.info.invariances = invariant_unit_permutation | invariant_relu_rescaling;
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
