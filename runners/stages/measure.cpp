#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "measures/api/error.h"
#include "measures/api/registry.h"
#include "runners/stages/cells.h"
#include "runners/stages/zoo.h"
#include "zoo/engine/model_files.h"
#include "zoo/engine/network_probe.h"
#include "zoo/training/training_data.h"

namespace gapbench {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

constexpr unsigned needs_probe = needs_data | needs_labels | needs_gradients | needs_hessian;

// Computes one cell; whatever a measure throws becomes a failed cell.
MeasureCell compute_cell(const Measure& measure, const Snapshot& snapshot, Probe* probe) {
  MeasureCell cell;
  cell.measure = measure.info.id;
  cell.revision = measure.info.revision;
  const Clock::time_point start = Clock::now();
  try {
    cell.outcome = measure.compute(snapshot, probe);
  } catch (const std::exception& e) {
    cell.outcome = Outcome::failed(e.what());
  }
  cell.seconds = seconds_since(start);
  return cell;
}

// True when the model has a broken cell afterwards.
bool measure_model(Zoo& zoo, const ModelSpec& model, const std::vector<const Measure*>& measures) {
  const ModelStore& store = zoo.store();
  const TrainingDataCache& data = zoo.data();
  const auto architecture = make_architecture(model.hp, data.shape());
  const std::int64_t train_size = model.hp.train_size > 0 ? model.hp.train_size : data.dataset().train.count;
  const Snapshot snapshot = load_snapshot(store, model, *architecture, train_size, data.shape().classes);
  std::unique_ptr<Probe> probe;

  std::vector<MeasureCell> cells = read_cells(store, model.id);
  bool broken = false;
  for (const Measure* measure : measures) {
    const auto cell = std::find_if(cells.begin(), cells.end(),
                                   [&](const MeasureCell& c) { return c.measure == measure->info.id; });
    if (cell != cells.end() && cell->is_current(measure->info)) continue;
    if ((measure->info.needs & needs_probe) != 0 && !probe) {
      std::vector<std::span<const float>> arrays;
      for (const Array& a : snapshot.arrays()) arrays.push_back(a.final);
      const auto samples = zoo.data().get(model.hp, architecture->channels_last());
      probe = make_network_probe(*architecture, samples, training_labels(model, *samples), arrays);
    }
    MeasureCell computed = compute_cell(*measure, snapshot, probe.get());
    broken = broken || computed.outcome.status() == Outcome::Status::failed;
    if (cell != cells.end())
      *cell = std::move(computed);
    else
      cells.push_back(std::move(computed));
  }
  write_cells(store, model.id, cells);
  return broken;
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
    const std::vector<MeasureCell> cells = read_cells(zoo.store(), m.id);
    const bool complete = std::all_of(measures.begin(), measures.end(), [&](const Measure* measure) {
      return std::any_of(cells.begin(), cells.end(), [&](const MeasureCell& c) {
        return c.measure == measure->info.id && c.is_current(measure->info);
      });
    });
    if (complete)
      ++summary.earlier;
    else
      queue.push_back(std::move(m));
  }
  Progress* progress = zoo.options().progress;
  if (progress != nullptr) progress->begin("measure", "models", summary.total, summary.earlier);
  if (!queue.empty()) zoo.data();  // loaded before the threads share it

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
        const bool broken = measure_model(zoo, queue[i], measures);
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
