#include "zoo/engine/stack/stack_executor.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <numeric>
#include <thread>

#include "measures/api/error.h"
#include "zoo/engine/stack/training_stack.h"

namespace gapbench {
namespace {

using Clock = std::chrono::steady_clock;
using stack::TrainingStack;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// What a caller's function threw: it ends the run, where what training throws fails a model.
struct CallersError {
  std::exception_ptr error;
};
template <class F>
void guard(F&& call) {
  try {
    call();
  } catch (...) {
    throw CallersError{std::current_exception()};
  }
}

// A model on its way through a stack.
struct Running {
  ModelSpec model;
  std::unique_ptr<Architecture> architecture;
  TrainState state;    // arrays and moving averages as of the last download
  double seconds = 0;  // its share of the stack's time
  Clock::time_point last_checkpoint = Clock::now();
};

class GroupRun {
 public:
  GroupRun(std::vector<ModelSpec> models, TrainingDataCache& cache, stack::DeviceDataCache& on_device,
           const ExecutorEvents& events, const StackOptions& options, std::int64_t memory)
      : events_(events),
        options_(options),
        memory_(memory),
        on_device_(on_device),
        device_(stack::device_of(options.cuda)),
        execution_("stack/" + stack::device_name(device_) + "/LibTorch " GAPBENCH_TORCH_VERSION) {
    for (ModelSpec& m : models) queue_.push_back(std::move(m));
    const ModelSpec& first = queue_.front();
    architecture_ = make_architecture(first.hp, cache.shape());
    host_ = cache.get(first.hp, architecture_->channels_last());
    cache_ = &cache;
  }

  void run() {
    data_ = on_device_.get(host_, device_);
    make_stack(chosen_size());
    while (fill_slots()) {
      if (!boundary()) return;
      epoch();
    }
    stack_.reset();
    data_.reset();
    stack::release_unused_memory(device_);
  }

  /// Members of the last stack that was asked for, 0 before the first.
  std::int64_t size() const { return size_; }

  /// What is left after an error of the device: all that is neither finished nor failed.
  std::vector<ModelSpec> left() {
    std::vector<ModelSpec> models;
    for (auto& r : slots_)
      if (r) models.push_back(std::move(r->model));
    for (ModelSpec& m : queue_) models.push_back(std::move(m));
    return models;
  }

 private:
  bool stop() const { return events_.stop_requested && events_.stop_requested(); }

  std::int64_t chosen_size() const {
    const std::int64_t k = options_.members > 0
                               ? options_.members
                               : stack::members_of_a_stack(*architecture_, queue_.front(), *host_, device_,
                                                           memory_, events_.log_iterates);
    return stack::members_in_waves(k, static_cast<std::int64_t>(queue_.size()));
  }

  void make_stack(std::int64_t size) {
    if (stack_) {
      for (std::int64_t k = 0; k < stack_->size(); ++k)
        if (stack_->occupied(k)) stack_->download(k, slots_[static_cast<std::size_t>(k)]->state);
      stack_.reset();
    }
    const ModelSpec* any = queue_.empty() ? nullptr : &queue_.front();
    for (const auto& r : slots_)
      if (r) any = &r->model;
    size_ = size;
    if (options_.before_stack) options_.before_stack(size);
    stack_ = std::make_unique<TrainingStack>(*architecture_, data_, *any, size, device_, options_.threads,
                                             events_.log_iterates);
    // the slots in use first, in their order
    std::stable_partition(slots_.begin(), slots_.end(), [](const auto& r) { return r.has_value(); });
    slots_.resize(static_cast<std::size_t>(size));
    for (std::int64_t k = 0; k < size; ++k)
      if (const auto& r = slots_[static_cast<std::size_t>(k)])
        stack_->load(k, r->model, *r->architecture, r->state);
  }

  std::int64_t occupied() const {
    return std::count_if(slots_.begin(), slots_.end(), [](const auto& s) { return s.has_value(); });
  }

  // False where nothing is left to train.
  bool fill_slots() {
    for (std::int64_t k = 0; k < stack_->size(); ++k) {
      auto& slot = slots_[static_cast<std::size_t>(k)];
      while (!slot && !queue_.empty() && !stop()) {
        // in the slot at once: left() finds it there whatever breaks below
        Running& r = slot.emplace(Running{std::move(queue_.front()), nullptr, {}});
        queue_.pop_front();
        if (events_.started) guard([&] { events_.started(r.model); });
        r.architecture = make_architecture(r.model.hp, cache_->shape());
        if (events_.load_checkpoint)
          guard([&] {
            if (auto state = events_.load_checkpoint(r.model, *r.architecture, execution_))
              r.state = std::move(*state);
          });
        r.state.executor = execution_;
        stack_->load(k, r.model, *r.architecture, r.state);
        if (stop_reason(slot->model.hp, slot->state)) finish({k});  // of a checkpoint that was its last epoch
      }
    }
    const std::int64_t busy = occupied();
    if (busy > 0 && queue_.empty() && 2 * busy <= stack_->size()) make_stack(busy);
    return busy > 0;
  }

  // Between epochs: checkpoints; false where the run is to stop.
  bool boundary() {
    const bool stopping = stop();
    for (std::int64_t k = 0; k < stack_->size(); ++k) {
      auto& r = slots_[static_cast<std::size_t>(k)];
      if (!r || r->state.history.empty() || !events_.save_checkpoint) continue;
      if (!stopping && seconds_since(r->last_checkpoint) < events_.checkpoint_interval_s) continue;
      stack_->download(k, r->state);
      guard([&] { events_.save_checkpoint(r->model, *r->architecture, r->state); });
      r->last_checkpoint = Clock::now();
    }
    return !stopping;
  }

  void epoch() {
    const Clock::time_point start = Clock::now();
    const auto results = stack_->train_epoch();
    std::vector<std::int64_t> busy, noisy, ended;
    bool evaluated = false;
    const auto n = static_cast<double>(host_->train.count);
    for (std::int64_t k = 0; k < stack_->size(); ++k) {
      auto& r = slots_[static_cast<std::size_t>(k)];
      if (!r) continue;
      busy.push_back(k);
      const auto& [loss_sum, steps] = results[static_cast<std::size_t>(k)];
      EpochRecord record;
      record.epoch = static_cast<std::int64_t>(r->state.history.size()) + 1;
      record.steps = r->state.steps = steps;
      record.batch_loss = loss_sum / n;
      record.evaluated = evaluation_due(r->model.hp, record.epoch, steps, loss_sum);
      evaluated = evaluated || record.evaluated;
      if (record.epoch == 1 && std::isfinite(loss_sum)) noisy.push_back(k);
      r->state.history.push_back(record);
    }
    if (evaluated) {
      const auto evaluation = stack_->evaluate();
      for (const std::int64_t k : busy) {
        EpochRecord& record = last(k);
        if (!record.evaluated) continue;
        record.train = evaluation.train[static_cast<std::size_t>(k)];
        record.test = evaluation.test[static_cast<std::size_t>(k)];
        if (const double sum = results[static_cast<std::size_t>(k)].loss_sum; !std::isfinite(sum))
          record.train.cross_entropy = sum;
      }
    }
    add_noise(noisy);
    const double share = seconds_since(start) / static_cast<double>(busy.size());
    for (const std::int64_t k : busy) {
      Running& r = *slots_[static_cast<std::size_t>(k)];
      r.seconds += share;
      if (events_.epoch_finished) guard([&] { events_.epoch_finished(r.model, r.state.history.back()); });
      if (std::count(events_.keep_epochs.begin(), events_.keep_epochs.end(), r.state.history.back().epoch) >
          0) {
        stack_->download(k, r.state);
        guard([&] { events_.keep(r.model, *r.architecture, r.state.history.back().epoch, r.state.arrays); });
      }
      if (stop_reason(r.model.hp, r.state)) ended.push_back(k);
    }
    finish(ended);
  }

  EpochRecord& last(std::int64_t slot) {
    return slots_[static_cast<std::size_t>(slot)]->state.history.back();
  }

  void add_noise(const std::vector<std::int64_t>& slots) {
    if (slots.empty()) return;
    const auto noise = stack_->gradient_noise(slots);
    for (std::size_t i = 0; i < slots.size(); ++i) last(slots[i]).gradient_noise = noise[i];
  }

  void finish(const std::vector<std::int64_t>& ended) {
    std::vector<std::int64_t> noisy;
    for (const std::int64_t k : ended) {
      const Running& r = *slots_[static_cast<std::size_t>(k)];
      if (stop_reason(r.model.hp, r.state) != StopReason::diverged && !last(k).gradient_noise)
        noisy.push_back(k);
    }
    add_noise(noisy);
    for (const std::int64_t k : ended) {
      auto& slot = slots_[static_cast<std::size_t>(k)];
      stack_->download(k, slot->state);
      stack_->clear(k);
      Running r = std::move(*slot);
      slot.reset();
      const StopReason reason = *stop_reason(r.model.hp, r.state);
      if (reason == StopReason::diverged) r.state.iterates = {};
      if (events_.finished)
        guard([&] { events_.finished(r.model, *r.architecture, {reason, std::move(r.state)}, r.seconds); });
    }
  }

  const ExecutorEvents& events_;
  StackOptions options_;
  std::int64_t memory_;  // bytes of the device that it may take
  stack::DeviceDataCache& on_device_;
  at::Device device_;
  std::string execution_;  // see TrainState::executor
  std::deque<ModelSpec> queue_;
  std::unique_ptr<Architecture> architecture_;
  TrainingDataCache* cache_ = nullptr;
  std::shared_ptr<const TrainingData> host_;
  std::shared_ptr<const stack::DeviceData> data_;
  std::vector<std::optional<Running>> slots_;
  std::unique_ptr<TrainingStack> stack_;
  std::int64_t size_ = 0;
};

class StackExecutor final : public Executor {
 public:
  explicit StackExecutor(const StackOptions& options) : options_(options) {}

  std::string name() const override { return "stack/" + stack::device_name(stack::device_of(options_.cuda)); }

  void run(std::vector<ModelSpec> queue, TrainingDataCache& data, const ExecutorEvents& events) override {
    at::set_num_threads(1);  // a sum that threads share would depend on the stack's size
    StackGroups split = stack_groups(std::move(queue), data, 1);
    const auto fail = [&](const ModelSpec& m, const std::string& what) {
      if (events.failed) events.failed(m, what);
    };
    for (const ModelSpec& m : split.rest)
      fail(m, "the stack executor does not serve network " + m.hp.network +
                  " with these hyper-parameters; run without --executor");
    const at::Device device = stack::device_of(options_.cuda);
    const int streams = options_.streams > 0 ? options_.streams : stack::streams_of(device);
    const std::int64_t memory = stack::free_memory(device) / streams;
    std::vector<std::vector<ModelSpec>> parts = parted(std::move(split), data, events, streams, memory);
    StackOptions each = options_;
    each.threads = std::max(1, options_.threads / streams);

    stack::DeviceDataCache on_device;
    std::atomic<std::size_t> next{0};
    std::atomic<bool> abort{false};
    std::exception_ptr error;
    std::mutex error_mutex;
    ExecutorEvents own = events;
    own.stop_requested = [&] { return abort.load() || (events.stop_requested && events.stop_requested()); };
    const auto work = [&] {
      at::set_num_threads(1);
      const stack::StreamScope scope(device);
      for (std::size_t i = next++; i < parts.size() && !own.stop_requested(); i = next++) try {
          run_group(std::move(parts[i]), data, on_device, own, each, memory, fail);
        } catch (...) {
          const std::lock_guard lock(error_mutex);
          if (!error) error = std::current_exception();
          abort = true;
        }
    };
    std::vector<std::thread> threads;
    for (int s = 1; s < std::min(streams, static_cast<int>(parts.size())); ++s) threads.emplace_back(work);
    work();
    for (std::thread& t : threads) t.join();
    if (error) std::rethrow_exception(error);
  }

 private:
  // The groups, longest first, those parted that are more than a stream's share of the work.
  std::vector<std::vector<ModelSpec>> parted(StackGroups groups, TrainingDataCache& data,
                                             const ExecutorEvents& events, int streams,
                                             std::int64_t memory) const {
    if (streams == 1) return std::move(groups.groups);
    const double share = std::accumulate(groups.work.begin(), groups.work.end(), 0.0) / streams;
    std::vector<std::pair<double, std::vector<ModelSpec>>> parts;
    for (std::size_t g = 0; g < groups.groups.size(); ++g) {
      std::vector<ModelSpec>& group = groups.groups[g];
      const double shares = share > 0 ? std::ceil(groups.work[g] / share) : 1;
      const std::int64_t wanted = std::min(streams, static_cast<int>(shares)),
                         waves = wanted > 1 ? waves_of(group, data, events, memory) : 1;
      const auto count = static_cast<std::size_t>(std::clamp(wanted, std::int64_t{1}, waves));
      std::vector<std::vector<ModelSpec>> own(count);  // dealt out: they are sorted by their length
      for (std::size_t m = 0; m < group.size(); ++m) own[m % count].push_back(std::move(group[m]));
      for (std::vector<ModelSpec>& part : own)
        parts.emplace_back(groups.work[g] / static_cast<double>(count), std::move(part));
    }
    std::stable_sort(parts.begin(), parts.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    std::vector<std::vector<ModelSpec>> sorted;
    for (auto& [work, part] : parts) sorted.push_back(std::move(part));
    return sorted;
  }

  std::int64_t waves_of(const std::vector<ModelSpec>& group, TrainingDataCache& data,
                        const ExecutorEvents& events, std::int64_t memory) const {
    std::int64_t members = options_.members;
    if (members == 0) {
      const ModelSpec& first = group.front();
      const auto architecture = make_architecture(first.hp, data.shape());
      members =
          stack::members_of_a_stack(*architecture, first, *data.get(first.hp, architecture->channels_last()),
                                    stack::device_of(options_.cuda), memory, events.log_iterates);
    }
    return (static_cast<std::int64_t>(group.size()) + members - 1) / members;
  }

  // A stack that breaks is tried again with half of its members; what fails alone is failed.
  template <class Fail>
  static void run_group(std::vector<ModelSpec> group, TrainingDataCache& data,
                        stack::DeviceDataCache& on_device, const ExecutorEvents& events, StackOptions options,
                        std::int64_t memory, const Fail& fail) {
    while (!group.empty()) {
      std::string what;
      std::int64_t tried = 1;
      std::unique_ptr<GroupRun> run;
      try {
        run = std::make_unique<GroupRun>(group, data, on_device, events, options, memory);
        run->run();
        return;
      } catch (const CallersError& e) {
        std::rethrow_exception(e.error);
      } catch (const std::exception& e) {
        what = e.what();
      }
      settle(stack::device_of(options.cuda));
      if (run) {
        group = run->left();
        tried = std::max(tried, run->size());
      }
      if (group.empty()) return;
      if (tried == 1) {
        fail(group.front(), what);
        group.erase(group.begin());
      } else {
        options.members = tried / 2;
      }
    }
  }

  // Before memory that other streams use too is given back: what a stack that broke has left to do.
  static void settle(const at::Device& device) {
    try {
      stack::synchronise(device);
    } catch (const std::exception&) {  // the error that broke it, again
    }
  }

  StackOptions options_;
};

}  // namespace

std::unique_ptr<Executor> make_stack_executor(const StackOptions& options) {
  return std::make_unique<StackExecutor>(options);
}

bool stack_serves(const HyperParameters& hp, const Architecture& architecture) {
  return stack::serves(hp, architecture);
}

StackGroups stack_groups(std::vector<ModelSpec> queue, const TrainingDataCache& data, std::size_t least) {
  StackGroups result;
  std::map<std::string, std::vector<ModelSpec>> by_key;
  std::map<std::string, double> work;
  for (ModelSpec& m : queue) {
    std::string key;
    try {
      const auto architecture = make_architecture(m.hp, data.shape());
      if (stack_serves(m.hp, *architecture)) key = stack::group_key(m.hp, *architecture);
    } catch (const InputError&) {  // the other executor reports it
    }
    if (key.empty()) {
      result.rest.push_back(std::move(m));
      continue;
    }
    work[key] += estimated_flops(m, data.shape(), data.dataset().train.count);
    by_key[key].push_back(std::move(m));
  }
  std::vector<std::pair<double, std::string>> longest;
  for (auto& [key, models] : by_key) {
    if (models.size() >= least)
      longest.emplace_back(-work[key], key);
    else
      std::move(models.begin(), models.end(), std::back_inserter(result.rest));
  }
  std::sort(longest.begin(), longest.end());
  for (const auto& [flops, key] : longest) {
    std::vector<ModelSpec>& models = by_key[key];
    // the longest first, so that what is left at the end is short
    std::stable_sort(models.begin(), models.end(), [](const ModelSpec& a, const ModelSpec& b) {
      return a.hp.max_epochs > b.hp.max_epochs;
    });
    result.groups.push_back(std::move(models));
    result.work.push_back(-flops);
  }
  return result;
}

}  // namespace gapbench
