#include "runners/ranking/sign_error.h"

#include <algorithm>
#include <cmath>

#include "runners/ranking/bootstrap.h"

namespace gapbench {

Runs Runs::from(std::span<const double> gap, std::span<const std::uint32_t> configuration,
                std::size_t configurations) {
  Runs r;
  r.gap.assign(gap.begin(), gap.end());
  r.of.resize(configurations);
  for (std::size_t i = 0; i < gap.size(); ++i)
    r.of[configuration[i]].push_back(static_cast<std::uint32_t>(i));
  return r;
}

std::size_t Runs::largest() const {
  std::size_t most = 0;
  for (const auto& runs : of) most = std::max(most, runs.size());
  return most;
}

double hoeffding_weight(double gap_difference, double test_points) {
  const double half = gap_difference / 2;
  const double sure = std::max(0.0, 1 - 2 * std::exp(-2 * test_points * half * half));
  return std::max(0.0, sure * sure - 0.5);
}

Environments::Environments(const std::vector<AxisPairs>& pairs, const Runs& runs,
                           const SignErrorOptions& options)
    : runs_(runs) {
  const auto most = static_cast<double>(runs.largest());
  min_ess_ = options.min_ess.value_or(options.min_ess_fraction * most * most);
  offset_.push_back(0);
  for (std::size_t axis = 0; axis < pairs.size(); ++axis)
    for (const auto& [a, b] : pairs[axis].pairs) {
      Environment e{static_cast<std::uint32_t>(axis), a, b};
      for (const std::uint32_t i : runs.of[a])
        for (const std::uint32_t j : runs.of[b]) {
          const double d = runs.gap[i] - runs.gap[j];
          const double w = options.hoeffding ? hoeffding_weight(d, options.test_points) : 1;
          weight_.push_back(w);
          signed_.push_back(w * ((d > 0) - (d < 0)));
          e.weight += w;
          e.weight_squares += w * w;
        }
      if (e.weight > 0) e.ess = e.weight * e.weight / e.weight_squares;
      e.kept = counts(e.weight, e.ess);
      all_.push_back(e);
      offset_.push_back(weight_.size());
    }
}

bool Environments::counts(double weight, double ess) const {
  return weight > 0 && (ess >= min_ess_ || std::abs(ess - min_ess_) <= 1e-8 + 1e-5 * min_ess_);
}

std::size_t Environments::kept(std::size_t axis) const {
  return static_cast<std::size_t>(std::count_if(
      all_.begin(), all_.end(), [&](const Environment& e) { return e.axis == axis && e.kept; }));
}

std::size_t Environments::kept() const {
  return static_cast<std::size_t>(
      std::count_if(all_.begin(), all_.end(), [](const Environment& e) { return e.kept; }));
}

Environments::Sums Environments::sums(std::size_t environment, std::span<const double> x) const {
  Sums s;
  const Environment& e = all_[environment];
  std::size_t pair = offset_[environment];
  for (const std::uint32_t i : runs_.of[e.a])
    for (const std::uint32_t j : runs_.of[e.b]) {
      const double d = x[i] - x[j], w = weight_[pair], g = signed_[pair];
      ++pair;
      if (std::isnan(d)) continue;
      s.weight += w;
      s.squares += w * w;
      s.loss += 0.5 * (w - ((d > 0) - (d < 0)) * g);
    }
  return s;
}

double Environments::mean_order(std::size_t environment) const {
  double sum = 0;
  for (std::size_t p = offset_[environment]; p < offset_[environment + 1]; ++p) sum += signed_[p];
  return sum / all_[environment].weight;
}

std::vector<std::optional<double>> Environments::losses(std::span<const double> x) const {
  std::vector<std::optional<double>> losses(all_.size());
  for (std::size_t e = 0; e < all_.size(); ++e) {
    if (!all_[e].kept) continue;
    const Sums s = sums(e, x);
    if (s.weight > 0 && counts(s.weight, s.weight * s.weight / s.squares)) losses[e] = s.loss / s.weight;
  }
  return losses;
}

std::vector<std::optional<double>> Environments::family_losses(std::span<const double> x,
                                                               std::span<const std::uint32_t> family_of,
                                                               std::size_t families) const {
  std::vector<Sums> merged(families);
  for (std::size_t e = 0; e < all_.size(); ++e) {
    const Sums s = sums(e, x);
    Sums& to = merged[family_of[e]];
    to.loss += s.loss;
    to.weight += s.weight;
    to.squares += s.squares;
  }
  std::vector<std::optional<double>> losses(families);
  for (std::size_t f = 0; f < families; ++f)
    if (merged[f].weight > 0 &&
        counts(merged[f].weight, merged[f].weight * merged[f].weight / merged[f].squares))
      losses[f] = merged[f].loss / merged[f].weight;
  return losses;
}

std::optional<LossSummary> summarise(std::vector<double> losses) {
  if (losses.empty()) return std::nullopt;
  std::sort(losses.begin(), losses.end());
  LossSummary s;
  s.environments = losses.size();
  for (const double l : losses) s.mean += l;
  s.mean /= static_cast<double>(losses.size());
  s.q90 = quantile(losses, 0.9);
  s.max = losses.back();
  return s;
}

std::vector<double> loss_cdf(std::span<const double> losses, std::size_t bins) {
  std::vector<double> cdf(bins, 0.0);
  for (std::size_t k = 0; k < bins; ++k) {
    // a loss that equals an edge but for rounding is on it
    const double edge = static_cast<double>(k + 1) / static_cast<double>(bins) + 1e-12;
    const auto below = std::count_if(losses.begin(), losses.end(), [&](double l) { return l <= edge; });
    if (below > 0) cdf[k] = static_cast<double>(below) / static_cast<double>(losses.size());
  }
  return cdf;
}

}  // namespace gapbench
