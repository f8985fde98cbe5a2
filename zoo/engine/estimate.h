// What a zoo will cost, before it is trained.
#pragma once

#include <cstdint>
#include <span>

#include "zoo/engine/executor.h"

namespace gapbench {

struct TrainingEstimate {
  std::int64_t groups = 0;    ///< of models with the same arrays and batch size, which cost the same a step
  double thread_seconds = 0;  ///< of one core, at most: every model trains to its cap
  double bytes = 0;           ///< of the finished models' files
  double shared_memory = 0;   ///< bytes: the program as it is now and all variants of the data
  double worker_memory = 0;   ///< bytes, at most: of one worker with the largest model
};

// Formula   per group: seconds of a step, measured for the most expensive groups, for the others in proportion to the
//           arithmetic of a step; times steps and epochs; a third more for evaluation, which is one forward pass beside each
//           three-fold training pass.
//           Iterates that are kept are part of the time, the files and the memory.
//           Memory of a worker: 20 values a parameter (arrays, gradients, two moving averages, the exported copies of these, the
//           file that is written, float64 sums of the gradient noise), and the larger of 4 values a unit of the training batch
//           and 6 times the input and output of the widest operation for 1000 samples in evaluation.
// Error     the machine's other load, and models that reach their target before their cap.
// Cost      at most about a second.
TrainingEstimate estimate_training(std::span<const ModelSpec> models, TrainingDataCache& data,
                                   ExecutorChoice choice, const LogIterates& log_iterates);

}  // namespace gapbench
