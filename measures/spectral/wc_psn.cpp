// wc-psn: product of spectral proxies, the paper's competitor PSN.
//
// Formula   sum over layers of ln p_l, p_l the released code's proxy (kernels/spectral.h): the logarithm
//           of the product.
// Inputs    final weights of every layer.
// Returns   a logarithm; undefined when a layer is zero.
// Source    released code of Jin et al. 2020 (PSN). p bounds the operator norm of a dense layer from
//           above; for a convolution it is no bound. log-prod-spec takes the true norms.
// Error     float64 rounding.
// Cost      O(sum kh kw inputs^2 outputs).
#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  return sum_of_logs(snapshot, spectral_proxies(snapshot), "the spectral proxy", 1);
}

}  // namespace

Measure wc_psn() {
  Measure m;
  m.info.id = "wc-psn";
  m.info.name = "Product of spectral proxies (log, released code)";
  m.info.formula = "sum over layers of ln p, p = sqrt of the infinity norm of the Gram matrix";
  m.info.latex = "\\ln\\prod_l\\sqrt{\\|W_lW_l^\\top\\|_\\infty}";
  m.info.source = "released notebooks of Jin et al. 2020, arXiv 2010.05983 (PSN)";
  m.info.family = "spectral";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights;
  m.info.invariances = invariant_unit_permutation | invariant_relu_rescaling | invariant_bias;
  m.info.notes = "Not an operator norm: an upper bound for dense layers, no bound for convolutions.";
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
