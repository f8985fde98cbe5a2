// wc-paper: weight correlation, the paper's definition.
//
// Formula   mean over layers l of rho_l; rho_l = mean over pairs of output units of |cos| of their
//           incoming weights, for a convolution of each input channel's kh kw slices, averaged over input
//           channels.
// Inputs    final weights of every layer; biases are not part of a vector.
// Returns   a number in [0, 1]; not applicable when no layer has two units.
// Source    Jin et al. 2020, definitions 3.1 and 3.2 (recalled); 1x1 convolutions are taken as the dense
//           layers they are.
// Error     kernels::cosine_error of the longest vector, about 2e-5 at most.
// Cost      O(sum fan_in outputs^2).
#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  const auto& layers = paper_correlations(snapshot);
  if (layers.empty()) return Outcome::not_applicable("no layer has two output units");
  double sum = 0;
  for (const LayerCorrelation& l : layers) sum += l.rho;
  return Outcome::value(sum / static_cast<double>(layers.size()));
}

}  // namespace

Measure wc_paper() {
  Measure m;
  m.info.id = "wc-paper";
  m.info.name = "Weight correlation (paper's definition)";
  m.info.formula =
      "mean over layers of the mean over pairs of units of |cos(w_i, w_j)|; conv: per input channel";
  m.info.latex =
      "\\frac1L\\sum_{l=1}^{L}\\rho_l,\\quad \\rho_l=\\frac{1}{N_l(N_l-1)}\\sum_{i\\neq j}\\frac{|w_i^\\top "
      "w_j|}{\\|w_i\\|\\,\\|w_j\\|}";
  m.info.source = "Jin et al. 2020, arXiv 2010.05983, definitions 3.1 and 3.2";
  m.info.family = "correlation";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights;
  m.info.invariances = invariant_unit_permutation | invariant_layer_scale | invariant_unit_scale |
                       invariant_relu_rescaling | invariant_bias;
  m.info.notes =
      "Random weights have a correlation of about sqrt(2 / (pi d)), d the vector length: compare with "
      "wc-excess. 1x1 convolutions are taken as dense layers.";
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
