// wc-g: the correlation term g of the released notebooks.
//
// Formula   mean over layers of g_l. Dense: g = -(N - 1) m ln(1 - rho) - m ln(1 + (N - 1) rho), N outputs,
//           m inputs, rho the smoothed mean over full rows, diagonal included. Convolution: g = -(N - 1) m
//           ln(1 - rho) + m ln(1 + (N - 1) rho), m input channels, rho the mean over input channels;
//           kernel height 1 is passed over. Where rho >= 1, g = 50000.
// Inputs    final weights of every layer.
// Returns   a number without a unit; not applicable when no layer counts.
// Source    released code of Jin et al. 2020: the plus in the convolution's second term, the mean over
//           layers, the missing 1/2 and the 50000 are its own. wc-kl is the consistent form. Layers of one
//           unit are left out: they have no pair.
// Error     that of rho, times g's derivative.
// Cost      O(sum fan_in outputs^2).
#include <cmath>

#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

double layer_g(const LayerShape& s, LayerKind kind, double rho) {
  if (rho >= 1) return 50000;
  const auto units = static_cast<double>(s.outputs - 1), inputs = static_cast<double>(s.inputs);
  const double second = inputs * std::log1p(units * rho);
  return -units * inputs * std::log1p(-rho) + (kind == LayerKind::conv ? second : -second);
}

Outcome compute(const Snapshot& snapshot, Probe*) {
  const auto& g = notebook_g(snapshot);
  if (g.empty())
    return Outcome::not_applicable("no dense layer and no convolution larger than 1x1 has two output units");
  double sum = 0;
  for (const double x : g) sum += x;
  return Outcome::value(sum / static_cast<double>(g.size()));
}

}  // namespace

const std::vector<double>& notebook_g(const Snapshot& snapshot) {
  return snapshot.memo().get("notebook_g", [&] {
    std::vector<double> all;
    for (const Layer& layer : snapshot.layers()) {
      const LayerShape s = shape_of(snapshot, layer);
      if (s.outputs < 2 || (layer.kind == LayerKind::conv && s.kernel_height == 1)) continue;
      const std::vector<double> means = notebook_means(snapshot, layer, 0);
      double rho = 0;
      for (const double m : means) rho += m / static_cast<double>(means.size());
      all.push_back(layer_g(s, layer.kind, rho));
    }
    return all;
  });
}

namespace {}  // namespace

Measure wc_g() {
  Measure m;
  m.info.id = "wc-g";
  m.info.name = "Correlation term g (released code)";
  m.info.formula =
      "mean over layers of -(N-1) m ln(1-rho) -/+ m ln(1+(N-1) rho); minus for dense layers, plus for "
      "convolutions";
  m.info.latex =
      "\\frac1L\\sum_l\\left[-(N_l-1)N_{l-1}\\ln(1-\\rho_l)\\mp N_{l-1}\\ln(1+(N_l-1)\\rho_l)\\right]";
  m.info.source = "released notebooks of Jin et al. 2020, arXiv 2010.05983";
  m.info.family = "correlation";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights;
  m.info.invariances = invariant_unit_permutation | invariant_bias;
  m.info.notes =
      "A mean over layers without the factor 1/2, and with the sign of the second term flipped for "
      "convolutions; wc-kl is the consistent form.";
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
