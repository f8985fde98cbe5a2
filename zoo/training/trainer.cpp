#include "zoo/training/trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

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
        model_id_(model.id),
        samples_(data.train),
        labels_(labels),
        layout_{data.shape.channels, data.shape.height, data.shape.width, data.channels_last},
        sample_(static_cast<std::size_t>(data.shape.size())),
        classes_(static_cast<std::size_t>(data.shape.classes)) {
    const auto size = static_cast<std::size_t>(std::min(hp_.batch_size, data.train.count));
    if (hp_.augmentation != "none") images_.resize(size * sample_);
    targets_.resize(size * classes_);
  }
  // Samples are copied only where they are changed.
  void gather(std::span<const std::uint32_t> indices, std::int64_t step) {
    rows_ = hp_.augmentation == "none" ? indices.data() : nullptr;
    const TargetValues value = target_values(hp_, static_cast<std::int64_t>(classes_));
    std::fill(targets_.begin(), targets_.end(), value.everywhere);
    for (std::size_t i = 0; i < indices.size(); ++i) {
      if (rows_ == nullptr)
        std::memcpy(images_.data() + i * sample_, samples_.images.data() + indices[i] * sample_,
                    sample_ * sizeof(float));
      targets_[i * classes_ + static_cast<std::size_t>(labels_[indices[i]])] += value.added_to_label;
    }
    if (rows_ != nullptr) return;
    RandomStream random = augmentation_stream(model_id_, step);
    const auto n = static_cast<std::int64_t>(indices.size());
    if (flips_and_crops(hp_)) flip_and_crop(images_.data(), n, layout_, random);
    if (mixes_up(hp_))
      mixup(images_.data(), targets_.data(), n, layout_.size(), static_cast<std::int64_t>(classes_),
            hp_.mixup_alpha, random);
  }
  const float* images() const { return rows_ != nullptr ? samples_.images.data() : images_.data(); }
  const std::uint32_t* rows() const { return rows_; }  ///< of images(), null: 0, 1, ...
  const float* targets() const { return targets_.data(); }

 private:
  const HyperParameters& hp_;
  const std::string& model_id_;
  const Samples& samples_;
  const std::vector<std::int64_t>& labels_;
  ImageLayout layout_;
  std::size_t sample_, classes_;
  AlignedVector<float> images_, targets_;
  const std::uint32_t* rows_ = nullptr;
};

bool capped(const HyperParameters& hp, std::int64_t epoch, std::int64_t steps) {
  return epoch >= hp.max_epochs || (hp.max_steps > 0 && steps >= hp.max_steps);
}

}  // namespace

std::optional<StopReason> stop_reason(const HyperParameters& hp, const TrainState& state) {
  if (state.history.empty()) return std::nullopt;
  const EpochRecord& last = state.history.back();
  if (last.evaluated) {
    if (!(last.train.cross_entropy <= divergence_cross_entropy))
      return StopReason::diverged;  // or not finite
    if (last.train.cross_entropy <= hp.target_cross_entropy) return StopReason::target;
  }
  if (last.epoch >= hp.max_epochs) return StopReason::epoch_cap;
  if (capped(hp, last.epoch, state.steps)) return StopReason::step_cap;
  return std::nullopt;
}

std::int64_t last_step(const HyperParameters& hp, std::int64_t samples) {
  const std::int64_t batches = (samples + hp.batch_size - 1) / hp.batch_size;
  const std::int64_t epochs =
      hp.max_steps > 0 ? std::min(hp.max_epochs, (hp.max_steps + batches - 1) / batches) : hp.max_epochs;
  return epochs * batches;
}

bool evaluation_due(const HyperParameters& hp, std::int64_t epoch, std::int64_t steps, double loss_sum) {
  return epoch % hp.check_every == 0 || capped(hp, epoch, steps) || !std::isfinite(loss_sum);
}

void fill_epoch_order(const std::string& model_id, std::int64_t epoch, std::span<std::uint32_t> order) {
  std::iota(order.begin(), order.end(), 0u);
  RandomStream(random_key(model_id, "order"), static_cast<std::uint64_t>(epoch))
      .shuffle(order.begin(), order.end());
}

bool flips_and_crops(const HyperParameters& hp) {
  return hp.augmentation != "none" && hp.augmentation != "mixup";
}

bool mixes_up(const HyperParameters& hp) {
  return hp.augmentation != "none" && hp.augmentation != "flip-crop";
}

RandomStream augmentation_stream(const std::string& model_id, std::int64_t step) {
  return RandomStream(random_key(model_id, "augmentation"), static_cast<std::uint64_t>(step));
}

TargetValues target_values(const HyperParameters& hp, std::int64_t classes) {
  return {static_cast<float>(hp.label_smoothing / static_cast<double>(classes)),
          static_cast<float>(1 - hp.label_smoothing)};
}

const float* gather(const float* images, const std::uint32_t* rows, std::int64_t n, std::int64_t size,
                    AlignedVector<float>& room) {
  if (rows == nullptr) return images;
  constexpr std::int64_t rows_ahead = 2;  // samples lie anywhere in a set that no cache holds
  const auto bytes = static_cast<std::size_t>(size) * sizeof(float);
  room.resize(std::max(room.size(), static_cast<std::size_t>(n * size)));
  for (std::int64_t i = 0; i < n; ++i) {
    if (i + rows_ahead < n) {
      const auto* const ahead = reinterpret_cast<const char*>(images + rows[i + rows_ahead] * size);
      for (std::size_t byte = 0; byte < std::min<std::size_t>(bytes, 4096); byte += 64)
        __builtin_prefetch(ahead + byte);
    }
    std::memcpy(room.data() + i * size, images + rows[i] * size, bytes);
  }
  return room.data();
}

std::vector<std::vector<float>> export_arrays(TrainableNetwork& network) {
  std::vector<std::vector<float>> rows;
  for (std::size_t i = 0; i < network.architecture().arrays().size(); ++i)
    rows.push_back(network.to_row_major(i, network.array(i)));
  return rows;
}

void import_arrays(TrainableNetwork& network, const std::vector<std::vector<float>>& arrays) {
  for (std::size_t i = 0; i < arrays.size(); ++i) network.set_array(i, arrays[i]);
}

void import_arrays(TrainableNetwork& network, std::span<const float> concatenated) {
  const std::vector<ArraySpec>& specs = network.architecture().arrays();
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const auto n = static_cast<std::size_t>(specs[i].size());
    network.set_array(i, concatenated.first(n));
    concatenated = concatenated.subspan(n);
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
  state.executor = network.execution();
  std::optional<IterateLog> iterates;
  if (control.log_iterates.last > 0) {
    iterates.emplace(control.log_iterates, model, data.train.count, network);
    if (state.steps > 0) iterates->restore(state.iterates, state.steps);
  } else {
    state.iterates = {};
  }
  import_arrays(network, state.arrays);

  const std::int64_t n = data.train.count;
  const std::vector<std::int64_t> labels = training_labels(model, data);
  Batches batches(model, data, labels);
  std::vector<std::uint32_t> order(static_cast<std::size_t>(n));
  const std::uint64_t dropout_key = random_key(model.id, "dropout");

  // brings `state` up to date; the arrays and moving averages change in place while training
  const auto capture = [&] {
    state.arrays = export_arrays(network);
    state.optimizer_state = updates.state();
    if (iterates) state.iterates = iterates->iterates(state.steps);
  };

  while (!stop_reason(hp, state)) {
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
    fill_epoch_order(model.id, epoch, order);
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
            return network.loss_and_gradients(batches.images(), batches.targets(), size,
                                              {.dropout_key = dropout_key,
                                               .step = state.steps,
                                               .update_statistics = statistics,
                                               .rows = batches.rows()});
          });
      loss_sum += loss * static_cast<double>(size);
      if (!std::isfinite(loss_sum)) break;  // further steps would only spread the NaN
      if (iterates) iterates->add(state.steps);
    }
    EpochRecord record;
    record.epoch = epoch;
    record.steps = state.steps;
    record.batch_loss = loss_sum / static_cast<double>(n);
    record.evaluated = evaluation_due(hp, epoch, state.steps, loss_sum);
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
  result.reason = *stop_reason(hp, state);
  EpochRecord& last = state.history.back();
  if (result.reason != StopReason::diverged && !last.gradient_noise)
    last.gradient_noise = gradient_noise(network, data, labels, model.dataset);
  capture();
  if (result.reason == StopReason::diverged) state.iterates = {};
  return result;
}

}  // namespace gapbench
