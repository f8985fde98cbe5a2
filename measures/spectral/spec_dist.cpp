// spec-dist: squared operator norms of the change.
//
// Formula   sum over layers of s(W_l - W_l^0)^2, s the true operator norm.
// Inputs    final and initial weights and geometry of every layer, batch norm folded.
// Returns   a number >= 0; not converged when an iteration did not end.
// Source    Jiang et al. 2019, equation 41.
// Error     relative 1e-7: the change is rounded to float32 once.
// Cost      As log-prod-spec, on the change; shared with sosp.
#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  if (auto missing = without_init(snapshot)) return *missing;
  const OperatorNorms& norms = operator_norms_of_change(snapshot);
  if (!norms.problem.empty()) return Outcome::not_converged(norms.problem);
  return sum_of_squares(norms.values);
}

}  // namespace

Measure spec_dist() {
  Measure m;
  m.info.id = "spec-dist";
  m.info.name = "Squared operator norms of the change";
  m.info.formula = "sum over layers of s(W_final - W_init)^2";
  m.info.latex = "\\sum_l s(W_l^F-W_l^0)^2";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 41";
  m.info.family = "spectral";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_init;
  m.info.invariances = invariant_unit_permutation | invariant_bias;
  m.info.revision = 2;  // batch norm is folded
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
