// pacbayes-orig: pAC-Bayes bound, prior at the origin.
//
// Formula   |W|^2 / (4 sigma^2) + ln(m/sigma) + 10.
// Inputs    final weights, training samples and labels.
// Returns   a number, censored where the search is.
// Source    Jiang et al. 2019, arXiv 1912.02178, equation 49.
// Error     the standard error of the search, to first order; the sums are float64.
// Cost      One search, shared, and O(weights).
#include "measures/api/measure.h"
#include "measures/flatness/bounds.h"
#include "measures/flatness/search.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe* probe) {
  if (probe == nullptr) return Outcome::not_applicable("the training data are not at hand");
  return pacbayes_bound(gaussian_scale(snapshot, probe, false), squared_weights(snapshot, false), probe);
}

}  // namespace

Measure pacbayes_orig() {
  Measure m;
  m.info.id = "pacbayes-orig";
  m.info.name = "PAC-Bayes bound, prior at the origin";
  m.info.formula = "|W|^2 / (4 sigma^2) + ln(m/sigma) + 10";
  m.info.latex = "\\frac{\\|W\\|_F^2}{4\\sigma^2}+\\ln\\frac m\\sigma+10";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 49";
  m.info.family = "pacbayes";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_data | needs_labels;
  m.info.stochastic = true;
  m.info.searches = "sigma";
  m.info.notes = "Nearly the ranking of the distance over sigma: the first term dwarfs the others.";
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
