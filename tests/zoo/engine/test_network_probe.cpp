// The probe on the fast and on the general network: the same numbers, in any stack, on any number of threads.
#include <ATen/Parallel.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "measures/api/error.h"
#include "measures/numerics/philox.h"
#include "tests/support/catch.h"
#include "zoo/engine/network_probe.h"

using namespace gapbench;
using nlohmann::json;

namespace {

const std::vector<json>& networks() {
  static const std::vector<json> all = {
      {{"network", "fcn"}, {"depth", 2}, {"width", 30}, {"batch_norm", "off"}},
      {{"network", "fcn"}, {"depth", 2}, {"width", 30}, {"batch_norm", "on"}},
      {{"network", "nin"}, {"depth", 2}, {"width", 12}, {"batch_norm", "off"}},
      {{"network", "nin"}, {"depth", 2}, {"width", 12}, {"batch_norm", "on"}, {"dropout", 0.3}},
      {{"network", "vgg11"}, {"width_multiplier", 0.1}, {"batch_norm", "off"}},
      {{"network", "vgg11"}, {"width_multiplier", 0.1}, {"batch_norm", "on"}, {"dropout", 0.5}},
      {{"network", "resnet18"}, {"width_multiplier", 0.1}}};
  return all;
}

struct Case {
  std::unique_ptr<Architecture> architecture;
  std::shared_ptr<TrainingData> data = std::make_shared<TrainingData>();
  std::vector<std::vector<float>> sets;  // concatenated parameters, the model's own first

  explicit Case(const json& hp, std::int64_t n) {
    data->shape = hp["network"] == "vgg11" || hp["network"] == "resnet18" ? InputShape{3, 32, 32, 10}
                                                                          : InputShape{2, 11, 9, 7};
    architecture = make_architecture(HyperParameters::from_json(hp, "test"), data->shape);
    data->channels_last = architecture->channels_last();
    data->train.count = n;
    RandomStream random(4);
    for (std::int64_t i = 0; i < n * data->shape.size(); ++i)
      data->train.images.push_back(static_cast<float>(random.normal()));
    for (std::int64_t i = 0; i < n; ++i)
      data->train.labels.push_back(random.below(static_cast<std::uint32_t>(data->shape.classes)));
    for (int k = 0; k < 8; ++k) {
      sets.emplace_back();
      const auto values = initial_values(*architecture, "probe", 1);
      for (std::size_t i = 0; i < values.size(); ++i)
        for (const float v : values[i])  // biases and statistics move too, variances stay positive
          sets.back().push_back(
              v +
              static_cast<float>((architecture->arrays()[i].fan_in > 0 ? 0.01 * k : 0.3) * random.uniform()));
    }
  }
  std::unique_ptr<Probe> probe(int threads, ExecutorChoice choice = ExecutorChoice::automatic,
                               bool with_derivatives = false) const {
    std::vector<std::span<const float>> arrays;
    std::size_t offset = 0;
    for (const ArraySpec& spec : architecture->arrays()) {
      arrays.push_back(std::span(sets[0]).subspan(offset, static_cast<std::size_t>(spec.size())));
      offset += static_cast<std::size_t>(spec.size());
    }
    return make_network_probe(*architecture, data, data->train.labels, arrays, threads, choice,
                              with_derivatives);
  }
  std::vector<Probe::Parameters> stack(std::size_t k) const {
    return {sets.begin(), sets.begin() + static_cast<std::ptrdiff_t>(k)};
  }
};

double distance(std::span<const float> a, std::span<const float> b) {
  REQUIRE(a.size() == b.size());
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    sum += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
  return std::sqrt(sum);
}
double norm(std::span<const float> a) {
  return distance(a, std::vector<float>(a.size()));
}

}  // namespace

TEST_CASE("a stack of parameter sets gives what autograd's network gives, one at a time or together") {
  at::set_num_threads(1);
  for (const json& hp : networks()) {
    CAPTURE(hp.dump());
    const bool large = hp["network"] == "vgg11" || hp["network"] == "resnet18";
    const Case c(hp, large ? 20 : 270);  // more than one block of work where that is cheap
    const auto ours = c.probe(1), two = c.probe(2), general = c.probe(1, ExecutorChoice::general);
    CHECK(distance(ours->logits(), general->logits()) <= 1e-5 * norm(general->logits()));
    const auto values = [](std::span<const float> v) { return std::vector<float>(v.begin(), v.end()); };
    for (const auto choice : {ExecutorChoice::automatic, ExecutorChoice::general}) {
      const auto plain = c.probe(1, choice), both = c.probe(2, choice, true);
      CHECK(values(plain->logits()) == values(both->logits()));  // of the pass that gives derivatives too
      CHECK(values(plain->logit_derivatives()) == values(both->logit_derivatives()));
    }
    const auto expected = general->logit_derivatives();
    CHECK(distance(ours->logit_derivatives(), expected) <= 1e-5 * norm(expected));
    const std::vector<double> alone = ours->mean_losses(c.stack(1));
    for (const std::size_t k : {1u, 3u, 8u}) {
      const auto stack = c.stack(k);
      const std::vector<double> losses = ours->mean_losses(stack), wanted = general->mean_losses(stack);
      REQUIRE(losses.size() == k);
      CHECK(losses[0] == alone[0]);
      CHECK(losses == two->mean_losses(stack));
      for (std::size_t i = 0; i < k; ++i) CHECK(losses[i] == Approx(wanted[i]).epsilon(2e-6));

      const std::vector<std::int64_t> some = {7, 3, 19, 0, 11};
      std::vector<float> z(k * some.size() * static_cast<std::size_t>(c.data->shape.classes)), of_two = z,
                                                                                               of_general = z;
      ours->logits_of(stack, some, z);
      two->logits_of(stack, some, of_two);
      general->logits_of(stack, some, of_general);
      CHECK(z == of_two);
      CHECK(distance(z, of_general) <= 1e-5 * norm(of_general));

      const auto gradients = ours->gradients_of(stack, some), reference = general->gradients_of(stack, some);
      CHECK(gradients == two->gradients_of(stack, some));
      for (std::size_t i = 0; i < k; ++i)
        CHECK(distance(gradients[i], reference[i]) <= 1e-4 * norm(reference[i]));
    }
  }
}

TEST_CASE("logits of chosen samples are those of a pass over all") {
  const Case c(networks()[2], 40);
  const auto probe = c.probe(2);
  const auto classes = static_cast<std::size_t>(c.data->shape.classes);
  const std::vector<std::int64_t> some = {39, 0, 5, 5, 21};
  std::vector<float> z(some.size() * classes);
  probe->logits_of(c.stack(1), some, z);
  const auto all = probe->logits();
  for (std::size_t i = 0; i < some.size(); ++i)
    for (std::size_t j = 0; j < classes; ++j)
      CHECK(z[i * classes + j] ==
            Approx(all[static_cast<std::size_t>(some[i]) * classes + j]).epsilon(1e-5).margin(1e-6));
}

TEST_CASE("the gradient of the mean loss is its slope") {
  for (const std::size_t which :
       {0u, 3u}) {  // without and with batch norm and dropout, which evaluation leaves out
    const Case c(networks()[which], 130);
    CAPTURE(networks()[which].dump());
    const auto probe = c.probe(1);
    const std::vector<float> g = probe->mean_gradient(c.sets[1]);
    std::size_t offset = 0;
    for (const ArraySpec& spec : c.architecture->arrays()) {
      CAPTURE(spec.name);
      const auto n = static_cast<std::size_t>(spec.size());
      const auto part = std::span(g).subspan(offset, n);
      if (!spec.trained) {
        CHECK(norm(part) == 0);
      } else {
        std::vector<float> up = c.sets[1], down = c.sets[1];
        const double length = norm(part), h = 2e-3;
        double step = 0;
        for (std::size_t i = 0; i < n; ++i) {
          const float d = length > 0 ? static_cast<float>(h * static_cast<double>(part[i]) / length) : 0;
          up[offset + i] += d;
          down[offset + i] -= d;
          step += (static_cast<double>(up[offset + i]) - static_cast<double>(down[offset + i])) *
                  static_cast<double>(part[i]);
        }
        const std::vector<Probe::Parameters> both = {up, down};
        const auto losses = probe->mean_losses(both);
        CHECK(losses[0] - losses[1] == Approx(step).epsilon(0.05).margin(2e-6));
      }
      offset += n;
    }
  }
}

TEST_CASE("the probe refuses what does not fit") {
  const Case c(networks()[0], 10);
  const auto probe = c.probe(2);
  const std::vector<float> few(3);
  const std::vector<Probe::Parameters> wrong = {few};
  CHECK_THROWS_AS(probe->mean_losses(wrong), InternalError);
  CHECK_THROWS_AS(probe->mean_gradient(few), InternalError);
  std::vector<float> room(static_cast<std::size_t>(c.data->shape.classes));
  const std::vector<std::int64_t> beyond = {10}, pair = {1, 2};
  CHECK_THROWS_AS(probe->logits_of(c.stack(1), beyond, room), InternalError);
  CHECK_THROWS_AS(probe->logits_of(c.stack(1), pair, room), InternalError);
}
