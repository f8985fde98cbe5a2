// pacbayes-init: pAC-Bayes bound, prior at init.
//
// Formula   |W - W_init|^2 / (4 sigma^2) + ln(m/sigma) + 10.
// Inputs    final and initial weights, training samples and labels.
// Returns   a number, censored where the search is.
// Source    Jiang et al. 2019, arXiv 1912.02178, equation 48.
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
  return pacbayes_bound(gaussian_scale(snapshot, probe, false), squared_weights(snapshot, true), probe);
}

}  // namespace

Measure pacbayes_init() {
  Measure m;
  m.info.id = "pacbayes-init";
  m.info.name = "PAC-Bayes bound, prior at init";
  m.info.formula = "|W - W_init|^2 / (4 sigma^2) + ln(m/sigma) + 10";
  m.info.latex = "\\frac{\\|W-W^0\\|_F^2}{4\\sigma^2}+\\ln\\frac m\\sigma+10";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 48";
  m.info.family = "pacbayes";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_init | needs_data | needs_labels;
  m.info.stochastic = true;
  m.info.searches = "sigma";
  m.info.notes = "Nearly the ranking of the distance over sigma: the first term dwarfs the others.";
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
