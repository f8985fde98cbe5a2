// fisher-rao: empirical Fisher-Rao norm.
//
// Formula   (1 / n) sum over samples of <w, grad_w loss_i>^2 (fisher_rao.h).
// Inputs    every trained array, batch norm not folded; training data and labels, evaluation mode.
// Returns   a number >= 0; not applicable without data.
// Source    Liang et al. 2019, definition 5.1, by the exact derivative and without a prefix: the form to which the
//           literature's readings reduce. fisher-rao-jiang and fisher-rao-closed are two of these.
// Error     relative 1e-5 (float32 derivatives).
// Cost      about two forward passes over the data, shared; one of them gives the logits.
#include "measures/paths/fisher_rao.h"

#include "measures/api/measure.h"

namespace gapbench::measures {

Measure fisher_rao() {
  Measure m;
  m.info.id = "fisher-rao";
  m.info.name = "Fisher-Rao norm";
  m.info.formula = "mean over training samples of <w, gradient of the loss>^2";
  m.info.latex = "\\frac1n\\sum_i\\langle w,\\nabla_w\\ell_i\\rangle^2";
  m.info.source = "Liang et al. 2019, arXiv 1711.01530, definition 5.1";
  m.info.family = "paths";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_data | needs_labels | needs_gradients;
  m.info.invariances = invariant_unit_permutation | invariant_relu_rescaling;
  m.info.revision = 2;  // derivatives in one forward pass: other rounding
  m.info.notes = "w is every trained array, biases and norms included. No factor for the depth.";
  m.compute = &fisher_rao_norm;
  return m;
}

}  // namespace gapbench::measures
