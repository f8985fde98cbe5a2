// wc-pfn: product of Frobenius norms, the paper's competitor PFN.
//
// Formula   sum over layers of ln ||W_l||_F: the logarithm of the product, which overflows for deep
//           networks.
// Inputs    final weights of every layer (arrays of two or more dimensions), batch norm not folded.
// Returns   a logarithm; undefined when a layer is zero.
// Source    released code of Jin et al. 2020 (PFN), which ranks the product itself: the order is the same.
// Error     float64, compensated.
// Cost      O(parameters).
#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  return sum_of_logs(snapshot, frobenius_norms_of_saved(snapshot), "the Frobenius norm", 1);
}

}  // namespace

Measure wc_pfn() {
  Measure m;
  m.info.id = "wc-pfn";
  m.info.name = "Product of Frobenius norms (log)";
  m.info.formula = "sum over layers of ln |W|_F";
  m.info.latex = "\\ln\\prod_l\\|W_l\\|_F";
  m.info.source = "released notebooks of Jin et al. 2020, arXiv 2010.05983 (PFN)";
  m.info.family = "norms";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights;
  m.info.invariances = invariant_unit_permutation | invariant_relu_rescaling | invariant_bias;
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
