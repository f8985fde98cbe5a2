// l2-dist: distance to the initial weights.
//
// Formula   sqrt(sum over layers of ||W_l - W_l^0||_F^2).
// Inputs    final and initial weights of every layer, batch norm folded.
// Returns   a number >= 0.
// Source    Dziugaite et al. 2020, released code (101); Nagarajan and Kolter 2019. The square root of fro-
//           dist: the same order.
// Error     float64, compensated.
// Cost      O(parameters), shared.
#include <cmath>

#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  if (auto missing = without_init(snapshot)) return *missing;
  return sum_of_squares(frobenius_norms_of_change(snapshot)).map([](double squared) {
    return std::sqrt(squared);
  });
}

}  // namespace

Measure l2_dist() {
  Measure m;
  m.info.id = "l2-dist";
  m.info.name = "Distance to the initial weights";
  m.info.formula = "sqrt(sum over layers of |W_final - W_init|_F^2)";
  m.info.latex = "\\|w^F-w^0\\|_2";
  m.info.source = "Dziugaite et al. 2020, released code (101)";
  m.info.family = "norms";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_init;
  m.info.invariances = invariant_unit_permutation | invariant_bias;
  m.info.revision = 2;  // batch norm is folded
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
