// wc-kl: the correlation part of the KL divergence, from first principles.
//
// Formula   1/2 sum over layers of g_l, g = -(N - 1) m ln(1 - rho) - m ln(1 + (N - 1) rho) = -ln det of
//           the posterior's correlation: N units whose weights to each of the m = fan-in inputs are
//           equicorrelated with rho (wc-paper's rho_l).
// Inputs    final weights of every layer.
// Returns   nats; undefined at rho = 1, where the posterior is singular; not applicable when no layer has
//           two units.
// Source    derived; ||Delta||^2 / (2 sigma^2) + this is the KL of an equicorrelated posterior from an
//           isotropic prior (pbc-kl). Differs from the released code (wc-g) in the 1/2, the sum, the sign
//           for convolutions and their fan-in, which counts kh kw.
// Error     that of rho, times dg/drho = m N (N - 1) rho / ((1 - rho) (1 + (N - 1) rho)) / 2.
// Cost      as wc-paper, shared with it.
#include <cmath>

#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  const auto& layers = paper_correlations(snapshot);
  if (layers.empty()) return Outcome::not_applicable("no layer has two output units");
  double sum = 0;
  for (const LayerCorrelation& l : layers) {
    const double g = correlation_g(l);
    if (std::isinf(g)) return Outcome::undefined("a layer has correlation 1: the posterior is singular");
    sum += g;
  }
  return Outcome::value(0.5 * sum);
}

}  // namespace

Measure wc_kl() {
  Measure m;
  m.info.id = "wc-kl";
  m.info.name = "Correlation part of the KL divergence";
  m.info.formula = "1/2 sum over layers of -(N-1) m ln(1-rho) - m ln(1+(N-1) rho), m = fan-in";
  m.info.latex = "\\tfrac12\\sum_l\\left[-(N_l-1)m_l\\ln(1-\\rho_l)-m_l\\ln(1+(N_l-1)\\rho_l)\\right]";
  m.info.source = "derived from the posterior of Jin et al. 2020, arXiv 2010.05983";
  m.info.family = "correlation";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights;
  m.info.invariances = invariant_unit_permutation | invariant_layer_scale | invariant_unit_scale |
                       invariant_relu_rescaling | invariant_bias;
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
