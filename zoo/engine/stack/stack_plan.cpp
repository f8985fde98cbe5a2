#include "zoo/engine/stack/stack_plan.h"

#include <algorithm>
#include <exception>
#include <map>
#include <memory>

#include "zoo/engine/stack/stack_executor.h"
#include "zoo/engine/stack/training_stack.h"

namespace gapbench {

std::vector<StackPlan> plan_stacks(const std::vector<std::vector<ModelSpec>>& groups, TrainingDataCache& data,
                                   const LogIterates& log_iterates, bool cuda, std::size_t timed) {
  const at::Device device = stack::device_of(cuda);
  const stack::StreamScope scope(device);
  const int streams = stack::streams_of(device);
  const std::int64_t memory = stack::free_memory(device) / streams;
  std::vector<StackPlan> plans;
  std::shared_ptr<const stack::DeviceData> on_device;
  double timed_seconds = 0, timed_flops = 0;
  for (const std::vector<ModelSpec>& group : groups) {
    const ModelSpec& first = group.front();
    const auto architecture = make_architecture(first.hp, data.shape());
    const auto host = data.get(first.hp, architecture->channels_last());
    StackPlan plan;
    plan.network = first.hp.network;
    plan.models = static_cast<std::int64_t>(group.size());
    const std::int64_t most =
        stack::members_of_a_stack(*architecture, first, *host, device, memory, log_iterates);
    plan.members = stack::members_in_waves(most, plan.models);
    plan.waves = (plan.models + plan.members - 1) / plan.members;
    plan.parts = std::min<std::int64_t>(streams, plan.waves);
    double longest = 0;
    for (const ModelSpec& m : group) {
      const auto steps = static_cast<double>(last_step(m.hp, host->train.count));
      longest = std::max(longest, steps);
      plan.steps += steps / static_cast<double>(plan.members);
    }
    plan.steps = std::max(plan.steps, longest);
    const std::int64_t batch = std::min(first.hp.batch_size, host->train.count);
    const stack::StackBytes bytes =
        stack::bytes_of_a_stack(*architecture, first.hp, *host, device, log_iterates, plan.members);
    plan.device_bytes = bytes.device;
    plan.host_bytes = bytes.host;
    const double flops = (first.hp.sam_radius > 0 ? 6 : 3) * architecture->flops() *
                         static_cast<double>(batch) * static_cast<double>(plan.members);
    if (plans.size() < timed) try {
        if (!on_device || on_device->host != host)
          on_device = std::make_shared<const stack::DeviceData>(host, device);
        plan.step_seconds =
            stack::TrainingStack(*architecture, on_device, first, plan.members, device, 1, log_iterates)
                .time_step();
        plan.timed = true;
        timed_seconds += plan.step_seconds;
        timed_flops += flops;
      } catch (const std::exception&) {  // other work took the device's memory: by arithmetic then
      }
    if (!plan.timed && timed_flops > 0) plan.step_seconds = flops * timed_seconds / timed_flops;
    plans.push_back(plan);
  }
  on_device.reset();
  stack::release_unused_memory(device);
  return plans;
}

}  // namespace gapbench
