// Trains a full stack of models that differ in their seed and prints, as JSON, what it took. Run by compare_training.py
// --device; also alone:
//   stack_bench digits '{"network": "fcn", "widths": [32, 32], "max_epochs": 20}' cuda|cpu [MEMBERS [DATA_DIR [DUMP]]]
// MEMBERS 0 is the engine's choice. DATASET "synthetic CHANNELS HEIGHT WIDTH TRAIN TEST" makes random samples of 10
// classes. DUMP is a file to which only the samples are written, for a peer. A stack that is trained before, for one epoch,
// is not counted: it warms the device up. `attainable_gflops` is the rate of a large float32 product on the device.
#include <ATen/Parallel.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "measures/api/error.h"
#include "measures/numerics/philox.h"
#include "zoo/engine/stack/training_stack.h"
#include "zoo/store/safetensors.h"

using namespace gapbench;
using nlohmann::json;

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Random images whose label shows in their mean, so that there is something to learn.
RawSplit random_samples(std::int64_t n, std::int64_t size, std::uint64_t stream) {
  RawSplit s;
  s.count = n;
  RandomStream random(random_key("synthetic", "samples"), stream);
  for (std::int64_t i = 0; i < n; ++i) {
    s.labels.push_back(static_cast<std::uint8_t>(random.below(10)));
    const double shift = 12 * static_cast<double>(s.labels.back());
    for (std::int64_t k = 0; k < size; ++k)
      s.pixels.push_back(static_cast<std::uint8_t>(shift + 128 * random.uniform()));
  }
  return s;
}

Dataset dataset_of(const std::string& name, const char* folder) {
  if (!name.starts_with("synthetic ")) return load_dataset(name, folder);
  std::istringstream numbers(name.substr(10));
  std::int64_t train = 0, test = 0;
  Dataset d;
  d.name = "synthetic";
  if (!(numbers >> d.channels >> d.height >> d.width >> train >> test))
    throw UsageError("a synthetic data set has five numbers: channels, height, width, train, test");
  d.classes = 10;
  d.sha256 = "synthetic";
  d.train = random_samples(train, d.channels * d.height * d.width, 0);
  d.test = random_samples(test, d.channels * d.height * d.width, 1);
  return d;
}

void dump(const TrainingData& data, const char* file) {
  const auto [channels, height, width, classes] = data.shape;
  std::vector<std::vector<float>> labels;
  std::vector<TensorToWrite> tensors;
  for (const Samples* s : {&data.train, &data.test}) labels.emplace_back(s->labels.begin(), s->labels.end());
  tensors.push_back({"train_x", {data.train.count, channels, height, width}, data.train.images});
  tensors.push_back({"train_y", {data.train.count}, labels[0]});
  tensors.push_back({"test_x", {data.test.count, channels, height, width}, data.test.images});
  tensors.push_back({"test_y", {data.test.count}, labels[1]});
  write_safetensors(file, tensors, {});
}

double attainable_gflops(const at::Device& device) {
  const std::int64_t n = device.is_cuda() ? 8192 : 512;
  const at::Tensor a = at::full({n, n}, 0.5, at::TensorOptions().dtype(at::kFloat).device(device));
  double best = 1e9;
  for (int run = 0; run < 8; ++run) {
    stack::synchronise(device);
    const Clock::time_point start = Clock::now();
    const at::Tensor c = at::mm(a, a);
    stack::synchronise(device);
    best = std::min(best, seconds_since(start));
  }
  return 2.0 * static_cast<double>(n * n * n) / best * 1e-9;
}

int run(int argc, char** argv) {
  if (argc < 4 || argc > 7)
    throw UsageError("usage: stack_bench DATASET HYPERPARAMETERS cuda|cpu [MEMBERS [DATA_DIR [DUMP]]]");
  const bool cuda = std::string(argv[3]) == "cuda";
  if (cuda && !stack::cuda_device_present()) throw InputError("no CUDA device is there");
  const at::Device device = cuda ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
  at::set_num_threads(1);
  Dataset dataset = dataset_of(argv[1], argc > 5 ? argv[5] : "data");
  const std::string name = dataset.name, digest = dataset.sha256;
  TrainingDataCache cache(std::move(dataset));
  const HyperParameters hp = HyperParameters::from_json(json::parse(argv[2]), "command line");
  if (argc > 6) {
    dump(*cache.get(hp, false), argv[6]);
    return 0;
  }
  const auto architecture = make_architecture(hp, cache.shape());
  if (!stack::serves(hp, *architecture)) throw InputError("a stack does not serve these hyper-parameters");
  const auto host = cache.get(hp, architecture->channels_last());
  const stack::StreamScope scope(device);
  const auto data = std::make_shared<const stack::DeviceData>(host, device);
  const ModelSpec first(name, digest, hp, 1);
  std::int64_t members = argc > 4 ? std::stoll(argv[4]) : 0;
  if (members == 0)
    members = stack::members_of_a_stack(*architecture, first, *host, device, stack::free_memory(device));
  const int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  double seconds = 0, epoch_seconds = 0, train = 0, test = 0;
  for (const bool warm_up : {true, false}) {
    stack::TrainingStack stack(*architecture, data, first, members, device, threads);
    const Clock::time_point start = Clock::now();
    for (std::int64_t k = 0; k < members; ++k)
      stack.load(k, ModelSpec(name, digest, hp, static_cast<std::uint64_t>(k) + 1), *architecture, {});
    for (std::int64_t e = 0; e < (warm_up ? 1 : hp.max_epochs); ++e) {
      const Clock::time_point epoch = Clock::now();
      stack.train_epoch();
      epoch_seconds += warm_up ? 0 : seconds_since(epoch);
      const auto evaluation = stack.evaluate();
      train = test = 0;
      for (std::int64_t k = 0; k < members; ++k) {
        const auto slot = static_cast<std::size_t>(k);
        train += evaluation.train[slot].cross_entropy / static_cast<double>(members);
        test += evaluation.test[slot].cross_entropy / static_cast<double>(members);
      }
    }
    seconds = seconds_since(start);
  }
  const double n = static_cast<double>(host->train.count),
               steps = std::ceil(n / static_cast<double>(hp.batch_size)) * static_cast<double>(hp.max_epochs);
  // a step counts as three forward passes, an evaluation as one
  const double flops = static_cast<double>(members) * static_cast<double>(hp.max_epochs) *
                       architecture->flops() * (3 * n + n + static_cast<double>(host->test.count));
  std::cout << json{{"device", stack::device_name(device)},
                    {"members", members},
                    {"seconds", seconds},
                    {"seconds_of_steps", epoch_seconds},
                    {"seconds_a_model", seconds / static_cast<double>(members)},
                    {"steps", steps},
                    {"microseconds_a_stack_step", 1e6 * epoch_seconds / steps},
                    {"train_cross_entropy", train},
                    {"test_cross_entropy", test},
                    {"gflops", flops / seconds * 1e-9},
                    {"attainable_gflops", attainable_gflops(device)}}
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
