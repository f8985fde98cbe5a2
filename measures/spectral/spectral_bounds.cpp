// spec-init and spec-orig: the spectral bounds with their constants (log).
//
// Formula   ln(((84 B sum_l k_l sqrt(c_l) + sqrt(ln(4 n^2 d)))^2 prod_l s_l^2 sum_l r_l^2 / s_l^2 + ln(m / delta)) / margin^2),
//           r_l = ||W_l - W_l^0||_F (spec-init) or ||W_l||_F (spec-orig), s_l the operator norm as in log-prod-spec,
//           k_l the kernel's side (1 for dense, the root of height times width where they differ), c_l the layer's
//           outputs, n^2 the positions of the input image (1 where the first layer is dense), d the number of
//           layers, B = sqrt(n^2 inputs), the norm of an image of ones; m training samples, delta = 0.01.
// Inputs    final and (spec-init) initial weights and geometry of every layer, batch norm folded, logits and labels.
// Returns   a logarithm; undefined when a layer is zero, when no weight has moved or m is unknown; not converged when
//           an iteration did not end; censored where the margin is not positive (margin.h).
// Source    Jiang et al. 2019, equations 27 and 28, after Pitas et al. 2017. The square, ln(m / delta) and the margin
//           are as recalled; the constants 84 and ln(4 n^2 d), and B, are those of public code.
// Error     as log-spec-init-main.
// Cost      shared with log-prod-spec, fro-dist and margin-p10.
#include <algorithm>
#include <cmath>

#include "measures/api/measure.h"
#include "measures/layers/layers.h"
#include "measures/output/margin.h"

namespace gapbench::measures {
namespace {

constexpr double delta = 0.01;

Outcome bound(const Snapshot& snapshot, const std::vector<double>& norms, Probe* probe) {
  const Outcome main = log_spectral_main_term(snapshot, norms);
  if (!main.ok()) return over_squared_margin(main, snapshot, probe);
  if (snapshot.train_size() <= 0) return Outcome::undefined("the number of training samples is not known");
  const Layer& first = snapshot.layers().front();
  const auto positions = static_cast<double>(first.input_height * first.input_width);
  double sum = 0;
  for (const Layer& layer : snapshot.layers()) {
    const LayerShape s = shape_of(snapshot, layer);
    sum += std::sqrt(static_cast<double>(s.positions() * s.outputs));
  }
  const double largest_input = std::sqrt(positions * static_cast<double>(shape_of(snapshot, first).inputs));
  const double factor = 84 * largest_input * sum +
                        std::sqrt(std::log(4 * positions * static_cast<double>(snapshot.layers().size())));
  const double spectral = 2 * std::log(factor) + *main.value();
  const double confidence = std::log(std::log(static_cast<double>(snapshot.train_size()) / delta));
  const double larger = std::max(spectral, confidence), smaller = std::min(spectral, confidence);
  return over_squared_margin(Outcome::value(larger + std::log1p(std::exp(smaller - larger))), snapshot,
                             probe);
}

Measure describe(std::string_view id, std::string_view name, std::string_view formula, std::string_view latex,
                 std::string_view source) {
  Measure m;
  m.info.id = id;
  m.info.name = name;
  m.info.formula = formula;
  m.info.latex = latex;
  m.info.source = source;
  m.info.family = "spectral";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_data | needs_labels;
  m.info.invariances = invariant_unit_permutation;
  m.info.notes =
      "The constants depend on width and depth: no order of log-spec-*-main is kept between architectures.";
  return m;
}

}  // namespace

Measure spec_init() {
  Measure m = describe("spec-init", "Spectral bound with its constants, reference initial weights (log)",
                       "ln(((84 B sum k sqrt(c) + sqrt(ln(4 n^2 d)))^2 prod s^2 sum |W_final - W_init|_F^2 / "
                       "s^2 + ln(m / 0.01)) / margin^2)",
                       "\\ln\\frac{\\big(84B\\sum_l k_l\\sqrt{c_l}+\\sqrt{\\ln 4n^2d}\\big)^2\\prod_l "
                       "s_l^2\\sum_l\\|W_l^F-W_l^0\\|_F^2/s_l^2+\\ln(m/\\delta)}{\\gamma^2}",
                       "Jiang et al. 2019, arXiv 1912.02178, equation 27");
  m.info.needs |= needs_init;
  m.compute = [](const Snapshot& snapshot, Probe* probe) {
    if (auto missing = without_init(snapshot)) return *missing;
    return bound(snapshot, frobenius_norms_of_change(snapshot), probe);
  };
  return m;
}

Measure spec_orig() {
  Measure m = describe(
      "spec-orig", "Spectral bound with its constants, reference origin (log)",
      "ln(((84 B sum k sqrt(c) + sqrt(ln(4 n^2 d)))^2 prod s^2 sum |W|_F^2 / s^2 + ln(m / 0.01)) / margin^2)",
      "\\ln\\frac{\\big(84B\\sum_l k_l\\sqrt{c_l}+\\sqrt{\\ln 4n^2d}\\big)^2\\prod_l "
      "s_l^2\\sum_l\\|W_l\\|_F^2/s_l^2+\\ln(m/\\delta)}{\\gamma^2}",
      "Jiang et al. 2019, arXiv 1912.02178, equation 28");
  m.info.invariances |= invariant_relu_rescaling;
  m.compute = [](const Snapshot& snapshot, Probe* probe) {
    return bound(snapshot, frobenius_norms(snapshot), probe);
  };
  return m;
}

}  // namespace gapbench::measures
