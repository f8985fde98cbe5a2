// The output margin, which a dozen measures divide by.
#pragma once

#include <optional>

#include "measures/api/outcome.h"
#include "measures/api/probe.h"
#include "measures/api/snapshot.h"

namespace gapbench::measures {

/// Margins below this count as this much where a measure divides by them, and the value is marked censored:
/// all such models are tied. In logits.
inline constexpr double smallest_margin = 1e-6;

// Output margin of the training set.
//
// Formula   the k-th smallest of z_y - max over j != y of z_j over the n training samples, k = max(1, floor(n percent / 100)).
//           10 where no percentile is named.
// Inputs    logits [n, classes] and labels, evaluation mode.
// Returns   in logits, negative where k or more of the samples are misclassified; nothing where a logit is not
//           finite, where there are no samples or fewer than two classes.
// Source    Jiang et al. 2019, appendix C.2. Dziugaite et al. 2020 use the same order statistic, but its absolute
//           value: a network that errs on half its samples then passes for one with a margin.
// Error     that of the float32 logits.
// Cost      O(n classes) beside the shared forward pass; selection, no sort.
std::optional<double> output_margin(const Snapshot& snapshot, Probe& probe, int percent = 10);
/// The same as an outcome; not applicable without a probe.
Outcome margin_outcome(const Snapshot& snapshot, Probe* probe, int percent = 10);

/// `log_value` - 2 ln(margin), censored where the margin is below smallest_margin. Passes on a log_value that
/// is not ok; not applicable without a probe.
Outcome over_squared_margin(const Outcome& log_value, const Snapshot& snapshot, Probe* probe,
                            int percent = 10);

}  // namespace gapbench::measures
