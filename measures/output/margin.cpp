#include "measures/output/margin.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "measures/kernels/logit_statistics.h"

namespace gapbench::measures {

namespace {

// One a sample; empty where there are none to speak of.
const std::vector<double>& margins_of(const Snapshot& snapshot, Probe& probe) {
  return snapshot.memo().get("output_margins", [&] {
    const auto logits = probe.logits();
    const auto labels = probe.labels();
    if (labels.empty() || probe.classes() < 2) return std::vector<double>();
    std::vector<double> margins(labels.size());
    kernels::LogitStatistics statistics;
    kernels::logit_statistics(logits.data(), labels.data(), static_cast<std::int64_t>(labels.size()),
                              probe.classes(), margins.data(), &statistics);
    if (statistics.not_finite > 0) margins.clear();
    return margins;
  });
}

}  // namespace

std::optional<double> output_margin(const Snapshot& snapshot, Probe& probe, int percent) {
  return snapshot.memo().get("output_margin " + std::to_string(percent), [&]() -> std::optional<double> {
    std::vector<double> margins = margins_of(snapshot, probe);  // a selection reorders its copy
    if (margins.empty()) return std::nullopt;
    const auto samples = static_cast<std::int64_t>(margins.size());
    return kernels::kth_smallest(margins.data(), samples, std::max<std::int64_t>(1, samples * percent / 100));
  });
}

Outcome margin_outcome(const Snapshot& snapshot, Probe* probe, int percent) {
  if (probe == nullptr) return Outcome::not_applicable("the training data are not at hand");
  if (const auto margin = output_margin(snapshot, *probe, percent)) return Outcome::value(*margin);
  return Outcome::undefined("a logit is not finite, or there are fewer than two classes");
}

Outcome over_squared_margin(const Outcome& log_value, const Snapshot& snapshot, Probe* probe, int percent) {
  if (probe == nullptr) return Outcome::not_applicable("the training data are not at hand");
  if (!log_value.ok()) return log_value;
  const std::optional<double> margin = output_margin(snapshot, *probe, percent);
  if (!margin)
    return Outcome::undefined(
        "the output margin has no value: a logit is not finite, or there are fewer than two classes");
  Outcome value = Outcome::value(*log_value.value() - 2 * std::log(std::max(*margin, smallest_margin)));
  if (*margin >= smallest_margin) return value;
  return std::move(value).as_censored("the output margin is " + std::to_string(*margin) + ", taken as " +
                                      std::to_string(smallest_margin));
}

}  // namespace gapbench::measures
