// log-sum-fro: geometric-mean form of the product of Frobenius norms (log).
//
// Formula   ln L + (1 / L) 2 sum over layers of ln ||W_l||_F, L layers.
// Inputs    final weights of every layer, batch norm folded.
// Returns   a logarithm; undefined when a layer is zero.
// Source    Jiang et al. 2019, equation 39: the name says sum, the formula is L times the geometric mean.
// Error     float64, compensated.
// Cost      O(parameters), shared with log-prod-fro.
#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  return geometric_mean_form(log_product_of_frobenius_norms(snapshot), snapshot);
}

}  // namespace

Measure log_sum_fro() {
  Measure m;
  m.info.id = "log-sum-fro";
  m.info.name = "Geometric-mean form of the product of Frobenius norms (log)";
  m.info.formula = "ln L + (2/L) sum over layers of ln |W|_F";
  m.info.latex = "\\ln\\left(L\\Big(\\prod_l\\|W_l\\|_F^2\\Big)^{1/L}\\right)";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 39";
  m.info.family = "norms";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights;
  m.info.invariances = invariant_unit_permutation | invariant_relu_rescaling | invariant_bias;
  m.info.revision = 2;  // batch norm is folded
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
