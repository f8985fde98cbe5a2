#include "zoo/training/trainer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mul.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "measures/api/error.h"
#include "measures/numerics/philox.h"
#include "zoo/training/optimizer.h"

namespace gapbench {

namespace {

// Samples evaluated at a time: bounds memory; fixed, so that no result depends on the machine.
constexpr std::int64_t evaluation_chunk = 1000;

at::MemoryFormat order_of(const Architecture& a, std::int64_t dims) {
  return a.channels_last() && dims == 4 ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
}

std::vector<std::vector<float>> to_buffers(const Architecture& architecture,
                                           std::span<const at::Tensor> tensors) {
  std::vector<std::vector<float>> buffers;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const at::Tensor t = tensors[i].detach().contiguous();
    if (t.sizes() != at::IntArrayRef(architecture.arrays()[i].shape))
      throw InternalError("array shape changed in training");
    const float* p = t.const_data_ptr<float>();
    buffers.emplace_back(p, p + t.numel());
  }
  return buffers;
}

// Inverted dropout whose mask is a function of (model, step, place).
class PhiloxDropout final : public Dropout {
 public:
  PhiloxDropout(double probability, std::uint64_t key, std::int64_t step)
      : stream_(key, static_cast<std::uint64_t>(step)),
        threshold_(static_cast<std::uint32_t>(probability * 0x1p32)),
        scale_(static_cast<float>(1 / (1 - probability))) {}

  at::Tensor operator()(const at::Tensor& hidden) override {
    at::Tensor mask = at::empty_like(hidden, hidden.options().requires_grad(false));
    float* p = mask.mutable_data_ptr<float>();
    const std::int64_t n = mask.numel();
    for (std::int64_t i = 0; i < n; ++i) p[i] = stream_() < threshold_ ? 0.0f : scale_;
    return at::mul(hidden, mask);
  }

 private:
  RandomStream stream_;
  std::uint32_t threshold_;
  float scale_;
};

// Batches gathered into one reused buffer, whatever the memory order: a sample is one dense block in either.
class Batches {
 public:
  Batches(const at::Tensor& images, const at::Tensor& labels, std::int64_t batch_size)
      : images_(images),
        labels_(labels),
        sample_(images.numel() / std::max<std::int64_t>(1, images.size(0))) {
    std::vector<std::int64_t> shape = images.sizes().vec();
    shape[0] = std::min(batch_size, images.size(0));
    batch_images_ = at::empty(shape, images.options(), images.suggest_memory_format());
    batch_labels_ = at::empty({shape[0]}, labels.options());
  }
  std::pair<at::Tensor, at::Tensor> gather(std::span<const std::uint32_t> indices) {
    const float* from = images_.const_data_ptr<float>();
    float* to = batch_images_.mutable_data_ptr<float>();
    const std::int64_t* label = labels_.const_data_ptr<std::int64_t>();
    std::int64_t* to_label = batch_labels_.mutable_data_ptr<std::int64_t>();
    for (std::size_t i = 0; i < indices.size(); ++i) {
      std::memcpy(to + static_cast<std::int64_t>(i) * sample_, from + indices[i] * sample_,
                  static_cast<std::size_t>(sample_) * sizeof(float));
      to_label[i] = label[indices[i]];
    }
    const auto n = static_cast<std::int64_t>(indices.size());
    return {batch_images_.narrow(0, 0, n), batch_labels_.narrow(0, 0, n)};
  }

 private:
  const at::Tensor images_, labels_;
  std::int64_t sample_;
  at::Tensor batch_images_, batch_labels_;
};

}  // namespace

std::vector<at::Tensor> to_tensors(const Architecture& architecture,
                                   std::span<const std::vector<float>> arrays) {
  std::vector<at::Tensor> tensors;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const auto& shape = architecture.arrays()[i].shape;
    // from_blob only reads here: clone() copies before anyone could write
    const at::Tensor view =
        at::from_blob(const_cast<float*>(arrays[i].data()), shape, at::TensorOptions().dtype(at::kFloat));
    tensors.push_back(view.clone(order_of(architecture, view.dim())));
  }
  return tensors;
}

Metrics evaluate(const Architecture& architecture, std::span<const at::Tensor> arrays,
                 const at::Tensor& images, const at::Tensor& labels) {
  const at::NoGradGuard no_grad;
  const std::int64_t n = images.size(0);
  const std::int64_t* label = labels.const_data_ptr<std::int64_t>();
  double loss = 0;
  std::int64_t wrong = 0;
  for (std::int64_t start = 0; start < n; start += evaluation_chunk) {
    const std::int64_t size = std::min(evaluation_chunk, n - start);
    const at::Tensor logits =
        architecture.forward(arrays, images.narrow(0, start, size), nullptr).contiguous();
    const std::int64_t classes = logits.size(1);
    const float* z = logits.const_data_ptr<float>();
    for (std::int64_t i = 0; i < size; ++i, z += classes) {
      const std::int64_t best = std::max_element(z, z + classes) - z;
      double sum = 0;
      for (std::int64_t k = 0; k < classes; ++k)
        sum += std::exp(static_cast<double>(z[k]) - static_cast<double>(z[best]));
      loss += std::log(sum) + static_cast<double>(z[best]) - static_cast<double>(z[label[start + i]]);
      wrong += best != label[start + i];
    }
  }
  return {loss / static_cast<double>(n), static_cast<double>(wrong) / static_cast<double>(n)};
}

TrainedModel train(const ModelSpec& model, const Architecture& architecture, const TrainingData& data,
                   const TrainControl& control, std::optional<TrainState> resume) {
  const HyperParameters& hp = model.hp;
  const bool resumed = resume.has_value();
  TrainedModel result;
  TrainState& state = result.state;
  if (resumed)
    state = std::move(*resume);
  else
    state.arrays = initial_values(architecture, model.id);

  std::vector<at::Tensor> arrays = to_tensors(architecture, state.arrays);
  std::vector<std::size_t> sizes;
  for (at::Tensor& a : arrays) {
    a.set_requires_grad(true);
    sizes.push_back(static_cast<std::size_t>(a.numel()));
  }
  const std::unique_ptr<Optimizer> optimizer = make_optimizer(hp, sizes);
  if (resumed) {
    if (state.optimizer_state.size() != optimizer->state().size())
      throw InternalError("checkpoint with another optimizer's state");
    optimizer->state() = state.optimizer_state;
  }

  const std::int64_t n = data.train_images.size(0);
  Batches batches(data.train_images, data.train_labels, hp.batch_size);
  std::vector<std::uint32_t> order(static_cast<std::size_t>(n));
  const std::uint64_t order_key = random_key(model.id, "order"),
                      dropout_key = random_key(model.id, "dropout");

  // brings `state` up to date; the arrays and moving averages change in place while training
  const auto capture = [&] {
    state.arrays = to_buffers(architecture, arrays);
    state.optimizer_state = optimizer->state();
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
      const auto [images, labels] = batches.gather(
          std::span(order).subspan(static_cast<std::size_t>(start), static_cast<std::size_t>(size)));
      ++state.steps;
      PhiloxDropout dropout(hp.dropout, dropout_key, state.steps);
      const at::Tensor loss = at::cross_entropy_loss(
          architecture.forward(arrays, images, hp.dropout > 0 ? &dropout : nullptr), labels);
      loss_sum += loss.item<double>() * static_cast<double>(size);
      if (!std::isfinite(loss_sum)) break;  // further steps would only spread the NaN
      const auto gradients = torch::autograd::grad({loss}, {arrays.begin(), arrays.end()});
      for (std::size_t i = 0; i < arrays.size(); ++i) {
        at::Tensor g = gradients[i];
        if (g.strides() != arrays[i].strides()) {
          const at::NoGradGuard no_grad;
          g = at::empty_like(arrays[i], at::TensorOptions().requires_grad(false)).copy_(g);
        }
        optimizer->update(i, state.steps, arrays[i].mutable_data_ptr<float>(), g.const_data_ptr<float>(),
                          sizes[i]);
      }
    }
    EpochRecord record;
    record.epoch = epoch;
    record.steps = state.steps;
    record.batch_loss = loss_sum / static_cast<double>(n);
    record.train = evaluate(architecture, arrays, data.train_images, data.train_labels);
    record.test = evaluate(architecture, arrays, data.test_images, data.test_labels);
    if (!std::isfinite(loss_sum)) record.train.cross_entropy = loss_sum;
    state.history.push_back(record);
    if (control.epoch_finished) control.epoch_finished(record);
  }
  result.reason = *finished();
  capture();
  return result;
}

}  // namespace gapbench
