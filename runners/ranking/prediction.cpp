#include "runners/ranking/prediction.h"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <numeric>

#include "measures/numerics/philox.h"
#include "runners/ranking/correlation.h"

namespace gapbench {

namespace {

using Matrix = Eigen::MatrixXd;
using Vector = Eigen::VectorXd;

// Sums of products of the columns (a constant first) and the gap over some rows.
struct Normal {
  Matrix xx;
  Vector xy;
  explicit Normal(std::size_t columns)
      : xx(Matrix::Zero(static_cast<Eigen::Index>(columns) + 1, static_cast<Eigen::Index>(columns) + 1)),
        xy(Vector::Zero(static_cast<Eigen::Index>(columns) + 1)) {}
  void add(const Vector& row, double gap) {
    xx.selfadjointView<Eigen::Lower>().rankUpdate(row);
    xy += gap * row;
  }
  Vector solve() const {
    Matrix a = xx;
    const double rows = xx(0, 0);
    for (Eigen::Index c = 1; c < a.cols(); ++c) a(c, c) += 1e-9 * rows;
    return a.selfadjointView<Eigen::Lower>().ldlt().solve(xy);
  }
};

Vector row_of(const Features& f, std::size_t row) {
  Vector v(static_cast<Eigen::Index>(f.columns) + 1);
  v(0) = 1;
  for (std::size_t c = 0; c < f.columns; ++c)
    v(static_cast<Eigen::Index>(c) + 1) = f.values[row * f.columns + c];
  return v;
}

}  // namespace

std::vector<std::uint32_t> configuration_folds(std::size_t configurations, std::size_t folds,
                                               std::uint64_t seed) {
  folds = std::min(folds, configurations);
  std::vector<std::uint32_t> order(configurations), fold(configurations);
  std::iota(order.begin(), order.end(), 0u);
  RandomStream random(random_key(std::to_string(seed), "folds"));
  random.shuffle(order.begin(), order.end());
  for (std::size_t i = 0; i < order.size(); ++i) fold[order[i]] = static_cast<std::uint32_t>(i % folds);
  return fold;
}

Features level_features(const Design& configurations, std::span<const std::uint32_t> configuration_of_row) {
  Features f;
  for (const DesignAxis& a : configurations.axes) f.columns += a.levels - 1;
  for (const std::uint32_t c : configuration_of_row)
    for (const DesignAxis& a : configurations.axes)
      for (std::uint32_t l = 1; l < a.levels; ++l) f.values.push_back(a.level[c] == l);
  return f;
}

Features with_rank(const Features& features, std::span<const double> measure) {
  std::vector<double> rank = average_ranks(measure);
  const auto n = static_cast<double>(rank.size());
  double variance = 0;
  for (double& r : rank) {
    r -= (n + 1) / 2;
    variance += r * r / n;
  }
  Features f;
  f.columns = features.columns + 1;
  for (std::size_t i = 0; i < rank.size(); ++i) {
    const auto begin = features.values.begin() + static_cast<std::ptrdiff_t>(i * features.columns);
    f.values.insert(f.values.end(), begin, begin + static_cast<std::ptrdiff_t>(features.columns));
    f.values.push_back(variance > 0 ? rank[i] / std::sqrt(variance) : 0);
  }
  return f;
}

OutOfFold out_of_fold(const Features& features, std::span<const double> gap,
                      std::span<const std::uint32_t> fold) {
  const std::size_t folds = fold.empty() ? 0 : *std::max_element(fold.begin(), fold.end()) + 1;
  std::vector<Normal> part(folds, Normal(features.columns));
  for (std::size_t i = 0; i < gap.size(); ++i) part[fold[i]].add(row_of(features, i), gap[i]);
  std::vector<Vector> weights(folds);
  std::vector<double> means(folds, 0.0);
  for (std::size_t f = 0; f < folds; ++f) {
    Normal others(features.columns);
    for (std::size_t g = 0; g < folds; ++g)
      if (g != f) {
        others.xx += part[g].xx;
        others.xy += part[g].xy;
      }
    if (others.xx(0, 0) > 0) means[f] = others.xy(0) / others.xx(0, 0);
    weights[f] = others.xx(0, 0) > 0 ? others.solve() : others.xy;
  }
  OutOfFold out;
  for (std::size_t i = 0; i < gap.size(); ++i) {
    out.prediction.push_back(row_of(features, i).dot(weights[fold[i]]));
    out.mean.push_back(means[fold[i]]);
  }
  return out;
}

std::vector<double> in_sample(const Features& features, std::span<const double> gap) {
  Normal all(features.columns);
  for (std::size_t i = 0; i < gap.size(); ++i) all.add(row_of(features, i), gap[i]);
  const Vector weights = all.solve();
  std::vector<double> out;
  for (std::size_t i = 0; i < gap.size(); ++i) out.push_back(row_of(features, i).dot(weights));
  return out;
}

PredictionScore score(const OutOfFold& fit, std::span<const double> gap,
                      std::span<const std::uint32_t> times) {
  double error = 0, total = 0, absolute = 0, rows = 0;
  for (std::size_t i = 0; i < gap.size(); ++i) {
    const double t = times.empty() ? 1 : times[i], d = gap[i] - fit.prediction[i], m = gap[i] - fit.mean[i];
    rows += t;
    error += t * d * d;
    total += t * m * m;
    absolute += t * std::abs(d);
  }
  PredictionScore s;
  if (total > 0) s.r2 = 1 - error / total;
  if (rows > 0) s.mae = absolute / rows;
  return s;
}

}  // namespace gapbench
