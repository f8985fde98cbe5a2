// Closed forms and published numbers.
#include <cmath>
#include <map>

#include "measures/api/registry.h"
#include "measures/layers/layers.h"
#include "tests/measures/random_snapshot.h"
#include "tests/support/catch.h"

using namespace gapbench;
using testing::Model;
using testing::random_conv;
using testing::random_fcn;

namespace {

Outcome outcome(const std::string& id, const Model& model) {
  return all_measures().at(id).compute(model.snapshot(), nullptr);
}
double value(const std::string& id, const Model& model) {
  const Outcome o = outcome(id, model);
  INFO(id << ": " << o.reason());
  REQUIRE(o.ok());
  return *o.value();
}

// One dense layer [outputs, inputs] with given rows.
Model dense(std::vector<std::vector<float>> rows) {
  Model m =
      random_fcn({static_cast<std::int64_t>(rows[0].size()), static_cast<std::int64_t>(rows.size())}, 0);
  std::size_t k = 0;
  for (const auto& row : rows)
    for (const float x : row) m.weight(0).final[k++] = x;
  return m;
}

// The columns (1,0,2), (2,1,-1), (0,3,1) of the references' example are the units.
const std::vector<std::vector<float>> example = {{1, 0, 2}, {2, 1, -1}, {0, 3, 1}};

}  // namespace

TEST_CASE("weight correlation of the worked example") {
  CHECK(value("wc-paper", dense(example)) == Approx(0.1803472007405933).epsilon(1e-6));
  CHECK(value("wc-notebook", dense(example)) == Approx(0.4535656444071805).epsilon(1e-6));
  auto tiny = example;
  for (auto& row : tiny)
    for (float& x : row) x *= 1e-4f;
  CHECK(value("wc-paper", dense(tiny)) == Approx(0.1803472007405933).epsilon(1e-6));
  CHECK(value("wc-notebook", dense(tiny)) == Approx(0.9964034107886354).epsilon(1e-6));
}

TEST_CASE("g of the references") {
  CHECK(measures::correlation_g(0.1, 10, 5) == Approx(1.5319537737402094).epsilon(1e-14));
  CHECK(measures::correlation_g(0.2737, 512, 512) == Approx(81134.59461954524).epsilon(1e-13));
  CHECK(measures::correlation_g(0, 10, 5) == 0);
  CHECK(measures::correlation_g(0.3, 6, 1) ==
        Approx(0.8670839878).epsilon(1e-10));  // -ln det of six equicorrelated units
  CHECK(std::isinf(measures::correlation_g(1, 10, 5)));
  // derivative: m N (N - 1) rho / ((1 - rho) (1 + (N - 1) rho)) = 26.31578947 at (10, 5, .1)
  const double h = 1e-6;
  CHECK((measures::correlation_g(0.1 + h, 10, 5) - measures::correlation_g(0.1 - h, 10, 5)) / (2 * h) ==
        Approx(26.31578947).epsilon(1e-7));
}

TEST_CASE("chance level: |cos| of random vectors less wc-paper's is wc-excess") {
  // Gamma(d / 2) / (sqrt(pi) Gamma((d + 1) / 2)): 35 / 128 for d = 9, 1 / 2 for d = 3
  const Model nine = random_fcn({9, 4}, 1), three = random_fcn({3, 4}, 1),
              long_rows = random_fcn({512, 4}, 1);
  CHECK(value("wc-paper", nine) - value("wc-excess", nine) == Approx(35.0 / 128).epsilon(1e-12));
  CHECK(value("wc-paper", three) - value("wc-excess", three) == Approx(0.5).epsilon(1e-12));
  CHECK(value("wc-paper", long_rows) - value("wc-excess", long_rows) == Approx(0.0352791).epsilon(1e-5));
  for (const auto& [length, level] : std::map<std::int64_t, double>{
           {25, 0.161180}, {27, 0.154981}, {52, 0.11118}, {64, 0.100126}, {3072, 0.0143968}}) {
    const Model m = random_fcn({length, 4}, 1);
    CHECK(value("wc-paper", m) - value("wc-excess", m) == Approx(level).epsilon(4e-5));
  }
  // and random weights sit at chance
  CHECK(std::abs(value("wc-excess", random_fcn({27, 400}, 2))) < 0.005);
}

TEST_CASE("a conv layer is taken per input channel, a 1x1 layer as dense") {
  Model m = random_conv(3);
  const auto layers = measures::paper_correlations(m.snapshot());
  REQUIRE(layers.size() == 3);
  for (std::size_t l = 0; l < 2; ++l) {
    const auto& w = m.weight(l);
    const std::int64_t out = w.shape[0], in = w.shape[1];
    double total = 0;
    for (std::int64_t z = 0; z < in; ++z)
      for (std::int64_t i = 0; i < out; ++i)
        for (std::int64_t j = 0; j < out; ++j) {
          if (i == j) continue;
          double dot = 0, ni = 0, nj = 0;
          for (std::int64_t k = 0; k < 9; ++k) {
            const double x = w.final[static_cast<std::size_t>((i * in + z) * 9 + k)],
                         y = w.final[static_cast<std::size_t>((j * in + z) * 9 + k)];
            dot += x * y;
            ni += x * x;
            nj += y * y;
          }
          total += std::abs(dot) / std::sqrt(ni * nj);
        }
    CHECK(layers[l].rho == Approx(total / static_cast<double>(in * out * (out - 1))).epsilon(1e-6));
    CHECK(layers[l].vector_length == 9);
  }
  CHECK(layers[2].vector_length == 5);
}

TEST_CASE("the KL terms are those of a Gaussian with the constructed covariance") {
  // KL of N(theta, R (x) I) from N(theta0, I), from its definition: 1/2 (tr - dim + |Delta|^2 - ln det R * inputs)
  Model m = random_fcn({5, 4}, 9);
  const double rho = measures::paper_correlations(m.snapshot())[0].rho;
  // eigenvalues of R: 1 - rho three times, 1 + 3 rho once
  const double log_det = 5 * (3 * std::log(1 - rho) + std::log(1 + 3 * rho));
  double squares = 0;
  for (std::size_t i = 0; i < 20; ++i)
    squares +=
        std::pow(static_cast<double>(m.weight(0).final[i]) - static_cast<double>(m.weight(0).init[i]), 2);
  CHECK(value("wc-kl", m) == Approx(-0.5 * log_det).epsilon(1e-9));
  CHECK(value("pbc-kl", m) == Approx(0.5 * squares - 0.5 * log_det).epsilon(1e-9));
}

TEST_CASE("parameter counts of the paper's networks") {
  const std::map<std::vector<std::int64_t>, double> published = {
      {{3072, 5000, 2500, 2500, 1250, 10}, 37247500}, {{3072, 10000, 1000, 1000, 1000, 10}, 42730000}};
  for (const auto& [widths, count] : published) {
    // shapes are all that counts: a snapshot without values would do, a span of the right length is needed
    std::vector<Array> arrays;
    std::vector<Layer> layers;
    static const std::vector<float> zeros(30'720'000, 0.0f);
    for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
      Layer l;
      l.weight = arrays.size();
      layers.push_back(l);
      const auto n = static_cast<std::size_t>(widths[i] * widths[i + 1]);
      arrays.push_back({"w", {widths[i + 1], widths[i]}, std::span(zeros).first(n), {}});
    }
    const Snapshot s("fcn", arrays, layers, 50000, 10);
    CHECK(*all_measures().at("num-params").compute(s, nullptr).value() == count);
    CHECK(*all_measures().at("wc-nop").compute(s, nullptr).value() == count + 1);
  }
}

TEST_CASE("norm measures of diagonal layers") {
  Model m = random_fcn({2, 2, 2}, 0);
  m.weight(0).final = {3, 0, 0, 4};
  m.weight(1).final = {0.5f, 0, 0, -2};
  m.weight(0).init = m.weight(1).init = {0, 0, 0, 0};
  CHECK(value("wc-pfn", m) == Approx(std::log(5) + 0.5 * std::log(4.25)));
  CHECK(value("log-prod-fro", m) == Approx(2 * value("wc-pfn", m)));
  CHECK(value("log-prod-spec", m) == Approx(2 * std::log(8)));
  CHECK(value("log-sum-spec", m) == Approx(std::log(2) + std::log(8)));
  CHECK(value("sum-spec", m) == Approx(6));
  CHECK(value("sosp", m) == Approx(8 * 6));
  CHECK(value("wc-psn", m) == Approx(std::log(8)));
  CHECK(value("wc-sosp", m) == Approx(8 * 6));
}

TEST_CASE("pb-notebook counts every array, pbc-kl the weights alone") {
  Model m = random_fcn({3, 2}, 4);
  m.weight(0).init = m.weight(0).final;
  m.bias(0).init = {1, 1};
  m.bias(0).final = {3, 2};
  CHECK(value("pb-notebook", m) == 2.5);
  CHECK(value("pbc", m) == Approx(2.5 + value("wc-g", m)));
  CHECK(value("pbc-kl", m) == value("wc-kl", m));
}

TEST_CASE("wc-g is the released code's formula in both branches") {
  Model fcn = random_fcn({7, 6, 5}, 8);
  double sum = 0;
  for (const Layer& l : fcn.layers) {
    const double rho = measures::notebook_means(fcn.snapshot(), l, 0)[0];
    const double n = l.weight == 0 ? 6 : 5, m = l.weight == 0 ? 7 : 6;
    sum += -(n - 1) * m * std::log(1 - rho) - m * std::log(1 + (n - 1) * rho);
  }
  CHECK(value("wc-g", fcn) == Approx(sum / 2).epsilon(1e-12));

  const Model conv = random_conv(8);
  sum = 0;
  for (const std::size_t l : {0u, 1u}) {  // the 1x1 layer is passed over
    const auto means = measures::notebook_means(conv.snapshot(), conv.layers[l], 0);
    double rho = 0;
    for (const double x : means) rho += x / static_cast<double>(means.size());
    const double n = l == 0 ? 6 : 5, m = l == 0 ? 3 : 6;
    sum += -(n - 1) * m * std::log(1 - rho) + m * std::log(1 + (n - 1) * rho);
  }
  CHECK(value("wc-g", conv) == Approx(sum / 2).epsilon(1e-12));
}

TEST_CASE("edge cases have a status and a reason") {
  const Model single = random_fcn({4, 1}, 0);  // one unit: no pair
  for (const char* id : {"wc-paper", "wc-excess", "wc-kl", "wc-g", "pbc", "pbc-kl"}) {
    CHECK(outcome(id, single).status() == Outcome::Status::not_applicable);
    CHECK_FALSE(outcome(id, single).reason().empty());
  }
  const Model parallel = dense({{1, 2, 3}, {2, 4, 6}, {-1, -2, -3}});
  CHECK(value("wc-paper", parallel) == Approx(1).epsilon(1e-6));
  CHECK(outcome("wc-kl", parallel).status() == Outcome::Status::undefined);
  CHECK(outcome("pbc-kl", parallel).status() == Outcome::Status::undefined);
  const Model zero = dense({{0, 0, 0}, {0, 0, 0}});
  for (const char* id : {"wc-pfn", "log-prod-fro", "wc-psn", "log-prod-spec", "log-sum-spec"})
    CHECK(outcome(id, zero).status() == Outcome::Status::undefined);
  CHECK(outcome("wc-paper", zero).status() == Outcome::Status::not_applicable);
  auto with_zero_row = example;
  with_zero_row.push_back({0, 0, 0});
  CHECK(value("wc-paper", dense(with_zero_row)) == Approx(0.1803472007405933).epsilon(1e-6));
  Model broken = random_fcn({4, 3}, 0);
  broken.weight(0).final[2] = NAN;
  for (const Measure& m : all_measures().all()) {
    const Outcome o = m.compute(broken.snapshot(), nullptr);
    CAPTURE(m.info.id);
    if (m.info.family == "capacity" || m.info.family == "training")  // these do not read the weights
      CHECK(o.ok());
    else
      CHECK_FALSE(o.ok());
  }
}

TEST_CASE("steps to a cross-entropy that was not reached are censored") {
  Model m = random_fcn({4, 3}, 0);
  CHECK(value("steps-to-ce-0.1", m) == 120);
  CHECK(value("steps-ce-0.1-to-0.01", m) == 580);
  CHECK_FALSE(outcome("steps-ce-0.1-to-0.01", m).censored());
  m.training->steps_to_cross_entropy_001.reset();
  CHECK(value("steps-ce-0.1-to-0.01", m) == 780);
  CHECK(outcome("steps-ce-0.1-to-0.01", m).censored());
  m.training->steps_to_cross_entropy_01.reset();
  CHECK(value("steps-to-ce-0.1", m) == 900);
  CHECK(outcome("steps-to-ce-0.1", m).censored());
  CHECK(outcome("steps-ce-0.1-to-0.01", m).status() == Outcome::Status::undefined);
  m.training->gradient_noise_final.reset();
  CHECK(outcome("grad-noise-final", m).status() == Outcome::Status::not_applicable);
  CHECK(value("grad-noise-epoch1", m) == 0.25);
}

TEST_CASE("m-normalised forms") {
  Model m = random_fcn({4, 3, 2}, 3);  // its snapshots have 100 training samples
  CHECK(value("log-prod-fro-m", m) == Approx((value("log-prod-fro", m) - std::log(100)) / 2).epsilon(1e-14));
  CHECK(value("path-norm-m", m) ==
        Approx(std::log(std::sqrt(std::exp(value("path-norm", m)) / 100))).epsilon(1e-12));
  CHECK(value("fro-dist-m", m) == Approx(std::sqrt(value("fro-dist", m) / 100)).epsilon(1e-14));
  CHECK(value("num-params-m", m) == Approx(std::sqrt(18.0 / 100)).epsilon(1e-14));
  m.with_init = false;
  CHECK(outcome("fro-dist-m", m).status() == Outcome::Status::not_applicable);
  const Snapshot whole = m.snapshot();
  const Snapshot sizeless("test", whole.arrays(), whole.layers(), 0, 2);
  CHECK(all_measures().at("param-norm-m").compute(sizeless, nullptr).status() ==
        Outcome::Status::not_applicable);
}
