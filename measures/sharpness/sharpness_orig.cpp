// sharpness-orig: worst-case sharpness bound, prior at the origin.
//
// Formula   |W|^2 ln(2 omega) / (4 alpha^2) + ln(m/sigma) + 10.
// Inputs    final weights, training samples and labels.
// Returns   a number, censored where a search is.
// Source    Jiang et al. 2019, arXiv 1912.02178, equation 52, as recalled.
// Error     the standard error of the search, to first order; the sums are float64.
// Cost      Two searches, shared, and O(weights).
#include "measures/api/measure.h"
#include "measures/flatness/bounds.h"
#include "measures/flatness/search.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe* probe) {
  if (probe == nullptr) return Outcome::not_applicable("the training data are not at hand");
  return sharpness_bound(worst_case_scale(snapshot, probe, false), gaussian_scale(snapshot, probe, false),
                         snapshot, squared_weights(snapshot, false), probe);
}

}  // namespace

Measure sharpness_orig() {
  Measure m;
  m.info.id = "sharpness-orig";
  m.info.name = "Worst-case sharpness bound, prior at the origin";
  m.info.formula = "|W|^2 ln(2 omega) / (4 alpha^2) + ln(m/sigma) + 10";
  m.info.latex = "\\frac{\\|W\\|_F^2\\ln(2\\omega)}{4\\alpha^2}+\\ln\\frac m\\sigma+10";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 52, as recalled";
  m.info.family = "sharpness";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_data | needs_labels;
  m.info.stochastic = true;
  m.info.revision = 2;  // closer looks before more starts
  m.info.searches = "alpha sigma";
  m.info.notes = "omega counts weights without biases; sigma is that of the Gaussian search.";
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
