// wc-notebook: weight correlation as the paper's released notebooks compute it.
//
// Formula   mean over terms of M(rows), M = mean over all i, j, diagonal included, of |(w_i . w_j + e) /
//           (|w_i| |w_j| + e)|, e = 1e-5. A dense layer gives one term from its first 9 inputs alone; a
//           convolution with kernel height > 1 gives one term per input channel; 1x1 convolutions give
//           none.
// Inputs    final weights of every layer.
// Returns   a number in (0, 1]; not applicable when no layer gives a term.
// Source    released code of Jin et al. 2020. Differs from wc-paper in the diagonal, the smoothing, the 9
//           inputs, the pooling of channels with layers, and the 1x1 convolutions.
// Error     kernels::cosine_error(9), about 1e-6.
// Cost      O(sum inputs kh kw outputs^2).
#include "measures/api/measure.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

Outcome compute(const Snapshot& snapshot, Probe*) {
  double sum = 0;
  std::int64_t terms = 0;
  for (const Layer& layer : snapshot.layers()) {
    if (layer.kind == LayerKind::conv && shape_of(snapshot, layer).kernel_height == 1) continue;
    // the notebook's 9 matches the length of a 3x3 slice
    for (const double mean : notebook_means(snapshot, layer, layer.kind == LayerKind::dense ? 9 : 0)) {
      sum += mean;
      ++terms;
    }
  }
  if (terms == 0) return Outcome::not_applicable("no dense layer and no convolution larger than 1x1");
  return Outcome::value(sum / static_cast<double>(terms));
}

}  // namespace

Measure wc_notebook() {
  Measure m;
  m.info.id = "wc-notebook";
  m.info.name = "Weight correlation (released code)";
  m.info.formula =
      "mean over dense layers (first 9 inputs) and conv input channels of mean_{i,j} |(w_i.w_j + 1e-5) / "
      "(|w_i||w_j| + 1e-5)|, diagonal included";
  m.info.latex =
      "\\operatorname{mean}_t\\frac{1}{N_t^2}\\sum_{i,j}\\left|\\frac{w_i^\\top "
      "w_j+\\epsilon}{\\|w_i\\|\\|w_j\\|+\\epsilon}\\right|,\\ \\epsilon=10^{-5}";
  m.info.source = "released notebooks of Jin et al. 2020, arXiv 2010.05983";
  m.info.family = "correlation";
  m.info.sign = Sign::plus;
  m.info.needs = needs_weights;
  m.info.invariances = invariant_bias;
  m.info.notes =
      "The smoothing pulls small weights towards 1 whatever their angles; wide convolutions dominate the "
      "mean, since each input channel is a term.";
  m.compute = &compute;
  return m;
}

}  // namespace gapbench::measures
