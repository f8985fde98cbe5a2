// l2-norm: parameter norm.
//
// Formula   sqrt(sum over layers of ||W_l||_F^2).
// Inputs    final weights of every layer, batch norm folded.
// Returns   a number >= 0.
// Source    Dziugaite et al. 2020, released code (100). The square root of param-norm: the same order.
// Error     float64, compensated.
// Cost      O(parameters), shared.
#include <cmath>

#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  return sum_of_squares(frobenius_norms(snapshot)).map([](double squared) { return std::sqrt(squared); });
}

}  // namespace

Measure l2_norm() {
  Measure m;
  m.info.id = "l2-norm";
  m.info.name = "Parameter norm";
  m.info.formula = "sqrt(sum over layers of |W|_F^2)";
  m.info.latex = "\\|w\\|_2";
  m.info.source = "Dziugaite et al. 2020, released code (100)";
  m.info.family = "norms";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights;
  m.info.invariances = invariant_unit_permutation | invariant_bias;
  m.info.revision = 2;  // batch norm is folded
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
