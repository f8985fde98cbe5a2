#include "zoo/training/trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "measures/api/error.h"
#include "measures/numerics/philox.h"
#include "zoo/training/augmentation.h"
#include "zoo/training/gradient_noise.h"
#include "zoo/training/gradient_pipeline.h"
#include "zoo/training/schedule.h"

namespace gapbench {

namespace {

// Mean training cross-entropy (nats) from which a model counts as diverged: a softmax that gives the right class e^-100 on
// average has nothing left to learn from.
constexpr double divergence_cross_entropy = 100;

// Batches gathered into one reused buffer, augmented, with their targets; a sample is one dense block in either memory order.
class Batches {
 public:
  Batches(const ModelSpec& model, const TrainingData& data, const std::vector<std::int64_t>& labels)
      : hp_(model.hp),
        augmentation_key_(random_key(model.id, "augmentation")),
        samples_(data.train),
        labels_(labels),
        layout_{data.shape.channels, data.shape.height, data.shape.width, data.channels_last},
        sample_(static_cast<std::size_t>(data.shape.size())),
        classes_(static_cast<std::size_t>(data.shape.classes)) {
    const auto size = static_cast<std::size_t>(std::min(hp_.batch_size, data.train.count));
    images_.resize(size * sample_);
    targets_.resize(size * classes_);
  }
  void gather(std::span<const std::uint32_t> indices, std::int64_t step) {
    const auto spread = static_cast<float>(hp_.label_smoothing / static_cast<double>(classes_));
    std::fill(targets_.begin(), targets_.end(), spread);
    for (std::size_t i = 0; i < indices.size(); ++i) {
      std::memcpy(images_.data() + i * sample_, samples_.images.data() + indices[i] * sample_,
                  sample_ * sizeof(float));
      targets_[i * classes_ + static_cast<std::size_t>(labels_[indices[i]])] +=
          static_cast<float>(1 - hp_.label_smoothing);
    }
    if (hp_.augmentation == "none") return;
    RandomStream random(augmentation_key_, static_cast<std::uint64_t>(step));
    const auto n = static_cast<std::int64_t>(indices.size());
    if (hp_.augmentation != "mixup") flip_and_crop(images_.data(), n, layout_, random);
    if (hp_.augmentation != "flip-crop")
      mixup(images_.data(), targets_.data(), n, layout_.size(), static_cast<std::int64_t>(classes_),
            hp_.mixup_alpha, random);
  }
  const float* images() const { return images_.data(); }
  const float* targets() const { return targets_.data(); }

 private:
  const HyperParameters& hp_;
  std::uint64_t augmentation_key_;
  const Samples& samples_;
  const std::vector<std::int64_t>& labels_;
  ImageLayout layout_;
  std::size_t sample_, classes_;
  AlignedVector<float> images_, targets_;
};

}  // namespace

std::vector<std::vector<float>> export_arrays(TrainableNetwork& network) {
  std::vector<std::vector<float>> rows;
  for (std::size_t i = 0; i < network.architecture().arrays().size(); ++i)
    rows.push_back(network.to_row_major(i, network.array(i)));
  return rows;
}

void import_arrays(TrainableNetwork& network, const std::vector<std::vector<float>>& arrays) {
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const std::vector<float> values = network.from_row_major(i, arrays[i]);
    std::copy(values.begin(), values.end(), network.array(i).begin());
  }
}

TrainedModel train(const ModelSpec& model, TrainableNetwork& network, const TrainingData& data,
                   const TrainControl& control, std::optional<TrainState> resume) {
  const HyperParameters& hp = model.hp;
  TrainedModel result;
  TrainState& state = result.state;
  GradientPipeline updates(hp, model.id, network);
  if (resume) {
    state = std::move(*resume);
    updates.set_state(state.optimizer_state);
  } else {
    state.arrays = initial_values(network.architecture(), model.id, hp.init_scale);
  }
  import_arrays(network, state.arrays);

  const std::int64_t n = data.train.count;
  const std::vector<std::int64_t> labels = training_labels(model, data);
  Batches batches(model, data, labels);
  const std::uint64_t dropout_key = random_key(model.id, "dropout");

  // brings `state` up to date; the arrays and moving averages change in place while training
  const auto capture = [&] {
    state.arrays = export_arrays(network);
    state.optimizer_state = updates.state();
  };

  const auto capped = [&](std::int64_t epoch) {
    return epoch >= hp.max_epochs || (hp.max_steps > 0 && state.steps >= hp.max_steps);
  };
  const auto finished = [&]() -> std::optional<StopReason> {
    if (state.history.empty()) return std::nullopt;
    const EpochRecord& last = state.history.back();
    if (last.evaluated) {
      if (!(last.train.cross_entropy <= divergence_cross_entropy))
        return StopReason::diverged;  // or not finite
      if (last.train.cross_entropy <= hp.target_cross_entropy) return StopReason::target;
    }
    if (last.epoch >= hp.max_epochs) return StopReason::epoch_cap;
    if (capped(last.epoch)) return StopReason::step_cap;
    return std::nullopt;
  };

  while (!finished()) {
    if (!state.history.empty()) {
      const bool stop = control.stop_requested && control.stop_requested();
      if (control.save_checkpoint && (stop || (control.checkpoint_due && control.checkpoint_due()))) {
        capture();
        control.save_checkpoint(state);
      }
      if (stop) {
        result.reason = StopReason::interrupted;
        return result;
      }
    }
    const auto epoch = static_cast<std::int64_t>(state.history.size()) + 1;
    const std::vector<std::uint32_t> order = epoch_order(model, n, epoch);
    const std::int64_t batch_count = (n + hp.batch_size - 1) / hp.batch_size;
    double loss_sum = 0;
    for (std::int64_t batch = 0; batch < batch_count; ++batch) {
      const std::int64_t start = batch * hp.batch_size, size = std::min(hp.batch_size, n - start);
      ++state.steps;
      batches.gather(
          std::span(order).subspan(static_cast<std::size_t>(start), static_cast<std::size_t>(size)),
          state.steps);
      const double loss =
          updates.step(state.steps, learning_rate(hp, epoch, batch, batch_count), [&](bool statistics) {
            return network.loss_and_gradients(
                batches.images(), batches.targets(), size,
                {.dropout_key = dropout_key, .step = state.steps, .update_statistics = statistics});
          });
      loss_sum += loss * static_cast<double>(size);
      if (!std::isfinite(loss_sum)) break;  // further steps would only spread the NaN
    }
    EpochRecord record;
    record.epoch = epoch;
    record.steps = state.steps;
    record.batch_loss = loss_sum / static_cast<double>(n);
    record.evaluated = epoch % hp.check_every == 0 || capped(epoch) || !std::isfinite(loss_sum);
    if (record.evaluated) {
      record.train = network.evaluate(data.train.images.data(), labels.data(), n);
      record.test = network.evaluate(data.test.images.data(), data.test.labels.data(), data.test.count);
    }
    if (!std::isfinite(loss_sum)) record.train.cross_entropy = loss_sum;
    if (epoch == 1 && std::isfinite(loss_sum))
      record.gradient_noise = gradient_noise(network, data, labels, model.dataset);
    state.history.push_back(record);
    if (control.epoch_finished) control.epoch_finished(record);
    if (std::count(control.keep_epochs.begin(), control.keep_epochs.end(), epoch) > 0)
      control.keep(epoch, export_arrays(network));
  }
  result.reason = *finished();
  EpochRecord& last = state.history.back();
  if (result.reason != StopReason::diverged && !last.gradient_noise)
    last.gradient_noise = gradient_noise(network, data, labels, model.dataset);
  capture();
  return result;
}

}  // namespace gapbench
