// margin-p10: output margin, 10th percentile.
//
// Formula   the k-th smallest of z_y - max over j != y of z_j, k = max(1, floor(n / 10)).
// Inputs    logits and labels of the training samples, evaluation mode.
// Returns   logits; negative where a tenth or more of the samples are misclassified.
// Source    Jiang et al. 2019, appendix C.2.
// Error     that of the float32 logits.
// Cost      One forward pass, shared, and a selection.
#include "measures/api/measure.h"
#include "measures/output/margin.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe* probe) {
  return margin_outcome(snapshot, probe);
}

}  // namespace

Measure margin_p10() {
  Measure m;
  m.info.id = "margin-p10";
  m.info.name = "Output margin, 10th percentile";
  m.info.formula = "k-th smallest of z_y - max_{j != y} z_j, k = floor(n/10)";
  m.info.latex = "\\gamma=\\big(z_y-\\max_{j\\ne y}z_j\\big)_{(\\lfloor n/10\\rfloor)}";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, appendix C.2";
  m.info.family = "output";
  m.info.sign = Sign::minus;
  m.info.needs = needs_weights | needs_data | needs_labels;
  m.info.invariances = invariant_unit_permutation | invariant_relu_rescaling;
  m.info.notes = "An order statistic, not an interpolated percentile.";
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
