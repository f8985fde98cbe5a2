#include "measures/output/margin.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace gapbench::measures {

std::optional<double> output_margin(const Snapshot& snapshot, Probe& probe) {
  return snapshot.memo().get("output_margin", [&]() -> std::optional<double> {
    const auto logits = probe.logits();
    const auto labels = probe.labels();
    const auto classes = static_cast<std::size_t>(probe.classes());
    if (labels.empty() || classes < 2) return std::nullopt;
    std::vector<double> margins;
    margins.reserve(labels.size());
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const auto z = logits.subspan(i * classes, classes);
      const auto label = static_cast<std::size_t>(labels[i]);
      double rival = -std::numeric_limits<double>::infinity();
      for (std::size_t k = 0; k < classes; ++k) {
        if (!std::isfinite(z[k])) return std::nullopt;
        if (k != label) rival = std::max(rival, static_cast<double>(z[k]));
      }
      margins.push_back(static_cast<double>(z[label]) - rival);
    }
    const auto k = static_cast<std::ptrdiff_t>(std::max<std::size_t>(1, margins.size() / 10));
    std::nth_element(margins.begin(), margins.begin() + (k - 1), margins.end());
    return margins[static_cast<std::size_t>(k - 1)];
  });
}

Outcome over_squared_margin(const Outcome& log_value, const Snapshot& snapshot, Probe* probe) {
  if (probe == nullptr) return Outcome::not_applicable("the training data are not at hand");
  if (!log_value.ok()) return log_value;
  const std::optional<double> margin = output_margin(snapshot, *probe);
  if (!margin)
    return Outcome::undefined(
        "the output margin has no value: a logit is not finite, or there are fewer than two classes");
  Outcome value = Outcome::value(*log_value.value() - 2 * std::log(std::max(*margin, smallest_margin)));
  if (*margin >= smallest_margin) return value;
  return std::move(value).as_censored("the output margin is " + std::to_string(*margin) + ", taken as " +
                                      std::to_string(smallest_margin));
}

}  // namespace gapbench::measures
