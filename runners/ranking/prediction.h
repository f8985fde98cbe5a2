// Out-of-fold prediction of the gap: how much of it a measure, the hyper-parameters, or both explain on
// configurations the fit has not seen.
//
// Formula   folds hold whole configurations. In each fold the prediction is the least-squares fit to all other
//           folds: intercept, one 0/1 column per level of each axis but its first (hyper-parameters), the
//           standardised average rank of the measure over all models (measure). A ridge of 1e-9 times the
//           number of rows on the scaled columns makes levels without training rows harmless.
//           R2 = 1 - sum (g - prediction)^2 / sum (g - mean of the other folds)^2; MAE = mean |g - prediction|.
// Inputs    features [rows][columns], gap and fold of each row.
// Returns   predictions, and from them R2 (1 is perfect, 0 as good as the mean, may be negative) and MAE in the
//           unit of the gap.
// Source    the protocol of DEMOGEN (Jiang et al. 2018) and of incremental prediction beside hyper-parameters.
// Error     1e-9 from the ridge.
// Cost      O(rows columns^2).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "runners/ranking/design.h"

namespace gapbench {

/// Fold of each configuration: min(folds, configurations) folds of sizes that differ by at most one, shuffled.
std::vector<std::uint32_t> configuration_folds(std::size_t configurations, std::size_t folds,
                                               std::uint64_t seed);

/// Columns of a fit, row after row.
struct Features {
  std::size_t columns = 0;
  std::vector<double> values;  ///< rows * columns
};
/// The 0/1 columns of the axes for rows of the given configurations.
Features level_features(const Design& configurations, std::span<const std::uint32_t> configuration_of_row);
/// The standardised average rank of the measure as one more column.
Features with_rank(const Features& features, std::span<const double> measure);

struct OutOfFold {
  std::vector<double> prediction, mean;  ///< of each row: of the fit, and of the training mean alone
};
OutOfFold out_of_fold(const Features& features, std::span<const double> gap,
                      std::span<const std::uint32_t> fold);
/// The fit to all rows, on the same rows.
std::vector<double> in_sample(const Features& features, std::span<const double> gap);

struct PredictionScore {
  std::optional<double> r2;  ///< nothing for a constant gap
  double mae = 0;
};
/// Rows count `times` each; empty: once.
PredictionScore score(const OutOfFold& fit, std::span<const double> gap,
                      std::span<const std::uint32_t> times = {});

}  // namespace gapbench
