#include "zoo/training/trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "measures/api/error.h"
#include "measures/numerics/philox.h"
#include "zoo/training/optimizer.h"

namespace gapbench {

namespace {

// Batches gathered into one reused buffer; a sample is one dense block in either memory order.
class Batches {
 public:
  Batches(const Samples& samples, const InputShape& shape, std::int64_t batch_size)
      : samples_(samples),
        sample_(static_cast<std::size_t>(shape.size())),
        classes_(static_cast<std::size_t>(shape.classes)) {
    const auto size = static_cast<std::size_t>(std::min(batch_size, samples.count));
    images_.resize(size * sample_);
    targets_.resize(size * classes_);
  }
  void gather(std::span<const std::uint32_t> indices) {
    std::fill(targets_.begin(), targets_.end(), 0.0f);
    for (std::size_t i = 0; i < indices.size(); ++i) {
      std::memcpy(images_.data() + i * sample_, samples_.images.data() + indices[i] * sample_,
                  sample_ * sizeof(float));
      targets_[i * classes_ + static_cast<std::size_t>(samples_.labels[indices[i]])] = 1;
    }
  }
  const float* images() const { return images_.data(); }
  const float* targets() const { return targets_.data(); }

 private:
  const Samples& samples_;
  std::size_t sample_, classes_;
  AlignedVector<float> images_, targets_;
};

// The optimiser over the trained arrays of a network, with its state converted for checkpoints.
class Updates {
 public:
  Updates(const HyperParameters& hp, TrainableNetwork& network) : network_(network) {
    std::vector<std::size_t> sizes;
    for (std::size_t i = 0; i < network.architecture().arrays().size(); ++i) {
      if (!network.architecture().arrays()[i].trained) continue;
      trained_.push_back(i);
      sizes.push_back(network.array(i).size());
    }
    optimizer_ = make_optimizer(hp, sizes);
  }
  void step(std::int64_t step) {
    for (std::size_t k = 0; k < trained_.size(); ++k) {
      const std::span<float> weights = network_.array(trained_[k]);
      optimizer_->update(k, step, weights.data(), network_.gradient(trained_[k]).data(), weights.size());
    }
  }
  std::vector<std::vector<float>> state() const {
    std::vector<std::vector<float>> rows;
    for (std::size_t s = 0; s < optimizer_->state().size(); ++s)
      rows.push_back(network_.to_row_major(trained_[s % trained_.size()], optimizer_->state()[s]));
    return rows;
  }
  void set_state(const std::vector<std::vector<float>>& rows) {
    if (rows.size() != optimizer_->state().size())
      throw InternalError("checkpoint with another optimizer's state");
    for (std::size_t s = 0; s < rows.size(); ++s)
      optimizer_->state()[s] = network_.from_row_major(trained_[s % trained_.size()], rows[s]);
  }

 private:
  TrainableNetwork& network_;
  std::vector<std::size_t> trained_;  // indices of arrays that are no buffers
  std::unique_ptr<Optimizer> optimizer_;
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
  Updates updates(hp, network);
  if (resume) {
    state = std::move(*resume);
    updates.set_state(state.optimizer_state);
  } else {
    state.arrays = initial_values(network.architecture(), model.id);
  }
  import_arrays(network, state.arrays);

  const std::int64_t n = data.train.count;
  Batches batches(data.train, data.shape, hp.batch_size);
  std::vector<std::uint32_t> order(static_cast<std::size_t>(n));
  const std::uint64_t order_key = random_key(model.id, "order"),
                      dropout_key = random_key(model.id, "dropout");

  // brings `state` up to date; the arrays and moving averages change in place while training
  const auto capture = [&] {
    state.arrays = export_arrays(network);
    state.optimizer_state = updates.state();
  };

  const auto finished = [&]() -> std::optional<StopReason> {
    if (state.history.empty()) return std::nullopt;
    const EpochRecord& last = state.history.back();
    if (!std::isfinite(last.train.cross_entropy)) return StopReason::diverged;
    if (last.train.cross_entropy <= hp.target_cross_entropy) return StopReason::target;
    if (last.epoch >= hp.max_epochs) return StopReason::epoch_cap;
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
    std::iota(order.begin(), order.end(), 0u);
    RandomStream(order_key, static_cast<std::uint64_t>(epoch)).shuffle(order.begin(), order.end());
    double loss_sum = 0;
    for (std::int64_t start = 0; start < n; start += hp.batch_size) {
      const std::int64_t size = std::min(hp.batch_size, n - start);
      batches.gather(
          std::span(order).subspan(static_cast<std::size_t>(start), static_cast<std::size_t>(size)));
      ++state.steps;
      const double loss = network.loss_and_gradients(batches.images(), batches.targets(), size,
                                                     {.dropout_key = dropout_key, .step = state.steps});
      loss_sum += loss * static_cast<double>(size);
      if (!std::isfinite(loss_sum)) break;  // further steps would only spread the NaN
      updates.step(state.steps);
    }
    EpochRecord record;
    record.epoch = epoch;
    record.steps = state.steps;
    record.batch_loss = loss_sum / static_cast<double>(n);
    record.train = network.evaluate(data.train.images.data(), data.train.labels.data(), n);
    record.test = network.evaluate(data.test.images.data(), data.test.labels.data(), data.test.count);
    if (!std::isfinite(loss_sum)) record.train.cross_entropy = loss_sum;
    state.history.push_back(record);
    if (control.epoch_finished) control.epoch_finished(record);
  }
  result.reason = *finished();
  capture();
  return result;
}

}  // namespace gapbench
