#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <map>
#include <mutex>
#include <numeric>
#include <set>
#include <sstream>
#include <thread>

#include "measures/api/error.h"
#include "measures/api/registry.h"
#include "measures/flatness/search.h"
#include "runners/stages/cells.h"
#include "runners/stages/zoo.h"
#include "zoo/engine/model_files.h"
#include "zoo/engine/network_probe.h"
#include "zoo/store/safetensors.h"
#include "zoo/training/training_data.h"

namespace gapbench {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

bool is_current(const std::vector<MeasureCell>& cells, const Measure& measure) {
  return std::any_of(cells.begin(), cells.end(), [&](const MeasureCell& c) {
    return c.measure == measure.info.id && c.is_current(measure.info);
  });
}

// One model as measures see it.
struct Subject {
  std::unique_ptr<Architecture> architecture;
  Snapshot snapshot;

  Subject(Zoo& zoo, const ModelSpec& model)
      : architecture(make_architecture(model.hp, zoo.data().shape())),
        snapshot(load_snapshot(zoo.store(), model, *architecture, zoo.data().samples(model.hp),
                               zoo.data().shape().classes)) {
    snapshot.searches() = read_searches(zoo.store(), model.id);
  }
  std::unique_ptr<Probe> probe(Zoo& zoo, const Probes& probes, const ModelSpec& model, int threads,
                               bool with_derivatives = false) const {
    std::vector<std::span<const float>> arrays;
    for (const Array& a : snapshot.arrays()) arrays.push_back(a.final);
    const auto samples = zoo.data().get(model.hp, architecture->channels_last());
    return probes.make(*architecture, samples, training_labels(model, *samples), arrays, threads,
                       with_derivatives);
  }
};

// Changes when a search is made, also where one of an earlier revision was.
int sum_of_revisions(const std::map<std::string, StoredSearch>& searches) {
  int sum = 0;
  for (const auto& [name, search] : searches) sum += search.revision;
  return sum;
}

// True when the model has a broken cell afterwards.
bool measure_model(Zoo& zoo, const Probes& probes, const ModelSpec& model,
                   const std::vector<const Measure*>& measures, int threads) {
  const ModelStore& store = zoo.store();
  Subject subject(zoo, model);
  subject.snapshot.set_threads(threads);
  const Snapshot& snapshot = subject.snapshot;
  std::unique_ptr<Probe> probe;

  std::vector<MeasureCell> cells = read_cells(store, model.id);
  const bool with_derivatives = std::any_of(measures.begin(), measures.end(), [&](const Measure* m) {
    return (m->info.needs & needs_gradients) != 0 && !is_current(cells, *m);
  });
  bool broken = false;
  double unsaved = 0;  // seconds of work that a kill would lose
  for (const Measure* measure : measures) {
    if (is_current(cells, *measure)) continue;
    if ((measure->info.needs & needs_probe) != 0 && !probe)
      probe = subject.probe(zoo, probes, model, threads, with_derivatives);
    const int known = sum_of_revisions(snapshot.searches());
    MeasureCell computed = compute_cell(*measure, snapshot, probe.get());
    if (sum_of_revisions(snapshot.searches()) != known) write_searches(store, model.id, snapshot.searches());
    broken = broken || computed.outcome.status() == Outcome::Status::failed;
    unsaved += computed.seconds;
    const auto cell = std::find_if(cells.begin(), cells.end(),
                                   [&](const MeasureCell& c) { return c.measure == measure->info.id; });
    if (cell != cells.end())
      *cell = std::move(computed);
    else
      cells.push_back(std::move(computed));
    if (unsaved > 1) {
      write_cells(store, model.id, cells);
      unsaved = 0;
      if (zoo.options().progress != nullptr) zoo.options().progress->refresh();
    }
  }
  write_cells(store, model.id, cells);
  return broken;
}

// A header that promises more than the file holds, or is none, is found without reading the weights: also of a model
// whose measures are all there, which nothing else would look at again.
void check_weights(const ModelStore& store, const std::string& id) {
  for (const char* name : {"init.safetensors", "final.safetensors"}) try {
      TensorFile::open(store.file(id, name));
    } catch (const InputError& e) {
      throw InputError(std::string(e.what()) + "; delete the folder " + store.dir(id).string() +
                       " and run again to make this model anew");
    }
}

// Seconds of one core, or of the device, that the forward passes of the searches and of the probe will take: those of the first
// model, timed, by each model's arithmetic. Nothing where no model needs a probe.
double estimated_seconds(Zoo& zoo, const Probes& probes, const std::vector<ModelSpec>& queue,
                         const std::vector<const Measure*>& measures) {
  double rate = 0, seconds = 0;  // operations a second
  for (const ModelSpec& model : queue) {
    const std::vector<MeasureCell> cells = read_cells(zoo.store(), model.id);
    std::set<std::string> searches;
    bool needs = false, derivatives = false;
    for (const Measure* measure : measures) {
      if (is_current(cells, *measure)) continue;
      needs = needs || (measure->info.needs & needs_probe) != 0;
      derivatives = derivatives || (measure->info.needs & needs_gradients) != 0;
      std::istringstream names{std::string(measure->info.searches)};
      for (std::string name; names >> name;) searches.insert(name);
    }
    for (const auto& [name, search] : read_searches(zoo.store(), model.id))
      if (search.revision == measures::search_revision(name)) searches.erase(name);
    if (!needs) continue;
    const auto architecture = make_architecture(model.hp, zoo.data().shape());
    const std::int64_t n = zoo.data().samples(model.hp);
    double passes = static_cast<double>(derivatives ? 2 * n : n);
    for (const std::string& name : searches) passes += measures::typical_passes(name);
    if (rate == 0) {
      const Subject subject(zoo, model);
      const auto probe = subject.probe(zoo, probes, model, 1);
      std::vector<std::int64_t> some(static_cast<std::size_t>(std::min<std::int64_t>(n, 100)));
      std::iota(some.begin(), some.end(), std::int64_t{0});
      std::vector<float> parameters;
      for (const Array& a : subject.snapshot.arrays())
        parameters.insert(parameters.end(), a.final.begin(), a.final.end());
      const Probe::Parameters set(parameters);
      std::vector<float> z(some.size() * static_cast<std::size_t>(probe->classes()));
      probe->logits_of({&set, 1}, some, z);
      const Clock::time_point start = Clock::now();
      probe->logits_of({&set, 1}, some, z);
      rate = architecture->flops() * static_cast<double>(some.size()) / std::max(seconds_since(start), 1e-7);
    }
    seconds += passes * architecture->flops() / rate;
  }
  return seconds;
}

}  // namespace

StageSummary measure_zoo(Zoo& zoo, const std::vector<std::string>& patterns) {
  const Clock::time_point start = Clock::now();
  const std::vector<const Measure*> measures =
      all_measures().select(patterns.empty() ? zoo.spec().measures : patterns);
  StageSummary summary;
  std::vector<ModelSpec> queue;
  for (ModelSpec& m : zoo.shard_models()) {
    if (!zoo.store().is_trained(m.id) || zoo.store().read_json(m.id, "result.json").at("status") != "ok")
      continue;
    ++summary.total;
    check_weights(zoo.store(), m.id);
    const std::vector<MeasureCell> cells = read_cells(zoo.store(), m.id);
    const bool complete = std::all_of(measures.begin(), measures.end(),
                                      [&](const Measure* measure) { return is_current(cells, *measure); });
    if (complete)
      ++summary.earlier;
    else
      queue.push_back(std::move(m));
  }
  Progress* progress = zoo.options().progress;
  if (progress != nullptr) progress->begin("measure", "models", summary.total, summary.earlier);
  if (!queue.empty()) zoo.data();  // loaded before the threads share it
  const Probes probes(
      executor_choice(zoo.options().executor), device_choice(zoo.options().device),
      static_cast<int>(std::min<std::size_t>(queue.size(), static_cast<std::size_t>(zoo.workers()))));
  if (progress != nullptr) {
    const int shares = probes.device().empty() ? zoo.workers() : 1;
    if (const double seconds = estimated_seconds(zoo, probes, queue, measures); seconds > 2 * shares)
      progress->note("forward passes and searches of " + std::to_string(queue.size()) +
                     " models will take about " +
                     std::to_string(static_cast<std::int64_t>(std::ceil(seconds / shares))) + " s on " +
                     (probes.device().empty() ? std::to_string(shares) + " workers" : probes.device()));
  }
  // threads that no model of its own keeps busy share the work of one
  const int threads_each =
      queue.empty()
          ? 1
          : std::max(1, zoo.workers() / static_cast<int>(std::min<std::size_t>(queue.size(), 1u << 20)));

  std::atomic<std::size_t> next{0};
  std::atomic<std::int64_t> fresh{0}, failed{0};
  std::atomic<bool> abort{false};
  std::exception_ptr error;
  std::mutex error_mutex;
  const auto stop = [&] { return abort || (zoo.options().stop_requested && zoo.options().stop_requested()); };
  const auto work = [&] {
    at::set_num_threads(1);
    for (std::size_t i = next++; i < queue.size() && !stop(); i = next++) {
      try {
        const bool broken = measure_model(zoo, probes, queue[i], measures, threads_each);
        ++(broken ? failed : fresh);
        if (progress != nullptr) progress->advance(!broken);
      } catch (...) {
        const std::lock_guard lock(error_mutex);
        if (!error) error = std::current_exception();
        abort = true;
      }
    }
  };
  std::vector<std::thread> threads;
  for (int w = 0; w < zoo.workers(); ++w) threads.emplace_back(work);
  for (std::thread& t : threads) t.join();
  if (error) std::rethrow_exception(error);
  if (progress != nullptr) progress->end();

  summary.fresh = fresh;
  summary.failed = failed;
  summary.interrupted = summary.earlier + summary.fresh + summary.failed < summary.total;
  summary.seconds = seconds_since(start);
  return summary;
}

}  // namespace gapbench
