// Scores that never look at a network: what a measure must beat.
//
// Formula   canonical order: sum over the axes of d_a * level / (levels - 1), d_a = +1 where a larger
//           hyper-parameter is commonly held to widen the gap, -1 where to narrow it, 0 where nothing is said.
//           additive hyper-parameters: least squares on 0/1 columns of the levels of all axes, in sample (an upper
//           bound: it has seen the gaps) and out of fold (it has not seen the configuration).
// Inputs    design of the configurations, gap and configuration of each run.
// Returns   one score per run; larger means a larger predicted gap.
// Source    "canonical ordering" of Jiang et al. 2020; the additive model as in runners/ranking/prediction.h.
// Error     that of least squares.
// Cost      O(runs columns^2).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "runners/ranking/design.h"

namespace gapbench {

/// +1, -1 or 0 for an axis by its name, for example -1 for "lr" and +1 for "batch_size".
int canonical_direction(std::string_view axis);

std::vector<double> canonical_order(const Design& configurations,
                                    std::span<const std::uint32_t> configuration);
std::vector<double> hyperparameters_in_sample(const Design& configurations,
                                              std::span<const std::uint32_t> configuration,
                                              std::span<const double> gap);
std::vector<double> hyperparameters_out_of_fold(const Design& configurations,
                                                std::span<const std::uint32_t> configuration,
                                                std::span<const double> gap, std::size_t folds,
                                                std::uint64_t seed);

}  // namespace gapbench
