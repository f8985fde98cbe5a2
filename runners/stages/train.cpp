#include <atomic>
#include <chrono>

#include "runners/stages/zoo.h"
#include "zoo/engine/estimate.h"
#include "zoo/engine/executor.h"
#include "zoo/engine/model_files.h"

namespace gapbench {

StageSummary train_zoo(Zoo& zoo) {
  const auto start = std::chrono::steady_clock::now();
  const ModelStore& store = zoo.store();
  StageSummary summary;
  std::vector<ModelSpec> queue;
  for (ModelSpec& m : zoo.shard_models()) {
    ++summary.total;
    if (store.is_trained(m.id)) {
      store.remove(m.id, "checkpoint.safetensors");  // stays where a run was killed right after the result
      ++summary.earlier;
    } else {
      queue.push_back(std::move(m));
    }
  }
  Progress* progress = zoo.options().progress;
  if (progress != nullptr) progress->begin("train", "models", summary.total, summary.earlier);

  std::atomic<std::int64_t> fresh{0}, failed{0};
  ExecutorEvents events;
  events.checkpoint_interval_s = zoo.options().checkpoint_interval_s;
  events.stop_requested = zoo.options().stop_requested;
  events.load_checkpoint = [&](const ModelSpec& m, const Architecture& a, const std::string& executor) {
    std::optional<TrainState> state = load_checkpoint(store, m, a);
    if (state && state->executor != executor) {  // going on would give bits that no whole run gives
      if (progress != nullptr)
        progress->note("model " + m.id + " starts anew: its checkpoint was made by " +
                       (state->executor.empty() ? "an earlier version" : state->executor) +
                       ", this run uses " + executor);
      state.reset();
    }
    if (const LogIterates& log = zoo.spec().log_iterates;
        state && log.last > 0 &&
        !complete(state->iterates, log, m.hp, zoo.data().samples(m.hp), state->steps)) {
      if (progress != nullptr)
        progress->note("model " + m.id +
                       " starts anew: its checkpoint lacks the iterates that the spec asks for");
      state.reset();
    }
    return state;
  };
  events.save_checkpoint = [&](const ModelSpec& m, const Architecture& a, const TrainState& state) {
    save_checkpoint(store, m, a, state);
  };
  events.started = [&](const ModelSpec&) {
    if (progress != nullptr) progress->start();
  };
  events.epoch_finished = [&](const ModelSpec&, const EpochRecord&) {
    if (progress != nullptr) progress->refresh();
  };
  events.log_iterates = zoo.spec().log_iterates;
  events.keep_epochs = zoo.spec().keep_epochs;
  events.keep = [&](const ModelSpec& m, const Architecture& a, std::int64_t epoch,
                    const std::vector<std::vector<float>>& arrays) {
    save_epoch(store, m, a, epoch, arrays);
  };
  events.finished = [&](const ModelSpec& m, const Architecture& a, const TrainedModel& trained,
                        double seconds) {
    save_trained(store, m, a, trained, seconds);
    ++fresh;
    if (progress != nullptr) progress->advance(true);
  };
  events.failed = [&](const ModelSpec& m, const std::string& what) {
    store.write_json(m.id, "spec.json", m.to_json());
    store.write_json(m.id, "failure.json", {{"what", what}});
    ++failed;
    if (progress != nullptr) {
      progress->note("model " + m.id + " failed: " + what);
      progress->advance(false);
    }
  };
  if (!queue.empty())
    make_executor(zoo.workers(), executor_choice(zoo.options().executor), device_choice(zoo.options().device))
        ->run(std::move(queue), zoo.data(), events);
  if (progress != nullptr) progress->end();

  summary.fresh = fresh;
  summary.failed = failed;
  summary.interrupted = summary.earlier + summary.fresh + summary.failed < summary.total;
  summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return summary;
}

TrainingPlan plan_training(Zoo& zoo) {
  TrainingPlan plan;
  std::vector<ModelSpec> missing;
  for (ModelSpec& m : zoo.shard_models()) {
    ++plan.models;
    if (zoo.store().is_trained(m.id))
      ++plan.trained;
    else
      missing.push_back(std::move(m));
  }
  EstimateOptions options;
  options.workers = zoo.workers();
  options.executor = executor_choice(zoo.options().executor);
  options.device = device_choice(zoo.options().device, false);
  options.log_iterates = zoo.spec().log_iterates;
  TrainingEstimate estimate = estimate_training(std::move(missing), zoo.data(), options);
  plan.groups = estimate.groups;
  plan.failing = estimate.failing;
  plan.stacks = std::move(estimate.stacks);
  plan.device = estimate.cuda                         ? estimate.device
                : options.device == DeviceChoice::cpu ? "cpu"
                                                      : "cpu, as no CUDA device is here";
  plan.cuda = estimate.cuda;
  plan.streams = estimate.streams;
  plan.seconds = estimate.seconds;
  plan.bytes = estimate.bytes;
  plan.memory = estimate.memory;
  plan.device_memory = estimate.device_memory;
  return plan;
}

}  // namespace gapbench
