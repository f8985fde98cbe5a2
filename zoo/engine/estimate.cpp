#include "zoo/engine/estimate.h"

#include <ATen/Parallel.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <numeric>
#include <set>
#include <tuple>
#include <vector>

#include "measures/api/error.h"
#include "zoo/engine/stack/device.h"
#include "zoo/engine/stack/training_stack.h"

namespace gapbench {

namespace {

constexpr std::size_t measured_groups = 8;
constexpr double seconds_a_group = 0.06;
constexpr double bytes_of_small_files = 6000;  // spec, result, history, timing

struct Group {
  ModelSpec model;        // one of its members
  double step_flops = 0;  // forward and backward
  double steps = 0;       // of all members together
};

// Of one worker, in bytes.
double memory(const Architecture& a, std::int64_t batch, const LogIterates& log) {
  constexpr double evaluated = 1000,
                   of_a_thread = 32 << 20;  // its stack, heap and the libraries' own buffers
  double units = 0, widest = 0;
  for (const Op& op : a.plan().ops) {
    units += static_cast<double>(op.out.size());
    widest = std::max(widest, static_cast<double>(op.in.size() + op.out.size()));
  }
  // the ring, the copy to write, the file; and per parameter the tables and what makes them
  const double iterates = log.last > 0 ? 3 * static_cast<double>(log.last * log.dimension) : 0;
  return of_a_thread + 4 * ((log.last > 0 ? 30 : 20) * static_cast<double>(a.parameter_count()) + iterates +
                            std::max(4 * static_cast<double>(batch) * units, 6 * evaluated * widest));
}

double step_seconds(const ModelSpec& model, TrainingDataCache& cache, ExecutorChoice choice,
                    const LogIterates& log) {
  using Clock = std::chrono::steady_clock;
  const auto architecture = make_architecture(model.hp, cache.shape());
  const auto data = cache.get(model.hp, architecture->channels_last());
  const auto network = make_network(*architecture, cache.shape(), choice);
  import_arrays(*network, initial_values(*architecture, model.id, model.hp.init_scale));
  const std::int64_t n = std::min(model.hp.batch_size, data->train.count);
  std::vector<float> targets(static_cast<std::size_t>(n * cache.shape().classes), 0.0f);
  for (std::int64_t i = 0; i < n; ++i) targets[static_cast<std::size_t>(i * cache.shape().classes)] = 1;
  std::optional<IterateLog> iterates;
  if (log.last > 0) iterates.emplace(log, model, data->train.count, *network);
  double elapsed = 0;
  std::int64_t steps = -1;  // the first fills caches
  Clock::time_point start = Clock::now();
  while (elapsed < seconds_a_group || steps < 1) {
    network->loss_and_gradients(data->train.images.data(), targets.data(), n, {.step = steps + 2});
    if (iterates) iterates->add(steps + 2);
    if (++steps == 0) start = Clock::now();
    elapsed = std::chrono::duration<double>(Clock::now() - start).count();
  }
  return elapsed / static_cast<double>(steps);
}

}  // namespace

TrainingEstimate estimate_training(std::vector<ModelSpec> models, TrainingDataCache& data,
                                   const EstimateOptions& options) {
  at::set_num_threads(1);
  const LogIterates& log = options.log_iterates;
  const Split split = split_queue(std::move(models), data, options.executor, options.device);
  TrainingEstimate estimate;
  std::set<std::string> shapes;
  std::map<std::string, Group> groups;                              // of the threads
  std::map<std::tuple<std::int64_t, bool, bool>, double> variants;  // bytes
  double worker_memory = 0;
  const auto count = [&](const ModelSpec& m, bool on_thread) {
    std::unique_ptr<Architecture> a;
    try {
      a = make_architecture(m.hp, data.shape());
    } catch (const InputError&) {  // a network that does not fit fails at once when it is trained
      return;
    }
    std::string key = std::to_string(m.hp.batch_size) + a->network();
    for (const ArraySpec& array : a->arrays())
      for (const std::int64_t extent : array.shape) key += " " + std::to_string(extent);
    const std::int64_t n = data.samples(m.hp);
    const auto steps = static_cast<double>(last_step(m.hp, n));
    shapes.insert(key);
    variants[{m.hp.train_size, m.hp.standardise, a->channels_last()}] =
        4.0 * static_cast<double>((n + data.dataset().test.count) * data.shape().size());
    estimate.bytes += 2 * 4 * static_cast<double>(a->parameter_count()) + bytes_of_small_files;
    if (log.last > 0)
      estimate.bytes +=
          std::min(steps, static_cast<double>(log.last)) * static_cast<double>(8 + 4 * log.dimension);
    if (!on_thread) return;
    const std::int64_t batch = std::min(m.hp.batch_size, n);
    Group& group =
        groups.try_emplace(key, Group{m, 3 * a->flops() * static_cast<double>(batch)}).first->second;
    group.steps += steps * (m.hp.sam_radius > 0 ? 2 : 1);
    worker_memory = std::max(worker_memory, memory(*a, batch, log));
  };
  for (const std::vector<ModelSpec>& group : split.groups)
    for (const ModelSpec& m : group) count(m, false);
  const bool failing = options.executor == ExecutorChoice::stack;
  if (failing) estimate.failing = static_cast<std::int64_t>(split.rest.size());
  if (!failing)
    for (const ModelSpec& m : split.rest) count(m, true);
  estimate.groups = static_cast<std::int64_t>(shapes.size());

  std::vector<const Group*> by_cost;
  for (const auto& [key, group] : groups) by_cost.push_back(&group);
  std::sort(by_cost.begin(), by_cost.end(), [](const Group* a, const Group* b) {
    return a->step_flops * a->steps > b->step_flops * b->steps;
  });
  double seconds = 0, flops = 0, thread_seconds = 0;
  for (std::size_t g = 0; g < by_cost.size(); ++g) {
    const Group& group = *by_cost[g];
    const double work = group.step_flops * group.steps;
    if (g < measured_groups) {
      const double cost = step_seconds(group.model, data, options.executor, log) * group.steps;
      seconds += cost;
      flops += work;
      thread_seconds += cost;
    } else {
      thread_seconds += work * seconds / flops;
    }
  }
  thread_seconds *= 4.0 / 3;

  double stack_seconds = 0, stack_memory = 0;
  if (split.place.stacks) {
    estimate.cuda = split.place.cuda;
    estimate.device = stack::device_name(stack::device_of(split.place.cuda));
    estimate.stacks = plan_stacks(split.groups, data, log, split.place.cuda, measured_groups);
    estimate.streams = stack::streams_of(stack::device_of(split.place.cuda));
    std::vector<double> host, device;  // bytes of each part of a group
    for (const StackPlan& plan : estimate.stacks) {
      stack_seconds += plan.seconds();
      for (std::int64_t part = 0; part < plan.parts; ++part) {
        host.push_back(plan.host_bytes);
        device.push_back(plan.device_bytes);
      }
    }
    const auto at_a_time = [&](std::vector<double>& bytes) {
      std::sort(bytes.begin(), bytes.end(), std::greater<>());
      bytes.resize(std::min(bytes.size(), static_cast<std::size_t>(estimate.streams)));
      return std::accumulate(bytes.begin(), bytes.end(), 0.0);
    };
    stack_memory = at_a_time(host);
    if (split.place.cuda) estimate.device_memory = at_a_time(device);
  }
  estimate.seconds = std::max(stack_seconds, thread_seconds / options.workers);
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  estimate.memory =
      1024.0 * static_cast<double>(usage.ru_maxrss) + options.workers * worker_memory + stack_memory;
  for (const auto& [variant, bytes] : variants) estimate.memory += bytes;
  return estimate;
}

}  // namespace gapbench
