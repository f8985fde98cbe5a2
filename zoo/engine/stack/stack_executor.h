// Models of one shape trained as one computation, on a CUDA device or, for tests, on the CPU.
#pragma once

#include <functional>
#include <memory>

#include "zoo/engine/executor.h"

namespace gapbench {

struct StackOptions {
  bool cuda = false;
  std::int64_t members = 0;  ///< of a stack at most, 0 = chosen
  int threads = 1;           ///< for work on the host
  int streams = 0;           ///< stacks at a time, 0 = chosen
  /// For tests: called, by the stack's thread, before a stack of `members` is made; what it throws is as if the device's memory had run out.
  std::function<void(std::int64_t members)> before_stack = {};
};

/// Groups the queue by shape, batch size, training samples and optimiser; each group, longest first, goes through one
/// stack whose members are replaced by the next model as they finish. Models that stacks do not serve are failed.
/// Several stacks train at a time, each in a thread with a stream and an equal part of the free memory: streams_of()
/// (training_stack.h) says how many. A group of more models than a stack has members is parted where it would keep the others
/// waiting.
///
/// A stack has members_of_a_stack() (training_stack.h) members at most, and so many that the group goes through it in waves of
/// equal size. Once it has work for half of its slots or fewer, it is made anew with as many as it needs. One that breaks, as
/// where the device's memory does not hold it, is tried again with half, from its models' last checkpoints; a model that breaks
/// alone is failed.
std::unique_ptr<Executor> make_stack_executor(const StackOptions& options);

/// Whether a stack trains the model: its architecture and every hyper-parameter that is not at its default.
bool stack_serves(const HyperParameters& hp, const Architecture& architecture);

/// Splits a queue into groups that a stack trains, of at least `least` models each, and the rest. A model whose
/// architecture does not fit the input is part of the rest.
struct StackGroups {
  std::vector<std::vector<ModelSpec>> groups;  ///< longest first
  std::vector<double> work;                    ///< of each group, estimated_flops() of its models
  std::vector<ModelSpec> rest;
};
StackGroups stack_groups(std::vector<ModelSpec> queue, const TrainingDataCache& data, std::size_t least);

}  // namespace gapbench
