// steps-to-ce-0.1: optimiser steps until the training cross-entropy is at most 0.1.
//
// Formula   the least t, among the steps at which the full training set was evaluated, with cross-entropy <= 0.1 nats.
// Inputs    training history.
// Returns   steps; the number of steps made, censored, where 0.1 was not reached.
// Source    Jiang et al. 2019, appendix C.6.
// Error     up to the steps between two checks, one epoch unless check_every says otherwise.
// Cost      None: logged in training.
#include "measures/api/measure.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  const auto& training = snapshot.training();
  if (!training) return Outcome::not_applicable("the training history is not known");
  if (training->steps_to_cross_entropy_01)
    return Outcome::value(static_cast<double>(*training->steps_to_cross_entropy_01));
  return Outcome::value(static_cast<double>(training->steps))
      .as_censored("the training cross-entropy did not reach 0.1");
}

}  // namespace

Measure steps_to_ce_0_1() {
  Measure m;
  m.info.id = "steps-to-ce-0.1";
  m.info.name = "Optimiser steps to a training cross-entropy of 0.1";
  m.info.formula = "min t with cross-entropy(t) <= 0.1";
  m.info.latex = "\\min\\{t: L_S(w_t)\\le0.1\\}";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, appendix C.6";
  m.info.family = "training";
  m.info.sign = Sign::plus;
  m.info.needs = needs_history;
  m.info.invariances = invariant_unit_permutation | invariant_layer_scale | invariant_unit_scale |
                       invariant_relu_rescaling | invariant_bias;
  m.info.notes = "Depends on batch size and learning rate by construction.";
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
