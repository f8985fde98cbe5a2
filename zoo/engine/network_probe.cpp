#include "zoo/engine/network_probe.h"

#include <ATen/core/Reduction.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <torch/csrc/autograd/autograd.h>

#include "measures/api/error.h"
#include "zoo/training/trainer.h"

namespace gapbench {
namespace {

constexpr std::int64_t chunk = 1000;

class NetworkProbe final : public Probe {
 public:
  NetworkProbe(const Architecture& architecture, std::shared_ptr<const TrainingData> data,
               std::span<const std::span<const float>> arrays)
      : architecture_(architecture), data_(std::move(data)) {
    std::vector<std::vector<float>> copies;
    for (const auto& a : arrays) copies.emplace_back(a.begin(), a.end());
    arrays_ = to_tensors(architecture_, copies);
  }

  std::int64_t samples() const override { return data_->train_images.size(0); }
  std::int64_t classes() const override { return data_->shape.classes; }
  std::span<const std::int64_t> labels() const override {
    return {data_->train_labels.const_data_ptr<std::int64_t>(), static_cast<std::size_t>(samples())};
  }

  std::span<const float> logits() override {
    if (logits_.empty()) {
      const at::NoGradGuard no_grad;
      logits_.reserve(static_cast<std::size_t>(samples() * classes()));
      for (std::int64_t start = 0; start < samples(); start += chunk) {
        const std::int64_t size = std::min(chunk, samples() - start);
        const at::Tensor z =
            architecture_.forward(arrays_, data_->train_images.narrow(0, start, size), nullptr).contiguous();
        logits_.insert(logits_.end(), z.const_data_ptr<float>(), z.const_data_ptr<float>() + z.numel());
      }
    }
    return logits_;
  }

  std::vector<double> mean_losses(std::span<const Parameters> stack) override {
    std::vector<double> losses;
    for (const Parameters& parameters : stack)
      losses.push_back(
          evaluate(architecture_, split(parameters), data_->train_images, data_->train_labels).cross_entropy);
    return losses;
  }

  std::vector<float> mean_gradient(Parameters parameters) override {
    std::vector<at::Tensor> arrays = split(parameters);
    for (at::Tensor& a : arrays) a.set_requires_grad(true);
    std::vector<double> sum(parameters.size(), 0.0);
    for (std::int64_t start = 0; start < samples(); start += chunk) {
      const std::int64_t size = std::min(chunk, samples() - start);
      const at::Tensor z = architecture_.forward(arrays, data_->train_images.narrow(0, start, size), nullptr);
      const at::Tensor loss =
          at::cross_entropy_loss(z, data_->train_labels.narrow(0, start, size), {}, at::Reduction::Sum);
      const auto gradients = torch::autograd::grad({loss}, {arrays.begin(), arrays.end()});
      std::size_t offset = 0;
      for (const at::Tensor& gradient : gradients) {
        const at::Tensor g = gradient.contiguous();
        const float* p = g.const_data_ptr<float>();
        for (std::int64_t i = 0; i < g.numel(); ++i) sum[offset++] += static_cast<double>(p[i]);
      }
    }
    std::vector<float> mean(sum.size());
    for (std::size_t i = 0; i < sum.size(); ++i)
      mean[i] = static_cast<float>(sum[i] / static_cast<double>(samples()));
    return mean;
  }

 private:
  std::vector<at::Tensor> split(Parameters parameters) const {
    if (parameters.size() != static_cast<std::size_t>(architecture_.parameter_count()))
      throw InternalError("a probe was given " + std::to_string(parameters.size()) +
                          " parameters for a network of " + std::to_string(architecture_.parameter_count()));
    std::vector<std::vector<float>> arrays;
    std::size_t offset = 0;
    for (const at::Tensor& a : arrays_) {
      const auto n = static_cast<std::size_t>(a.numel());
      arrays.emplace_back(parameters.begin() + static_cast<std::ptrdiff_t>(offset),
                          parameters.begin() + static_cast<std::ptrdiff_t>(offset + n));
      offset += n;
    }
    return to_tensors(architecture_, arrays);
  }

  const Architecture& architecture_;
  std::shared_ptr<const TrainingData> data_;
  std::vector<at::Tensor> arrays_;
  std::vector<float> logits_;
};

}  // namespace

std::unique_ptr<Probe> make_network_probe(const Architecture& architecture,
                                          std::shared_ptr<const TrainingData> data,
                                          std::span<const std::span<const float>> arrays) {
  return std::make_unique<NetworkProbe>(architecture, std::move(data), arrays);
}

}  // namespace gapbench
