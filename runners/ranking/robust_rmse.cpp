#include "runners/ranking/robust_rmse.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace gapbench {

namespace {

// Mean moments of an environment; MSE = gg - 2 w gc - 2 b g + w^2 cc + 2 w b c + b^2.
struct Moments {
  double c = 0, g = 0, cc = 0, cg = 0, gg = 0;
  double mse(double w, double b) const {
    return std::max(0.0, gg + w * (w * cc - 2 * cg) + b * (b - 2 * (g - w * c)));
  }
};

double worst(const std::vector<Moments>& all, double w, double b) {
  double value = 0;
  for (const Moments& m : all) value = std::max(value, m.mse(w, b));
  return value;
}

// For a given w the MSE are parabolas in b of the same curvature: b^2 + r_e - 2 b m_e. Their maximum is least
// where two of them cross or at one's own minimum b = m_e.
double best_b(const std::vector<Moments>& active, double w) {
  const auto m = [&](const Moments& e) { return e.g - w * e.c; };
  const auto r = [&](const Moments& e) { return e.gg + w * (w * e.cc - 2 * e.cg); };
  double b = 0, value = -1;
  const auto attempt = [&](double candidate) {
    const double v = worst(active, w, candidate);
    if (value < 0 || v < value) {
      value = v;
      b = candidate;
    }
  };
  for (std::size_t i = 0; i < active.size(); ++i) {
    attempt(m(active[i]));
    for (std::size_t j = 0; j < i; ++j)
      if (const double d = m(active[i]) - m(active[j]); d != 0)
        attempt((r(active[i]) - r(active[j])) / (2 * d));
  }
  return b;
}

// The minimum over w in [0, high] of a convex function by golden sections.
template <class Function>
double golden_section(const Function& f, double high) {
  constexpr double ratio = 0.6180339887498949;
  double low = 0, a = high - ratio * high, b = ratio * high, fa = f(a), fb = f(b);
  while (high - low > 1e-13 * (1 + high)) {
    if (fa <= fb) {
      high = b;
      b = a;
      fb = fa;
      fa = f(a = high - ratio * (high - low));
    } else {
      low = a;
      a = b;
      fa = fb;
      fb = f(b = low + ratio * (high - low));
    }
  }
  const double middle = (low + high) / 2;
  return f(0) <= f(middle) ? 0 : middle;
}

// Minimises the worst MSE: solves it for a few environments, adds the worst of all others, until none is worse.
std::pair<double, double> solve(const std::vector<Moments>& all, bool slope) {
  std::vector<Moments> active;
  double w = 0, b = 0;
  for (std::size_t round = 0; round <= all.size(); ++round) {
    const auto it = std::max_element(all.begin(), all.end(), [&](const Moments& x, const Moments& y) {
      return x.mse(w, b) < y.mse(w, b);
    });
    if (!active.empty() && it->mse(w, b) <= worst(active, w, b) * (1 + 1e-11) + 1e-300) break;
    active.push_back(*it);
    if (slope) {
      const auto value = [&](double at) { return worst(active, at, best_b(active, at)); };
      double high = 1;
      while (high < 1e12 && value(2 * high) < value(high)) high *= 2;
      w = golden_section(value, 2 * high);
    }
    b = best_b(active, w);
  }
  return {w, b};
}

}  // namespace

std::optional<RobustRmse> robust_rmse(std::span<const double> measure, std::span<const double> gap,
                                      const Groups& environments) {
  const auto n = static_cast<double>(measure.size());
  if (environments.empty() || measure.empty()) return std::nullopt;
  double mean = 0, variance = 0, scale = 0;
  for (const double v : measure) mean += v / n;
  for (const double v : measure) scale = std::max(scale, std::abs(v - mean));
  if (scale > 0)
    for (const double v : measure) variance += (v - mean) / scale * ((v - mean) / scale) / n;
  const auto [low, high] = std::minmax_element(measure.begin(), measure.end());
  const bool constant = *low == *high;
  std::vector<Moments> all;
  for (const auto& group : environments) {
    if (group.empty()) continue;
    Moments m;
    const auto size = static_cast<double>(group.size());
    for (const std::uint32_t i : group) {
      const double c = constant ? 0 : (measure[i] - mean) / scale / std::sqrt(variance), g = gap[i];
      m.c += c / size;
      m.g += g / size;
      m.cc += c * c / size;
      m.cg += c * g / size;
      m.gg += g * g / size;
    }
    all.push_back(m);
  }
  if (all.empty()) return std::nullopt;
  RobustRmse result;
  result.environments = all.size();
  const auto flat = solve(all, false);
  result.baseline = std::sqrt(worst(all, 0, flat.second));
  std::tie(result.w, result.b) = constant ? flat : solve(all, true);
  result.rmse = std::min(result.baseline, std::sqrt(worst(all, result.w, result.b)));
  return result;
}

Groups axis_environments(const Design& configurations, const Groups& runs_of, std::size_t axis) {
  Groups groups;
  for (const auto& cell : configurations.cells(axis)) {
    groups.emplace_back();
    for (const std::uint32_t c : cell)
      groups.back().insert(groups.back().end(), runs_of[c].begin(), runs_of[c].end());
  }
  return groups;
}

Groups level_environments(const Design& configurations, const Groups& runs_of) {
  Groups groups;
  for (const DesignAxis& axis : configurations.axes)
    for (std::uint32_t level = 0; level < axis.levels; ++level) {
      groups.emplace_back();
      for (std::size_t c = 0; c < configurations.items; ++c)
        if (axis.level[c] == level)
          groups.back().insert(groups.back().end(), runs_of[c].begin(), runs_of[c].end());
    }
  return groups;
}

}  // namespace gapbench
