// Trains one network with LibTorch's autograd: the reference that every faster path is checked against.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "zoo/networks/architecture.h"
#include "zoo/spec/zoo_spec.h"
#include "zoo/training/history.h"
#include "zoo/training/training_data.h"

namespace gapbench {

/// Everything needed to go on from the end of an epoch with the same bits.
struct TrainState {
  std::vector<std::vector<float>> arrays;  ///< row-major, in Architecture::arrays() order
  std::vector<std::vector<float>>
      optimizer_state;  ///< sgd: one velocity per array; adam: all first, then all second moments
  std::vector<EpochRecord> history;  ///< one record per finished epoch
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
};

/// Trains until the cross-entropy target, the epoch cap or divergence (a loss that is not finite). Every
/// random number is a function of the model id, the purpose and the step, so the result depends on nothing
/// but the model and the data. `resume` continues from a checkpoint. Runs on the calling thread alone (the
/// caller sets LibTorch's thread count to 1).
TrainedModel train(const ModelSpec& model, const Architecture& architecture, const TrainingData& data,
                   const TrainControl& control, std::optional<TrainState> resume = std::nullopt);

/// Mean cross-entropy (nats, float64 sum) and share of wrong classifications over images in order, evaluation
/// mode. An example whose logits are not finite gives a cross-entropy that is not finite. Ties go to the
/// lowest class.
Metrics evaluate(const Architecture& architecture, std::span<const at::Tensor> arrays,
                 const at::Tensor& images, const at::Tensor& labels);

/// Arrays as tensors in the memory order the architecture prefers, copied from row-major buffers.
std::vector<at::Tensor> to_tensors(const Architecture& architecture,
                                   std::span<const std::vector<float>> arrays);

}  // namespace gapbench
