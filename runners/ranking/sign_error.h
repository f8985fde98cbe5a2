// The distributionally robust sign error of Dziugaite et al.: how often a measure orders two models against
// their gaps, environment by environment, with pairs weighted by how sure the order of the gaps is.
//
// Formula   environment = a pair of configurations that differ in exactly one axis; its sample is all run pairs
//           (i of one, j of the other). Of a run pair: loss l = (1 - sign(x_i - x_j) sign(g_i - g_j)) / 2,
//           weight w = max(0, max(0, 1 - 2 exp(-2 n (|g_i - g_j| / 2)^2))^2 - 1/2), n test points.
//           Environment loss = sum w l / sum w; effective sample size ESS = (sum w)^2 / sum w^2.
//           An environment counts where ESS >= min_ess or is close to it (1e-8 + 1e-5 min_ess, as numpy.isclose).
//           Value-pair family: all environments of an axis with the same two levels, their sums added before
//           the ESS rule and the division.
// Inputs    gap and measure of each run; a measure may lack values (NaN): its run pairs are left out for it.
// Returns   losses in [0, 1], 1/2 for a measure that is constant; mean, 90th percentile (linear interpolation)
//           and maximum over environments, the distribution function on equal bins.
// Source    Dziugaite et al., "In search of robust measures of generalization", NeurIPS 2020, and its public
//           code. The threshold there is 12 for 10 x 10 seeds; ESS can be no more than the number of run pairs,
//           so the default here is 12 % of the largest number of run pairs: 12 with ten seeds, and no
//           environment is lost merely for having few. Environments are undirected: each counts once, where the
//           paper counts both directions with equal losses.
// Error     rounding.
// Cost      the run pairs of all environments, per measure.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "runners/ranking/design.h"
#include "runners/ranking/granulated.h"

namespace gapbench {

/// The runs (models) of each configuration.
struct Runs {
  std::vector<double> gap;                     ///< of each run
  std::vector<std::vector<std::uint32_t>> of;  ///< runs of each configuration
  static Runs from(std::span<const double> gap, std::span<const std::uint32_t> configuration,
                   std::size_t configurations);
  std::size_t largest() const;  ///< most runs of a configuration
};

struct SignErrorOptions {
  bool hoeffding = true;          ///< false: all pairs weigh 1, for gaps that are no accuracies
  double test_points = 10000;     ///< n above
  std::optional<double> min_ess;  ///< empty: min_ess_fraction of the largest number of run pairs
  double min_ess_fraction = 0.12;
};

/// The weight of a run pair from the difference of its gaps: 0 up to 0.0118 and 1/2 at most for n = 10,000.
double hoeffding_weight(double gap_difference, double test_points);

struct Environment {
  std::uint32_t axis, a, b;  ///< configurations a and b; a has the lower level
  double weight = 0, weight_squares = 0, ess = 0;
  bool kept = false;
};

class Environments {
 public:
  /// `pairs` from axis_pairs of the design of configurations.
  Environments(const std::vector<AxisPairs>& pairs, const Runs& runs, const SignErrorOptions& options);

  double min_ess() const { return min_ess_; }
  const std::vector<Environment>& all() const { return all_; }
  std::size_t kept(std::size_t axis) const;
  std::size_t kept() const;

  /// sum w sign(g_i - g_j) / sum w of an environment of positive weight.
  double mean_order(std::size_t environment) const;
  /// Loss of each environment; nothing where it does not count.
  std::vector<std::optional<double>> losses(std::span<const double> x) const;
  /// The same merged into families. `family_of` names the family of each environment, [0, families).
  std::vector<std::optional<double>> family_losses(std::span<const double> x,
                                                   std::span<const std::uint32_t> family_of,
                                                   std::size_t families) const;

 private:
  struct Sums {
    double loss = 0, weight = 0, squares = 0;
  };
  Sums sums(std::size_t environment, std::span<const double> x) const;
  bool counts(double weight, double ess) const;

  const Runs& runs_;
  double min_ess_ = 0;
  std::vector<Environment> all_;
  std::vector<std::size_t> offset_;      // into the run pairs of each environment
  std::vector<double> weight_, signed_;  // of each run pair: w, and w sign(g_i - g_j)
};

struct LossSummary {
  std::size_t environments = 0;
  double mean = 0, q90 = 0, max = 0;
};
/// Nothing when no environment counts.
std::optional<LossSummary> summarise(std::vector<double> losses);

/// Share of the losses that are at most (k + 1) / bins, k = 0 .. bins - 1.
std::vector<double> loss_cdf(std::span<const double> losses, std::size_t bins);

}  // namespace gapbench
