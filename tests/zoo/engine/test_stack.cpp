// Stacks against the general network: one step, whole trainings, replacement, checkpoints. On the CPU, and on a CUDA
// device where there is one.
#include <ATen/Parallel.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "measures/api/error.h"
#include "measures/numerics/philox.h"
#include "tests/support/catch.h"
#include "zoo/engine/executor.h"
#include "zoo/engine/general_network.h"
#include "zoo/engine/stack/device.h"
#include "zoo/engine/stack/gradient_rules.h"
#include "zoo/engine/stack/network.h"
#include "zoo/engine/stack/operations.h"
#include "zoo/engine/stack/stack_executor.h"
#include "zoo/training/augmentation.h"
#include "zoo/training/gradient_map.h"

using namespace gapbench;

namespace {

std::vector<at::Device> devices() {
  std::vector<at::Device> all = {at::Device(at::kCPU)};
  if (stack::cuda_device_present()) all.emplace_back(at::kCUDA, 0);
  return all;
}

struct Case {
  InputShape input;
  std::function<void(NetworkBuilder&)> build;
};

std::map<std::string, Case> cases() {
  const InputShape digits{1, 8, 8, 10}, colour{3, 12, 12, 10}, odd{2, 11, 9, 7};
  std::map<std::string, Case> all;
  all["fcn"] = {digits, [](NetworkBuilder& n) {
                  n.flatten().dense("a", 33).activation(Activation::relu).dense("b", 17);
                  n.activation(Activation::tanh).dense("head", 10);
                }};
  for (const auto& [name, kind] :
       {std::pair{"leaky", Activation::leaky_relu}, {"gelu", Activation::gelu}, {"tanh", Activation::tanh}})
    all[std::string("fcn, ") + name + ", batch norm, dropout"] = {
        digits, [kind](NetworkBuilder& n) {
          n.flatten().dense("a", 20).batch_norm("na").activation(kind).dropout(0.2);
          n.dense("b", 21).activation(kind).dropout(0.4).dense("head", 10);
        }};
  all["nin"] = {odd, [](NetworkBuilder& n) {
                  for (const std::string b : {"0", "1"}) {
                    n.conv(b + ".0", 9, 3, 2, 1).activation(Activation::relu);
                    n.conv(b + ".1", 9, 1, 1, 0).batch_norm(b).activation(Activation::relu).dropout(0.3);
                  }
                  n.conv("head", 7, 1, 1, 0).mean_positions();
                }};
  all["vgg"] = {colour, [](NetworkBuilder& n) {
                  n.conv("0", 8, 3, 1, 1).batch_norm("n").activation(Activation::relu);
                  n.conv("1", 12, 3, 1, 1, false).batch_norm("m").activation(Activation::gelu).max_pool();
                  n.conv("2", 6, 5, 1, 1).activation(Activation::relu).flatten().dropout(0.5);
                  n.dense("d", 15).activation(Activation::relu).dense("head", 10);
                }};
  all["residual and dense"] = {colour, [](NetworkBuilder& n) {
                                 n.conv("0", 8, 3, 1, 1).activation(Activation::relu);
                                 const auto shortcut = n.value();
                                 n.conv("1", 8, 3, 1, 1).batch_norm("n").add(shortcut);
                                 n.activation(Activation::relu).mean_pool();
                                 const auto before = n.value();
                                 n.conv("2", 5, 3, 1, 1).activation(Activation::relu).concat(before);
                                 n.dropout(0.2).mean_positions().dense("head", 10);
                               }};
  return all;
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

at::Tensor tensor(const std::vector<float>& values, at::IntArrayRef shape) {
  return at::from_blob(const_cast<float*>(values.data()), shape, at::TensorOptions().dtype(at::kFloat))
      .clone();
}

}  // namespace

TEST_CASE("each member of a stack has the losses, gradients and running statistics of its lone network") {
  at::set_num_threads(1);
  const at::Device device = GENERATE(from_range(devices()));
  for (const auto& [name, c] : cases())
    for (const std::int64_t members : {1, 3, 8})
      for (const bool training : {true, false}) {
        CAPTURE(name, members, training, device.str());
        NetworkBuilder builder("test", c.input);
        c.build(builder);
        const auto architecture = builder.finish();
        REQUIRE(stack::serves(*architecture));
        const stack::StreamScope scope(device);
        const stack::Network network(*architecture);
        const stack::Layout& layout = network.layout();
        constexpr std::int64_t n = 24;
        const auto classes = static_cast<std::size_t>(c.input.classes);
        RandomStream random(7);
        const auto to = [&](const at::Tensor& t) { return t.to(device); };
        std::vector<float> trained(static_cast<std::size_t>(members * layout.trained_size())),
            buffers(static_cast<std::size_t>(members * layout.buffer_size())), images, targets;
        std::vector<std::vector<std::vector<float>>> values;
        std::vector<std::int64_t> labels, keys, steps, thresholds;
        std::vector<float> smooth, added;
        for (std::int64_t k = 0; k < members; ++k) {
          values.push_back(
              initial_values(*architecture, "model" + std::to_string(k), 1 + 0.1 * static_cast<double>(k)));
          for (std::size_t i = 0; i < values.back().size(); ++i)
            if (architecture->arrays()[i].fan_in == 0)
              for (float& v : values.back()[i]) v += static_cast<float>(0.2 * random.uniform());
          layout.pack(values.back(), trained.data() + k * layout.trained_size(),
                      buffers.data() + k * layout.buffer_size());
          CHECK(layout.unpack(trained.data() + k * layout.trained_size(),
                              buffers.data() + k * layout.buffer_size()) == values.back());
          for (std::int64_t i = 0; i < n * c.input.size(); ++i)
            images.push_back(static_cast<float>(random.normal()));
          for (std::int64_t i = 0; i < n; ++i)
            labels.push_back(random.below(static_cast<std::uint32_t>(classes)));
          keys.push_back(static_cast<std::int64_t>(random_key("model" + std::to_string(k), "dropout")));
          steps.push_back(5 + 1000 * k);
          smooth.push_back(0.01f * static_cast<float>(k));
          added.push_back(1 - smooth.back() * static_cast<float>(classes));
        }
        const auto integers = at::TensorOptions().dtype(at::kLong);
        const std::int64_t places = static_cast<std::int64_t>(network.dropouts());
        at::Tensor threshold = at::zeros({places, members}, integers), scale = at::zeros({places, members});
        std::int64_t place = 0;
        for (const Op& op : architecture->plan().ops)
          if (op.kind == OpKind::dropout) {
            threshold[place].fill_(static_cast<std::int64_t>(op.probability * 0x1p32));
            scale[place++].fill_(static_cast<float>(1 / (1 - op.probability)));
          }
        const stack::Randomness randomness = {to(at::from_blob(keys.data(), {members}, integers)),
                                              to(at::from_blob(steps.data(), {members}, integers)),
                                              to(threshold), to(scale)};
        const stack::Arrays arrays = {to(tensor(trained, {members, layout.trained_size()})),
                                      to(tensor(buffers, {members, layout.buffer_size()}))};
        const at::Tensor gradients = at::zeros_like(arrays.trained),
                         moving = at::ones({members}, at::TensorOptions().dtype(at::kBool)).to(device);
        const at::Tensor x = to(tensor(images, {members, n, c.input.size()})),
                         y = to(at::from_blob(labels.data(), {members, n}, integers));
        stack::Trace trace;
        const at::Tensor logits = training ? network.train(arrays, x, randomness, moving, trace)
                                           : network.evaluate(arrays, x, &trace);
        const stack::Loss loss =
            stack::softmax_loss(logits, stack::target_rows(y, c.input.classes, to(tensor(smooth, {members})),
                                                           to(tensor(added, {members}))));
        network.backward(arrays, loss.gradient, trace, gradients);
        const at::Tensor g = gradients.cpu(), value = loss.value.cpu(), b = arrays.buffers.cpu();

        const auto general = make_general_network(*architecture, c.input);
        for (std::int64_t k = 0; k < members; ++k) {
          CAPTURE(k);
          import_arrays(*general, values[static_cast<std::size_t>(k)]);
          std::vector<float> rows(static_cast<std::size_t>(n) * classes, smooth[static_cast<std::size_t>(k)]);
          for (std::int64_t i = 0; i < n; ++i)
            rows[static_cast<std::size_t>(i) * classes +
                 static_cast<std::size_t>(labels[static_cast<std::size_t>(k * n + i)])] +=
                added[static_cast<std::size_t>(k)];
          const double wanted =
              general->loss_and_gradients(images.data() + k * n * c.input.size(), rows.data(), n,
                                          {.dropout_key = random_key("model" + std::to_string(k), "dropout"),
                                           .step = steps[static_cast<std::size_t>(k)],
                                           .evaluation = !training});
          CHECK(static_cast<double>(value.const_data_ptr<float>()[k]) == Approx(wanted).epsilon(1e-5));
          const auto found = layout.unpack(g.const_data_ptr<float>() + k * layout.trained_size(),
                                           b.const_data_ptr<float>() + k * layout.buffer_size());
          double total = 0;
          for (std::size_t i = 0; i < found.size(); ++i) total = std::max(total, norm(general->gradient(i)));
          for (std::size_t i = 0; i < found.size(); ++i) {
            CAPTURE(architecture->arrays()[i].name);
            if (!architecture->arrays()[i].trained) {
              CHECK(distance(found[i], general->array(i)) <= 1e-5 * (1 + norm(general->array(i))));
              continue;
            }
            const auto own = general->to_row_major(i, general->gradient(i));
            // a bias before batch norm has gradient 0: there only rounding is left, relative to the others
            CHECK(distance(found[i], own) <= 1e-4 * norm(own) + 1e-5 * total);
          }
        }
      }
}

TEST_CASE("a step that breaks while it is recorded leaves its thread able to record it") {
  for (const at::Device& device : devices()) {
    CAPTURE(device.str());
    const stack::StreamScope scope(device);
    const at::Tensor x = at::zeros({3}, at::TensorOptions().device(device));
    int calls = 0;
    stack::RepeatedStep step(device, [&] {
      x.add_(at::ones_like(x));
      if (++calls == 2) throw std::runtime_error("broken");
    });
    step.run();
    CHECK_THROWS_WITH(step.run(), "broken");
    for (int i = 0; i < 3; ++i) step.run();
    CHECK(calls == (device.is_cuda() ? 3 : 5));  // what is recorded is not called again
    CHECK(x.cpu().const_data_ptr<float>()[2] == static_cast<float>(device.is_cuda() ? 4 : 5));
  }
}

TEST_CASE("dropout masks of a stack are those of the random streams") {
  for (const at::Device& device : devices())
    for (const std::int64_t first : {0, 6, 13}) {
      CAPTURE(device.str(), first);
      const std::vector<std::int64_t> keys = {std::numeric_limits<std::int64_t>::min() + 12345, 99},
                                      steps = {3, (std::int64_t{7} << 32) + 5},
                                      thresholds = {1u << 31, 4000000000};
      const auto integers = at::TensorOptions().dtype(at::kLong);
      const auto load = [&](const std::vector<std::int64_t>& v) {
        return at::from_blob(const_cast<std::int64_t*>(v.data()), {2}, integers).clone().to(device);
      };
      constexpr std::int64_t m = 50;
      const at::Tensor mask = stack::dropout_mask(load(keys), load(steps), load(thresholds),
                                                  tensor({2, 16}, {2}).to(device), first, m)
                                  .cpu();
      for (std::size_t k = 0; k < 2; ++k) {
        RandomStream stream(static_cast<std::uint64_t>(keys[k]), static_cast<std::uint64_t>(steps[k]));
        for (std::int64_t i = 0; i < first; ++i) stream();
        for (std::int64_t i = 0; i < m; ++i)
          CHECK(mask.const_data_ptr<float>()[static_cast<std::int64_t>(k) * m + i] ==
                (stream() < static_cast<std::uint64_t>(thresholds[k]) ? 0.0f : (k == 0 ? 2.0f : 16.0f)));
      }
    }
}

namespace {

using Results = std::map<std::string, TrainedModel>;

struct Zoo {
  Dataset digits = load_dataset("digits", "");
  std::vector<ModelSpec> models;
  LogIterates log_iterates;
  void add(const nlohmann::json& changes, std::uint64_t seed = 1) {
    nlohmann::json values = {
        {"train_size", 300}, {"batch_size", 64}, {"target_cross_entropy", 0}, {"max_epochs", 3}};
    values.update(changes);
    models.emplace_back("digits", digits.sha256, HyperParameters::from_json(values, "test"), seed);
  }
  ExecutorEvents collecting(Results& results) const {
    ExecutorEvents events;
    events.log_iterates = log_iterates;
    events.finished = [&results](const ModelSpec& m, const Architecture&, const TrainedModel& t, double) {
      static std::mutex mutex;  // stacks on several streams finish at a time
      const std::lock_guard lock(mutex);
      if (!results.try_emplace(m.id, t).second) throw std::logic_error("a model was finished twice");
    };
    events.failed = [](const ModelSpec&, const std::string& what) { throw std::runtime_error(what); };
    return events;
  }
  Results run(Executor& executor) const {
    Results results;
    TrainingDataCache cache(digits);
    executor.run(models, cache, collecting(results));
    return results;
  }
  Results general() const { return run(*make_executor(1, ExecutorChoice::general)); }
};

Zoo mixed_zoo() {
  Zoo zoo;
  const nlohmann::json fcn = {{"network", "fcn"}, {"widths", {30, 20}}};
  const auto with = [](nlohmann::json base, const nlohmann::json& changes) {
    base.update(changes);
    return base;
  };
  zoo.add(with(fcn, {{"lr", 0.02}, {"max_epochs", 5}}));
  zoo.add(with(fcn, {{"lr", 0.05}, {"weight_decay", 0.01}, {"max_epochs", 1}}));
  zoo.add(with(fcn, {{"lr", 0.03}, {"schedule", "cosine"}, {"label_noise", 0.2}}), 2);
  zoo.add(
      with(fcn, {{"momentum", 0.5}, {"label_smoothing", 0.1}, {"warmup_epochs", 1}, {"init_scale", 0.5}}));
  zoo.add(with(fcn, {{"lr", 0.1}, {"target_cross_entropy", 1.2}, {"max_epochs", 9}}), 3);
  zoo.add(with(fcn, {{"check_every", 2}, {"max_steps", 11}, {"max_epochs", 9}}), 4);
  for (const double dropout : {0.1, 0.4}) zoo.add(with(fcn, {{"dropout", dropout}, {"batch_norm", "on"}}));
  for (const char* optimizer : {"nesterov", "adam", "adamw", "rmsprop"})
    zoo.add(with(fcn, {{"optimizer", optimizer}, {"lr", 0.003}, {"weight_decay", 0.01}}));
  for (const std::uint64_t seed : {1, 2})
    zoo.add({{"network", "nin"}, {"depth", 2}, {"width", 8}, {"dropout", 0.1}, {"lr", 0.01}}, seed);
  zoo.add(
      {{"network", "cnn"}, {"depth", 2}, {"width", 4}, {"batch_norm", "on"}, {"lr", 0.01}, {"dropout", 0.2}});
  // reduced VGGs: below
  zoo.add({{"network", "vgg11"},
           {"width_multiplier", 0.1},
           {"batch_norm", "on"},
           {"lr", 0.01},
           {"dropout", 0.2}});
  zoo.add({{"network", "resnet18"},
           {"width_multiplier", 0.05},
           {"lr", 0.01},
           {"max_epochs", 1},
           {"train_size", 100}});
  return zoo;
}

void check_alike(const Zoo& zoo, Results& found, Results& wanted, double tolerance = 2e-3) {
  REQUIRE(found.size() == zoo.models.size());
  for (const ModelSpec& m : zoo.models) {
    CAPTURE(m.hp.not_default().dump());
    REQUIRE(found.count(m.id) == 1);
    const TrainedModel &a = found[m.id], &b = wanted[m.id];
    CHECK(a.reason == b.reason);
    CHECK(a.state.steps == b.state.steps);
    REQUIRE(a.state.history.size() == b.state.history.size());
    for (std::size_t e = 0; e < a.state.history.size(); ++e) {
      const EpochRecord &x = a.state.history[e], &y = b.state.history[e];
      CHECK(x.batch_loss == Approx(y.batch_loss).epsilon(1e-3));
      CHECK(x.evaluated == y.evaluated);
      CHECK(x.train.cross_entropy == Approx(y.train.cross_entropy).epsilon(2e-3));
      CHECK(x.test.cross_entropy == Approx(y.test.cross_entropy).epsilon(2e-3));
      // the gap, in error: a few samples on the border of two classes may fall to either side
      CHECK(std::abs((x.test.error - x.train.error) - (y.test.error - y.train.error)) <= 0.02);
      for (std::size_t h = 0; h < 2; ++h)
        CHECK(std::abs(x.test.half_errors[h] - y.test.half_errors[h]) <= 0.03);
      REQUIRE(x.gradient_noise.has_value() == y.gradient_noise.has_value());
      if (x.gradient_noise) CHECK(*x.gradient_noise == Approx(*y.gradient_noise).epsilon(0.01));
    }
    REQUIRE(a.state.iterates.count() ==
            (zoo.log_iterates.last > 0 ? std::min(a.state.steps, zoo.log_iterates.last) : 0));
    CHECK(distance(a.state.iterates.values, b.state.iterates.values) <= 2e-3 * norm(b.state.iterates.values));
    REQUIRE(a.state.arrays.size() == b.state.arrays.size());
    REQUIRE(a.state.optimizer_state.size() == b.state.optimizer_state.size());
    for (std::size_t i = 0; i < a.state.arrays.size(); ++i)
      CHECK(distance(a.state.arrays[i], b.state.arrays[i]) <= tolerance * (0.1 + norm(b.state.arrays[i])));
  }
}

}  // namespace

TEST_CASE(
    "trainings in stacks agree with the general executor, whatever the stack's size, with members replaced") {
  at::set_num_threads(1);
  Zoo zoo = mixed_zoo();
  zoo.log_iterates = {7, 200};
  Results wanted = zoo.general();
  for (const at::Device& device : devices()) {
    Results lone;
    for (const std::int64_t members : {1, 3, 8}) {
      CAPTURE(members, device.str());
      const auto executor = make_stack_executor({.cuda = device.is_cuda(), .members = members, .threads = 2});
      Results found = zoo.run(*executor);
      check_alike(zoo, found, wanted);
      if (members == 1)
        lone = found;
      else if (!device.is_cuda())  // a library for a device may choose its products by the stack's size
        for (const ModelSpec& m : zoo.models) {
          CAPTURE(m.hp.not_default().dump());
          CHECK(found[m.id].state.arrays == lone[m.id].state.arrays);
          CHECK(found[m.id].state.iterates.values == lone[m.id].state.iterates.values);
        }
    }
  }
}

namespace {

void check_same_bits(const Zoo& zoo, Results& found, Results& wanted) {
  REQUIRE(found.size() == zoo.models.size());
  for (const ModelSpec& m : zoo.models) {
    CAPTURE(m.hp.not_default().dump());
    const TrainState &a = found[m.id].state, &b = wanted[m.id].state;
    CHECK(found[m.id].reason == wanted[m.id].reason);
    CHECK(a.arrays == b.arrays);
    CHECK(a.optimizer_state == b.optimizer_state);
    CHECK(a.iterates.values == b.iterates.values);
    REQUIRE(a.history.size() == b.history.size());
    for (std::size_t e = 0; e < a.history.size(); ++e) {
      CHECK(a.history[e].batch_loss == b.history[e].batch_loss);
      CHECK(a.history[e].test.cross_entropy == b.history[e].test.cross_entropy);
      CHECK(a.history[e].gradient_noise == b.history[e].gradient_noise);
    }
  }
}

// Two groups, one of nine models.
Zoo two_groups() {
  Zoo zoo;
  zoo.log_iterates = {5, 40};
  for (const std::uint64_t seed : {1, 2, 3, 4, 5, 6, 7, 8, 9})
    zoo.add({{"network", "fcn"}, {"widths", {24}}, {"dropout", 0.1}, {"max_epochs", 1 + seed % 4}}, seed);
  for (const std::uint64_t seed : {1, 2, 3, 4})
    zoo.add({{"network", "nin"}, {"depth", 1}, {"width", 6}, {"lr", 0.01}, {"max_epochs", 2}}, seed);
  return zoo;
}

}  // namespace

TEST_CASE("stacks on several streams give the bits of stacks on one") {
  at::set_num_threads(1);
  for (const bool mixed : {false, true}) {
    const Zoo zoo = mixed ? mixed_zoo() : two_groups();
    Results wanted = zoo.run(*make_stack_executor({.members = 3, .streams = 1}));
    for (const int streams : {2, 3, 16}) {
      CAPTURE(mixed, streams);
      std::set<std::thread::id> threads;
      std::mutex mutex;
      Results found;
      TrainingDataCache cache(zoo.digits);
      ExecutorEvents events = zoo.collecting(found);
      events.started = [&](const ModelSpec&) {
        const std::lock_guard lock(mutex);
        threads.insert(std::this_thread::get_id());
      };
      make_stack_executor({.members = 3, .threads = 3, .streams = streams})->run(zoo.models, cache, events);
      check_same_bits(zoo, found, wanted);
      CHECK(threads.size() > 1);
      CHECK(threads.size() <= static_cast<std::size_t>(streams));
    }
  }
  if (!stack::cuda_device_present()) return;
  const Zoo zoo = mixed_zoo();
  Results wanted = zoo.general(),
          found = zoo.run(*make_stack_executor({.cuda = true, .members = 3, .streams = 3}));
  check_alike(zoo, found, wanted);
  // more threads, one after the other, than LibTorch has streams
  const Zoo groups = two_groups();
  wanted = groups.general();
  for (int run = 0; run < 20; ++run) {
    CAPTURE(run);
    found = groups.run(*make_stack_executor({.cuda = true, .members = 3, .streams = 3}));
    check_alike(groups, found, wanted);
  }
}

TEST_CASE("stacks on several streams stop, and go on from their checkpoints with the same bits") {
  at::set_num_threads(1);
  const Zoo zoo = two_groups();
  Results wanted = zoo.run(*make_stack_executor({.members = 3, .streams = 1}));
  for (const int first : {2, 3, 8}) {
    CAPTURE(first);
    std::map<std::string, TrainState> checkpoints;
    std::mutex mutex;
    std::atomic<int> epochs = 0;
    Results found;
    TrainingDataCache cache(zoo.digits);
    ExecutorEvents events = zoo.collecting(found);
    events.load_checkpoint = [&](const ModelSpec& m, const Architecture&,
                                 const std::string&) -> std::optional<TrainState> {
      const std::lock_guard lock(mutex);
      const auto at = checkpoints.find(m.id);
      return at == checkpoints.end() ? std::nullopt : std::optional(at->second);
    };
    events.save_checkpoint = [&](const ModelSpec& m, const Architecture&, const TrainState& s) {
      const std::lock_guard lock(mutex);
      checkpoints[m.id] = s;
    };
    events.epoch_finished = [&](const ModelSpec&, const EpochRecord&) { ++epochs; };
    events.stop_requested = [&] { return epochs >= first; };
    make_stack_executor({.members = 3, .streams = 3})->run(zoo.models, cache, events);
    CHECK(found.size() < zoo.models.size());
    CHECK(!checkpoints.empty());
    std::vector<ModelSpec> rest;
    for (const ModelSpec& m : zoo.models)
      if (found.count(m.id) == 0) rest.push_back(m);
    epochs = -1000;
    make_stack_executor({.members = 2, .streams = 2})->run(rest, cache, events);
    check_same_bits(zoo, found, wanted);
  }
}

TEST_CASE("a stack that breaks does not stop those on other streams, an error of the caller does") {
  at::set_num_threads(1);
  const Zoo zoo = two_groups();
  Results wanted = zoo.run(*make_stack_executor({.members = 9, .streams = 1})), found;
  TrainingDataCache cache(zoo.digits);
  std::set<std::string> failed;
  std::mutex mutex;
  ExecutorEvents events = zoo.collecting(found);
  events.failed = [&](const ModelSpec& m, const std::string& what) {
    const std::lock_guard lock(mutex);
    CHECK(what == "out of memory");
    CHECK(m.hp.network == "fcn");
    CHECK(failed.insert(m.id).second);
  };
  // nine at a time are the fully connected ones: their thread waits for the other, and whatever it tries then breaks
  std::set<std::thread::id> broken;
  bool other = false;
  std::condition_variable both;
  const auto breaks = [&](std::int64_t members) {
    std::unique_lock lock(mutex);
    if (members == 9) broken.insert(std::this_thread::get_id());
    const bool breaking = broken.count(std::this_thread::get_id()) > 0;
    if (!breaking) {
      other = true;
      both.notify_one();
      return;
    }
    both.wait_for(lock, std::chrono::seconds(60), [&] { return other; });
    throw std::runtime_error("out of memory");
  };
  make_stack_executor({.members = 9, .streams = 2, .before_stack = breaks})->run(zoo.models, cache, events);
  CHECK(failed.size() == 9);
  REQUIRE(found.size() == 4);
  for (const auto& [id, trained] : found) CHECK(trained.state.arrays == wanted[id].state.arrays);

  std::atomic<int> epochs = 0;
  found.clear();
  events.epoch_finished = [&](const ModelSpec&, const EpochRecord&) {
    if (++epochs == 3) throw std::logic_error("the caller's");
  };
  CHECK_THROWS_AS(make_stack_executor({.members = 3, .streams = 3})->run(zoo.models, cache, events),
                  std::logic_error);
  CHECK(found.size() < zoo.models.size());
}

namespace {

// Models of each rule, on a fully connected and on a convolutional network, in stacks of several sizes against the general
// executor. `rules` have values of which some act at every step and some at few.
void check_rules(const std::vector<nlohmann::json>& rules) {
  at::set_num_threads(1);
  Zoo zoo;
  for (const nlohmann::json& rule : rules)
    for (const nlohmann::json& network :
         {nlohmann::json{{"network", "fcn"}, {"widths", {24, 12}}, {"dropout", 0.1}},
          nlohmann::json{{"network", "cnn"}, {"depth", 2}, {"width", 4}, {"batch_norm", "on"}}}) {
      nlohmann::json values = network;
      values["max_epochs"] = 2;
      values["lr"] = 0.02;
      values.update(rule);
      zoo.add(values);
    }
  Results wanted = zoo.general();
  for (const at::Device& device : devices()) {
    Results lone;
    for (const std::int64_t members : {1, 3, 8}) {
      CAPTURE(members, device.str());
      Results found = zoo.run(*make_stack_executor({.cuda = device.is_cuda(), .members = members}));
      check_alike(zoo, found, wanted);
      if (members == 1)
        lone = found;
      else if (!device.is_cuda())
        check_same_bits(zoo, found, lone);
    }
  }
}

}  // namespace

TEST_CASE("gradients are clipped in stacks as in the general executor") {
  check_rules({{{"clip_norm", 0.05}},
               {{"clip_norm", 1}},
               {{"clip_norm", 1e6}},
               // without batch norm: a bias before it has gradient 0, and adam makes steps of its rounding
               {{"clip_norm", 0.3}, {"optimizer", "adam"}, {"lr", 0.003}, {"batch_norm", "off"}}});
}

TEST_CASE("sharpness-aware minimisation in stacks is that of the general executor") {
  // with dropout and batch norm: the second pass has the first one's masks, and moves no statistics
  check_rules({{{"sam_radius", 0.05}},
               {{"sam_radius", 0.5}, {"dropout", 0.3}},
               {{"sam_radius", 0.1}, {"clip_norm", 0.2}, {"wcd", 0.05}}});
}

TEST_CASE("turned and mixed batches of a stack are those of augmentation.h") {
  for (const at::Device& device : devices())
    for (const bool channels_last : {false, true}) {
      const ImageLayout layout{3, 9, 17, channels_last};
      constexpr std::int64_t members = 2, n = 40, classes = 4;
      CAPTURE(device.str(), channels_last);
      RandomStream random(3);
      std::vector<float> images, targets;
      for (std::int64_t i = 0; i < members * n * layout.size(); ++i)
        images.push_back(static_cast<float>(random.normal()));
      for (std::int64_t i = 0; i < members * n * classes; ++i)
        targets.push_back(static_cast<float>(random.uniform()));
      std::vector<std::int64_t> turns, partners, sources;
      std::vector<float> keep;
      for (std::int64_t t = 0; t < Turn::count(layout); ++t) {
        CHECK(Turn::of_number(t, layout).number(layout) == t);
        for (const std::int64_t from : Turn::of_number(t, layout).sources(layout))
          sources.push_back(from < 0 ? layout.height * layout.width : from);
      }
      std::vector<float> wanted = images, wanted_targets = targets;
      for (std::int64_t k = 0; k < members; ++k) {
        RandomStream own(11, static_cast<std::uint64_t>(k)), again = own;
        flip_and_crop(wanted.data() + k * n * layout.size(), n, layout, own);
        mixup(wanted.data() + k * n * layout.size(), wanted_targets.data() + k * n * classes, n,
              layout.size(), classes, 0.7, own);
        for (std::int64_t i = 0; i < n; ++i) turns.push_back(draw_turn(layout, again).number(layout));
        const Mix mix = draw_mix(n, 0.7, again);
        partners.insert(partners.end(), mix.partner.begin(), mix.partner.end());
        keep.push_back(mix.keep);
      }
      const auto integers = [&](const std::vector<std::int64_t>& v, at::IntArrayRef shape) {
        return at::from_blob(const_cast<std::int64_t*>(v.data()), shape, at::TensorOptions().dtype(at::kLong))
            .clone()
            .to(device);
      };
      const at::Tensor p = integers(partners, {members, n}), share = tensor(keep, {members}).to(device);
      const at::Tensor found = stack::mixed(
          stack::turned(tensor(images, {members, n, layout.size()}).to(device), integers(turns, {members, n}),
                        integers(sources, {Turn::count(layout), layout.height * layout.width}), layout),
          p, share);
      const at::Tensor found_targets =
          stack::mixed(tensor(targets, {members, n, classes}).to(device), p, share);
      const auto values = [](const at::Tensor& t) {
        const at::Tensor host = t.cpu();
        return std::vector<float>(host.const_data_ptr<float>(), host.const_data_ptr<float>() + host.numel());
      };
      CHECK(distance(wanted, images) > 1);
      CHECK(distance(values(found), wanted) <= 1e-6 * norm(wanted));
      CHECK(distance(values(found_targets), wanted_targets) <= 1e-6 * norm(wanted_targets));
    }
}

TEST_CASE("augmentation in stacks is that of the general executor") {
  check_rules({{{"augmentation", "flip-crop"}},
               {{"augmentation", "mixup"}, {"label_smoothing", 0.1}, {"mixup_alpha", 0.3}},
               {{"augmentation", "flip-crop+mixup"}, {"sam_radius", 0.05}, {"train_size", 290}}});
}

TEST_CASE("weight-correlation descent in stacks is that of the general executor") {
  std::vector<nlohmann::json> rules;
  for (const char* form : {"released", "rho", "g"})
    for (const char* layers : {"all", "hidden"})
      rules.push_back({{"wcd_form", form}, {"wcd_layers", layers}, {"wcd", form[0] == 'g' ? 1e-4 : 0.02}});
  rules.push_back({{"wcd", 0.1}, {"clip_norm", 0.2}});
  check_rules(rules);
}

TEST_CASE("weight-correlation descent of a stack is gradient_map.h's for each member") {
  // zero units, parallel units, layers after a flatten, kernels of 1 and of 3, and so many units that the sets of a
  // convolution do not go through at once
  NetworkBuilder builder("test", {3, 6, 6, 5});
  builder.conv("a", 7, 3, 1, 1).activation(Activation::relu).conv("b", 6, 1, 1, 0).max_pool();
  builder.conv("c", 1200, 3, 1, 1)
      .conv("d", 2, 1, 1, 0)
      .flatten()
      .dense("e", 9)
      .dense("f", 1)
      .dense("head", 5);
  const auto architecture = builder.finish();
  const stack::Layout layout(*architecture);
  constexpr std::int64_t members = 3;
  RandomStream random(5);
  for (const at::Device& device : devices())
    for (const auto form : {DescentForm::released, DescentForm::rho, DescentForm::g}) {
      std::vector<std::vector<std::vector<float>>> weights, gradients;
      std::vector<float> w(static_cast<std::size_t>(members * layout.trained_size())), g(w.size()),
          buffers(static_cast<std::size_t>(layout.buffer_size()));
      for (std::int64_t k = 0; k < members; ++k) {
        weights.emplace_back();
        gradients.emplace_back();
        for (const ArraySpec& spec : architecture->arrays()) {
          std::vector<float> a(static_cast<std::size_t>(spec.size())), b(a.size());
          for (float& x : a) x = static_cast<float>(random.normal());
          for (float& x : b) x = static_cast<float>(0.01 * random.normal());
          const auto row = a.size() / static_cast<std::size_t>(spec.shape[0]);
          if (k == 1) std::fill_n(a.begin(), row, 0.0f);
          if (k == 2 && spec.shape[0] > 2)
            std::copy_n(a.begin(), row, a.begin() + static_cast<std::ptrdiff_t>(row));
          weights.back().push_back(std::move(a));
          gradients.back().push_back(std::move(b));
        }
        layout.pack(weights.back(), w.data() + k * layout.trained_size(), buffers.data());
        layout.pack(gradients.back(), g.data() + k * layout.trained_size(), buffers.data());
      }
      const std::vector<double> coefficients = {0.1, 0.02, 1};
      const at::Tensor own = tensor(w, {members, layout.trained_size()}).to(device),
                       changed = tensor(g, {members, layout.trained_size()}).to(device);
      for (const Layer& layer : architecture->layers())
        stack::add_weight_correlation_gradient(
            form,
            at::from_blob(const_cast<double*>(coefficients.data()), {members},
                          at::TensorOptions().dtype(at::kDouble))
                .to(device),
            *architecture, layout, layer.weight, own, changed);
      const at::Tensor found = changed.cpu();
      for (std::int64_t k = 0; k < members; ++k) {
        const auto arrays =
            layout.unpack(found.const_data_ptr<float>() + k * layout.trained_size(), buffers.data());
        for (const Layer& layer : architecture->layers()) {
          const ArraySpec& spec = architecture->arrays()[layer.weight];
          CAPTURE(spec.name, k, static_cast<int>(form), device.str());
          std::vector<float> wanted = gradients[static_cast<std::size_t>(k)][layer.weight];
          const std::vector<float> before = wanted;
          add_weight_correlation_gradient(
              form, coefficients[static_cast<std::size_t>(k)],
              {spec.shape[0], spec.shape[1], spec.shape.size() == 4 ? spec.shape[2] * spec.shape[3] : 1},
              weights[static_cast<std::size_t>(k)][layer.weight].data(), wanted.data());
          // of units of one value the gradient has no part beside the unit
          CHECK((distance(wanted, before) > 0) == (spec.shape[0] - (k == 1) > 1 && spec.shape[1] > 1));
          CHECK(distance(arrays[layer.weight], wanted) <=
                2e-5 * distance(wanted, before) + 1e-6 * norm(before));
        }
      }
    }
}

TEST_CASE("reduced VGGs in stacks take the steps of the fast executor") {
  // Two steps: norm after ReLU amplifies rounding from step to step, and the general executor's channels-last batch norm is off
  // by up to a percent of one (tests/e2e/test_training.py compares each step with float64). One step of leaky ones: a channel of
  // the first layer that is below 0 wherever the image is not black gets a bias of nothing but rounding, of either sign, which is
  // then the sign, hence the slope, of the black pixels.
  at::set_num_threads(1);
  Zoo zoo;
  for (const char* network : {"vgg11-reduced", "vgg16-reduced"})
    for (const char* activation : {"relu", "leaky_relu"})
      zoo.add({{"network", network},
               {"activation", activation},
               {"train_size", std::string(activation) == "relu" ? 120 : 60},
               {"batch_size", 60},
               {"max_epochs", 1},
               {"lr", 0.01}});
  Results wanted = zoo.run(*make_executor(1, ExecutorChoice::fast));
  for (const at::Device& device : devices()) {
    CAPTURE(device.str());
    Results found = zoo.run(*make_stack_executor({.cuda = device.is_cuda(), .members = 2}));
    check_alike(zoo, found, wanted,
                4e-3);  // how the compiler contracts products moves the second step so far
  }
}

TEST_CASE("a stack that is stopped goes on from its checkpoints with the same bits, in either executor") {
  at::set_num_threads(1);
  Zoo zoo;
  zoo.log_iterates = {6, 40};
  // without batch norm: a bias before it has gradient 0, and adam makes steps of its rounding
  for (const std::uint64_t seed : {1, 2, 3, 4, 5})
    zoo.add({{"network", "fcn"},
             {"widths", {20}},
             {"dropout", 0.2},

             {"optimizer", "adam"},
             {"lr", 0.01},
             {"max_epochs", seed + 2}},
            seed);
  const auto undisturbed = make_stack_executor({.members = 2});
  Results wanted = zoo.run(*undisturbed);
  for (const bool other : {false, true}) {
    std::map<std::string, TrainState> checkpoints;
    Results results;
    TrainingDataCache cache(zoo.digits);
    int epochs = 0;
    ExecutorEvents events = zoo.collecting(results);
    events.checkpoint_interval_s = 1e9;
    events.load_checkpoint = [&](const ModelSpec& m, const Architecture&,
                                 const std::string&) -> std::optional<TrainState> {
      const auto at = checkpoints.find(m.id);
      return at == checkpoints.end() ? std::nullopt : std::optional(at->second);
    };
    events.save_checkpoint = [&](const ModelSpec& m, const Architecture&, const TrainState& s) {
      checkpoints[m.id] = s;
    };
    events.epoch_finished = [&](const ModelSpec&, const EpochRecord&) { ++epochs; };
    events.stop_requested = [&] { return epochs >= 5; };
    make_stack_executor({.members = 2})->run(zoo.models, cache, events);
    REQUIRE(checkpoints.size() == 2);  // the two that were running
    CHECK(results.size() < zoo.models.size());
    std::vector<ModelSpec> rest;
    for (const ModelSpec& m : zoo.models)
      if (results.count(m.id) == 0) rest.push_back(m);
    epochs = -1000;
    (other ? make_executor(1, ExecutorChoice::general) : make_stack_executor({.members = 2}))
        ->run(rest, cache, events);
    if (other) {
      check_alike(zoo, results, wanted);
    } else {
      REQUIRE(results.size() == zoo.models.size());
      for (const ModelSpec& m : zoo.models) {
        CHECK(results[m.id].state.arrays == wanted[m.id].state.arrays);
        CHECK(results[m.id].state.optimizer_state == wanted[m.id].state.optimizer_state);
        CHECK(results[m.id].state.iterates.values == wanted[m.id].state.iterates.values);
        CHECK(results[m.id].state.history.size() == wanted[m.id].state.history.size());
      }
    }
  }
}

TEST_CASE("a stack that the memory does not hold is tried with half, and no model is lost") {
  at::set_num_threads(1);
  Zoo zoo;
  for (const std::uint64_t seed : {1, 2, 3, 4, 5, 6, 7, 8, 9})
    zoo.add({{"network", "fcn"}, {"widths", {20}}, {"max_epochs", seed}}, seed);
  Results wanted = zoo.run(*make_stack_executor({.members = 3}));

  // nine models, at most eight at a time: two waves of five. Stacks of more than `held` do not fit.
  for (const std::int64_t held : {4, 2, 1}) {
    CAPTURE(held);
    std::vector<std::int64_t> tried;
    const auto limited = [&](std::int64_t members) {
      tried.push_back(members);
      if (members > held) throw std::runtime_error("out of memory");
    };
    Results found = zoo.run(*make_stack_executor({.members = 8, .before_stack = limited}));
    REQUIRE(tried.front() == 5);
    CHECK(tried.at(1) == 2);
    CHECK(tried.at(2) == 1);  // after the limit of 1, or as the last stack with half of its slots empty
    CHECK(tried.size() == 3);
    REQUIRE(found.size() == zoo.models.size());
    for (const ModelSpec& m : zoo.models) CHECK(found[m.id].state.arrays == wanted[m.id].state.arrays);
  }

  // the stack that is made anew when half of the slots are empty breaks, once: its models begin again
  Results found;
  bool broke = false;
  ExecutorEvents events = zoo.collecting(found);
  TrainingDataCache cache(zoo.digits);
  make_stack_executor({.members = 9,
                       .before_stack =
                           [&](std::int64_t members) {
                             if (members < 9 && !std::exchange(broke, true))
                               throw std::runtime_error("out of memory");
                           }})
      ->run(zoo.models, cache, events);
  CHECK(broke);
  REQUIRE(found.size() == zoo.models.size());
  for (const ModelSpec& m : zoo.models) CHECK(found[m.id].state.arrays == wanted[m.id].state.arrays);

  // what does not even fit alone is failed, each model once
  std::vector<std::string> failed;
  found.clear();
  events.failed = [&](const ModelSpec& m, const std::string& what) {
    CHECK(what == "out of memory");
    failed.push_back(m.id);
  };
  make_stack_executor(
      {.members = 4, .before_stack = [](std::int64_t) { throw std::runtime_error("out of memory"); }})
      ->run(zoo.models, cache, events);
  CHECK(found.empty());
  std::sort(failed.begin(), failed.end());
  CHECK(std::unique(failed.begin(), failed.end()) == failed.end());
  CHECK(failed.size() == zoo.models.size());
}

TEST_CASE("a member that diverges stops alone") {
  at::set_num_threads(1);
  for (const at::Device& device : devices()) {
    CAPTURE(device.str());
    Zoo zoo;
    const nlohmann::json fcn = {{"network", "fcn"}, {"widths", {20}}, {"max_epochs", 4}};
    for (const double lr : {0.02, 1000.0, 0.03}) {
      nlohmann::json values = fcn;
      values["lr"] = lr;
      if (lr > 1) values["init_scale"] = 1000;
      zoo.add(values);
    }
    Results wanted = zoo.general(),
            found = zoo.run(*make_stack_executor({.cuda = device.is_cuda(), .members = 3}));
    REQUIRE(found.size() == 3);
    for (const ModelSpec& m : zoo.models) {
      CAPTURE(m.hp.lr);
      const TrainedModel &a = found[m.id], &b = wanted[m.id];
      CHECK(a.reason == b.reason);
      CHECK((a.reason == StopReason::diverged) == (m.hp.lr > 1));
      CHECK(a.state.history.size() == b.state.history.size());
      CHECK(a.state.steps == b.state.steps);
      if (m.hp.lr < 1)
        CHECK(a.state.history.back().train.cross_entropy ==
              Approx(b.state.history.back().train.cross_entropy).epsilon(1e-3));
    }
  }
}

TEST_CASE("weights of chosen epochs are kept, and what stacks do not serve is failed") {
  at::set_num_threads(1);
  Zoo zoo;
  zoo.add({{"network", "fcn"}, {"widths", {20}}});
  zoo.add({{"network", "mixer"}, {"depth", 1}, {"width", 8}});
  zoo.add({{"network", "fcn"}, {"widths", {20}}, {"collision", "hard"}});
  Results results;
  std::vector<std::string> failed;
  std::map<std::int64_t, std::vector<std::vector<float>>> kept;
  ExecutorEvents events = zoo.collecting(results);
  events.failed = [&](const ModelSpec& m, const std::string&) { failed.push_back(m.id); };
  events.keep_epochs = {1, 3};
  events.keep = [&](const ModelSpec&, const Architecture&, std::int64_t epoch,
                    const std::vector<std::vector<float>>& arrays) { kept[epoch] = arrays; };
  TrainingDataCache cache(zoo.digits);
  const auto executor = make_executor(1, ExecutorChoice::stack);
  CHECK(executor->name().starts_with("stack/"));
  executor->run(zoo.models, cache, events);
  REQUIRE(results.size() == 1);
  CHECK(failed.size() == 2);
  REQUIRE(kept.size() == 2);
  CHECK(kept[3] == results.begin()->second.state.arrays);
  CHECK(kept[1] != kept[3]);
  CHECK(executor_choice("stack") == ExecutorChoice::stack);
  CHECK_THROWS_AS(device_choice("gpu"), UsageError);
}
