// fisher-rao-closed: closed form of the Fisher-Rao norm, taken for any network.
//
// Formula   kappa^2 (1 / n) sum over samples of (sum_k p_ik z_ik - z_iy)^2, kappa the number of weight layers, p the
//           softmax of the logits z.
// Inputs    logits and labels of the training samples, evaluation mode; the number of layers.
// Returns   a number >= 0; not applicable without data.
// Source    Liang et al. 2019, theorem 5.1, whose L + 1 is kappa with L hidden layers. Equal to fisher-rao for a ReLU
//           network without biases and norms; with these a reading of its own, which released codes report for any network.
// Error     float64 sums over float32 logits.
// Cost      One forward pass, shared.
#include "measures/api/measure.h"
#include "measures/paths/fisher_rao.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe* probe) {
  if (probe == nullptr) return Outcome::not_applicable("the training data are not at hand");
  const auto depth = static_cast<double>(snapshot.layers().size());
  return mean_squared_loss_derivative(*probe, probe->logits()).map([depth](double v) {
    return depth * depth * v;
  });
}

}  // namespace

Measure fisher_rao_closed() {
  Measure m;
  m.info.id = "fisher-rao-closed";
  m.info.name = "Fisher-Rao norm, closed form";
  m.info.formula = "kappa^2 times the mean over training samples of (<p, z> - z_y)^2, kappa weight layers";
  m.info.latex = "\\frac{\\kappa^2}n\\sum_i\\big(\\langle p_i,z_i\\rangle-z_{i,y_i}\\big)^2";
  m.info.source = "Liang et al. 2019, arXiv 1711.01530, theorem 5.1";
  m.info.family = "paths";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights | needs_data | needs_labels;
  m.info.invariances = invariant_unit_permutation | invariant_relu_rescaling;
  m.info.notes = "Equal to fisher-rao only for ReLU networks without biases and norms.";
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
