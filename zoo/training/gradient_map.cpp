#include "zoo/training/gradient_map.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "measures/api/error.h"
#include "measures/kernels/weight_correlation.h"
#include "measures/numerics/philox.h"

namespace gapbench {

namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Map = Eigen::Map<Matrix>;
using ConstMap = Eigen::Map<const Matrix>;

// Rows divided by their norms; zero rows stay zero.
Matrix unit_rows(const Matrix& m) {
  Matrix u = m;
  for (Eigen::Index i = 0; i < u.rows(); ++i)
    if (const float norm = u.row(i).norm(); norm > 0) u.row(i) /= norm;
  return u;
}

void collide_softly(bool hadamard, float coefficient, bool mask_diagonal, const ConstMap& w, Map g) {
  const Matrix uw = unit_rows(w), ug = unit_rows(g);
  Matrix cw = uw * uw.transpose(), cg = ug * ug.transpose();
  if (mask_diagonal) {
    cw.diagonal().setZero();
    cg.diagonal().setZero();
  }
  const Matrix interaction = hadamard ? Matrix(cw.cwiseProduct(cg)) : Matrix(cw * cg);
  const Matrix change = interaction * g;
  g -= coefficient * change;
}

void collide_hard(double coefficient, Map g, std::uint64_t key, std::uint64_t step) {
  const auto rows = static_cast<std::size_t>(g.rows());
  RandomStream random(key, step);
  const auto wanted =
      static_cast<std::size_t>(coefficient * static_cast<double>(rows) / 2 + random.uniform());
  const std::size_t pairs = std::min(wanted, rows / 2);
  std::vector<std::uint32_t> order(rows);
  std::iota(order.begin(), order.end(), 0u);
  random.shuffle(order.begin(), order.end());
  std::vector<float> speed(pairs);
  float fastest = 0;
  for (std::size_t k = 0; k < pairs; ++k) {
    speed[k] = (g.row(order[2 * k]) - g.row(order[2 * k + 1])).norm();
    fastest = std::max(fastest, speed[k]);
  }
  Eigen::RowVectorXf direction(g.cols());
  for (std::size_t k = 0; k < pairs; ++k) {
    if (random.uniform() * static_cast<double>(fastest) >= static_cast<double>(speed[k])) continue;
    for (Eigen::Index d = 0; d < direction.size(); ++d) direction[d] = static_cast<float>(random.normal());
    direction *= speed[k] / 2 / direction.norm();
    const Eigen::RowVectorXf centre = (g.row(order[2 * k]) + g.row(order[2 * k + 1])) / 2;
    g.row(order[2 * k]) = centre + direction;
    g.row(order[2 * k + 1]) = centre - direction;
  }
}

// c0 of the released code, brought into [0.5, 5] by powers of ten.
double released_factor(double inputs, double units, double mean_cosine) {
  double c = inputs * (units - 1) * (1 / (1 - mean_cosine) + 1 / (1 + (units - 1) * mean_cosine));
  if (!std::isfinite(c) || c <= 0) return 1;  // units that are all parallel
  while (c < 0.5) c *= 10;
  while (c > 5) c /= 10;
  return c;
}

}  // namespace

Collision parse_collision(std::string_view name) {
  if (name == "off") return Collision::off;
  if (name == "soft-matmul") return Collision::soft_matmul;
  if (name == "soft-hadamard") return Collision::soft_hadamard;
  if (name == "hard") return Collision::hard;
  throw InternalError("no collision is named " + std::string(name));
}

void collide(Collision kind, double coefficient, bool mask_diagonal, const LayerShape& layer, const float* w,
             float* g, std::uint64_t random_key, std::uint64_t step) {
  if (kind == Collision::off || layer.outputs < 2) return;
  const Map gradient(g, layer.outputs, layer.row_length());
  if (kind == Collision::hard) return collide_hard(coefficient, gradient, random_key, step);
  collide_softly(kind == Collision::soft_hadamard, static_cast<float>(coefficient), mask_diagonal,
                 ConstMap(w, layer.outputs, layer.row_length()), gradient);
}

DescentForm parse_descent_form(std::string_view name) {
  if (name == "released") return DescentForm::released;
  if (name == "rho") return DescentForm::rho;
  if (name == "g") return DescentForm::g;
  throw InternalError("no form of weight-correlation descent is named " + std::string(name));
}

void add_weight_correlation_gradient(DescentForm form, double coefficient, const LayerShape& layer,
                                     const float* w, float* g) {
  if (layer.outputs < 2) return;
  // a 1x1 convolution is the dense layer it is
  const bool dense = layer.positions == 1;
  const std::int64_t channels = dense ? 1 : layer.inputs, length = dense ? layer.inputs : layer.positions;
  const std::int64_t row = layer.row_length();
  std::vector<float> gradients(static_cast<std::size_t>(layer.outputs * row));  // (N - 1) S
  std::vector<kernels::CosineGradientSums> all(static_cast<std::size_t>(channels));
  kernels::absolute_cosine_gradients({w, channels, layer.outputs, length, row, length}, gradients.data(),
                                     all.data());
  double pairs = 0, absolute = 0;
  for (const kernels::CosineGradientSums& part : all) {
    pairs += static_cast<double>(part.rows) * static_cast<double>(part.rows - 1);
    absolute += part.absolute;
  }
  if (pairs == 0) return;
  const double rho = absolute / pairs, n = static_cast<double>(layer.outputs);
  for (std::int64_t c = 0; c < channels; ++c) {
    const kernels::CosineGradientSums& part = all[static_cast<std::size_t>(c)];
    if (part.rows < 2) continue;
    const double present = static_cast<double>(part.rows);
    double factor = coefficient;
    if (form == DescentForm::released) {
      if (dense)
        factor *= released_factor(static_cast<double>(layer.inputs), n,
                                  part.signed_sum / (present * (present - 1)));
    } else {
      // rho is a sum of |cos| over ordered pairs divided by their number: each pair moves w_i twice
      factor *= 2 * (present - 1) / pairs;
      if (form == DescentForm::g) {
        if (rho >= 1) continue;  // g is infinite there, and its direction is undefined
        factor *=
            static_cast<double>(layer.row_length()) * n * (n - 1) * rho / ((1 - rho) * (1 + (n - 1) * rho));
      }
    }
    for (std::int64_t o = 0; o < layer.outputs; ++o)
      for (std::int64_t k = o * row + c * length; k < o * row + (c + 1) * length; ++k)
        g[k] += static_cast<float>(factor) *
                (gradients[static_cast<std::size_t>(k)] / static_cast<float>(part.rows - 1));
  }
}

bool descent_covers(std::string_view choice, std::string_view network, std::size_t layer,
                    std::size_t layers) {
  if (choice == "all") return true;
  if (choice == "released") {
    if (network == "vgg11") return layer < 5;
    if (network == "vgg16") return layer < 10;
    if (network == "vgg19") return layer < 12;
  } else if (choice != "hidden") {
    throw InternalError("no choice of layers is named " + std::string(choice));
  }
  return layer > 0 && layer + 1 < layers;
}

}  // namespace gapbench
