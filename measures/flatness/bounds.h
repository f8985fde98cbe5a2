// What the PAC-Bayes and sharpness measures make of the scales that the searches find. Each passes on a scale that is not
// ok, keeps its censoring, and carries its standard error over to first order. Norms and distances are those of the layers'
// weights as trained, the parametrisation that is perturbed: no biases, batch norm not folded.
#pragma once

#include "measures/api/measure.h"

namespace gapbench::measures {

/// sum of w^2 over the layers' weights, or of (w - w_init)^2.
double squared_weights(const Snapshot& snapshot, bool of_change);
/// 1 / scale^2.
Outcome inverse_square(const Outcome& scale);
/// squared / (4 sigma^2) + ln(m / sigma) + 10, m the probe's samples.
Outcome pacbayes_bound(const Outcome& sigma, double squared, const Probe* probe);
/// squared ln(2 omega) / (4 alpha^2) + ln(m / sigma) + 10, omega the number of weights.
Outcome sharpness_bound(const Outcome& alpha, const Outcome& sigma, const Snapshot& snapshot, double squared,
                        const Probe* probe);
/// 1/4 sum_i ln[(eps^2 + (scale^2 + extra) squared / omega) / (eps^2 + scale^2 d_i^2)] + last + 10, d_i the change of
/// weight i, or weight i itself; `last` is ln(m / scale) where it is 0.
Outcome magnitude_bound(const Outcome& scale, const Snapshot& snapshot, double squared,
                        bool denominator_of_change, double extra, double last, const Probe* probe);

/// The delta of the magnitude-aware sharpness bounds.
inline constexpr double bound_delta = 0.05;
/// 4 ln(2 omega / delta) and ln(m / delta).
double sharpness_extra(const Snapshot& snapshot);
double sharpness_last(const Probe* probe);

}  // namespace gapbench::measures
