// conv-opnorm-fft, -fft-strided, -power, -reshape, -wc-bound: the operator norms that the spectral measures build
// on, one number each.
//
// Formula   mean over layers of ln s_l; s_l of a convolution is the norm that the id names, of a dense layer the
//           largest singular value (wc-bound: the released proxy of either).
// Inputs    final weights and, but for -reshape and -wc-bound, geometry of every layer; batch norm folded, but for
//           -wc-bound.
// Returns   a logarithm, comparable between depths; undefined when a layer is zero, not converged when an
//           iteration did not end.
// Source    Sedghi, Gupta and Long 2019 (fft); Yoshida and Miyato 2017 (reshape); released code of Jin et al. 2020
//           (wc-bound). The catalogues list them as building blocks of no sign.
// Error     relative 1e-7 of each s_l.
// Cost      shared with the spectral measures.
#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome mean(const Outcome& sum, const Snapshot& snapshot) {
  const auto depth = static_cast<double>(snapshot.layers().size());
  return sum.map([depth](double value) { return value / depth; });
}

template <NormKind kind>
Outcome mean_log_norm(const Snapshot& snapshot, Probe*) {
  return mean(log_product_of_operator_norms(snapshot, kind).map([](double value) { return value / 2; }),
              snapshot);
}

Measure block(std::string_view id, std::string_view name, std::string_view source,
              Outcome (*compute)(const Snapshot&, Probe*)) {
  Measure m;
  m.info.id = id;
  m.info.name = name;
  m.info.formula = "mean over layers of ln s, s the norm";
  m.info.latex = "\\frac1L\\sum_l\\ln s_l";
  m.info.source = source;
  m.info.family = "spectral";
  m.info.sign = Sign::none;
  m.info.needs = needs_weights;
  m.info.invariances = invariant_unit_permutation | invariant_relu_rescaling | invariant_bias;
  m.compute = compute;
  return m;
}

}  // namespace

Measure conv_opnorm_fft() {
  return block(
      "conv-opnorm-fft", "Mean logarithm of operator norms, circular, at the layer's input size, stride 1",
      "Sedghi, Gupta and Long 2019, arXiv 1805.10408, theorem 6", &mean_log_norm<NormKind::unstrided>);
}

Measure conv_opnorm_fft_strided() {
  return block("conv-opnorm-fft-strided",
               "Mean logarithm of operator norms, circular, at the layer's input size and stride",
               "Sedghi, Gupta and Long 2019, arXiv 1805.10408, with the folding of a strided transform",
               &mean_log_norm<NormKind::circular>);
}

Measure conv_opnorm_power() {
  return block("conv-opnorm-power",
               "Mean logarithm of operator norms, with zero padding, at the layer's input size and stride",
               "standard; Virmaux and Scaman 2018", &mean_log_norm<NormKind::padded>);
}

Measure conv_opnorm_reshape() {
  return block("conv-opnorm-reshape",
               "Mean logarithm of operator norms, of the kernel as a matrix [outputs, fan-in]",
               "Yoshida and Miyato 2017, arXiv 1705.10941", &mean_log_norm<NormKind::reshaped>);
}

Measure conv_opnorm_wc_bound() {
  return block(
      "conv-opnorm-wc-bound", "Mean logarithm of the released code's spectral proxies",
      "released notebooks of Jin et al. 2020, arXiv 2010.05983", [](const Snapshot& snapshot, Probe*) {
        return mean(sum_of_logs(snapshot, spectral_proxies(snapshot), "the spectral proxy", 1), snapshot);
      });
}

}  // namespace gapbench::measures
