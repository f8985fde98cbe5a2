// sharpness-mag-flatness: inverse squared magnitude-aware radius.
//
// Formula   1 / alpha'^2.
// Inputs    training samples and labels, final weights.
// Returns   in the inverse squared unit of the scale, censored where the search is.
// Source    Jiang et al. 2019, arXiv 1912.02178, equation 62, as recalled.
// Error     the standard error of the search, to first order; the sums are float64.
// Cost      One search, shared.
#include "measures/api/measure.h"
#include "measures/flatness/bounds.h"
#include "measures/flatness/search.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe* probe) {
  return inverse_square(worst_case_scale(snapshot, probe, true));
}

}  // namespace

Measure sharpness_mag_flatness() {
  Measure m;
  m.info.id = "sharpness-mag-flatness";
  m.info.name = "Inverse squared magnitude-aware radius";
  m.info.formula = "1 / alpha'^2";
  m.info.latex = "1/\\alpha'^2";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 62, as recalled";
  m.info.family = "sharpness";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_data | needs_labels;
  m.info.stochastic = true;
  m.info.revision = 2;  // closer looks before more starts
  m.info.searches = "alpha-magnitude";
  m.info.notes = "Censored where the search ends at a bound of [1e-6, 2].";
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
