// The searches against closed forms: a given curve, and linear networks, whose errors under Gaussian noise and in a box
// are known.
#include <cmath>
#include <functional>

#include "measures/api/registry.h"
#include "measures/flatness/bounds.h"
#include "measures/flatness/search.h"
#include "measures/numerics/philox.h"
#include "tests/support/catch.h"

using namespace gapbench;
using namespace gapbench::measures;

namespace {

class GivenCurve final : public DropCurve {
 public:
  explicit GivenCurve(std::function<double(double)> drop, double sampling_error = 0)
      : drop_(std::move(drop)), first_error_(sampling_error) {}
  Drop begin(double scale) override {
    ++scales;
    scale_ = scale;
    error_ = first_error_;
    return now();
  }
  Drop closer() override {
    ++looks;
    error_ = error_ > 1e-3 ? error_ / 2 : 0;
    return now();
  }
  int scales = 0, looks = 0;

 private:
  Drop now() const { return {drop_(scale_), error_, std::hypot(error_, 0.004)}; }
  std::function<double(double)> drop_;
  double first_error_, scale_ = 0, error_ = 0;
};

// logits = W x + b for two classes, label 0; samples scattered around one direction.
class LinearProbe final : public Probe {
 public:
  std::vector<std::vector<double>> x;
  std::vector<float> parameters;  // w of class 0, w of class 1, both biases
  int calls = 0;

  void finish() {
    labels_.assign(x.size(), 0);
    logits_.resize(2 * x.size());
    for (std::size_t i = 0; i < x.size(); ++i) evaluate(parameters, i, &logits_[2 * i]);
  }
  std::size_t inputs() const { return x[0].size(); }
  std::int64_t samples() const override { return static_cast<std::int64_t>(x.size()); }
  std::int64_t classes() const override { return 2; }
  std::span<const std::int64_t> labels() const override { return labels_; }
  std::span<const float> logits() override { return logits_; }
  void logits_of(std::span<const Parameters> stack, std::span<const std::int64_t> chosen,
                 std::span<float> out) override {
    ++calls;
    float* to = out.data();
    for (const Parameters& p : stack)
      for (const std::int64_t s : chosen) {
        evaluate(p, static_cast<std::size_t>(s), to);
        to += 2;
      }
  }
  std::vector<std::vector<float>> gradients_of(std::span<const Parameters> stack,
                                               std::span<const std::int64_t> chosen) override {
    std::vector<std::vector<float>> all;
    for (const Parameters& p : stack) {
      std::vector<double> g(p.size(), 0.0);
      for (const std::int64_t s : chosen) {
        const auto& sample = x[static_cast<std::size_t>(s)];
        float z[2];
        evaluate(p, static_cast<std::size_t>(s), z);
        const double other =
            1 / (1 + std::exp(static_cast<double>(z[0]) - static_cast<double>(z[1])));  // softmax of class 1
        for (std::size_t i = 0; i < inputs(); ++i) {
          g[i] -= other * sample[i];
          g[inputs() + i] += other * sample[i];
        }
        g[2 * inputs()] -= other;
        g[2 * inputs() + 1] += other;
      }
      all.emplace_back(g.begin(), g.end());
    }
    return all;
  }
  std::vector<double> mean_losses(std::span<const Parameters>) override {
    throw std::logic_error("not asked for");
  }
  std::vector<float> mean_gradient(Parameters) override { throw std::logic_error("not asked for"); }
  std::span<const float> logit_derivatives() override { throw std::logic_error("not asked for"); }

  Snapshot snapshot(const std::string& id) const {
    const std::span<const float> all(parameters);
    const auto d = static_cast<std::int64_t>(inputs());
    return Snapshot(id,
                    {{"w", {2, d}, all.first(2 * inputs()), {}}, {"b", {2}, all.subspan(2 * inputs()), {}}},
                    {Layer{LayerKind::dense, 0, 1}}, samples(), 2);
  }

 private:
  void evaluate(Parameters p, std::size_t s, float* z) const {
    for (std::size_t k = 0; k < 2; ++k) {
      double sum = static_cast<double>(p[2 * inputs() + k]);
      for (std::size_t i = 0; i < inputs(); ++i) sum += x[s][i] * static_cast<double>(p[k * inputs() + i]);
      z[k] = static_cast<float>(sum);
    }
  }
  std::vector<std::int64_t> labels_;
  std::vector<float> logits_;
};

LinearProbe scattered(std::size_t n, std::size_t inputs) {
  LinearProbe probe;
  RandomStream random(11);
  for (std::size_t i = 0; i < 2 * inputs + 2; ++i)
    probe.parameters.push_back(static_cast<float>(0.3 * random.normal()));
  for (std::size_t s = 0; s < n; ++s) {
    probe.x.emplace_back();
    double margin = static_cast<double>(probe.parameters[2 * inputs]) -
                    static_cast<double>(probe.parameters[2 * inputs + 1]);
    for (std::size_t i = 0; i < inputs; ++i) {
      probe.x[s].push_back(random.normal());
      margin += probe.x[s][i] * (static_cast<double>(probe.parameters[i]) -
                                 static_cast<double>(probe.parameters[inputs + i]));
    }
    if (margin < 0 && s % 10 != 0)  // one in twenty stays wrong
      for (double& v : probe.x[s]) v = -v;
  }
  probe.finish();
  return probe;
}

// Expected drop: the margin of a sample is normal.
double expected_drop(const LinearProbe& probe, const std::function<double(double w)>& deviation) {
  const std::size_t d = probe.inputs();
  double drop = 0;
  for (const auto& x : probe.x) {
    double margin = static_cast<double>(probe.parameters[2 * d]) -
                    static_cast<double>(probe.parameters[2 * d + 1]),
           variance = 0;
    for (std::size_t k = 0; k < 2; ++k) {
      variance += std::pow(deviation(static_cast<double>(probe.parameters[2 * d + k])), 2);
      for (std::size_t i = 0; i < d; ++i) {
        const auto w = static_cast<double>(probe.parameters[k * d + i]);
        margin += (k == 0 ? 1 : -1) * w * x[i];
        variance += std::pow(x[i] * deviation(w), 2);
      }
    }
    drop += std::erfc(margin / std::sqrt(2 * variance)) / 2 - (margin < 0 ? 1 : 0);
  }
  return drop / static_cast<double>(probe.x.size());
}

double root(const std::function<double(double)>& drop) {
  double low = std::log(1e-6), high = std::log(2.0);
  for (int i = 0; i < 60; ++i) (drop(std::exp((low + high) / 2)) > 0.1 ? high : low) = (low + high) / 2;
  return std::exp(low);
}

}  // namespace

TEST_CASE("the search finds the scale of a given curve") {
  for (const double where : {3e-6, 0.004, 0.3, 1.5}) {
    CAPTURE(where);
    const auto drop = [&](double s) {
      return 0.8 * (1 - std::exp(std::log(0.875) * std::pow(s / where, 1.3)));
    };
    for (const double error : {0.0, 0.05}) {
      GivenCurve curve(drop, error);
      const Outcome found = find_scale(curve, Protocol::suite);
      REQUIRE(found.ok());
      CHECK_FALSE(found.censored());
      CHECK(*found.value() == Approx(where).epsilon(0.03));  // a secant of up to .7
      CHECK(*found.standard_error() < 0.1 * where);
      CHECK(*found.standard_error() > 0.02 * where);  // .004 over the slope of .12 a unit of ln(scale)
      CHECK(curve.scales <= 16);
      CHECK((curve.looks > 0) == (error > 0));
    }
  }
}

TEST_CASE("a step in the curve is narrowed down, and the error says so") {
  GivenCurve curve([](double s) { return s < 0.07 ? 0.0 : 0.6; });
  const Outcome found = find_scale(curve, Protocol::suite);
  CHECK(*found.value() == Approx(0.07).epsilon(0.02));
  CHECK(*found.standard_error() >= 1e-4);
}

TEST_CASE("the published protocols bisect the scale itself and return a midpoint") {
  const auto drop = [](double s) { return 0.4 * s; };  // .1 at .25
  GivenCurve a(drop), b(drop);
  CHECK(*find_scale(a, Protocol::jiang).value() == 0.25);
  CHECK(a.scales == 3);
  CHECK(*find_scale(b, Protocol::dziugaite).value() == 0.25);
  GivenCurve narrow([](double s) { return s < 0.3 ? 0.0 : 1.0; });
  CHECK(*find_scale(narrow, Protocol::jiang).value() == Approx(0.3).margin(0.005));
  CHECK(narrow.scales <= 10);
  GivenCurve flat([](double) { return 0.0; });
  CHECK(find_scale(flat, Protocol::dziugaite).censored());
  CHECK(flat.scales == 16);
}

TEST_CASE("a search that ends at a bound is censored there") {
  GivenCurve flat([](double) { return 0.02; }), steep([](double) { return 0.7; });
  const Outcome high = find_scale(flat, Protocol::suite), low = find_scale(steep, Protocol::suite);
  CHECK(high.censored());
  CHECK(*high.value() == 2);
  CHECK(low.censored());
  CHECK(*low.value() == 1e-6);
  CHECK(inverse_square(high).censored());
  CHECK(*inverse_square(high).value() == 0.25);
}

TEST_CASE(
    "a network that cannot lose a tenth of its accuracy has the same, censored, flatness in every form") {
  LinearProbe probe = scattered(500, 12);
  for (auto& x : probe.x)
    for (double& v : x) v = -v;  // as far from right as it was from wrong
  probe.finish();
  std::size_t right = 0;
  for (std::size_t i = 0; i < probe.x.size(); ++i) right += probe.logits()[2 * i] > probe.logits()[2 * i + 1];
  REQUIRE(right < probe.x.size() / 10);
  const Snapshot snapshot = probe.snapshot("untrained");
  for (const char* id : {"pacbayes-flatness", "pacbayes-mag-flatness", "pacbayes-flatness-jiang",
                         "pacbayes-mag-flatness-jiang", "sharpness-flatness", "sharpness-mag-flatness"}) {
    CAPTURE(id);
    const Outcome o = all_measures().at(id).compute(snapshot, &probe);
    REQUIRE(o.ok());
    CHECK(o.censored());
    CHECK(o.reason().find("largest scale, 2") != std::string::npos);
    if (std::string_view(id).find("jiang") == std::string_view::npos) CHECK(*o.value() == 0.25);
  }
}

TEST_CASE("Gaussian scales of a linear network agree with the normal distribution") {
  const LinearProbe base = scattered(3000, 40);
  for (const Protocol protocol : {Protocol::suite, Protocol::dziugaite})
    for (const bool magnitude : {false, true}) {
      const double e = magnitude_floor;
      const auto deviation = [&](double s) {
        return [=](double w) {
          if (protocol == Protocol::dziugaite) return magnitude ? s * s * w * w + e * e : s * s;
          return magnitude ? std::sqrt(s * s * w * w + e * e) : s;
        };
      };
      const auto drop = [&](double s) { return expected_drop(base, deviation(s)); };
      const double wanted = root(drop);
      REQUIRE(wanted < 1.99);
      CAPTURE(magnitude, protocol == Protocol::suite, wanted);
      double squares = 0, sum = 0;
      constexpr int models = 40;
      for (int k = 0; k < models; ++k) {
        LinearProbe probe = base;
        const Snapshot snapshot = probe.snapshot("model " + std::to_string(k));
        const Outcome found = gaussian_scale(snapshot, &probe, magnitude, protocol);
        REQUIRE(found.ok());
        REQUIRE_FALSE(found.censored());
        // a published protocol stops within .01 of the target
        const double grid = protocol == Protocol::suite
                                ? 0
                                : 0.01 / ((drop(1.01 * wanted) - drop(0.99 * wanted)) / (0.02 * wanted));
        const double z = std::max(0.0, std::abs(*found.value() - wanted) - grid) / *found.standard_error();
        CHECK(z < 4);
        CHECK(*found.standard_error() < 0.3 * wanted);
        squares += z * z;
        sum += *found.value() / wanted - 1;
      }
      INFO("bias " << sum / models);
      CHECK(squares / models < 2);
      // the root of a mean of few draws of a convex curve lies a little high
      CHECK(std::abs(sum / models) < (protocol == Protocol::suite ? 0.06 : 0.1));
    }
}

TEST_CASE("the worst case in a box is found where it is known") {
  // sample s is a_s times one direction v: the worst corner lowers its margin by 2 alpha (a_s |v|_1 + 1), and the gradient
  // points there at once
  for (const bool magnitude : {false, true}) {
    LinearProbe probe;
    const std::vector<double> v = {1, -0.5, 0.25, 2, -1};
    for (const double w : {1.0, -0.8, 0.6, 0.5, -0.7, 0.2, 0.3, -0.1, 0.4, 0.1, 0.9, 0.3})
      probe.parameters.push_back(static_cast<float>(w));
    std::vector<double> radii;
    double slope = 0, length = 0;
    for (std::size_t i = 0; i < v.size(); ++i) {
      const double w0 = static_cast<double>(probe.parameters[i]),
                   w1 = static_cast<double>(probe.parameters[5 + i]);
      slope += v[i] * (w0 - w1);
      length += std::abs(v[i]) * (magnitude ? std::abs(w0) + std::abs(w1) : 2);
    }
    const double bias = static_cast<double>(probe.parameters[10]) - static_cast<double>(probe.parameters[11]),
                 of_bias = magnitude ? static_cast<double>(probe.parameters[10]) +
                                           static_cast<double>(probe.parameters[11])
                                     : 2;
    for (int s = 0; s < 1000; ++s) {
      const double a = 0.05 + 0.01 * s;
      probe.x.emplace_back();
      for (const double c : v) probe.x.back().push_back(a * c);
      radii.push_back((a * slope + bias) / (a * length + of_bias));
      REQUIRE(radii.back() > 0);
    }
    probe.finish();
    std::sort(radii.begin(), radii.end());
    const Snapshot snapshot = probe.snapshot("box");
    const Outcome found = worst_case_scale(snapshot, &probe, magnitude);
    REQUIRE(found.ok());
    CAPTURE(magnitude, radii[100]);
    // within the scales at which between .08 and .12 of the samples fall
    CHECK(*found.value() >= radii[80] * 0.98);
    CHECK(*found.value() <= radii[120] * 1.02);
  }
}

TEST_CASE("a search is a function of the model, and is made once") {
  LinearProbe probe = scattered(500, 12);
  const Snapshot one = probe.snapshot("a"), again = probe.snapshot("a"), other = probe.snapshot("b");
  const double value = *gaussian_scale(one, &probe, false).value();
  CHECK(*gaussian_scale(again, &probe, false).value() == value);
  CHECK(*gaussian_scale(other, &probe, false).value() != value);
  CHECK(one.searches().at("sigma").passes > 0);
  const int calls = probe.calls;
  CHECK(*gaussian_scale(one, &probe, false).value() == value);
  const Snapshot reloaded = probe.snapshot("a");
  reloaded.searches() = one.searches();
  CHECK(*all_measures().at("pacbayes-flatness").compute(reloaded, &probe).value() ==
        Approx(1 / (value * value)).epsilon(1e-14));
  CHECK(probe.calls == calls);
  reloaded.searches().at("sigma").revision = search_revision("sigma") - 1;
  gaussian_scale(reloaded, &probe, false);
  CHECK(probe.calls > calls);
}

TEST_CASE("bounds agree with their formulas on two weights") {
  LinearProbe probe;
  probe.parameters = {0.6f, -0.2f, 0, 0};
  probe.x = {{1}, {2}, {3}};
  probe.finish();
  Snapshot snapshot = probe.snapshot("two");
  const Outcome sigma = Outcome::value(0.5, 0.01);
  const double m = 3, squared = squared_weights(snapshot, false);
  CHECK(squared == Approx(0.4));
  const Outcome bound = pacbayes_bound(sigma, squared, &probe);
  CHECK(*bound.value() == Approx(0.4 / (4 * 0.25) + std::log(m / 0.5) + 10));
  CHECK(*bound.standard_error() == Approx(0.01 * (0.4 / (2 * 0.125) + 2)));
  CHECK(*sharpness_bound(Outcome::value(0.2, 0), sigma, snapshot, squared, &probe).value() ==
        Approx(0.4 * std::log(4.0) / (4 * 0.04) + std::log(m / 0.5) + 10));
  const auto magnitude = [&](double s) {
    double sum = 0;
    for (const double w : {0.6, -0.2}) sum += std::log((1e-6 + (s * s + 1) * 0.2) / (1e-6 + s * s * w * w));
    return sum / 4 + std::log(m / s) + 10;
  };
  const Outcome aware = magnitude_bound(sigma, snapshot, squared, false, 1, 0, &probe);
  CHECK(*aware.value() == Approx(magnitude(0.5)));
  CHECK(sharpness_extra(snapshot) == Approx(4 * std::log(2 * 2 / 0.05)));
  CHECK(sharpness_last(&probe) == Approx(std::log(m / 0.05)));
  CHECK(*aware.standard_error() ==
        Approx(0.01 * std::abs(magnitude(0.5001) - magnitude(0.4999)) / 2e-4).epsilon(1e-3));
}
