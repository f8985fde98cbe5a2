// pbc-kl: KL divergence of the equicorrelated posterior from the isotropic prior around the initial weights.
//
// Formula   1/2 sum over layers of ||W_final - W_init||^2 / sigma^2 + 1/2 sum over layers of g_l (wc-kl),
//           sigma = 1.
// Inputs    weights of every layer, final and initial; no biases, which the posterior of the paper does
//           not cover.
// Returns   nats; undefined at correlation 1.
// Source    derived from the posterior of Jin et al. 2020: the form in which both terms belong to one KL.
// Error     that of its terms.
// Cost      That of its terms, shared with them.
#include <cmath>

#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  if (auto missing = without_init(snapshot)) return *missing;
  const auto& layers = paper_correlations(snapshot);
  if (layers.empty()) return Outcome::not_applicable("no layer has two output units");
  double g = 0;
  for (const LayerCorrelation& l : layers) g += correlation_g(l);
  if (std::isinf(g)) return Outcome::undefined("a layer has correlation 1: the posterior is singular");
  return Outcome::value(half_squared_change(snapshot, true) + 0.5 * g);
}

}  // namespace

Measure pbc_kl() {
  Measure m;
  m.info.id = "pbc-kl";
  m.info.name = "PAC-Bayes and correlation, consistent KL";
  m.info.formula = "1/2 sum |W_final - W_init|^2 + wc-kl (sigma = 1)";
  m.info.latex = "\\tfrac12\\sum_l\\frac{\\|W_l^F-W_l^0\\|_F^2}{\\sigma^2}+\\tfrac12\\sum_l g_l,\\ \\sigma=1";
  m.info.source = "derived from the posterior of Jin et al. 2020, arXiv 2010.05983";
  m.info.family = "pacbayes";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_init;
  m.info.invariances = invariant_unit_permutation | invariant_bias;
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
