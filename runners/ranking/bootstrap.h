// Percentile bootstrap of tau-b over configurations.
//
// Formula   resample r draws as many configurations as there are, with replacement; every model of a drawn
//           configuration comes with it, as often as it was drawn. The interval runs from the (1 - level) / 2 to
//           the (1 + level) / 2 quantile of tau-b over the resamples in which it is defined (linear interpolation
//           between order statistics).
// Inputs    x[n], y[n]; configuration[n] in [0, configurations): which configuration a model belongs to.
// Returns   the interval, and how many resamples had no tau-b (constant x or y).
// Source    B. Efron, R. Tibshirani, An Introduction to the Bootstrap (1993), chapter 13. Configurations and not
//           models are drawn since seeds of one configuration are not independent evidence about it.
// Error     Monte-Carlo: about 1 / sqrt(resamples) of the interval's width; none from threads: draws are a
//           function of (seed, resample).
// Cost      O(resamples n log n).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace gapbench {

/// How often each configuration is drawn in each resample. Made once, shared by all measures.
class BootstrapDraws {
 public:
  BootstrapDraws(std::size_t configurations, std::size_t resamples, std::uint64_t seed);
  std::size_t resamples() const { return resamples_; }
  std::span<const std::uint32_t> counts(std::size_t resample) const {
    return std::span(counts_).subspan(resample * configurations_, configurations_);
  }

 private:
  std::size_t configurations_, resamples_;
  std::vector<std::uint32_t> counts_;
};

struct BootstrapInterval {
  double low = 0, high = 0;
  std::int64_t undefined_resamples = 0;
};

/// Nothing when fewer than two resamples have a tau-b.
std::optional<BootstrapInterval> bootstrap_tau_b(std::span<const double> x, std::span<const double> y,
                                                 std::span<const std::uint32_t> configuration,
                                                 const BootstrapDraws& draws, double level);

/// The q-quantile (0 <= q <= 1) of sorted values, linear interpolation between order statistics (numpy's
/// default).
double quantile(std::span<const double> sorted, double q);

}  // namespace gapbench
