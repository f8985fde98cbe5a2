#include "runners/ranking/friedman.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "runners/ranking/correlation.h"

namespace gapbench {

double chi2_tail(double x, double degrees) {
  const double a = degrees / 2, z = x / 2;
  if (z <= 0) return 1;
  const double front = std::exp(a * std::log(z) - z - std::lgamma(a));
  if (z < a + 1) {  // series of the lower incomplete gamma function
    double term = 1 / a, sum = term;
    for (double n = a + 1; term > 1e-17 * sum; n += 1) sum += term *= z / n;
    return std::max(0.0, 1 - front * sum);
  }
  // continued fraction of the upper one, by Lentz's method
  double b = z + 1 - a, c = 1e300, d = 1 / b, value = d;
  for (int i = 1; i < 500; ++i) {
    const double numerator = -i * (i - a);
    b += 2;
    d = 1 / (numerator * d + b);
    c = b + numerator / c;
    value *= c * d;
    if (std::abs(c * d - 1) < 1e-15) break;
  }
  return front * value;
}

double range_quantile(std::size_t k, double alpha) {
  const auto below = [](double z) { return 0.5 * std::erfc(-z / std::numbers::sqrt2); };
  const auto tail = [&](double q) {  // 1 - P(range <= q) by Simpson's rule on the place of the largest
    constexpr int steps = 2000;
    constexpr double low = -8, high = 12, h = (high - low) / steps;
    double sum = 0;
    for (int i = 0; i <= steps; ++i) {
      const double z = low + i * h, density = std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi);
      const double inside = std::pow(below(z) - below(z - q), static_cast<double>(k - 1));
      sum += (i == 0 || i == steps ? 1 : i % 2 == 1 ? 4 : 2) * density * inside;
    }
    return 1 - static_cast<double>(k) * sum * h / 3;
  };
  double low = 0, high = 20;
  while (high - low > 1e-10) {
    const double middle = (low + high) / 2;
    (tail(middle) > alpha ? low : high) = middle;
  }
  return (low + high) / 2;
}

std::optional<Friedman> friedman(const std::vector<std::vector<double>>& score, double alpha) {
  const std::size_t ledgers = score.size();
  if (ledgers < 2 || score.front().size() < 2) return std::nullopt;
  const std::size_t k = score.front().size();
  const double middle = (static_cast<double>(k) + 1) / 2;
  Friedman f;
  std::vector<double> sum(k, 0.0);
  double squares = 0;
  for (const auto& row : score) {
    std::vector<double> negated;
    for (const double s : row) negated.push_back(-s);  // rank 1 is the largest
    const std::vector<double> rank = average_ranks(negated);
    for (std::size_t j = 0; j < k; ++j) {
      sum[j] += rank[j] - middle;
      squares += (rank[j] - middle) * (rank[j] - middle);
    }
  }
  double between = 0;
  for (const double s : sum) {
    between += s * s;
    f.mean_rank.push_back(middle + s / static_cast<double>(ledgers));
  }
  if (squares > 0) {
    f.chi2 = (static_cast<double>(k) - 1) * between / squares;
    f.p_value = chi2_tail(f.chi2, static_cast<double>(k) - 1);
  }
  f.critical_difference =
      range_quantile(k, alpha) / std::numbers::sqrt2 *
      std::sqrt(static_cast<double>(k) * (static_cast<double>(k) + 1) / (6 * static_cast<double>(ledgers)));
  return f;
}

}  // namespace gapbench
