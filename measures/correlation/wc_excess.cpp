// wc-excess: weight correlation above chance.
//
// Formula   mean over layers of rho_l - c(d_l), c(d) = Gamma(d / 2) / (sqrt(pi) Gamma((d + 1) / 2)) the
//           expectation of |cos| of two independent isotropic vectors of length d. rho_l as in wc-paper.
// Inputs    final weights of every layer.
// Returns   a number in [-1, 1], 0 for random weights on average.
// Source    proposed here: it takes the fan-in out of wc-paper. c(9) = 35 / 128.
// Error     as wc-paper; c to 1e-14 relative.
// Cost      as wc-paper, shared with it.
#include <cmath>

#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

double chance(std::int64_t length) {
  const double d = static_cast<double>(length);
  return std::exp(std::lgamma(d / 2) - std::lgamma((d + 1) / 2)) / std::sqrt(M_PI);
}

Outcome compute(const Snapshot& snapshot, Probe*) {
  const auto& layers = paper_correlations(snapshot);
  if (layers.empty()) return Outcome::not_applicable("no layer has two output units");
  double sum = 0;
  for (const LayerCorrelation& l : layers) sum += l.rho - chance(l.vector_length);
  return Outcome::value(sum / static_cast<double>(layers.size()));
}

}  // namespace

Measure wc_excess() {
  Measure m;
  m.info.id = "wc-excess";
  m.info.name = "Weight correlation above chance";
  m.info.formula = "mean over layers of rho_l - Gamma(d/2) / (sqrt(pi) Gamma((d+1)/2)), d = vector length";
  m.info.latex =
      "\\frac1L\\sum_l\\left(\\rho_l-\\frac{\\Gamma(d_l/2)}{\\sqrt\\pi\\,\\Gamma((d_l+1)/2)}\\right)";
  m.info.source = "gapbench (after Jin et al. 2020, arXiv 2010.05983)";
  m.info.family = "correlation";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights;
  m.info.invariances = invariant_unit_permutation | invariant_layer_scale | invariant_unit_scale |
                       invariant_relu_rescaling | invariant_bias;
  m.info.notes = "A measure of ours, not of the paper.";
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
