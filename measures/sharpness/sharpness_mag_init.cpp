// sharpness-mag-init: magnitude-aware sharpness bound, prior at init.
//
// Formula   1/4 sum ln[(eps^2 + (alpha'^2 + 4 ln(2 omega/delta)) |W - W_init|^2/omega) / (eps^2 + alpha'^2 (w_i - w_init_i)^2)] + ln(m/delta) + 10.
// Inputs    final and initial weights, training samples and labels.
// Returns   a number, censored where the search is.
// Source    Jiang et al. 2019, arXiv 1912.02178, equation 59, as recalled.
// Error     the standard error of the search, to first order; the sums are float64.
// Cost      One search, shared, and O(weights).
#include "measures/api/measure.h"
#include "measures/flatness/bounds.h"
#include "measures/flatness/search.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe* probe) {
  if (auto missing = without_init(snapshot)) return *missing;
  if (probe == nullptr) return Outcome::not_applicable("the training data are not at hand");
  return magnitude_bound(worst_case_scale(snapshot, probe, true), snapshot, squared_weights(snapshot, true),
                         true, sharpness_extra(snapshot), sharpness_last(probe), probe);
}

}  // namespace

Measure sharpness_mag_init() {
  Measure m;
  m.info.id = "sharpness-mag-init";
  m.info.name = "Magnitude-aware sharpness bound, prior at init";
  m.info.formula =
      "1/4 sum ln[(eps^2 + (alpha'^2 + 4 ln(2 omega/delta)) |W - W_init|^2/omega) / (eps^2 + alpha'^2 (w_i - "
      "w_init_i)^2)] + ln(m/delta) + 10";
  m.info.latex =
      "\\tfrac14\\sum_i\\ln\\frac{\\epsilon^2+(\\alpha'^2+4\\ln(2\\omega/\\delta))\\|W-W^0\\|_F^2/"
      "\\omega}{\\epsilon^2+\\alpha'^2(w_i-w_i^0)^2}+\\ln\\frac m\\delta+10";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 59, as recalled";
  m.info.family = "sharpness";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_init | needs_data | needs_labels;
  m.info.stochastic = true;
  m.info.revision = 2;  // closer looks before more starts
  m.info.searches = "alpha-magnitude";
  m.info.notes = "eps = 1e-3, delta = 0.05.";
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
