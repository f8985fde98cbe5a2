// The probe on the fast and on the general network and on stacks: the same numbers, in any stack, on any number of threads.
#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>
#include <thread>

#include "measures/api/error.h"
#include "measures/numerics/philox.h"
#include "tests/support/catch.h"
#include "zoo/engine/network_probe.h"
#include "zoo/engine/stack/device.h"
#include "zoo/engine/stack/stack_probe.h"

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
      {{"network", "resnet18"}, {"width_multiplier", 0.1}},
      {{"network", "cnn"}, {"depth", 2}, {"width", 5}, {"batch_norm", "on"}, {"activation", "gelu"}}};
  return all;
}

struct Case {
  std::unique_ptr<Architecture> architecture;
  std::shared_ptr<TrainingData> data = std::make_shared<TrainingData>();
  std::vector<std::vector<float>> sets;  // concatenated parameters, the model's own first

  Case(const json& hp, std::int64_t n)
      : Case(hp, n,
             hp["network"] == "vgg11" || hp["network"] == "resnet18" ? InputShape{3, 32, 32, 10}
                                                                     : InputShape{2, 11, 9, 7}) {}
  Case(const json& hp, std::int64_t n, const InputShape& shape) {
    data->shape = shape;
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
  std::vector<std::span<const float>> arrays() const {
    std::vector<std::span<const float>> arrays;
    std::size_t offset = 0;
    for (const ArraySpec& spec : architecture->arrays()) {
      arrays.push_back(std::span(sets[0]).subspan(offset, static_cast<std::size_t>(spec.size())));
      offset += static_cast<std::size_t>(spec.size());
    }
    return arrays;
  }
  std::unique_ptr<Probe> probe(int threads, ExecutorChoice choice = ExecutorChoice::automatic,
                               bool with_derivatives = false) const {
    return make_network_probe(*architecture, data, data->train.labels, arrays(), threads, choice,
                              with_derivatives);
  }
  std::unique_ptr<Probe> on_device(stack::ProbeDevice& device, bool with_derivatives = false,
                                   std::function<void(std::int64_t)> before_pass = {}) const {
    return stack::make_stack_probe(*architecture, data, data->train.labels, arrays(), device,
                                   with_derivatives, std::move(before_pass));
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

std::vector<float> copy_of(std::span<const float> v) {
  return {v.begin(), v.end()};
}

// Of many units a few lie within rounding of the kink of ReLU, and how products are rounded is the compiler's choice too.
constexpr double gradient_tolerance = 5e-4;

// Every function of both, on the first k parameter sets and some samples.
void check_alike(const Case& c, Probe& found, Probe& wanted, std::size_t k) {
  CHECK(distance(found.logits(), wanted.logits()) <= 1e-5 * norm(wanted.logits()));
  CHECK(distance(found.logit_derivatives(), wanted.logit_derivatives()) <=
        2e-5 * norm(wanted.logit_derivatives()));
  CHECK(std::equal(found.labels().begin(), found.labels().end(), wanted.labels().begin(),
                   wanted.labels().end()));
  const auto stack = c.stack(k);
  const std::vector<double> losses = found.mean_losses(stack), wanted_losses = wanted.mean_losses(stack);
  REQUIRE(losses.size() == k);
  for (std::size_t i = 0; i < k; ++i) CHECK(losses[i] == Approx(wanted_losses[i]).epsilon(3e-6));
  const std::vector<float> whole = found.mean_gradient(stack.back()),
                           wanted_whole = wanted.mean_gradient(stack.back());
  CHECK(distance(whole, wanted_whole) <= gradient_tolerance * norm(wanted_whole));
  for (const std::vector<std::int64_t>& some :
       {std::vector<std::int64_t>{7, 3, 19, 0, 11, 3}, {4, 5, 6, 7}, {}}) {
    std::vector<float> z(k * some.size() * static_cast<std::size_t>(c.data->shape.classes)), wanted_z = z;
    found.logits_of(stack, some, z);
    wanted.logits_of(stack, some, wanted_z);
    CHECK(distance(z, wanted_z) <= 1e-5 * norm(wanted_z));
    if (some.empty()) continue;
    const auto gradients = found.gradients_of(stack, some), reference = wanted.gradients_of(stack, some);
    REQUIRE(gradients.size() == k);
    for (std::size_t i = 0; i < k; ++i) {
      REQUIRE(norm(reference[i]) > 0);
      CHECK(distance(gradients[i], reference[i]) <= gradient_tolerance * norm(reference[i]));
      std::size_t offset = 0;
      for (const ArraySpec& spec : c.architecture->arrays()) {
        const auto n = static_cast<std::size_t>(spec.size());
        if (!spec.trained) CHECK(norm(std::span(gradients[i]).subspan(offset, n)) == 0);
        offset += n;
      }
    }
  }
}

std::vector<at::Device> devices() {
  std::vector<at::Device> all = {at::Device(at::kCPU)};
  if (stack::cuda_device_present()) all.emplace_back(at::kCUDA, 0);
  return all;
}

}  // namespace

TEST_CASE("the probe on stacks gives what the probe of single networks gives") {
  at::set_num_threads(1);
  for (const at::Device& where : devices()) {
    stack::ProbeDevice device(where, 1);
    for (const json& hp : networks()) {
      CAPTURE(hp.dump(), where.str());
      const bool large = hp["network"] == "vgg11" || hp["network"] == "resnet18";
      const Case c(hp, large ? 20 : 270);
      const auto found = c.on_device(device), fast = c.probe(1),
                 general = c.probe(1, ExecutorChoice::general);
      CHECK(found->execution().starts_with("stack/"));
      CHECK(found->samples() == c.data->train.count);
      CHECK(found->classes() == c.data->shape.classes);
      for (const std::size_t k : {1u, 3u, 8u}) {
        CAPTURE(k);
        check_alike(c, *found, *general, k);
        check_alike(c, *found, *fast, k);
      }
      // the pass that gives derivatives too gives the same logits; two probes of one device the same values
      const auto both = c.on_device(device, true);
      CHECK(copy_of(both->logits()) == copy_of(c.on_device(device)->logits()));
      CHECK(copy_of(both->logit_derivatives()) == copy_of(found->logit_derivatives()));
    }
  }
}

TEST_CASE("a probe on stacks whose memory ends goes on in smaller blocks, down to one sample") {
  at::set_num_threads(1);
  for (const std::size_t which : {0u, 3u}) {
    const Case c(networks()[which], 60);
    stack::ProbeDevice device(at::Device(at::kCPU), 1);
    const auto wanted = c.on_device(device);
    std::vector<std::int64_t> tried;
    const auto limited = c.on_device(device, false, [&](std::int64_t floats) {
      tried.push_back(floats);
      if (floats > 1 << 14) throw c10::OutOfMemoryError({}, "out of memory");
    });
    check_alike(c, *limited, *wanted, 8);
    REQUIRE(tried.size() > 9);
    CHECK(tried[0] == 2 * tried[1]);
    CHECK(tried.back() == 1 << 14);
    CHECK(static_cast<std::int64_t>(std::count(tried.begin(), tried.end(), 1 << 14)) > 20);  // several parts

    const auto none =
        c.on_device(device, false, [](std::int64_t) { throw c10::OutOfMemoryError({}, "out of memory"); });
    CHECK_THROWS_AS(none->mean_losses(c.stack(1)), c10::OutOfMemoryError);
  }
}

TEST_CASE("probes of several models share a device, each in its thread") {
  at::set_num_threads(1);
  for (const at::Device& where : devices()) {
    CAPTURE(where.str());
    stack::ProbeDevice device(where, 3);
    std::vector<Case> cases;
    for (const std::size_t which : {0u, 3u, 7u}) cases.emplace_back(networks()[which], 50);
    std::vector<std::vector<double>> alone(cases.size()), together(cases.size());
    const auto measure = [&](std::size_t i) {
      at::set_num_threads(1);
      const auto probe = cases[i].on_device(device);
      std::vector<double> values = probe->mean_losses(cases[i].stack(8));
      for (const float g : probe->mean_gradient(cases[i].sets[2])) values.push_back(static_cast<double>(g));
      for (const float d : probe->logit_derivatives()) values.push_back(static_cast<double>(d));
      return values;
    };
    for (std::size_t i = 0; i < cases.size(); ++i) alone[i] = measure(i);
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < cases.size(); ++i)
      threads.emplace_back([&, i] {
        for (int again = 0; again < 5; ++again) together[i] = measure(i);
      });
    threads.clear();
    CHECK(together == alone);
  }
}

TEST_CASE("probes take stacks where they serve the network, and the CPU elsewhere") {
  const Case fcn(networks()[0], 10);
  const Probes stacks(ExecutorChoice::stack, DeviceChoice::cpu, 2),
      automatic(ExecutorChoice::automatic, DeviceChoice::cpu, 2),
      general(ExecutorChoice::general, DeviceChoice::automatic, 2),
      any(ExecutorChoice::automatic, DeviceChoice::automatic, 2);
  const auto execution = [](const Probes& probes, const Case& c) {
    return probes.make(*c.architecture, c.data, c.data->train.labels, c.arrays(), 1, false)->execution();
  };
  CHECK(execution(stacks, fcn).starts_with("stack/cpu/"));
  CHECK(execution(automatic, fcn).starts_with("fast/"));
  CHECK(execution(general, fcn).starts_with("general/"));
  CHECK(execution(any, fcn).starts_with(stack::cuda_device_present() ? "stack/" : "fast/"));
  const Case mixer({{"network", "mixer"}, {"depth", 1}, {"width", 6}}, 10, {2, 8, 8, 4});
  CHECK(execution(automatic, mixer).starts_with("general/"));
  CHECK(execution(any, mixer).starts_with("general/"));
  CHECK_THROWS_AS(execution(stacks, mixer), InputError);
}

TEST_CASE("a stack of parameter sets gives what autograd's network gives, one at a time or together") {
  at::set_num_threads(1);
  for (const json& hp : networks()) {
    CAPTURE(hp.dump());
    const bool large = hp["network"] == "vgg11" || hp["network"] == "resnet18";
    const Case c(hp, large ? 20 : 270);  // more than one block of work where that is cheap
    const auto ours = c.probe(1), two = c.probe(2), general = c.probe(1, ExecutorChoice::general);
    CHECK(distance(ours->logits(), general->logits()) <= 1e-5 * norm(general->logits()));
    for (const auto choice : {ExecutorChoice::automatic, ExecutorChoice::general}) {
      const auto plain = c.probe(1, choice), both = c.probe(2, choice, true);
      CHECK(copy_of(plain->logits()) == copy_of(both->logits()));  // of the pass that gives derivatives too
      CHECK(copy_of(plain->logit_derivatives()) == copy_of(both->logit_derivatives()));
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
  // without and with batch norm and dropout, which evaluation leaves out
  const std::size_t which = GENERATE(0u, 3u);
  {
    const Case c(networks()[which], 130);
    CAPTURE(networks()[which].dump());
    const auto choice = GENERATE(ExecutorChoice::automatic, ExecutorChoice::stack);
    const Probes probes(choice, DeviceChoice::automatic, 1);
    const auto probe = probes.make(*c.architecture, c.data, c.data->train.labels, c.arrays(), 1, false);
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
  stack::ProbeDevice device(at::Device(at::kCPU), 1);
  const auto probe = GENERATE(false, true) ? c.on_device(device) : c.probe(2);
  const std::vector<float> few(3);
  const std::vector<Probe::Parameters> wrong = {few};
  CHECK_THROWS_AS(probe->mean_losses(wrong), InternalError);
  CHECK_THROWS_AS(probe->mean_gradient(few), InternalError);
  std::vector<float> room(static_cast<std::size_t>(c.data->shape.classes));
  const std::vector<std::int64_t> beyond = {10}, pair = {1, 2};
  CHECK_THROWS_AS(probe->logits_of(c.stack(1), beyond, room), InternalError);
  CHECK_THROWS_AS(probe->logits_of(c.stack(1), pair, room), InternalError);
}
