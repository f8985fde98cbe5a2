// cross-entropy: mean cross-entropy on the training set.
//
// Formula   (1 / n) sum over samples of ln sum_k exp(z_k) - z_y.
// Inputs    logits and labels of the training samples, evaluation mode.
// Returns   nats, >= 0; not applicable without data.
// Source    Jiang et al. 2019, equation 21.
// Error     float64 sums over float32 logits.
// Cost      One forward pass, shared.
#include "measures/api/measure.h"
#include "measures/kernels/logit_statistics.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot&, Probe* probe) {
  if (probe == nullptr) return Outcome::not_applicable("the training data are not at hand");
  const auto logits = probe->logits();
  const auto labels = probe->labels();
  const auto samples = static_cast<std::int64_t>(labels.size());
  kernels::LogitStatistics statistics;
  kernels::logit_statistics(logits.data(), labels.data(), samples, probe->classes(), nullptr, &statistics);
  if (statistics.not_finite > 0) return Outcome::undefined("a logit is not finite");
  return Outcome::value(statistics.cross_entropy / static_cast<double>(samples));
}

}  // namespace

Measure cross_entropy() {
  Measure m;
  m.info.id = "cross-entropy";
  m.info.name = "Training cross-entropy";
  m.info.formula = "mean over training samples of -ln p(y | x)";
  m.info.latex = "\\frac1n\\sum_i-\\ln p(y_i\\mid x_i)";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 21";
  m.info.family = "output";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_data | needs_labels;
  m.info.invariances = invariant_unit_permutation | invariant_relu_rescaling;
  m.info.notes = "Nearly constant over models that all stop at the same cross-entropy.";
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
