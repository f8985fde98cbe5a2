// grad-noise-epoch1: variance of the per-sample gradient after epoch 1.
//
// Formula   mean over the P trained parameters of the variance over samples of the gradient of the cross-entropy, estimated
//           from minibatches; see zoo/training/gradient_noise.h.
// Inputs    training history.
// Returns   nats squared per squared unit of a parameter, >= 0; not applicable where it was not logged.
// Source    Jiang et al. 2019, equation 63.
// Error     that of the draw of minibatches, about sqrt(2 / 63) of the value where there are 64.
// Cost      None: logged in training.
#include "measures/api/measure.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  const auto& training = snapshot.training();
  if (!training) return Outcome::not_applicable("the training history is not known");
  if (!training->gradient_noise_epoch1)
    return Outcome::not_applicable("the gradient noise was not logged in training");
  return Outcome::value(*training->gradient_noise_epoch1);
}

}  // namespace

Measure grad_noise_epoch1() {
  Measure m;
  m.info.id = "grad-noise-epoch1";
  m.info.name = "Gradient-noise variance after epoch 1";
  m.info.formula = "mean over parameters of var over samples of the gradient";
  m.info.latex = "\\frac1P\\sum_j\\operatorname{Var}_{(x,y)}\\partial_j\\ell(w)";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 63";
  m.info.family = "training";
  m.info.sign = Sign::plus;
  m.info.needs = needs_history;
  m.info.invariances = invariant_unit_permutation | invariant_layer_scale | invariant_unit_scale |
                       invariant_relu_rescaling | invariant_bias;
  m.info.notes =
      "One draw of minibatches, the same for all models of a training set. Follows the training loss near "
      "interpolation.";
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
