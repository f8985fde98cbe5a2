// log-prod-fro: product of squared Frobenius norms.
//
// Formula   2 sum over layers of ln ||W_l||_F.
// Inputs    final weights of every layer, batch norm folded.
// Returns   a logarithm; undefined when a layer is zero.
// Source    Jiang et al. 2019, equation 37; Dziugaite et al. 2020.
// Error     float64, compensated.
// Cost      O(parameters), shared with wc-pfn.
#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  return log_product_of_frobenius_norms(snapshot);
}

}  // namespace

Measure log_prod_fro() {
  Measure m;
  m.info.id = "log-prod-fro";
  m.info.name = "Product of squared Frobenius norms (log)";
  m.info.formula = "2 sum over layers of ln |W|_F";
  m.info.latex = "\\ln\\prod_l\\|W_l\\|_F^2";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 37";
  m.info.family = "norms";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights;
  m.info.invariances = invariant_unit_permutation | invariant_relu_rescaling | invariant_bias;
  m.info.notes = "Twice wc-pfn, as each source has it: the same order.";
  m.info.revision = 2;  // batch norm is folded
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
