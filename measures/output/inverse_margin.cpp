// inverse-margin: inverse squared output margin.
//
// Formula   1 / margin^2.
// Inputs    logits and labels of the training samples, evaluation mode.
// Returns   a number > 0; censored where the margin is not positive (margin.h).
// Source    Jiang et al. 2019, equation 22.
// Error     twice the relative error of the margin.
// Cost      Shared with margin-p10.
#include <cmath>

#include "measures/api/measure.h"
#include "measures/output/margin.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe* probe) {
  return over_squared_margin(Outcome::value(0), snapshot, probe).map([](double log_value) {
    return std::exp(log_value);
  });
}

}  // namespace

Measure inverse_margin() {
  Measure m;
  m.info.id = "inverse-margin";
  m.info.name = "Inverse squared output margin";
  m.info.formula = "1 / margin^2";
  m.info.latex = "1/\\gamma^2";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 22";
  m.info.family = "output";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_data | needs_labels;
  m.info.invariances = invariant_unit_permutation | invariant_relu_rescaling;
  m.info.notes = "Changes with the scale of the last layer, which changes no prediction.";
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
