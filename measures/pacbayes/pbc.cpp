// pbc: the paper's PAC-Bayes and correlation measure, as its released code computes it.
//
// Formula   pb-notebook + wc-g.
// Inputs    all arrays, final and initial.
// Returns   a number; it adds a sum over arrays to a mean over layers.
// Source    Jin et al. 2020; the released code. tau = 0.611 on its nine CIFAR-10 networks.
// Error     that of its terms.
// Cost      That of its terms, shared with them.
#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  if (auto missing = without_init(snapshot)) return *missing;
  const auto& g = notebook_g(snapshot);
  if (g.empty())
    return Outcome::not_applicable("no dense layer and no convolution larger than 1x1 has two output units");
  double sum = 0;
  for (const double x : g) sum += x;
  return Outcome::value(half_squared_change(snapshot, false) + sum / static_cast<double>(g.size()));
}

}  // namespace

Measure pbc() {
  Measure m;
  m.info.id = "pbc";
  m.info.name = "PAC-Bayes and correlation (PBC)";
  m.info.formula = "pb-notebook + wc-g";
  m.info.latex = "\\tfrac12\\sum_a\\|\\theta_a^F-\\theta_a^0\\|_2^2+\\frac1L\\sum_l g_l";
  m.info.source = "Jin et al. 2020, arXiv 2010.05983, as released";
  m.info.family = "pacbayes";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_init;
  m.info.invariances = invariant_unit_permutation;
  m.info.notes = "Adds a sum over arrays to a mean over layers; pbc-kl is the consistent form.";
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
