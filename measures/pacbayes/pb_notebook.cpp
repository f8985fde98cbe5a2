// pb-notebook: the distance term of the released code's PAC-Bayes measure.
//
// Formula   1/2 sum over all arrays of ||theta_final - theta_init||^2 (sigma = 1).
// Inputs    all saved arrays, final and initial: weights, biases, batch-norm parameters and statistics.
// Returns   a number in the squared unit of the weights, >= 0.
// Source    released code of Jin et al. 2020 (PB).
// Error     float64, compensated.
// Cost      O(parameters).
#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  if (auto missing = without_init(snapshot)) return *missing;
  return Outcome::value(half_squared_change(snapshot, false));
}

}  // namespace

Measure pb_notebook() {
  Measure m;
  m.info.id = "pb-notebook";
  m.info.name = "PAC-Bayes distance term (released code)";
  m.info.formula = "1/2 sum over all arrays of |theta_final - theta_init|^2";
  m.info.latex = "\\tfrac12\\sum_a\\|\\theta_a^F-\\theta_a^0\\|_2^2";
  m.info.source = "released notebooks of Jin et al. 2020, arXiv 2010.05983";
  m.info.family = "pacbayes";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_init;
  m.info.invariances = invariant_unit_permutation;
  m.info.notes = "Counts biases and, where there are any, batch-norm statistics, which can dominate.";
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
