// The statistics a measure is ranked by: what each is called, which way is better, and one result with its
// uncertainty.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runners/ranking/multiplicity.h"

namespace gapbench {

enum class Stat : std::size_t {
  tau_b,
  tau_c,
  spearman,
  pearson,
  tau_b_configurations,
  weighted_tau,
  psi,
  jiang_k,
  pgdl,
  sign_error_mean,
  sign_error_q90,
  sign_error_max,
  robust_rmse_configuration,
  robust_rmse_axis,
  robust_rmse_level,
  regret,
  normalised_regret,
  hit,
  precision,
  r2_measure,
  mae_measure,
  r2_both,
  r2_gain,
};
constexpr std::size_t stat_count = 23;

struct StatisticInfo {
  const char* id;
  const char* label;
  const char* better;            ///< "larger", "smaller"
  Tail tail;                     ///< of the permutation test
  std::optional<double> chance;  ///< what no association gives on average, where that is known
  bool sees_sign;                ///< false: the same for a measure and its negative
  const char* meaning;           ///< one sentence
};
const std::array<StatisticInfo, stat_count>& statistic_catalogue();

struct Interval {
  double low = 0, high = 0;
  std::int64_t resamples = 0;  ///< in which the statistic is defined
  std::int64_t undefined = 0;
};

struct NullBand {
  double low = 0, high = 0;  ///< of the level of the intervals
  std::int64_t draws = 0;
  double p = 1, family = 1;  ///< of one measure alone; of any measure of the table (max-T)
  std::optional<double> q;   ///< Benjamini and Hochberg
};

struct Statistic {
  std::optional<double> value;
  std::string reason;  ///< why there is no value
  std::optional<Interval> interval;
  std::string interval_reason;
  std::optional<NullBand> null;
  std::string null_reason;
  std::optional<double> standard_error;  ///< analytic
};

}  // namespace gapbench
