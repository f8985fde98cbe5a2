// fro-dist: squared Frobenius distance to the initial weights.
//
// Formula   sum over layers of ||W_l - W_l^0||_F^2.
// Inputs    final and initial weights of every layer, batch norm folded.
// Returns   a number >= 0.
// Source    Jiang et al. 2019, equation 40; twice pb-notebook without its biases.
// Error     float64, compensated.
// Cost      O(parameters), shared.
#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  if (auto missing = without_init(snapshot)) return *missing;
  return sum_of_squares(frobenius_norms_of_change(snapshot));
}

}  // namespace

Measure fro_dist() {
  Measure m;
  m.info.id = "fro-dist";
  m.info.name = "Squared Frobenius distance to the initial weights";
  m.info.formula = "sum over layers of |W_final - W_init|_F^2";
  m.info.latex = "\\sum_l\\|W_l^F-W_l^0\\|_F^2";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 40";
  m.info.family = "norms";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_init;
  m.info.invariances = invariant_unit_permutation | invariant_bias;
  m.info.revision = 2;  // batch norm is folded
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
