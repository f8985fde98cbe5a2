// path-norm: squared l2 path norm (log).
//
// Formula   ln of the sum over paths of the product of squared parameters on the path (path_sum.h).
// Inputs    plan and final arrays, batch norm folded.
// Returns   a logarithm; undefined where every path is 0; not applicable with layer norm.
// Source    Jiang et al. 2019, equation 44, whose value is the exponential of this one.
// Error     float64.
// Cost      One forward pass of one sample, shared.
#include "measures/paths/path_sum.h"

#include "measures/api/measure.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  return log_path_sum(snapshot);
}

}  // namespace

Measure path_norm() {
  Measure m;
  m.info.id = "path-norm";
  m.info.name = "Squared l2 path norm (log)";
  m.info.formula = "ln of the sum of the outputs for an all-ones input, every parameter squared";
  m.info.latex = "\\ln\\sum_k f_{w^2}(\\mathbf 1)_k";
  m.info.source = "Neyshabur et al. 2015; Jiang et al. 2019, arXiv 1912.02178, equation 44";
  m.info.family = "paths";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights;
  m.info.invariances = invariant_unit_permutation | invariant_relu_rescaling;
  m.info.notes =
      "A logarithm, for the sum overflows in deep networks. Biases count, squared; batch norm is folded; max "
      "pooling "
      "takes a maximum, mean pooling averages; every activation counts as the identity.";
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
