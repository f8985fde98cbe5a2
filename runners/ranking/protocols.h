// Every protocol for every measure against one gap, with bootstrap intervals and permutation nulls.
//
// Unit       the configuration: bootstrap resamples draw configurations with all their seeds; permutations move
//            the measures of whole configurations. psi resamples its cells. Fits of out-of-fold prediction are
//            not repeated: their errors are resampled.
// Items      psi, K, PGDL, selection and weighted tau compare items: configurations with measure and gap averaged
//            over seeds, or single models (seeds as a fixed coordinate, or as all cross pairs). A measure that
//            lacks values is judged on the items that have one.
// Draws      functions of (seed, purpose, index): the same for any number of threads. Draw r is the same for all
//            measures with the same items, so differences and max-T respect the correlation of measures.
// Cost       dominated by C^2 / 2 vector operations per resample, partition of axes and 64 measures, C
//            configurations; memory 32 C^2 bytes per thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runners/ranking/design.h"
#include "runners/ranking/granulated.h"
#include "runners/ranking/sign_error.h"
#include "runners/ranking/statistics.h"

namespace gapbench {

enum class SeedsAs { averaged, fixed, cross };

struct ProtocolOptions {
  ConstantCell constant = ConstantCell::zero;
  SeedsAs seeds_as = SeedsAs::averaged;
  SignErrorOptions sign_error;
  std::int64_t resamples = 1000, permutations = 1000;
  double level = 0.95;
  std::uint64_t random_seed = 0;
  int threads = 0;
  double top = 0.2;  ///< q of selection
  std::size_t folds = 10;
  bool single_level_axis = false;  ///< the PGDL file had one: single axes condition too
};

/// Above this, statistics over pairs of configurations are not resampled.
constexpr std::size_t max_resampled_configurations = 4096;
/// Above this many cells, K and PGDL are not computed.
constexpr std::size_t max_information_cells = 1 << 18;

struct ProtocolMeasure {
  std::vector<double> values;     ///< of each run, NaN where missing
  bool larger_is_better = false;  ///< for selection: the measure is declared to fall with the gap
  bool in_family = true;          ///< counts for max-T and q: a measure, not a baseline
};

struct ProtocolInput {
  Design design;                             ///< of the configurations
  std::vector<std::uint32_t> configuration;  ///< of each run
  std::vector<std::uint32_t> seed;           ///< of each run, for SeedsAs::fixed
  std::vector<double> gap;                   ///< of each run, finite
  std::vector<ProtocolMeasure> measures;
};

/// Bins of the distribution of the sign error: over all environments, as published, and over those of one axis.
constexpr std::size_t cdf_bins = 100, axis_cdf_bins = 20;

struct AxisResult {
  AxisPsi cells;
  Statistic psi;
  std::optional<LossSummary> sign_error;
  std::vector<double> sign_error_cdf;  ///< empty: no environment of the axis counts
};

struct FamilyLoss {  ///< sign error of all environments with the same two levels
  std::uint32_t axis, from, to;
  std::optional<double> loss;
};

struct MeasureResult {
  std::array<Statistic, stat_count> statistics;
  std::vector<AxisResult> axes;
  std::vector<std::optional<double>> k_ratio, pgdl_ratio;  ///< per conditioning set
  std::optional<std::size_t> k_set, pgdl_set;
  std::vector<double> sign_error_cdf;  ///< empty: no environment counts
  std::vector<FamilyLoss> families;
  double rmse_slope = 0;  ///< of the robust RMSE over axes; 0: no better than a constant
  std::size_t items = 0;  ///< that have a value
  const Statistic& at(Stat s) const { return statistics[static_cast<std::size_t>(s)]; }
};

struct Difference {  ///< of tau over configurations from that of the best measure
  std::size_t measure = 0, other = 0;
  double value = 0, standard_error = 0, low = 0, high = 0;
  double p = 1, p_family = 1;  ///< multiplier bootstrap; the second is max-T over all differences listed
};

struct ProtocolResult {
  std::vector<MeasureResult> measures;
  std::vector<std::vector<std::size_t>> conditioning_sets;
  std::optional<std::string> why_not_full_grid;
  std::size_t largest_seeds = 0;
  double min_ess = 0;
  std::vector<std::size_t> environments, environments_kept;  ///< per axis, undirected
  std::optional<double> r2_hyperparameters, mae_hyperparameters, mae_mean;
  std::optional<double> rmse_baseline_configuration, rmse_baseline_axis, rmse_baseline_level;
  std::vector<Difference> differences;  ///< of each measure of the family from the best one
};

ProtocolResult evaluate_protocols(const ProtocolInput& input, const ProtocolOptions& options);

}  // namespace gapbench
