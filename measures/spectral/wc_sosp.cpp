// wc-sosp: sum of spectral proxies of the change, times the number of weights, the paper's competitor SoSP.
//
// Formula   P sum over layers of p(W_final - W_init), P the number of weight entries, p the released
//           code's proxy.
// Inputs    weights of every layer, final and initial.
// Returns   a number >= 0.
// Source    released code of Jin et al. 2020 (SoSP). sosp takes the true norms.
// Error     float64 rounding; the change is rounded to float32 once.
// Cost      As wc-psn.
#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  if (auto missing = without_init(snapshot)) return *missing;
  double sum = 0;
  for (const double p : spectral_proxies_of_change(snapshot)) sum += p;
  return Outcome::value(weight_count(snapshot) * sum);
}

}  // namespace

Measure wc_sosp() {
  Measure m;
  m.info.id = "wc-sosp";
  m.info.name = "Sum of spectral proxies of the change, times parameters (released code)";
  m.info.formula = "P sum over layers of p(W_final - W_init)";
  m.info.latex = "P\\sum_l p(W_l^F-W_l^0)";
  m.info.source = "released notebooks of Jin et al. 2020, arXiv 2010.05983 (SoSP)";
  m.info.family = "spectral";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_init;
  m.info.invariances = invariant_unit_permutation | invariant_bias;
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
