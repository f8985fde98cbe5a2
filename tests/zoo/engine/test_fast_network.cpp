// The fast network against LibTorch's autograd, one step at a time, and against finite differences.
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>

#include "measures/api/error.h"
#include "measures/numerics/philox.h"
#include "tests/support/catch.h"
#include "zoo/data/aligned_vector.h"
#include "zoo/engine/executor.h"
#include "zoo/engine/fast/fast_network.h"
#include "zoo/engine/fast/instruction_set.h"
#include "zoo/engine/general_network.h"

using namespace gapbench;

namespace {

struct Case {
  InputShape input;
  std::function<void(NetworkBuilder&)> build;
};

std::map<std::string, Case> cases() {
  const InputShape digits{1, 8, 8, 10}, colour{3, 16, 16, 10}, odd{3, 11, 9, 7};
  std::map<std::string, Case> all;
  all["fcn"] = {
      digits, [](NetworkBuilder& n) {
        n.flatten().dense("a", 33).activation(Activation::relu).dense("b", 17).activation(Activation::relu);
        n.dense("head", 10);
      }};
  all["linear"] = {digits, [](NetworkBuilder& n) { n.flatten().dense("head", 10); }};
  all["wide fcn"] = {{3, 32, 32, 100}, [](NetworkBuilder& n) {
                       n.flatten().dense("a", 130).activation(Activation::relu).dense("head", 100);
                     }};
  all["fcn with dropout"] = {digits, [](NetworkBuilder& n) {
                               for (const char* name : {"a", "b"})
                                 n.flatten().dense(name, 50).activation(Activation::relu).dropout(0.3);
                               n.dense("head", 10);
                             }};
  for (const auto& [name, kind] : {std::pair{"leaky", Activation::leaky_relu},
                                   {"gelu", Activation::gelu},
                                   {"tanh", Activation::tanh},
                                   {"relu", Activation::relu}})
    all[std::string(name) + " with batch norm and dropout"] = {
        digits, [kind](NetworkBuilder& n) {
          n.flatten().dense("a", 20).batch_norm("na").activation(kind).dropout(0.2);
          n.dense("b", 21).activation(kind).dense("head", 10);
        }};
  const auto nin = [](std::int64_t width, double dropout) {
    return [width, dropout](NetworkBuilder& n) {
      for (const std::string b : {"0", "1"}) {
        n.conv(b + ".0", width, 3, 2, 1).activation(Activation::relu);
        n.conv(b + ".1", width, 1, 1, 0).activation(Activation::relu);
        n.conv(b + ".2", width, 1, 1, 0).activation(Activation::relu).dropout(dropout);
      }
      n.conv("head", n.extent().height > 0 ? 10 : 0, 1, 1, 0).mean_positions();
    };
  };
  all["nin"] = {colour, nin(50, 0)};
  all["nin with dropout, odd sizes"] = {{2, 13, 9, 10}, nin(11, 0.25)};
  all["nin of one channel"] = {{1, 5, 6, 10}, nin(1, 0)};
  all["vgg"] = {colour, [](NetworkBuilder& n) {
                  for (const std::string b : {"0", "1", "2"}) {
                    const std::int64_t width = b == "0" ? 16 : 24;
                    n.conv(b + ".0", width, 3, 1, 1).batch_norm(b + ".n").activation(Activation::relu);
                    n.conv(b + ".1", width, 3, 1, 1, false).batch_norm(b + ".m").activation(Activation::relu);
                    n.max_pool();
                  }
                  n.flatten().dropout(0.5).dense("d", 40).activation(Activation::relu).dense("head", 10);
                }};
  all["pools of odd sizes, gelu, flatten"] = {
      odd, [](NetworkBuilder& n) {
        n.conv("a", 9, 3, 1, 1).activation(Activation::gelu).max_pool();
        n.conv("b", 13, 3, 1, 0).activation(Activation::tanh).dropout(0.4).flatten();
        n.dense("head", 7);
      }};
  all["kernel 5, stride 3"] = {odd, [](NetworkBuilder& n) {
                                 n.conv("a", 6, 5, 1, 2).activation(Activation::leaky_relu);
                                 n.conv("b", 8, 5, 3, 1).activation(Activation::relu);
                                 n.conv("c", 5, 1, 2, 0).flatten().dense("head", 7);
                               }};
  all["pool then activation"] = {
      colour, [](NetworkBuilder& n) {
        n.conv("a", 8, 3, 1, 1).max_pool().activation(Activation::tanh).batch_norm("n").mean_positions();
        n.dense("head", 10);
      }};
  return all;
}

std::unique_ptr<Architecture> build(const Case& c) {
  NetworkBuilder net("test", c.input);
  c.build(net);
  return net.finish();
}

bool has_batch_norm(const Architecture& a) {
  return std::any_of(a.arrays().begin(), a.arrays().end(), [](const ArraySpec& s) { return !s.trained; });
}

struct Batch {
  AlignedVector<float> images, targets;
  std::vector<std::int64_t> labels;
  Batch(const InputShape& shape, std::int64_t n, bool soft, std::uint64_t seed = 1) {
    RandomStream random(seed);
    for (std::int64_t i = 0; i < n * shape.size(); ++i) images.push_back(static_cast<float>(random.normal()));
    for (std::int64_t i = 0; i < n; ++i) {
      labels.push_back(random.below(static_cast<std::uint32_t>(shape.classes)));
      for (std::int64_t k = 0; k < shape.classes; ++k) {
        const float rest = soft ? 0.2f / static_cast<float>(shape.classes) : 0.0f;
        targets.push_back(rest + (k == labels.back() ? (soft ? 0.8f : 1.0f) : 0.0f));
      }
    }
  }
};

// Random values for all arrays, biases too, so that no gradient hides behind a zero.
std::vector<std::vector<float>> random_arrays(const Architecture& a) {
  std::vector<std::vector<float>> values = initial_values(a, "model", 1);
  RandomStream random(3);
  for (std::size_t i = 0; i < values.size(); ++i)
    if (a.arrays()[i].fan_in == 0)
      for (float& v : values[i]) v += static_cast<float>(0.2 * random.uniform());
  return values;
}

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

std::vector<float> row_major_gradient(TrainableNetwork& network, std::size_t i) {
  return network.to_row_major(i, network.gradient(i));
}

}  // namespace

TEST_CASE("samples that are found in a larger set give the bits of samples that were copied together") {
  at::set_num_threads(1);
  constexpr std::int64_t n = 37, all = 90;
  for (const auto& [name, c] : cases())
    for (const bool fast : {true, false}) {
      CAPTURE(name, fast);
      const auto architecture = build(c);
      const auto network =
          fast ? make_fast_network(*architecture, c.input) : make_general_network(*architecture, c.input);
      const Batch set(c.input, all, false), targets(c.input, n, true, 2);
      std::vector<std::uint32_t> rows;
      AlignedVector<float> copied;
      RandomStream random(5);
      for (std::int64_t i = 0; i < n; ++i) {
        rows.push_back(random.below(all));
        const auto at = set.images.begin() + rows.back() * c.input.size();
        copied.insert(copied.end(), at, at + c.input.size());
      }
      const auto values = random_arrays(*architecture);
      double losses[2];
      std::vector<std::vector<float>> gradients[2];
      for (const bool found : {false, true}) {
        import_arrays(*network, values);
        losses[found] = network->loss_and_gradients(
            found ? set.images.data() : copied.data(), targets.targets.data(), n,
            {.dropout_key = 11, .step = 3, .rows = found ? rows.data() : nullptr});
        for (std::size_t i = 0; i < values.size(); ++i) {
          const auto g = network->gradient(i);
          gradients[found].emplace_back(g.begin(), g.end());
        }
      }
      CHECK(losses[0] == losses[1]);
      CHECK(gradients[0] == gradients[1]);
    }
}

TEST_CASE("the fast network agrees with autograd in losses, gradients and running statistics") {
  at::set_num_threads(1);
  const auto set =
      GENERATE(fast::InstructionSet::generic, fast::InstructionSet::avx2, fast::InstructionSet::avx512);
  if (set > fast::widest_instruction_set()) return;
  fast::use_instruction_set(set);
  CAPTURE(fast::to_string(set));
  for (const auto& [name, c] : cases())
    for (const std::int64_t n : {1, 7, 32, 150}) {
      CAPTURE(name, n);
      const auto architecture = build(c);
      // the variance of one value is 0: batch norm then multiplies what rounding left by 316
      if (n == 1 && has_batch_norm(*architecture)) continue;
      const auto fast = make_fast_network(*architecture, c.input),
                 general = make_general_network(*architecture, c.input);
      REQUIRE(fast);
      const auto values = random_arrays(*architecture);
      const Batch batch(c.input, n, n == 7);
      double total = 0;
      for (TrainableNetwork* network : {fast.get(), general.get()}) import_arrays(*network, values);
      CHECK(export_arrays(*fast) == values);
      const StepContext context{.dropout_key = 99, .step = 5};
      const double loss = fast->loss_and_gradients(batch.images.data(), batch.targets.data(), n, context),
                   wanted =
                       general->loss_and_gradients(batch.images.data(), batch.targets.data(), n, context);
      CHECK(loss == Approx(wanted).epsilon(2e-6));
      for (std::size_t i = 0; i < values.size(); ++i) total = std::max(total, norm(general->gradient(i)));
      for (std::size_t i = 0; i < values.size(); ++i) {
        CAPTURE(architecture->arrays()[i].name);
        if (!architecture->arrays()[i].trained) {
          CHECK(distance(fast->array(i), general->array(i)) <= 1e-6 * (1 + norm(general->array(i))));
          CHECK(fast->gradient(i).empty());
          continue;
        }
        const auto g = row_major_gradient(*general, i);
        // a bias before batch norm has gradient 0: there only rounding is left, relative to the others
        CHECK(distance(row_major_gradient(*fast, i), g) <= 5e-5 * norm(g) + 5e-6 * total);
      }
      const Metrics ours = fast->evaluate(batch.images.data(), batch.labels.data(), n),
                    theirs = general->evaluate(batch.images.data(), batch.labels.data(), n);
      CHECK(ours.cross_entropy == Approx(theirs.cross_entropy).epsilon(2e-6));
      CHECK(ours.error == theirs.error);
    }
  fast::use_instruction_set(fast::widest_instruction_set());
}

TEST_CASE("gradients in evaluation mode agree with autograd and leave the running statistics") {
  at::set_num_threads(1);
  for (const auto& [name, c] : cases())
    for (const std::int64_t n : {1, 33}) {
      CAPTURE(name, n);
      const auto architecture = build(c);
      const auto fast = make_fast_network(*architecture, c.input),
                 general = make_general_network(*architecture, c.input);
      const auto values = random_arrays(*architecture);
      const Batch batch(c.input, n, false);
      double total = 0, loss = 0;
      for (TrainableNetwork* network : {fast.get(), general.get()}) {
        import_arrays(*network, values);
        loss = network->loss_and_gradients(batch.images.data(), batch.targets.data(), n,
                                           {.dropout_key = 99, .evaluation = true});
        CHECK(export_arrays(*network) == values);
        const Metrics metrics = network->evaluate(batch.images.data(), batch.labels.data(), n);
        CHECK(loss == Approx(metrics.cross_entropy).epsilon(2e-6));
      }
      for (std::size_t i = 0; i < values.size(); ++i) total = std::max(total, norm(general->gradient(i)));
      for (std::size_t i = 0; i < values.size(); ++i) {
        CAPTURE(architecture->arrays()[i].name);
        if (!architecture->arrays()[i].trained) continue;
        const auto g = row_major_gradient(*general, i);
        CHECK(distance(row_major_gradient(*fast, i), g) <= 5e-5 * norm(g) + 5e-6 * total);
      }
    }
}

TEST_CASE("gradients of the fast network agree with finite differences") {
  for (const auto& [name, c] : cases()) {
    CAPTURE(name);
    const auto architecture = build(c);
    const auto network = make_fast_network(*architecture, c.input);
    auto values = random_arrays(*architecture);
    const Batch batch(c.input, 24, true);
    const StepContext context{.dropout_key = 7, .step = 3, .update_statistics = false};
    const auto loss = [&](const std::vector<std::vector<float>>& at) {
      import_arrays(*network, at);
      return network->loss_and_gradients(batch.images.data(), batch.targets.data(), 24, context);
    };
    RandomStream random(17);
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (!architecture->arrays()[i].trained) continue;
      CAPTURE(architecture->arrays()[i].name);
      loss(values);
      const std::vector<float> g = row_major_gradient(*network, i);
      // along the gradient and a random direction together: both sizes of component count
      const double size = norm(g) + 1e-12;
      std::vector<double> direction(g.size());
      double length = 0, wanted = 0;
      for (std::size_t k = 0; k < g.size(); ++k) {
        direction[k] =
            static_cast<double>(g[k]) / size + random.normal() / std::sqrt(static_cast<double>(g.size()));
        length += direction[k] * direction[k];
      }
      // small enough that few units change sides of a kink, large enough for float32 losses
      const double h = 2e-3 * (0.1 + norm(values[i])) / std::sqrt(length);
      auto plus = values, minus = values;
      for (std::size_t k = 0; k < g.size(); ++k) {
        plus[i][k] += static_cast<float>(h * direction[k]);
        minus[i][k] -= static_cast<float>(h * direction[k]);
        wanted +=
            static_cast<double>(g[k]) * (static_cast<double>(plus[i][k]) - static_cast<double>(minus[i][k]));
      }
      const double found = loss(plus) - loss(minus);
      CHECK(std::abs(found - wanted) <= 0.05 * std::abs(wanted) + 2e-6);
    }
  }
}

TEST_CASE("what a network computes does not depend on what it computed before") {
  for (const auto& [name, c] : cases()) {
    CAPTURE(name);
    const auto architecture = build(c);
    const auto used = make_fast_network(*architecture, c.input),
               fresh = make_fast_network(*architecture, c.input);
    const auto values = random_arrays(*architecture);
    const Batch large(c.input, 90, true, 5), small(c.input, 6, false, 6);
    const StepContext context{.dropout_key = 1, .step = 9};
    import_arrays(*used, values);
    used->loss_and_gradients(small.images.data(), small.targets.data(), 3, {.dropout_key = 8, .step = 2});
    used->loss_and_gradients(large.images.data(), large.targets.data(), 90, {.dropout_key = 8, .step = 2});
    used->evaluate(large.images.data(), large.labels.data(), 90);
    import_arrays(*used, values);
    import_arrays(*fresh, values);
    CHECK(used->loss_and_gradients(small.images.data(), small.targets.data(), 6, context) ==
          fresh->loss_and_gradients(small.images.data(), small.targets.data(), 6, context));
    for (std::size_t i = 0; i < values.size(); ++i) {
      CHECK(std::ranges::equal(used->gradient(i), fresh->gradient(i)));
      CHECK(std::ranges::equal(used->array(i), fresh->array(i)));  // running statistics moved alike
    }
    const Metrics a = used->evaluate(small.images.data(), small.labels.data(), 6),
                  b = fresh->evaluate(small.images.data(), small.labels.data(), 6);
    CHECK(a.cross_entropy == b.cross_entropy);
  }
}

TEST_CASE("running statistics stay where the step says so") {
  const Case c = cases().at("vgg");
  const auto architecture = build(c);
  const auto network = make_fast_network(*architecture, c.input);
  const auto values = random_arrays(*architecture);
  import_arrays(*network, values);
  const Batch batch(c.input, 20, false);
  network->loss_and_gradients(batch.images.data(), batch.targets.data(), 20, {.update_statistics = false});
  CHECK(export_arrays(*network) == values);
  network->loss_and_gradients(batch.images.data(), batch.targets.data(), 20, {});
  for (std::size_t i = 0; i < values.size(); ++i)
    CHECK((export_arrays(*network)[i] == values[i]) == architecture->arrays()[i].trained);
}

TEST_CASE("short trainings agree between the executors, and their bits do not depend on workers") {
  at::set_num_threads(1);
  const Dataset digits = load_dataset("digits", "");
  std::vector<ModelSpec> models;
  for (const char* text :
       {R"({"network": "fcn", "depth": 2, "width": 30, "activation": "tanh", "dropout": 0.2})",
        R"({"network": "fcn", "depth": 1, "width": 50, "optimizer": "adam", "lr": 0.002})",
        R"({"network": "nin", "depth": 2, "width": 12, "activation": "gelu"})",
        R"({"network": "cnn", "depth": 2, "width": 8, "activation": "leaky_relu"})"}) {
    auto values = nlohmann::json::parse(text);
    values["max_epochs"] = 3;
    values["train_size"] = 700;
    values["batch_size"] = 64;
    values["target_cross_entropy"] = 0;
    models.emplace_back("digits", digits.sha256, HyperParameters::from_json(values, "test"), 1);
  }
  const auto run = [&](int workers, ExecutorChoice choice) {
    std::map<std::string, TrainedModel> trained;
    std::mutex mutex;
    ExecutorEvents events;
    events.finished = [&](const ModelSpec& m, const Architecture&, const TrainedModel& t, double) {
      const std::lock_guard lock(mutex);
      trained[m.id] = t;
    };
    events.failed = [&](const ModelSpec&, const std::string& what) { throw std::runtime_error(what); };
    TrainingDataCache cache(digits);
    make_executor(workers, choice)->run(models, cache, events);
    REQUIRE(trained.size() == models.size());
    return trained;
  };
  auto fast = run(1, ExecutorChoice::fast), parallel = run(3, ExecutorChoice::automatic),
       general = run(2, ExecutorChoice::general);
  for (const ModelSpec& m : models) {
    CAPTURE(m.hp.network, m.hp.activation, m.hp.optimizer);
    const TrainState &a = fast[m.id].state, &b = parallel[m.id].state, &c = general[m.id].state;
    CHECK(a.arrays == b.arrays);
    REQUIRE(a.history.size() == c.history.size());
    for (std::size_t e = 0; e < a.history.size(); ++e) {
      CHECK(a.history[e].batch_loss == Approx(c.history[e].batch_loss).epsilon(1e-4));
      CHECK(a.history[e].train.cross_entropy == Approx(c.history[e].train.cross_entropy).epsilon(1e-3));
      CHECK(a.history[e].test.cross_entropy == Approx(c.history[e].test.cross_entropy).epsilon(1e-3));
    }
    CHECK(a.history.back().train.cross_entropy < 0.95 * a.history.front().batch_loss);
  }
}

TEST_CASE("each architecture finds an executor") {
  const InputShape input{3, 32, 32, 10};
  const auto make = [&](const char* network, ExecutorChoice choice) {
    const auto architecture = make_architecture(
        HyperParameters::from_json({{"network", network}, {"width_multiplier", 0.1}}, "test"), input);
    return make_network(*architecture, input, choice) != nullptr;
  };
  CHECK(make("resnet18", ExecutorChoice::automatic));
  CHECK(make("resnet18", ExecutorChoice::general));
  CHECK_THROWS_AS(make("resnet18", ExecutorChoice::fast), InputError);
  CHECK(executor_choice("fast") == ExecutorChoice::fast);
  CHECK_THROWS_AS(executor_choice("quick"), UsageError);
}
