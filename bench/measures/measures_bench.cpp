// Computes measures of the first model of a zoo and prints each cell, as one line of JSON, with the processor time it took:
// what other work on the machine disturbs least. Data and weights are in memory before. Run by compare_measures.py; also alone:
//   measures_bench ZOO DATA_DIR THREADS [PATTERN...]
// THREADS may be cuda: one thread, and the network on the device.
// The line after the cells has the searches.
#include <ATen/Parallel.h>

#include <time.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "measures/api/error.h"
#include "measures/api/registry.h"
#include "runners/stages/cells.h"
#include "runners/stages/zoo.h"
#include "zoo/engine/model_files.h"
#include "zoo/engine/network_probe.h"
#include "zoo/training/training_data.h"

using namespace gapbench;
using nlohmann::json;

namespace {

// Of all threads.
double cpu_seconds() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

void run(int argc, char** argv) {
  if (argc < 4) throw UsageError("usage: measures_bench ZOO DATA_DIR THREADS [PATTERN...]");
  at::set_num_threads(1);
  ZooOptions options;
  options.data_dir = argv[2];
  Zoo zoo = Zoo::open(argv[1], options);
  const ModelSpec& model = zoo.models().at(0);
  const auto measures = all_measures().select(std::vector<std::string>(argv + 4, argv + argc));
  const auto architecture = make_architecture(model.hp, zoo.data().shape());
  const auto data = zoo.data().get(model.hp, architecture->channels_last());
  const bool cuda = std::string(argv[3]) == "cuda";
  const int threads = cuda ? 1 : std::stoi(argv[3]);
  Snapshot snapshot =
      load_snapshot(zoo.store(), model, *architecture, data->train.count, data->shape.classes);
  snapshot.set_threads(threads);
  std::vector<std::span<const float>> arrays;
  for (const Array& a : snapshot.arrays()) arrays.push_back(a.final);
  const bool with_derivatives = std::any_of(measures.begin(), measures.end(), [](const Measure* m) {
    return (m->info.needs & needs_gradients) != 0;
  });
  const auto probe =
      Probes(ExecutorChoice::automatic, device_choice(cuda ? "cuda" : "cpu"), 1)
          .make(*architecture, data, training_labels(model, *data), arrays, threads, with_derivatives);
  for (const Measure* measure : measures) {
    const double start = cpu_seconds();
    json cell = to_json(compute_cell(*measure, snapshot, probe.get()));
    cell["cpu_seconds"] = cpu_seconds() - start;
    std::cout << cell.dump() << '\n';
  }
  json searches = json::object();
  for (const auto& [name, search] : snapshot.searches())
    searches[name] = {{"seconds", search.seconds},
                      {"passes", search.passes},
                      {"value", search.outcome.value().value_or(0)},
                      {"standard_error", search.outcome.standard_error().value_or(0)}};
  std::cout << searches.dump() << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(argc, argv);
    return 0;
  } catch (const std::exception& e) {
    std::cerr << "measures_bench: " << e.what() << '\n';
    return 1;
  }
}
