// neg-entropy: negative entropy of the outputs.
//
// Formula   (1 / n) sum over samples of sum_k p_k ln p_k, p = softmax(z).
// Inputs    logits of the training samples, evaluation mode.
// Returns   nats, in [-ln classes, 0]; not applicable without data.
// Source    Jiang et al. 2019, equation 23.
// Error     float64 sums over float32 logits.
// Cost      One forward pass, shared.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "measures/api/measure.h"
#include "measures/numerics/sum.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot&, Probe* probe) {
  if (probe == nullptr) return Outcome::not_applicable("the training data are not at hand");
  const auto logits = probe->logits();
  const auto classes = static_cast<std::size_t>(probe->classes());
  CompensatedSum sum;
  for (std::int64_t i = 0; i < probe->samples(); ++i) {
    const float* z = logits.data() + static_cast<std::size_t>(i) * classes;
    const double largest = static_cast<double>(*std::max_element(z, z + classes));
    double total = 0, weighted = 0;
    for (std::size_t k = 0; k < classes; ++k) {
      const double shifted = static_cast<double>(z[k]) - largest, e = std::exp(shifted);
      total += e;
      weighted += e * shifted;  // 0 where exp underflows: p ln p tends to 0
    }
    sum.add(weighted / total - std::log(total));
  }
  return Outcome::value(sum.value() / static_cast<double>(probe->samples()));
}

}  // namespace

Measure neg_entropy() {
  Measure m;
  m.info.id = "neg-entropy";
  m.info.name = "Negative entropy of the outputs";
  m.info.formula = "mean over training samples of sum_k p_k ln p_k";
  m.info.latex = "\\frac1n\\sum_i\\sum_k p_{ik}\\ln p_{ik}";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 23";
  m.info.family = "output";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_data;
  m.info.invariances = invariant_unit_permutation | invariant_relu_rescaling;
  m.info.notes = "A more confident network has a larger value.";
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
