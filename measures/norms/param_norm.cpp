// param-norm: squared parameter norm.
//
// Formula   sum over layers of ||W_l||_F^2.
// Inputs    final weights of every layer, batch norm folded.
// Returns   a number >= 0.
// Source    Jiang et al. 2019, equation 42.
// Error     float64, compensated.
// Cost      O(parameters), shared.
#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  return sum_of_squares(frobenius_norms(snapshot));
}

}  // namespace

Measure param_norm() {
  Measure m;
  m.info.id = "param-norm";
  m.info.name = "Squared parameter norm";
  m.info.formula = "sum over layers of |W|_F^2";
  m.info.latex = "\\sum_l\\|W_l\\|_F^2";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 42";
  m.info.family = "norms";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights;
  m.info.invariances = invariant_unit_permutation | invariant_bias;
  m.info.notes = "Its scale is arbitrary where rescaling a ReLU network leaves the function alone.";
  m.info.revision = 2;  // batch norm is folded
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
