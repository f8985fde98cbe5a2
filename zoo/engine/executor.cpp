#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <thread>

#include "measures/api/error.h"
#include "zoo/engine/executor.h"
#include "zoo/engine/fast/fast_network.h"
#include "zoo/engine/general_network.h"
#include "zoo/engine/stack/device.h"
#include "zoo/engine/stack/stack_executor.h"

namespace gapbench {

double estimated_flops(const ModelSpec& model, const InputShape& input, std::int64_t train_samples) {
  const auto architecture = make_architecture(model.hp, input);
  const std::int64_t n = model.hp.train_size > 0 ? model.hp.train_size : train_samples;
  // forward and backward of each sample, and one more forward for the evaluation after the epoch
  return 4 * architecture->flops() * static_cast<double>(n) * static_cast<double>(model.hp.max_epochs);
}

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// One network a thread, longest first.
class ThreadedExecutor final : public Executor {
 public:
  ThreadedExecutor(int workers, ExecutorChoice choice) : workers_(std::max(1, workers)), choice_(choice) {}

  std::string name() const override {
    return choice_ == ExecutorChoice::general ? "general/cpu" : "fast/cpu";
  }

  void run(std::vector<ModelSpec> queue, TrainingDataCache& data, const ExecutorEvents& events) override {
    sort_longest_first(queue, data);
    std::atomic<std::size_t> next{0};
    std::atomic<bool> abort{false};
    std::exception_ptr error;
    std::mutex error_mutex;

    const auto stop = [&] { return abort.load() || (events.stop_requested && events.stop_requested()); };
    const auto work = [&] {
      at::set_num_threads(1);  // the thread counts of the libraries below must not multiply
      for (std::size_t i = next++; i < queue.size() && !stop(); i = next++) {
        try {
          train_one(queue[i], data, events, stop);
        } catch (...) {
          const std::lock_guard lock(error_mutex);
          if (!error) error = std::current_exception();
          abort = true;
        }
      }
    };
    std::vector<std::thread> threads;
    for (int w = 0; w < workers_; ++w) threads.emplace_back(work);
    for (std::thread& t : threads) t.join();
    if (error) std::rethrow_exception(error);
  }

 private:
  static void sort_longest_first(std::vector<ModelSpec>& queue, const TrainingDataCache& data) {
    std::vector<std::pair<double, std::size_t>> cost;
    for (std::size_t i = 0; i < queue.size(); ++i) {
      double flops = 0;
      try {
        flops = estimated_flops(queue[i], data.shape(), data.dataset().train.count);
      } catch (const std::exception&) {  // a network that does not fit: train_one reports it
      }
      cost.emplace_back(-flops, i);
    }
    std::sort(cost.begin(), cost.end());
    std::vector<ModelSpec> sorted;
    for (const auto& [flops, i] : cost) sorted.push_back(std::move(queue[i]));
    queue = std::move(sorted);
  }

  template <class Stop>
  void train_one(const ModelSpec& model, TrainingDataCache& cache, const ExecutorEvents& events,
                 const Stop& stop) const {
    const Clock::time_point start = Clock::now();
    if (events.started) events.started(model);
    std::unique_ptr<Architecture> architecture;
    TrainedModel trained;
    // what the caller's functions throw passes through; what training throws becomes a failed model
    std::exception_ptr callers;
    const auto guard = [&callers](auto&& call) {
      try {
        call();
      } catch (...) {
        callers = std::current_exception();
        throw;
      }
    };
    try {
      architecture = make_architecture(model.hp, cache.shape());
      const auto data = cache.get(model.hp, architecture->channels_last());
      std::optional<TrainState> checkpoint;
      const auto network = make_network(*architecture, cache.shape(), choice_);
      if (events.load_checkpoint)
        guard([&] { checkpoint = events.load_checkpoint(model, *architecture, network->execution()); });
      Clock::time_point last_checkpoint = start;
      TrainControl control;
      control.stop_requested = stop;
      control.checkpoint_due = [&] { return seconds_since(last_checkpoint) >= events.checkpoint_interval_s; };
      if (events.save_checkpoint)
        control.save_checkpoint = [&](const TrainState& state) {
          guard([&] { events.save_checkpoint(model, *architecture, state); });
          last_checkpoint = Clock::now();
        };
      control.log_iterates = events.log_iterates;
      control.keep_epochs = events.keep_epochs;
      control.keep = [&](std::int64_t epoch, const std::vector<std::vector<float>>& arrays) {
        guard([&] { events.keep(model, *architecture, epoch, arrays); });
      };
      if (events.epoch_finished)
        control.epoch_finished = [&](const EpochRecord& record) {
          guard([&] { events.epoch_finished(model, record); });
        };
      trained = train(model, *network, *data, control, std::move(checkpoint));
    } catch (const std::exception& e) {
      if (callers) throw;
      if (events.failed) events.failed(model, e.what());
      return;
    }
    if (trained.reason != StopReason::interrupted && events.finished)
      events.finished(model, *architecture, trained, seconds_since(start));
  }

  int workers_;
  ExecutorChoice choice_;
};

// Fewer models than this train sooner on the CPU than it takes to set a device up for them.
constexpr std::size_t least_group = 8;

// Stacks on a device, and beside them on the CPU what stacks do not serve.
class DeviceExecutor final : public Executor {
 public:
  explicit DeviceExecutor(int workers)
      : stacks_(make_stack_executor({.cuda = true, .threads = workers})),
        others_(workers, ExecutorChoice::automatic) {}

  std::string name() const override { return stacks_->name(); }

  void run(std::vector<ModelSpec> queue, TrainingDataCache& data, const ExecutorEvents& events) override {
    StackGroups split = stack_groups(std::move(queue), data, least_group);
    std::vector<ModelSpec> served;
    for (std::vector<ModelSpec>& group : split.groups)
      std::move(group.begin(), group.end(), std::back_inserter(served));
    std::atomic<bool> abort{false};
    std::exception_ptr error;
    std::mutex error_mutex;
    ExecutorEvents own = events;
    own.stop_requested = [&] { return abort.load() || (events.stop_requested && events.stop_requested()); };
    const auto run_one = [&](Executor& executor, std::vector<ModelSpec> models) {
      try {
        if (!models.empty()) executor.run(std::move(models), data, own);
      } catch (...) {
        const std::lock_guard lock(error_mutex);
        if (!error) error = std::current_exception();
        abort = true;
      }
    };
    std::thread beside([&] { run_one(others_, std::move(split.rest)); });
    run_one(*stacks_, std::move(served));
    beside.join();
    if (error) std::rethrow_exception(error);
  }

 private:
  std::unique_ptr<Executor> stacks_;
  ThreadedExecutor others_;
};

}  // namespace

ExecutorChoice executor_choice(const std::string& text) {
  if (text == "auto") return ExecutorChoice::automatic;
  if (text == "general") return ExecutorChoice::general;
  if (text == "fast") return ExecutorChoice::fast;
  if (text == "stack") return ExecutorChoice::stack;
  throw UsageError("--executor " + text + ": it takes auto, general, fast or stack");
}

DeviceChoice device_choice(const std::string& text, bool must_be_there) {
  if (text == "auto") return DeviceChoice::automatic;
  if (text == "cpu") return DeviceChoice::cpu;
  if (text != "cuda") throw UsageError("--device " + text + ": it takes auto, cpu or cuda");
  if (must_be_there && !stack::cuda_device_present())
    throw InputError(
        "--device cuda: no CUDA device is there, or this build has no CUDA; run with --device cpu, or build "
        "with nvcc and a LibTorch with CUDA");
  return DeviceChoice::cuda;
}

std::unique_ptr<TrainableNetwork> make_network(const Architecture& architecture, const InputShape& shape,
                                               ExecutorChoice choice) {
  if (choice != ExecutorChoice::general) {
    if (auto network = make_fast_network(architecture, shape)) return network;
    if (choice == ExecutorChoice::fast)
      throw InputError("the fast executor does not serve network " + architecture.network() +
                       "; run without --executor");
  }
  return make_general_network(architecture, shape);
}

StackPlace stack_place(ExecutorChoice choice, DeviceChoice device) {
  const bool wanted = choice == ExecutorChoice::stack || choice == ExecutorChoice::automatic;
  const bool cuda = wanted && device != DeviceChoice::cpu && stack::cuda_device_present();
  return {choice == ExecutorChoice::stack || cuda, cuda};
}

Split split_queue(std::vector<ModelSpec> queue, const TrainingDataCache& data, ExecutorChoice choice,
                  DeviceChoice device) {
  Split split;
  split.place = stack_place(choice, device);
  if (!split.place.stacks) {
    split.rest = std::move(queue);
    return split;
  }
  StackGroups groups =
      stack_groups(std::move(queue), data, choice == ExecutorChoice::stack ? 1 : least_group);
  split.groups = std::move(groups.groups);
  split.rest = std::move(groups.rest);
  return split;
}

std::unique_ptr<Executor> make_executor(int workers, ExecutorChoice choice, DeviceChoice device) {
  const StackPlace place = stack_place(choice, device);
  if (!place.stacks) return std::make_unique<ThreadedExecutor>(workers, choice);
  if (choice == ExecutorChoice::stack) return make_stack_executor({.cuda = place.cuda, .threads = workers});
  return std::make_unique<DeviceExecutor>(workers);
}

}  // namespace gapbench
