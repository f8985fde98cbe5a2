// Trains one network: epochs, batches, optimiser, stopping rules, history, checkpoints. Torch-free; how losses
// and gradients come about is the TrainableNetwork's.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "zoo/spec/zoo_spec.h"
#include "zoo/training/history.h"
#include "zoo/training/trainable_network.h"
#include "zoo/training/training_data.h"

namespace gapbench {

/// Everything needed to go on from the end of an epoch with the same bits. Row-major, so that it does not
/// depend on the executor.
struct TrainState {
  std::vector<std::vector<float>> arrays;           ///< in Architecture::arrays() order
  std::vector<std::vector<float>> optimizer_state;  ///< see Optimizer::state
  std::vector<EpochRecord> history;                 ///< one record per finished epoch
  std::int64_t steps = 0;
};

struct TrainedModel {
  StopReason reason = StopReason::epoch_cap;
  TrainState state;
};

/// What a training run reports to, and takes orders from. Empty functions are skipped.
struct TrainControl {
  std::function<bool()> stop_requested;  ///< asked after every epoch; true: return `interrupted`
  std::function<bool()> checkpoint_due;  ///< asked after every epoch that does not end the run
  std::function<void(const TrainState&)>
      save_checkpoint;  ///< called when due, and before returning `interrupted`
  std::function<void(const EpochRecord&)> epoch_finished;
  std::vector<std::int64_t> keep_epochs;  ///< epochs at whose end `keep` is given the arrays, row-major
  std::function<void(std::int64_t epoch, const std::vector<std::vector<float>>& arrays)> keep;
};

/// Trains until the cross-entropy target, a cap, or divergence (a loss that is not finite, or a training
/// cross-entropy above 100 nats). Every
/// random number is a function of the model id, the purpose and the step, so the result depends on nothing
/// but the model, the data and the executor. `resume` continues from a checkpoint. Overwrites the arrays of
/// `network`. Runs on the calling thread alone.
TrainedModel train(const ModelSpec& model, TrainableNetwork& network, const TrainingData& data,
                   const TrainControl& control, std::optional<TrainState> resume = std::nullopt);

}  // namespace gapbench
