// sosp: sum of operator norms of the change, times the number of weights.
//
// Formula   P sum over layers of s(W_final - W_init), P the number of weight entries, s the true operator
//           norm.
// Inputs    weights and geometry of every layer, batch norm folded, final and initial.
// Returns   a number >= 0; not converged when an iteration did not end.
// Source    SoSP of Jin et al. 2020 with operator norms in place of its code's proxies (wc-sosp).
// Error     relative 1e-7: the change is rounded to float32 once.
// Cost      As log-prod-spec, on the change.
#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  if (auto missing = without_init(snapshot)) return *missing;
  const OperatorNorms& norms = operator_norms_of_change(snapshot);
  if (!norms.problem.empty()) return Outcome::not_converged(norms.problem);
  double sum = 0;
  for (const double s : norms.values) sum += s;
  return Outcome::value(weight_count(snapshot) * sum);
}

}  // namespace

Measure sosp() {
  Measure m;
  m.info.id = "sosp";
  m.info.name = "Sum of operator norms of the change, times parameters";
  m.info.formula = "P sum over layers of s(W_final - W_init)";
  m.info.latex = "P\\sum_l s(W_l^F-W_l^0)";
  m.info.source = "Jin et al. 2020, arXiv 2010.05983 (SoSP) with true operator norms";
  m.info.family = "spectral";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_init;
  m.info.invariances = invariant_unit_permutation | invariant_bias;
  m.info.revision = 2;  // batch norm is folded
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
