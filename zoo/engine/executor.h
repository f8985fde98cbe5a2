// How the models of a zoo are run: the engine's secret behind one interface. A queue of models goes in; which
// of them share a stack, a thread or a device is decided inside; the bits of a model never depend on it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "zoo/spec/zoo_spec.h"
#include "zoo/training/trainer.h"
#include "zoo/training/training_data.h"

namespace gapbench {

/// What happens to each model. Called from several threads at a time, never twice at a time for one model. An
/// exception from one of these ends the run: the other models stop at their next epoch and run() throws it.
struct ExecutorEvents {
  std::function<void(const ModelSpec&)> started;
  /// A checkpoint that `executor` (see TrainState::executor) may go on from; nothing: the model starts anew.
  std::function<std::optional<TrainState>(const ModelSpec&, const Architecture&, const std::string& executor)>
      load_checkpoint;
  std::function<void(const ModelSpec&, const Architecture&, const TrainState&)> save_checkpoint;
  std::function<void(const ModelSpec&, const EpochRecord&)> epoch_finished;
  std::vector<std::int64_t> keep_epochs;  ///< epochs whose weights go to `keep`
  std::function<void(const ModelSpec&, const Architecture&, std::int64_t epoch,
                     const std::vector<std::vector<float>>& arrays)>
      keep;
  LogIterates log_iterates;  ///< which iterates go to TrainState::iterates
  std::function<void(const ModelSpec&, const Architecture&, const TrainedModel&, double seconds)> finished;
  /// Training itself broke (out of memory, a network that does not fit): the run goes on with the next model.
  std::function<void(const ModelSpec&, const std::string& what)> failed;
  /// True ends the run: running models checkpoint at the end of their epoch, queued ones stay untrained.
  std::function<bool()> stop_requested;
  double checkpoint_interval_s = 30;
};

class Executor {
 public:
  virtual ~Executor() = default;
  /// Trains the queue; returns when every model is finished, failed, or interrupted by stop_requested.
  virtual void run(std::vector<ModelSpec> queue, TrainingDataCache& data, const ExecutorEvents& events) = 0;
  /// Which executor this is, and on what it runs.
  virtual std::string name() const = 0;
};

/// What runs a model. `automatic` takes, on a CUDA device, stacks for groups of models that are large enough for one;
/// everywhere else the fast network where it serves the architecture and the general one where it does not. The others
/// exist for tests. `fast` and `stack` fail the models they do not serve.
enum class ExecutorChoice { automatic, general, fast, stack };

/// "auto", "general", "fast" or "stack". Throws UsageError otherwise.
ExecutorChoice executor_choice(const std::string& text);

/// Where stacks run. `automatic`: on a CUDA device where the build and the machine have one.
enum class DeviceChoice { automatic, cpu, cuda };

/// "auto", "cpu" or "cuda". Throws UsageError otherwise, and InputError where there is to be a CUDA device and none is.
DeviceChoice device_choice(const std::string& text, bool must_be_there = true);

/// What these choices mean on this machine.
struct StackPlace {
  bool stacks = false;  ///< stacks are used
  bool cuda = false;    ///< where they run
};
StackPlace stack_place(ExecutorChoice choice, DeviceChoice device);

/// How make_executor() splits a queue: groups for stacks, longest first, and what goes to threads or, with
/// ExecutorChoice::stack, fails.
struct Split {
  StackPlace place;
  std::vector<std::vector<ModelSpec>> groups;
  std::vector<ModelSpec> rest;
};
Split split_queue(std::vector<ModelSpec> queue, const TrainingDataCache& data, ExecutorChoice choice,
                  DeviceChoice device);

/// `workers` threads (>= 1), each with one network, longest first; where there is a device to use, stacks on it beside
/// them.
std::unique_ptr<Executor> make_executor(int workers, ExecutorChoice choice = ExecutorChoice::automatic,
                                        DeviceChoice device = DeviceChoice::cpu);

/// The network that `choice` takes for this architecture, which must outlive it. Throws InputError where that
/// is none.
std::unique_ptr<TrainableNetwork> make_network(const Architecture& architecture, const InputShape& shape,
                                               ExecutorChoice choice);

/// Floating-point operations a model's training takes at most: what the queue is sorted by.
double estimated_flops(const ModelSpec& model, const InputShape& input, std::int64_t train_samples);

}  // namespace gapbench
