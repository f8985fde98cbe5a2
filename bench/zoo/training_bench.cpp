// Trains one model as the engine does on one thread and prints, as JSON, what it took. Run by compare_training.py;
// also alone:
//   training_bench digits '{"network": "fcn", "widths": [32, 32], "max_epochs": 20}' [auto|general|fast [DATA_DIR [DUMP]]]
// The hyper-parameters may carry a seed (default 1). DUMP is a file to which only what a peer needs is written, so that it
// trains the same network on the same batches: safetensors train_x, train_y, test_x, test_y, init.<i> (the initial arrays in
// state-dict order) and order.<e> (the samples of epoch e, from 1).
// `attainable_gflops` is the rate of a product of 512 x 512 x 512 in the same run, the best of several.
#include <ATen/Parallel.h>

#include <time.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "measures/api/error.h"
#include "zoo/engine/executor.h"
#include "zoo/engine/fast/instruction_set.h"
#include "zoo/engine/fast/product.h"
#include "zoo/store/safetensors.h"

using namespace gapbench;
using nlohmann::json;

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Of this thread: what the run would take on a core of its own.
double cpu_seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

double attainable_gflops() {
  constexpr std::int64_t n = 512;
  const AlignedVector<float> a(n * n, 0.5f), b(n * n, 0.25f);
  AlignedVector<float> c(n * n);
  std::vector<std::int32_t> rows;
  for (std::int64_t i = 0; i < n; ++i) rows.push_back(static_cast<std::int32_t>(i * n));
  const std::int32_t tap = 0;
  double best = 1e9;
  for (int run = 0; run < 30; ++run) {
    const Clock::time_point start = Clock::now();
    fast::multiply(a.data(), rows.data(), n, &tap, 1, n, b.data(), n, n, c.data(), rows.data(), {});
    best = std::min(best, seconds_since(start));
  }
  return 2.0 * n * n * n / best * 1e-9;
}

void dump(const TrainingData& data, const ModelSpec& model, const Architecture& architecture,
          const char* file) {
  const auto [channels, height, width, classes] = data.shape;
  std::vector<std::vector<float>> labels;
  std::vector<TensorToWrite> tensors;
  for (const Samples* s : {&data.train, &data.test}) labels.emplace_back(s->labels.begin(), s->labels.end());
  tensors.push_back({"train_x", {data.train.count, channels, height, width}, data.train.images});
  tensors.push_back({"train_y", {data.train.count}, labels[0]});
  tensors.push_back({"test_x", {data.test.count, channels, height, width}, data.test.images});
  tensors.push_back({"test_y", {data.test.count}, labels[1]});
  const auto arrays = initial_values(architecture, model.id, model.hp.init_scale);
  for (std::size_t i = 0; i < arrays.size(); ++i)
    tensors.push_back({"init." + std::to_string(i), architecture.arrays()[i].shape, arrays[i]});
  std::vector<std::vector<float>> orders;  // integers below 2^24 are exact
  for (std::int64_t epoch = 1; epoch <= model.hp.max_epochs; ++epoch) {
    std::vector<std::uint32_t> order(static_cast<std::size_t>(data.train.count));
    fill_epoch_order(model.id, epoch, order);
    orders.emplace_back(order.begin(), order.end());
  }
  for (std::size_t e = 0; e < orders.size(); ++e)
    tensors.push_back({"order." + std::to_string(e + 1), {data.train.count}, orders[e]});
  write_safetensors(file, tensors, {});
}

int run(int argc, char** argv) {
  if (argc < 3 || argc > 6)
    throw UsageError("usage: training_bench DATASET HYPERPARAMETERS [EXECUTOR [DATA_DIR [DUMP]]]");
  at::set_num_threads(1);
  Dataset dataset = load_dataset(argv[1], argc > 4 ? argv[4] : "data");
  const std::string digest = dataset.sha256;
  TrainingDataCache cache(std::move(dataset));
  json hp = json::parse(argv[2]);
  const std::uint64_t seed = hp.value("seed", std::uint64_t{1});
  hp.erase("seed");
  const ModelSpec model(argv[1], digest, HyperParameters::from_json(hp, "command line"), seed);
  const auto architecture = make_architecture(model.hp, cache.shape());
  if (argc > 5) {
    dump(*cache.get(model.hp, false), model, *architecture, argv[5]);
    return 0;
  }
  const auto data = cache.get(model.hp, architecture->channels_last());
  const auto network =
      make_network(*architecture, cache.shape(), executor_choice(argc > 3 ? argv[3] : "auto"));
  const Clock::time_point start = Clock::now();
  const double cpu_start = cpu_seconds();
  const TrainedModel trained = train(model, *network, *data, {});
  const double seconds = seconds_since(start), cpu = cpu_seconds() - cpu_start;

  const EpochRecord& last = trained.state.history.back();
  const auto samples = static_cast<double>(data->train.count * last.epoch);
  const auto evaluated = static_cast<double>((data->train.count + data->test.count) * last.epoch);
  // a step takes the forward pass and two products of its size, but no gradient by the images
  const Layer& first = architecture->layers().front();
  double first_flops = 2;
  for (const std::int64_t extent : architecture->arrays()[first.weight].shape)
    first_flops *= static_cast<double>(extent);
  if (first.kind == LayerKind::conv) {
    const std::int64_t kernel = architecture->arrays()[first.weight].shape[2];
    first_flops *=
        static_cast<double>(((first.input_height + 2 * first.padding - kernel) / first.stride + 1) *
                            ((first.input_width + 2 * first.padding - kernel) / first.stride + 1));
  }
  const double flops =
      samples * (3 * architecture->flops() - first_flops) + evaluated * architecture->flops();
  std::cout << json{{"seconds", seconds},
                    {"cpu_seconds", cpu},
                    {"steps", trained.state.steps},
                    {"epochs", last.epoch},
                    {"train_cross_entropy", last.train.cross_entropy},
                    {"test_cross_entropy", last.test.cross_entropy},
                    {"train_error", last.train.error},
                    {"test_error", last.test.error},
                    {"gflop", flops * 1e-9},
                    {"gflops", flops / cpu * 1e-9},
                    {"attainable_gflops", attainable_gflops()},
                    {"instruction_set", fast::to_string(fast::instruction_set())}}
            << "\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const Error& e) {
    std::cerr << e.what() << "\n";
    return 2;
  }
}
