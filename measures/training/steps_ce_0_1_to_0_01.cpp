// steps-ce-0.1-to-0.01: optimiser steps from a training cross-entropy of 0.1 to one of 0.01.
//
// Formula   t(0.01) - t(0.1), t as in steps-to-ce-0.1.
// Inputs    training history.
// Returns   steps, >= 0; the steps since 0.1, censored, where 0.01 was not reached; undefined where 0.1 was not.
// Source    Jiang et al. 2019, appendix C.6.
// Error     up to the steps between two checks at each end.
// Cost      None: logged in training.
#include "measures/api/measure.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  const auto& training = snapshot.training();
  if (!training) return Outcome::not_applicable("the training history is not known");
  if (!training->steps_to_cross_entropy_01)
    return Outcome::undefined("the training cross-entropy did not reach 0.1");
  const auto start = static_cast<double>(*training->steps_to_cross_entropy_01);
  if (training->steps_to_cross_entropy_001)
    return Outcome::value(static_cast<double>(*training->steps_to_cross_entropy_001) - start);
  return Outcome::value(static_cast<double>(training->steps) - start)
      .as_censored("the training cross-entropy did not reach 0.01");
}

}  // namespace

Measure steps_ce_0_1_to_0_01() {
  Measure m;
  m.info.id = "steps-ce-0.1-to-0.01";
  m.info.name = "Optimiser steps between training cross-entropies of 0.1 and 0.01";
  m.info.formula = "t(0.01) - t(0.1)";
  m.info.latex = "t(0.01)-t(0.1)";
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
