#include "zoo/engine/network_probe.h"

#include <ATen/core/Reduction.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>

#include "measures/api/error.h"
#include "zoo/engine/loss.h"
#include "zoo/networks/forward.h"

namespace gapbench {
namespace {

constexpr std::int64_t chunk = 1000;
constexpr std::int64_t derivative_chunk = 200;  // each keeps the graph of two backward passes

class NetworkProbe final : public Probe {
 public:
  NetworkProbe(const Architecture& architecture, std::shared_ptr<const TrainingData> data,
               std::vector<std::int64_t> labels, std::span<const std::span<const float>> arrays)
      : architecture_(architecture), data_(std::move(data)), labels_(std::move(labels)) {
    arrays_ = to_tensors(architecture_, arrays);
  }

  std::int64_t samples() const override { return data_->train.count; }
  std::int64_t classes() const override { return data_->shape.classes; }
  std::span<const std::int64_t> labels() const override { return labels_; }

  std::span<const float> logits() override {
    if (logits_.empty()) {
      logits_.reserve(static_cast<std::size_t>(samples() * classes()));
      for_each_block(arrays_, [&](const float* z, std::int64_t, std::int64_t size) {
        logits_.insert(logits_.end(), z, z + size * classes());
      });
    }
    return logits_;
  }

  std::vector<double> mean_losses(std::span<const Parameters> stack) override {
    std::vector<double> losses;
    for (const Parameters& parameters : stack) {
      LossSum sum;
      for_each_block(split(parameters), [&](const float* z, std::int64_t start, std::int64_t size) {
        add_losses(z, labels_.data() + start, size, classes(), sum);
      });
      losses.push_back(sum.cross_entropy / static_cast<double>(samples()));
    }
    return losses;
  }

  std::vector<float> mean_gradient(Parameters parameters) override {
    std::vector<at::Tensor> arrays = split(parameters);
    std::vector<at::Tensor> trained;
    for (std::size_t i = 0; i < arrays.size(); ++i)
      if (architecture_.arrays()[i].trained) trained.push_back(arrays[i].set_requires_grad(true));
    std::vector<double> sum(parameters.size(), 0.0);
    for (std::int64_t start = 0; start < samples(); start += chunk) {
      const std::int64_t size = std::min(chunk, samples() - start);
      const at::Tensor z = forward(architecture_, arrays, images(start, size), {});
      const at::Tensor labels =  // only read
          at::from_blob(const_cast<std::int64_t*>(labels_.data() + start), {size},
                        at::TensorOptions().dtype(at::kLong));
      const at::Tensor loss = at::cross_entropy_loss(z, labels, {}, at::Reduction::Sum);
      const auto gradients = torch::autograd::grad({loss}, trained);
      std::size_t offset = 0;
      auto gradient = gradients.begin();
      for (const ArraySpec& spec : architecture_.arrays()) {
        if (!spec.trained) {
          offset += static_cast<std::size_t>(spec.size());
          continue;
        }
        const at::Tensor g = (gradient++)->contiguous();
        const float* p = g.const_data_ptr<float>();
        for (std::int64_t i = 0; i < g.numel(); ++i) sum[offset++] += static_cast<double>(p[i]);
      }
    }
    std::vector<float> mean(sum.size());
    for (std::size_t i = 0; i < sum.size(); ++i)
      mean[i] = static_cast<float>(sum[i] / static_cast<double>(samples()));
    return mean;
  }

  // J d for the Jacobian J of the logits: J^T v is linear in v, and d^T J^T v has the gradient J d.
  std::vector<float> logit_derivatives(Parameters direction) override {
    const std::vector<at::Tensor> along = split(direction);
    std::vector<at::Tensor> arrays, trained, directions;
    for (std::size_t i = 0; i < arrays_.size(); ++i) {
      arrays.push_back(arrays_[i].detach());
      if (!architecture_.arrays()[i].trained) continue;
      trained.push_back(arrays[i].set_requires_grad(true));
      directions.push_back(along[i]);
    }
    std::vector<float> derivatives;
    derivatives.reserve(static_cast<std::size_t>(samples() * classes()));
    for (std::int64_t start = 0; start < samples(); start += derivative_chunk) {
      const std::int64_t size = std::min(derivative_chunk, samples() - start);
      const at::Tensor z = forward(architecture_, arrays, images(start, size), {});
      const at::Tensor v = at::zeros_like(z).set_requires_grad(true);
      const auto products = torch::autograd::grad({z}, trained, {v}, true, true);
      torch::autograd::variable_list inner;
      for (std::size_t i = 0; i < products.size(); ++i)
        inner.push_back(at::mul(products[i], directions[i]).sum());
      const at::Tensor jd = torch::autograd::grad(inner, {v})[0].contiguous();
      derivatives.insert(derivatives.end(), jd.const_data_ptr<float>(),
                         jd.const_data_ptr<float>() + jd.numel());
    }
    return derivatives;
  }

 private:
  at::Tensor images(std::int64_t start, std::int64_t size) const {
    return view_images(architecture_, data_->shape, data_->train.images.data() + start * data_->shape.size(),
                       size);
  }

  // Calls block(logits, first sample, number of samples) over the training set.
  template <class Block>
  void for_each_block(std::span<const at::Tensor> arrays, const Block& block) const {
    const at::NoGradGuard no_grad;
    for (std::int64_t start = 0; start < data_->train.count; start += chunk) {
      const std::int64_t size = std::min(chunk, data_->train.count - start);
      const at::Tensor z = forward(architecture_, arrays, images(start, size), {}).contiguous();
      block(z.const_data_ptr<float>(), start, size);
    }
  }

  std::vector<at::Tensor> split(Parameters parameters) const {
    if (parameters.size() != static_cast<std::size_t>(architecture_.parameter_count()))
      throw InternalError("a probe was given " + std::to_string(parameters.size()) +
                          " parameters for a network of " + std::to_string(architecture_.parameter_count()));
    std::vector<std::span<const float>> arrays;
    std::size_t offset = 0;
    for (const ArraySpec& spec : architecture_.arrays()) {
      const auto n = static_cast<std::size_t>(spec.size());
      arrays.push_back(parameters.subspan(offset, n));
      offset += n;
    }
    return to_tensors(architecture_, arrays);
  }

  const Architecture& architecture_;
  std::shared_ptr<const TrainingData> data_;
  std::vector<std::int64_t> labels_;
  std::vector<at::Tensor> arrays_;
  std::vector<float> logits_;
};

}  // namespace

std::unique_ptr<Probe> make_network_probe(const Architecture& architecture,
                                          std::shared_ptr<const TrainingData> data,
                                          std::vector<std::int64_t> labels,
                                          std::span<const std::span<const float>> arrays) {
  return std::make_unique<NetworkProbe>(architecture, std::move(data), std::move(labels), arrays);
}

}  // namespace gapbench
