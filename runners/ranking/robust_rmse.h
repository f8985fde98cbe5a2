// Robust root mean squared error: the best affine predictor of the gap from a measure, judged on the worst
// environment.
//
// Formula   minimise over w >= 0 and b: max over environments e of MSE_e = mean over its runs of (g - w c - b)^2,
//           c the measure standardised over all runs (mean 0, standard deviation 1). Robust RMSE = its square
//           root; the baseline has w = 0. Environment families: "configuration" (each configuration), "axis"
//           (all configurations that differ in one axis alone), "level" (all runs with one level of one axis).
// Inputs    measure and gap of each run, finite; the environments as groups of runs (a run may be in several).
// Returns   RMSE in the unit of the gap, w, b; nothing without an environment. A constant measure and one that
//           falls with the gap give the baseline exactly, as w is held at 0.
// Source    Dziugaite et al. 2020, single-network experiments. They take 500 gradient steps; the problem is
//           convex and is solved here to 1e-10: expect their numbers to be larger by up to 1e-3.
// Error     1e-10 relative to the largest MSE.
// Cost      a few passes over the environments.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "runners/ranking/design.h"

namespace gapbench {

using Groups = std::vector<std::vector<std::uint32_t>>;

struct RobustRmse {
  double rmse = 0, baseline = 0;
  double w = 0, b = 0;
  std::size_t environments = 0;
};
std::optional<RobustRmse> robust_rmse(std::span<const double> measure, std::span<const double> gap,
                                      const Groups& environments);

/// The families over the runs of each configuration; for "configuration" that list itself.
Groups axis_environments(const Design& configurations, const Groups& runs_of, std::size_t axis);
Groups level_environments(const Design& configurations, const Groups& runs_of);

}  // namespace gapbench
