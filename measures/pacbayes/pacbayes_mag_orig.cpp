// pacbayes-mag-orig: magnitude-aware PAC-Bayes bound, prior at the origin.
//
// Formula   1/4 sum ln[(eps^2 + (sigma'^2 + 1) |W|^2/omega) / (eps^2 + sigma'^2 (w_i - w_init_i)^2)] + ln(m/sigma') + 10.
// Inputs    final and initial weights, training samples and labels.
// Returns   a number, censored where the search is.
// Source    Jiang et al. 2019, arXiv 1912.02178, equation 57; Dziugaite et al. 2020.
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
  return magnitude_bound(gaussian_scale(snapshot, probe, true), snapshot, squared_weights(snapshot, false),
                         true, 1, 0, probe);
}

}  // namespace

Measure pacbayes_mag_orig() {
  Measure m;
  m.info.id = "pacbayes-mag-orig";
  m.info.name = "Magnitude-aware PAC-Bayes bound, prior at the origin";
  m.info.formula =
      "1/4 sum ln[(eps^2 + (sigma'^2 + 1) |W|^2/omega) / (eps^2 + sigma'^2 (w_i - w_init_i)^2)] + "
      "ln(m/sigma') + 10";
  m.info.latex =
      "\\tfrac14\\sum_i\\ln\\frac{\\epsilon^2+(\\sigma'^2+1)\\|W\\|_F^2/"
      "\\omega}{\\epsilon^2+\\sigma'^2(w_i-w_i^0)^2}+\\ln\\frac m{\\sigma'}+10";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 57; Dziugaite et al. 2020";
  m.info.family = "pacbayes";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_init | needs_data | needs_labels;
  m.info.stochastic = true;
  m.info.searches = "sigma-magnitude";
  m.info.notes =
      "eps = 1e-3. The denominator keeps the distance to the initial weights, as published; w_i^2 would "
      "match the noise.";
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
