// The collision of the KO optimiser and weight-correlation descent: the references' numbers, finite differences, invariants.
#include <cmath>
#include <vector>

#include "measures/numerics/philox.h"
#include "tests/support/catch.h"
#include "zoo/training/gradient_map.h"

using namespace gapbench;

namespace {

std::vector<float> random_values(std::int64_t n, std::uint64_t seed) {
  RandomStream random(seed, 5);
  std::vector<float> v;
  for (std::int64_t i = 0; i < n; ++i) v.push_back(static_cast<float>(random.normal()));
  return v;
}

LayerShape dense(std::int64_t outputs, std::int64_t inputs) {
  return {outputs, inputs, 1};
}

// rho by its definition in float64, for weights in the layer's order.
double rho(const LayerShape& l, const std::vector<double>& w) {
  const bool conv = l.positions > 1;
  const std::int64_t channels = conv ? l.inputs : 1, length = conv ? l.positions : l.inputs;
  double sum = 0, pairs = 0;
  for (std::int64_t c = 0; c < channels; ++c)
    for (std::int64_t i = 0; i < l.outputs; ++i)
      for (std::int64_t j = 0; j < l.outputs; ++j) {
        if (i == j) continue;
        double dot = 0, ni = 0, nj = 0;
        for (std::int64_t k = 0; k < length; ++k) {
          const std::int64_t offset = conv ? c * l.positions + k : k;
          const double x = w[static_cast<std::size_t>(i * l.row_length() + offset)],
                       y = w[static_cast<std::size_t>(j * l.row_length() + offset)];
          dot += x * y;
          ni += x * x;
          nj += y * y;
        }
        sum += std::abs(dot) / std::sqrt(ni * nj);
        ++pairs;
      }
  return sum / pairs;
}

std::vector<float> added(DescentForm form, double coefficient, const LayerShape& l,
                         const std::vector<float>& w) {
  std::vector<float> g(w.size(), 0.0f);
  add_weight_correlation_gradient(form, coefficient, l, w.data(), g.data());
  return g;
}

const std::vector<LayerShape> layers = {dense(6, 9), dense(5, 3), {4, 3, 9}, {7, 2, 25}};

}  // namespace

TEST_CASE("S of the references' example") {
  // seed columns (1,0,2), (2,1,-1), (0,3,1) are the units; S printed row by row of the inputs x units matrix
  const std::vector<float> w = {1, 0, 2, 2, 1, -1, 0, 3, 1};
  const double s[3][3] = {
      {-.028284, -.043033, .199810}, {.212132, .172133, -.016607}, {.014142, .086066, .049820}};
  const LayerShape l = dense(3, 3);
  // rho's gradient is 2 S / N
  const auto g = added(DescentForm::rho, 1.5, l, w);
  for (std::size_t unit = 0; unit < 3; ++unit)
    for (std::size_t input = 0; input < 3; ++input)
      CHECK(static_cast<double>(g[unit * 3 + input]) == Approx(s[input][unit]).margin(1e-6));
}

TEST_CASE("the released dense factor is the mantissa of c0") {
  // 48 units of 52 inputs with mean signed cosine q: c0 = 52 * 47 (1 / (1 - q) + 1 / (1 + 47 q)); 3302.1838 at q = .05, taken as 3.3021838
  std::vector<float> w = random_values(48 * 52, 3);
  for (std::size_t i = 0; i < w.size(); ++i) w[i] += 0.23f;  // a common part makes cosines positive
  double dots = 0;
  std::vector<double> unit_sum(52, 0.0);
  for (std::size_t i = 0; i < 48; ++i) {
    double norm = 0;
    for (std::size_t k = 0; k < 52; ++k)
      norm += static_cast<double>(w[i * 52 + k]) * static_cast<double>(w[i * 52 + k]);
    for (std::size_t k = 0; k < 52; ++k) unit_sum[k] += static_cast<double>(w[i * 52 + k]) / std::sqrt(norm);
  }
  for (const double x : unit_sum) dots += x * x;
  const double q = (dots - 48) / (48.0 * 47);
  const double c0 = 52 * 47 * (1 / (1 - q) + 1 / (1 + 47 * q));
  const double mantissa = c0 / 1000;
  REQUIRE(mantissa > 0.5);
  REQUIRE(mantissa < 5);
  CHECK(52 * 47 * (1 / 0.95 + 1 / (1 + 47 * 0.05)) == Approx(3302.1838).epsilon(1e-7));
  const auto released = added(DescentForm::released, 0.1, dense(48, 52), w),
             gradient = added(DescentForm::rho, 1, dense(48, 52), w);
  for (std::size_t i = 0; i < w.size(); i += 37)  // released = 0.1 m S, rho = 2 S / 48
    CHECK(static_cast<double>(released[i]) ==
          Approx(0.1 * mantissa * 24 * static_cast<double>(gradient[i])).epsilon(1e-4).margin(1e-8));
  // a convolution has factor 1: 0.1 S = 0.1 (N / 2) (inputs) d rho / dw
  const LayerShape conv{4, 3, 9};
  const auto v = random_values(4 * 27, 8);
  const auto a = added(DescentForm::released, 0.1, conv, v), b = added(DescentForm::rho, 1, conv, v);
  for (std::size_t i = 0; i < v.size(); ++i)
    CHECK(static_cast<double>(a[i]) ==
          Approx(0.1 * 2 * 3 * static_cast<double>(b[i])).epsilon(1e-4).margin(1e-8));
}

TEST_CASE("rho and g descend along their own finite differences") {
  for (const LayerShape& l : layers) {
    const auto w = random_values(l.outputs * l.row_length(), 11);
    const std::vector<double> exact(w.begin(), w.end());
    const double n = static_cast<double>(l.outputs), m = static_cast<double>(l.row_length());
    const auto g_of = [&](const std::vector<double>& v) {
      const double r = rho(l, v);
      return -(n - 1) * m * std::log(1 - r) - m * std::log(1 + (n - 1) * r);
    };
    const auto by_rho = added(DescentForm::rho, 1, l, w), by_g = added(DescentForm::g, 1, l, w);
    double largest_rho = 0, largest_g = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
      largest_rho = std::max(largest_rho, std::abs(static_cast<double>(by_rho[i])));
      largest_g = std::max(largest_g, std::abs(static_cast<double>(by_g[i])));
    }
    REQUIRE(largest_rho > 0);
    for (std::size_t i = 0; i < w.size(); ++i) {
      const double h = 1e-6;
      auto up = exact, down = exact;
      up[i] += h;
      down[i] -= h;
      CAPTURE(l.outputs, l.inputs, l.positions, i);
      CHECK(static_cast<double>(by_rho[i]) ==
            Approx((rho(l, up) - rho(l, down)) / (2 * h)).margin(1e-5 * largest_rho));
      CHECK(static_cast<double>(by_g[i]) ==
            Approx((g_of(up) - g_of(down)) / (2 * h)).margin(1e-5 * largest_g));
    }
  }
}

TEST_CASE("what descent adds is orthogonal to each unit") {
  for (const LayerShape& l : layers)
    for (const DescentForm form : {DescentForm::released, DescentForm::rho, DescentForm::g}) {
      const auto w = random_values(l.outputs * l.row_length(), 12), g = added(form, 0.3, l, w);
      for (std::int64_t o = 0; o < l.outputs; ++o) {
        double dot = 0, norms = 0;
        for (std::int64_t k = 0; k < l.row_length(); ++k) {
          const auto i = static_cast<std::size_t>(o * l.row_length() + k);
          dot += static_cast<double>(w[i]) * static_cast<double>(g[i]);
          norms += std::abs(static_cast<double>(w[i]) * static_cast<double>(g[i]));
        }
        CHECK(norms > 0);
        CHECK(std::abs(dot) < 1e-5 * norms);
      }
    }
}

TEST_CASE("zero units, single units and parallel units stay finite") {
  auto w = random_values(5 * 4, 14);
  for (std::size_t k = 0; k < 4; ++k) w[k] = 0;
  for (const DescentForm form : {DescentForm::released, DescentForm::rho, DescentForm::g}) {
    const auto g = added(form, 1, dense(5, 4), w);
    for (std::size_t i = 0; i < g.size(); ++i) {
      CHECK(std::isfinite(g[i]));
      if (i < 4) CHECK(g[i] == 0);
    }
    CHECK(added(form, 1, dense(1, 4), {1, 2, 3, 4}) == std::vector<float>(4, 0.0f));
    for (const float x : added(form, 1, dense(3, 2), {1, 2, 2, 4, -1, -2})) CHECK(std::isfinite(x));
    CHECK(added(form, 1, dense(2, 2), {0, 0, 0, 0}) == std::vector<float>(4, 0.0f));
  }
}

TEST_CASE("which layers the descent covers") {
  const auto covered = [](const char* choice, const char* network, std::size_t n) {
    std::vector<std::size_t> list;
    for (std::size_t l = 0; l < n; ++l)
      if (descent_covers(choice, network, l, n)) list.push_back(l);
    return list;
  };
  CHECK(covered("released", "fcn", 11) ==
        std::vector<std::size_t>{1, 2, 3, 4, 5, 6, 7, 8, 9});  // W2..W10 of 11
  CHECK(covered("released", "vgg11", 11).size() == 5);
  CHECK(covered("released", "vgg16", 16).size() == 10);
  CHECK(covered("released", "vgg19", 19).size() == 12);
  CHECK(covered("hidden", "vgg19", 19).size() == 17);
  CHECK(covered("all", "nin", 4).size() == 4);
}

TEST_CASE("soft collisions of the references' example") {
  const std::vector<float> w = {1, 0, 1, 1, 0, 2}, g = {1, 2, .5f, -1, 0, 1};
  const double matmul[] = {-.629289, -1.306337, -.711203, -1.980979, -.376503, -1.495191};
  const double hadamard[] = {-.787868, -2.424264, -.075736, 2.480984, .316228, -1.632456};
  for (const auto& [kind, expected] :
       {std::pair{Collision::soft_matmul, matmul}, std::pair{Collision::soft_hadamard, hadamard}}) {
    auto moved = g;
    collide(kind, 0.5, false, dense(3, 2), w.data(), moved.data(), 1, 1);
    for (std::size_t i = 0; i < 6; ++i)
      CHECK(static_cast<double>(moved[i] - g[i]) == Approx(0.5 * expected[i]).margin(1e-6));
  }
}

TEST_CASE("soft collisions of equal, orthogonal and zero rows") {
  // all rows equal: dg = -N^2 g and -N g; orthogonal weights: dg = -cos(g, g) g and -g; with the diagonal masked: 0
  const std::vector<float> same = {1, 2, 1, 2, 1, 2}, gradient = {3, -1, 3, -1, 3, -1};
  auto a = gradient, b = gradient;
  collide(Collision::soft_matmul, 0.01, false, dense(3, 2), same.data(), a.data(), 1, 1);
  collide(Collision::soft_hadamard, 0.01, false, dense(3, 2), same.data(), b.data(), 1, 1);
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(a[i] == Approx(gradient[i] * (1 - 0.09f)));
    CHECK(b[i] == Approx(gradient[i] * (1 - 0.03f)));
  }
  const std::vector<float> identity = {2, 0, 0, 5}, g = {1, 2, 3, -1};
  auto c = g, masked = g;
  collide(Collision::soft_hadamard, 0.1, false, dense(2, 2), identity.data(), c.data(), 1, 1);
  collide(Collision::soft_hadamard, 0.1, true, dense(2, 2), identity.data(), masked.data(), 1, 1);
  for (std::size_t i = 0; i < 4; ++i) CHECK(c[i] == Approx(0.9f * g[i]));
  CHECK(masked == g);
  auto dead = std::vector<float>{0, 0, 1, 1};
  collide(Collision::soft_matmul, 0.1, false, dense(2, 2), identity.data(), dead.data(), 1, 1);
  for (const float x : dead) CHECK(std::isfinite(x));
}

TEST_CASE(
    "hard collisions conserve each layer's sum and energy, touch the stated share, and follow step and key "
    "alone") {
  const std::int64_t n = 40, d = 30;
  const auto w = random_values(n * d, 1), g = random_values(n * d, 2);
  std::int64_t touched = 0;
  for (std::uint64_t step = 1; step <= 200; ++step) {
    auto a = g, b = g;
    collide(Collision::hard, 0.3, false, dense(n, d), w.data(), a.data(), 9, step);
    collide(Collision::hard, 0.3, false, dense(n, d), w.data(), b.data(), 9, step);
    REQUIRE(a == b);
    double energy = 0, before = 0;
    std::vector<double> sum(static_cast<std::size_t>(d), 0.0);
    for (std::int64_t i = 0; i < n; ++i) {
      bool moved = false;
      for (std::int64_t k = 0; k < d; ++k) {
        const auto e = static_cast<std::size_t>(i * d + k);
        energy += static_cast<double>(a[e]) * static_cast<double>(a[e]);
        before += static_cast<double>(g[e]) * static_cast<double>(g[e]);
        sum[static_cast<std::size_t>(k)] += static_cast<double>(a[e]) - static_cast<double>(g[e]);
        moved = moved || a[e] != g[e];
      }
      touched += moved;
    }
    REQUIRE(energy == Approx(before).epsilon(1e-5));
    for (const double s : sum) REQUIRE(std::abs(s) < 1e-4);
  }
  // 6 pairs a step, of which those with v / v_max ~ .85 or more of the time collide
  CHECK(touched > 200 * 12 / 2);
  CHECK(touched <= 200 * 12);
  auto other = g, first = g;
  collide(Collision::hard, 1, false, dense(n, d), w.data(), first.data(), 9, 1);
  collide(Collision::hard, 1, false, dense(n, d), w.data(), other.data(), 9, 2);
  CHECK(first != other);
}
