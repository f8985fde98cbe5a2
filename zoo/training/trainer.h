// Trains one network: epochs, batches, optimiser, stopping rules, history, checkpoints. Torch-free; how losses
// and gradients come about is the TrainableNetwork's.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "measures/numerics/philox.h"
#include "zoo/spec/zoo_spec.h"
#include "zoo/training/history.h"
#include "zoo/training/iterate_log.h"
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
  Iterates iterates;     ///< the last ones, where they are kept
  std::string executor;  ///< what made it, see TrainableNetwork::execution
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
  LogIterates log_iterates;  ///< which go to TrainState::iterates; a diverged run has none
};

/// Trains until the cross-entropy target, a cap, or divergence (a loss that is not finite, or a training
/// cross-entropy above 100 nats). Every
/// random number is a function of the model id, the purpose and the step, so the result depends on nothing
/// but the model, the data and the executor. `resume` continues from a checkpoint. Overwrites the arrays of
/// `network`. Runs on the calling thread alone.
TrainedModel train(const ModelSpec& model, TrainableNetwork& network, const TrainingData& data,
                   const TrainControl& control, std::optional<TrainState> resume = std::nullopt);

// The rules of training, which every executor keeps.

/// Why training ends with the epoch that `state` ends with; nothing where it goes on.
std::optional<StopReason> stop_reason(const HyperParameters& hp, const TrainState& state);
/// Steps of a run that ends at its caps: the epoch that reaches max_steps is finished.
std::int64_t last_step(const HyperParameters& hp, std::int64_t samples);
/// Whether the full sets are evaluated after this epoch; `steps` are those done, `loss_sum` the epoch's.
bool evaluation_due(const HyperParameters& hp, std::int64_t epoch, std::int64_t steps, double loss_sum);
/// The order in which an epoch (from 1) takes the order.size() samples.
void fill_epoch_order(const std::string& model_id, std::int64_t epoch, std::span<std::uint32_t> order);
/// What `augmentation` asks for, and the random numbers of the step (from 1): turns of the batch's samples, then a mixture.
bool flips_and_crops(const HyperParameters& hp);
bool mixes_up(const HyperParameters& hp);
RandomStream augmentation_stream(const std::string& model_id, std::int64_t step);
/// A target row is `everywhere` in each class, and `added_to_label` more in the label's.
struct TargetValues {
  float everywhere = 0, added_to_label = 1;
};
TargetValues target_values(const HyperParameters& hp, std::int64_t classes);

}  // namespace gapbench
