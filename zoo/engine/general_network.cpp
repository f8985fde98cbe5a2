#include "zoo/engine/general_network.h"

#include <ATen/Version.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mul.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

#include "measures/api/error.h"
#include "measures/numerics/philox.h"
#include "zoo/data/aligned_vector.h"
#include "zoo/engine/loss.h"
#include "zoo/networks/forward.h"

namespace gapbench {
namespace {

// Samples evaluated at a time: bounds memory; fixed, so that no result depends on the machine.
constexpr std::int64_t evaluation_chunk = 1000;

// Inverted dropout whose mask is a function of (model, step, place): drawn by sample, position, channel.
class PhiloxDropout final : public Dropout {
 public:
  PhiloxDropout(std::uint64_t key, std::int64_t step) : stream_(key, static_cast<std::uint64_t>(step)) {}

  at::Tensor operator()(const at::Tensor& hidden, double probability) override {
    const auto threshold = static_cast<std::uint32_t>(probability * 0x1p32);
    const auto scale = static_cast<float>(1 / (1 - probability));
    const at::Tensor mask =
        at::empty(hidden.sizes(), at::TensorOptions().dtype(at::kFloat),
                  hidden.dim() == 4 ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous);
    float* p = mask.mutable_data_ptr<float>();
    const std::int64_t n = mask.numel();
    for (std::int64_t i = 0; i < n; ++i) p[i] = stream_() < threshold ? 0.0f : scale;
    return at::mul(hidden, mask);
  }

 private:
  RandomStream stream_;
};

class GeneralNetwork final : public TrainableNetwork {
 public:
  GeneralNetwork(const Architecture& a, const InputShape& shape) : TrainableNetwork(a), shape_(shape) {
    for (const ArraySpec& spec : a.arrays()) {
      const bool image = a.channels_last() && spec.shape.size() == 4;
      at::Tensor array = at::empty(spec.shape, at::TensorOptions().dtype(at::kFloat),
                                   image ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous);
      array.set_requires_grad(spec.trained);
      if (spec.trained) trained_.push_back(arrays_.size());
      arrays_.push_back(array);
    }
    gradients_.resize(arrays_.size());
  }

  std::string execution() const override {
    return "general/" + at::get_cpu_capability() + "/LibTorch " GAPBENCH_TORCH_VERSION;
  }
  std::span<float> array(std::size_t i) override {
    return {arrays_[i].mutable_data_ptr<float>(), static_cast<std::size_t>(arrays_[i].numel())};
  }
  std::span<const float> gradient(std::size_t i) override {
    const at::Tensor& g = gradients_[i];
    if (!g.defined()) return {};
    return {g.const_data_ptr<float>(), static_cast<std::size_t>(g.numel())};
  }

  std::vector<float> to_row_major(std::size_t i, std::span<const float> values) const override {
    check_length(i, values);
    // the network's order is the memory order of the array's tensor; from_blob only reads
    const at::Tensor own = at::from_blob(const_cast<float*>(values.data()), arrays_[i].sizes(),
                                         arrays_[i].strides(), at::TensorOptions().dtype(at::kFloat));
    const at::Tensor rows = own.contiguous();
    return {rows.const_data_ptr<float>(), rows.const_data_ptr<float>() + rows.numel()};
  }
  std::vector<float> from_row_major(std::size_t i, std::span<const float> values) const override {
    check_length(i, values);
    std::vector<float> own(values.size());
    const auto options = at::TensorOptions().dtype(at::kFloat);
    at::from_blob(own.data(), arrays_[i].sizes(), arrays_[i].strides(), options)
        .copy_(at::from_blob(const_cast<float*>(values.data()), arrays_[i].sizes(), options));
    return own;
  }

  void set_array(std::size_t i, std::span<const float> row_major) override {
    check_length(i, row_major);
    const at::NoGradGuard no_grad;
    arrays_[i].copy_(at::from_blob(const_cast<float*>(row_major.data()), arrays_[i].sizes(),
                                   at::TensorOptions().dtype(at::kFloat)));
  }

  double loss_and_gradients(const float* images, const float* targets, std::int64_t n,
                            const StepContext& context) override {
    PhiloxDropout dropout(context.dropout_key, context.step);
    images = gather(images, context.rows, n, shape_.size(), gathered_);
    const at::Tensor logits = forward(architecture(), arrays_, view_images(architecture(), shape_, images, n),
                                      {.training = !context.evaluation,
                                       .update_statistics = context.update_statistics,
                                       .dropout = &dropout});
    const at::Tensor wanted = at::from_blob(const_cast<float*>(targets), {n, shape_.classes},
                                            at::TensorOptions().dtype(at::kFloat));
    const at::Tensor loss = at::cross_entropy_loss(logits, wanted);
    std::vector<at::Tensor> inputs;
    for (const std::size_t i : trained_) inputs.push_back(arrays_[i]);
    const auto gradients = torch::autograd::grad({loss}, inputs);
    for (std::size_t k = 0; k < trained_.size(); ++k) {
      const at::NoGradGuard no_grad;
      at::Tensor g = gradients[k];
      const at::Tensor& a = arrays_[trained_[k]];
      if (g.strides() != a.strides())
        g = at::empty_like(a, at::TensorOptions().requires_grad(false)).copy_(g);
      gradients_[trained_[k]] = g;
    }
    return loss.item<double>();
  }

  Metrics evaluate(const float* images, const std::int64_t* labels, std::int64_t n) override {
    LossSum sum;
    for_each_chunk(images, n, [&](const float* z, std::int64_t start, std::int64_t size) {
      add_losses(z, labels + start, size, shape_.classes, sum);
    });
    return sum.means();
  }

  void logits(const float* images, std::int64_t n, float* out) override {
    for_each_chunk(images, n, [&](const float* z, std::int64_t start, std::int64_t size) {
      std::copy(z, z + size * shape_.classes, out + start * shape_.classes);
    });
  }

  void logits_and_derivatives(const float* images, std::int64_t n, float* logits,
                              float* derivatives) override {
    const at::NoGradGuard no_grad;
    const auto put = [&](const at::Tensor& from, float* to) {
      const at::Tensor rows = from.contiguous();
      std::copy(rows.const_data_ptr<float>(), rows.const_data_ptr<float>() + rows.numel(), to);
    };
    for (std::int64_t start = 0; start < n; start += evaluation_chunk) {
      const std::int64_t size = std::min(evaluation_chunk, n - start);
      const auto [z, dz] = gapbench::logits_and_derivatives(
          architecture(), arrays_, view_images(architecture(), shape_, images + start * shape_.size(), size));
      put(z, logits + start * shape_.classes);
      put(dz, derivatives + start * shape_.classes);
    }
  }

 private:
  // Calls f(logits in evaluation mode, first sample, number of samples).
  template <class F>
  void for_each_chunk(const float* images, std::int64_t n, F f) {
    const at::NoGradGuard no_grad;
    for (std::int64_t start = 0; start < n; start += evaluation_chunk) {
      const std::int64_t size = std::min(evaluation_chunk, n - start);
      const at::Tensor z =
          forward(architecture(), arrays_,
                  view_images(architecture(), shape_, images + start * shape_.size(), size), {})
              .contiguous();
      f(z.const_data_ptr<float>(), start, size);
    }
  }

  void check_length(std::size_t i, std::span<const float> values) const {
    if (values.size() != static_cast<std::size_t>(arrays_[i].numel()))
      throw InternalError("array " + architecture().arrays()[i].name + " was given " +
                          std::to_string(values.size()) + " values");
  }

  InputShape shape_;
  std::vector<at::Tensor> arrays_, gradients_;
  std::vector<std::size_t> trained_;
  AlignedVector<float> gathered_;
};

}  // namespace

std::unique_ptr<TrainableNetwork> make_general_network(const Architecture& architecture,
                                                       const InputShape& shape) {
  return std::make_unique<GeneralNetwork>(architecture, shape);
}

}  // namespace gapbench
