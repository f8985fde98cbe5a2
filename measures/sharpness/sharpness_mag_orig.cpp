// sharpness-mag-orig: magnitude-aware sharpness bound, prior at the origin.
//
// Formula   1/4 sum ln[(eps^2 + (alpha'^2 + 4 ln(2 omega/delta)) |W|^2/omega) / (eps^2 + alpha'^2 w_i^2)] + ln(m/delta) + 10.
// Inputs    final weights, training samples and labels.
// Returns   a number, censored where the search is.
// Source    Jiang et al. 2019, arXiv 1912.02178, equation 60, as recalled.
// Error     the standard error of the search, to first order; the sums are float64.
// Cost      One search, shared, and O(weights).
#include "measures/api/measure.h"
#include "measures/flatness/bounds.h"
#include "measures/flatness/search.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe* probe) {
  if (probe == nullptr) return Outcome::not_applicable("the training data are not at hand");
  return magnitude_bound(worst_case_scale(snapshot, probe, true), snapshot, squared_weights(snapshot, false),
                         false, sharpness_extra(snapshot), sharpness_last(probe), probe);
}

}  // namespace

Measure sharpness_mag_orig() {
  Measure m;
  m.info.id = "sharpness-mag-orig";
  m.info.name = "Magnitude-aware sharpness bound, prior at the origin";
  m.info.formula =
      "1/4 sum ln[(eps^2 + (alpha'^2 + 4 ln(2 omega/delta)) |W|^2/omega) / (eps^2 + alpha'^2 w_i^2)] + "
      "ln(m/delta) + 10";
  m.info.latex =
      "\\tfrac14\\sum_i\\ln\\frac{\\epsilon^2+(\\alpha'^2+4\\ln(2\\omega/\\delta))\\|W\\|_F^2/"
      "\\omega}{\\epsilon^2+\\alpha'^2w_i^2}+\\ln\\frac m\\delta+10";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 60, as recalled";
  m.info.family = "sharpness";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_data | needs_labels;
  m.info.stochastic = true;
  m.info.revision = 2;  // closer looks before more starts
  m.info.searches = "alpha-magnitude";
  m.info.notes = "eps = 1e-3, delta = 0.05.";
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
