// What a zoo will cost, before it is trained.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "zoo/engine/executor.h"
#include "zoo/engine/stack/stack_plan.h"

namespace gapbench {

struct EstimateOptions {
  int workers = 1;
  ExecutorChoice executor = ExecutorChoice::automatic;
  DeviceChoice device = DeviceChoice::cpu;
  LogIterates log_iterates = {};
};

struct TrainingEstimate {
  std::int64_t groups = 0;   ///< of models with the same arrays and batch size, which cost the same a step
  std::int64_t failing = 0;  ///< models that ExecutorChoice::stack does not serve
  std::string device;        ///< that stacks run on; empty: there are none
  bool cuda = false;         ///< whether that is a CUDA device
  int streams = 0;           ///< stacks that train at a time
  std::vector<StackPlan> stacks;
  double seconds = 0;  ///< at most: every model trains to its cap; stacks and threads work at the same time
  double bytes = 0;    ///< of the finished models' files
  double memory = 0;   ///< bytes of the host, at most
  double device_memory = 0;  ///< bytes of the CUDA device, at most
};

// Formula   threads: per group the seconds of a step, measured for the most expensive groups, for the others in proportion to
//           the arithmetic of a step; times steps and epochs; a third more for evaluation, which is one forward pass beside
//           each three-fold training pass. Stacks: stack_plan.h.
//           Iterates that are kept are part of the time, the files and the memory.
//           Memory: the program as it is now and all variants of the data; of a worker 20 values a parameter (arrays,
//           gradients, two moving averages, the exported copies of these, the file that is written, float64 sums of the gradient
//           noise), and the larger of 4 values a unit of the training batch and 6 times the input and output of the widest
//           operation for 1000 samples in evaluation; of the stacks those of the largest that train at a time.
// Error     the machine's other load, and models that reach their target before their cap.
// Cost      at most about a second on the CPU
TrainingEstimate estimate_training(std::vector<ModelSpec> models, TrainingDataCache& data,
                                   const EstimateOptions& options);

}  // namespace gapbench
