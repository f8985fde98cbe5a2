#include "runners/ranking/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "measures/numerics/philox.h"
#include "runners/ranking/kendall.h"

namespace gapbench {

BootstrapDraws::BootstrapDraws(std::size_t configurations, std::size_t resamples, std::uint64_t seed)
    : configurations_(configurations), resamples_(resamples), counts_(configurations * resamples) {
  const std::uint64_t key = random_key(std::to_string(seed), "bootstrap");
  for (std::size_t r = 0; r < resamples; ++r) {
    RandomStream random(key, r);
    std::uint32_t* counts = counts_.data() + r * configurations;
    for (std::size_t c = 0; c < configurations; ++c)
      ++counts[random.below(static_cast<std::uint32_t>(configurations))];
  }
}

double quantile(std::span<const double> sorted, double q) {
  const double position = q * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<std::size_t>(std::floor(position));
  const std::size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (position - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

std::optional<BootstrapInterval> bootstrap_tau_b(std::span<const double> x, std::span<const double> y,
                                                 std::span<const std::uint32_t> configuration,
                                                 const BootstrapDraws& draws, double level) {
  WeightedKendall weighted(x, y);
  std::vector<std::uint32_t> weights(x.size());
  std::vector<double> taus;
  taus.reserve(draws.resamples());
  BootstrapInterval interval;
  for (std::size_t r = 0; r < draws.resamples(); ++r) {
    const auto counts = draws.counts(r);
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = counts[configuration[i]];
    if (const auto tau = weighted.tau_b(weights))
      taus.push_back(*tau);
    else
      ++interval.undefined_resamples;
  }
  if (taus.size() < 2) return std::nullopt;
  std::sort(taus.begin(), taus.end());
  interval.low = quantile(taus, (1 - level) / 2);
  interval.high = quantile(taus, (1 + level) / 2);
  return interval;
}

}  // namespace gapbench
