// sum-spec: sum of operator norms.
//
// Formula   sum over layers of s_l, s_l the true operator norm as in log-prod-spec.
// Inputs    final weights and geometry of every layer, batch norm folded.
// Returns   a number >= 0; not converged when an iteration did not end.
// Source    the plain reading of "sum of spectral norms" among the competitors in Jin et al. 2020; their
//           code multiplies proxies of the change by the number of parameters (wc-sosp, sosp).
// Error     relative 1e-8.
// Cost      Shared with log-prod-spec.
#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  const OperatorNorms& norms = operator_norms(snapshot);
  if (!norms.problem.empty()) return Outcome::not_converged(norms.problem);
  double sum = 0;
  for (const double s : norms.values) sum += s;
  return Outcome::value(sum);
}

}  // namespace

Measure sum_spec() {
  Measure m;
  m.info.id = "sum-spec";
  m.info.name = "Sum of operator norms";
  m.info.formula = "sum over layers of s, s the operator norm";
  m.info.latex = "\\sum_l s_l";
  m.info.source = "plain reading of a competitor in Jin et al. 2020, arXiv 2010.05983";
  m.info.family = "spectral";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights;
  m.info.invariances = invariant_unit_permutation | invariant_bias;
  m.info.revision = 2;  // batch norm is folded
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
