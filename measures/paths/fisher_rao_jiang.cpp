// fisher-rao-jiang: Fisher-Rao norm with the prefix of Jiang et al.
//
// Formula   (d + 1)^2 (1 / n) sum over samples of <w, grad_w loss_i>^2, d the number of weight layers.
// Inputs    as fisher-rao.
// Returns   a number >= 0; not applicable without data.
// Source    Jiang et al. 2019, equation 45 as recalled in the literature notes. The prefix counts the depth twice: the
//           inner product already grows with it.
// Error     relative 1e-5.
// Cost      Shared with fisher-rao.
#include "measures/api/measure.h"
#include "measures/paths/fisher_rao.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe* probe) {
  const auto depth = static_cast<double>(snapshot.layers().size());
  return fisher_rao_norm(snapshot, probe).map([depth](double v) { return (depth + 1) * (depth + 1) * v; });
}

}  // namespace

Measure fisher_rao_jiang() {
  Measure m;
  m.info.id = "fisher-rao-jiang";
  m.info.name = "Fisher-Rao norm, times (d + 1)^2";
  m.info.formula = "(d + 1)^2 fisher-rao, d the number of weight layers";
  m.info.latex = "\\frac{(d+1)^2}n\\sum_i\\langle w,\\nabla_w\\ell_i\\rangle^2";
  m.info.source = "Jiang et al. 2019, arXiv 1912.02178, equation 45";
  m.info.family = "paths";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_data | needs_labels | needs_gradients;
  m.info.invariances = invariant_unit_permutation | invariant_relu_rescaling;
  m.info.revision = 2;  // derivatives in one forward pass: other rounding
  m.info.notes = "Orders models of one depth as fisher-rao does, models of different depths otherwise.";
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
