// The probe's derivatives of logits: Euler's identity where it holds, finite differences everywhere.
#include "zoo/engine/network_probe.h"

#include <cmath>

#include "measures/api/registry.h"
#include "measures/numerics/philox.h"
#include "tests/support/catch.h"

using namespace gapbench;

namespace {

struct Fixture {
  std::unique_ptr<Architecture> architecture;
  std::vector<float> parameters;
  std::unique_ptr<Probe> probe;

  std::vector<std::span<const float>> arrays() const {
    std::vector<std::span<const float>> spans;
    std::size_t offset = 0;
    for (const ArraySpec& a : architecture->arrays()) {
      spans.push_back(std::span(parameters).subspan(offset, static_cast<std::size_t>(a.size())));
      offset += spans.back().size();
    }
    return spans;
  }
};

constexpr std::int64_t n = 7;

// `zero_biases`: what has no fan-in is left at its initial value.
Fixture fixture(const nlohmann::json& hp, bool zero_biases,
                ExecutorChoice choice = ExecutorChoice::automatic) {
  Fixture f;
  auto data = std::make_shared<TrainingData>();
  data->shape = {2, 8, 8, 4};
  f.architecture = make_architecture(HyperParameters::from_json(hp, "test"), data->shape);
  data->channels_last = f.architecture->channels_last();
  data->train.count = n;
  RandomStream random(random_key("probe", "test"));
  for (std::int64_t i = 0; i < n * data->shape.size(); ++i)
    data->train.images.push_back(static_cast<float>(random.normal()));
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < n; ++i) labels.push_back(i % 4);
  data->train.labels = labels;
  for (const ArraySpec& a : f.architecture->arrays())
    for (std::int64_t i = 0; i < a.size(); ++i) {
      const double x = a.fan_in > 0 ? random.normal() * std::sqrt(2.0 / static_cast<double>(a.fan_in))
                       : zero_biases || !a.trained ? static_cast<double>(a.initial)
                                                   : static_cast<double>(a.initial) + 0.3 * random.normal();
      f.parameters.push_back(static_cast<float>(x));
    }
  f.probe =
      Probes(choice, DeviceChoice::automatic, 1).make(*f.architecture, data, labels, f.arrays(), 1, false);
  return f;
}

double mean_loss(Fixture& f, const std::vector<float>& direction, double t) {
  std::vector<float> moved;
  for (std::size_t i = 0; i < direction.size(); ++i)
    moved.push_back(
        static_cast<float>(static_cast<double>(f.parameters[i]) + t * static_cast<double>(direction[i])));
  const Probe::Parameters set = moved;
  return f.probe->mean_losses(std::span(&set, 1))[0];
}

}  // namespace

TEST_CASE("logits of a ReLU network without biases are homogeneous of the degree of its depth") {
  const auto choice = GENERATE(ExecutorChoice::fast, ExecutorChoice::general, ExecutorChoice::stack);
  for (const int depth : {1, 2, 3, 4}) {
    Fixture f = fixture({{"network", "fcn"}, {"depth", depth}, {"width", 6}}, true, choice);
    const auto logits = f.probe->logits();
    const auto derivatives = f.probe->logit_derivatives();
    REQUIRE(derivatives.size() == logits.size());
    for (std::size_t i = 0; i < logits.size(); ++i)
      CHECK(derivatives[i] == Approx((depth + 1) * logits[i]).epsilon(1e-5).margin(1e-6));

    // then the Fisher-Rao norm is its closed form
    std::vector<Array> arrays;
    for (const auto values : f.arrays())
      arrays.push_back({"a", {static_cast<std::int64_t>(values.size())}, values, {}});
    const Snapshot snapshot("test", arrays, f.architecture->layers(), n, 4);
    const auto value = [&](const char* id) {
      return *all_measures().at(id).compute(snapshot, f.probe.get()).value();
    };
    CHECK(value("fisher-rao") > 0);
    CHECK(value("fisher-rao") == Approx(value("fisher-rao-closed")).epsilon(1e-5));
    CHECK(value("fisher-rao-jiang") ==
          Approx((depth + 2) * (depth + 2) * value("fisher-rao")).epsilon(1e-12));
  }
}

TEST_CASE("the derivative of the mean loss is that of finite differences and of the gradient") {
  const auto choice = GENERATE(ExecutorChoice::automatic, ExecutorChoice::stack);
  for (const char* text :
       {R"({"network": "fcn", "depth": 2, "width": 6, "batch_norm": "on", "activation": "tanh"})",
        R"({"network": "vgg11", "width_multiplier": 0.06, "batch_norm": "on", "activation": "gelu"})",
        R"({"network": "resnet18", "width_multiplier": 0.06, "activation": "tanh"})",
        R"({"network": "densenet40", "width_multiplier": 0.2, "activation": "gelu"})",
        R"({"network": "vgg11-reduced", "width_multiplier": 0.2, "activation": "leaky_relu"})",
        R"({"network": "nin", "depth": 2, "width": 6})", R"({"network": "mixer", "depth": 1, "width": 6})"}) {
    CAPTURE(text);
    const nlohmann::json hp = nlohmann::json::parse(text);
    if (choice == ExecutorChoice::stack && hp["network"] == "mixer") continue;
    Fixture f = fixture(hp, false, choice);
    std::vector<float> direction;
    std::size_t offset = 0;
    for (const ArraySpec& a : f.architecture->arrays())
      for (std::int64_t i = 0; i < a.size(); ++i, ++offset)
        direction.push_back(a.trained ? f.parameters[offset] : 0.0f);
    const auto logits = f.probe->logits();
    const auto derivatives = f.probe->logit_derivatives();
    double along = 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
      double total = 0, weighted = 0;
      for (std::size_t k = 0; k < 4; ++k) {
        const double e =
            std::exp(static_cast<double>(logits[4 * i + k]) - static_cast<double>(logits[4 * i]));
        total += e;
        weighted += e * static_cast<double>(derivatives[4 * i + k]);
      }
      along += (weighted / total - static_cast<double>(derivatives[4 * i + i % 4])) / n;
    }
    const auto gradient = f.probe->mean_gradient(f.parameters);
    double product = 0;
    for (std::size_t i = 0; i < gradient.size(); ++i)
      product += static_cast<double>(gradient[i]) * static_cast<double>(direction[i]);
    CHECK(along == Approx(product).epsilon(1e-4).margin(1e-6));
    const double h = 1e-3;
    CHECK(along == Approx((mean_loss(f, direction, h) - mean_loss(f, direction, -h)) / (2 * h))
                       .epsilon(0.01)
                       .margin(1e-3));
  }
}
