#include <algorithm>
#include <cmath>

#include "measures/numerics/sum.h"
#include "measures/paths/fisher_rao.h"

namespace gapbench::measures {

Outcome mean_squared_loss_derivative(Probe& probe, std::span<const float> along) {
  const auto logits = probe.logits();
  const auto labels = probe.labels();
  const auto classes = static_cast<std::size_t>(probe.classes());
  CompensatedSum sum;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const float *z = logits.data() + i * classes, *a = along.data() + i * classes;
    const double largest = static_cast<double>(*std::max_element(z, z + classes));
    double total = 0, weighted = 0;
    for (std::size_t k = 0; k < classes; ++k) {
      const double e = std::exp(static_cast<double>(z[k]) - largest);
      total += e;
      // relative to the label's entry, so that a confident network loses no digits
      weighted += e * (static_cast<double>(a[k]) - static_cast<double>(a[labels[i]]));
    }
    const double derivative = weighted / total;
    sum.add(derivative * derivative);
  }
  return Outcome::value(sum.value() / static_cast<double>(labels.size()));
}

Outcome fisher_rao_norm(const Snapshot& snapshot, Probe* probe) {
  if (probe == nullptr) return Outcome::not_applicable("the training data are not at hand");
  return snapshot.memo().get(
      "fisher_rao_norm", [&] { return mean_squared_loss_derivative(*probe, probe->logit_derivatives()); });
}

}  // namespace gapbench::measures
