// What the probes of the engine have in common: the model, its data, and what is computed once and kept.
#pragma once

#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "measures/api/error.h"
#include "measures/api/probe.h"
#include "zoo/networks/architecture.h"
#include "zoo/training/training_data.h"

namespace gapbench {

/// One model on its training set. `arrays` are copied; `architecture` must outlive the probe.
class ProbeBase : public Probe {
 public:
  ProbeBase(const Architecture& architecture, std::shared_ptr<const TrainingData> data,
            std::vector<std::int64_t> labels, std::span<const std::span<const float>> arrays,
            bool with_derivatives)
      : architecture_(architecture),
        data_(std::move(data)),
        labels_(std::move(labels)),
        with_derivatives_(with_derivatives) {
    for (const auto& a : arrays) final_.insert(final_.end(), a.begin(), a.end());
  }

  std::int64_t samples() const final { return data_->train.count; }
  std::int64_t classes() const final { return data_->shape.classes; }
  std::span<const std::int64_t> labels() const final { return labels_; }

  std::span<const float> logits() final {
    if (logits_.empty() && with_derivatives_) logit_derivatives();
    if (logits_.empty()) {
      logits_.resize(logit_count());
      const Parameters final(final_);
      logits_of({&final, 1}, all_samples(), logits_);
    }
    return logits_;
  }
  std::span<const float> logit_derivatives() final {
    if (derivatives_.empty()) {
      derivatives_.resize(logit_count());
      logits_.resize(derivatives_.size());  // to the same bits where they are there
      fill_logits_and_derivatives(logits_, derivatives_);
    }
    return derivatives_;
  }
  std::vector<float> mean_gradient(Parameters parameters) final {
    return std::move(gradients_of({&parameters, 1}, all_samples())[0]);
  }

 protected:
  /// Of the model's own parameters, both [samples, classes]. The logits have the bits of logits_of().
  virtual void fill_logits_and_derivatives(std::span<float> logits, std::span<float> derivatives) = 0;

  const Architecture& architecture() const { return architecture_; }
  const TrainingData& data() const { return *data_; }
  Parameters final_parameters() const { return final_; }
  std::size_t logit_count() const { return static_cast<std::size_t>(samples() * classes()); }

  std::span<const std::int64_t> all_samples() {
    if (all_.empty()) {
      all_.resize(static_cast<std::size_t>(samples()));
      std::iota(all_.begin(), all_.end(), std::int64_t{0});
    }
    return all_;
  }
  void check(std::span<const Parameters> stack) const {
    for (const Parameters& parameters : stack)
      if (parameters.size() != final_.size())
        throw InternalError("a probe was given " + std::to_string(parameters.size()) +
                            " parameters for a network of " + std::to_string(final_.size()));
  }
  void check_room(std::span<const Parameters> stack, std::span<const std::int64_t> samples,
                  std::span<float> out) const {
    if (out.size() != stack.size() * samples.size() * static_cast<std::size_t>(classes()))
      throw InternalError("a probe was given room for " + std::to_string(out.size()) + " logits");
  }
  /// Whether the samples follow each other in the data. Throws InternalError where one is not there.
  bool in_order(std::span<const std::int64_t> samples) const {
    bool result = true;
    for (std::size_t i = 0; i < samples.size(); ++i) {
      if (samples[i] < 0 || samples[i] >= data_->train.count)
        throw InternalError("a probe was asked for sample " + std::to_string(samples[i]));
      result = result && samples[i] == samples[0] + static_cast<std::int64_t>(i);
    }
    return result;
  }

 private:
  const Architecture& architecture_;
  std::shared_ptr<const TrainingData> data_;
  std::vector<std::int64_t> labels_, all_;
  bool with_derivatives_;
  std::vector<float> final_, logits_, derivatives_;
};

}  // namespace gapbench
