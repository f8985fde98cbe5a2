#include "zoo/engine/network_probe.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <functional>
#include <mutex>
#include <numeric>
#include <thread>

#include "measures/api/error.h"
#include "zoo/engine/loss.h"

namespace gapbench {
namespace {

// Samples of one piece of work. Fixed, so that no result depends on the number of threads; small enough to share out a
// single pass, large enough that loading a parameter set does not show.
constexpr std::int64_t block = 250;
// Samples of one backward pass: bounds the memory of networks that keep a whole batch.
constexpr std::int64_t gradient_block = 100;

class NetworkProbe final : public Probe {
 public:
  NetworkProbe(const Architecture& architecture, std::shared_ptr<const TrainingData> data,
               std::vector<std::int64_t> labels, std::span<const std::span<const float>> arrays, int threads,
               ExecutorChoice choice, bool with_derivatives)
      : architecture_(architecture),
        data_(std::move(data)),
        labels_(std::move(labels)),
        size_(static_cast<std::size_t>(data_->shape.size())),
        with_derivatives_(with_derivatives) {
    for (const auto& a : arrays) final_.insert(final_.end(), a.begin(), a.end());
    for (int t = 0; t < std::max(1, threads); ++t)
      networks_.push_back(make_network(architecture_, data_->shape, choice));
  }

  std::int64_t samples() const override { return data_->train.count; }
  std::int64_t classes() const override { return data_->shape.classes; }
  std::span<const std::int64_t> labels() const override { return labels_; }

  std::span<const float> logits() override {
    if (logits_.empty() && with_derivatives_) logit_derivatives();
    if (logits_.empty()) {
      logits_.resize(static_cast<std::size_t>(samples() * classes()));
      const Parameters final(final_);
      logits_of({&final, 1}, all_samples(), logits_);
    }
    return logits_;
  }

  void logits_of(std::span<const Parameters> stack, std::span<const std::int64_t> samples,
                 std::span<float> out) override {
    check(stack);
    const auto count = static_cast<std::int64_t>(samples.size());
    if (out.size() != stack.size() * samples.size() * static_cast<std::size_t>(classes()))
      throw InternalError("a probe was given room for " + std::to_string(out.size()) + " logits");
    const float* images = images_of(samples);
    const std::int64_t blocks = (count + block - 1) / block,
                       work = blocks * static_cast<std::int64_t>(stack.size());
    in_parallel(work, [&](TrainableNetwork& network, std::int64_t first, std::int64_t last) {
      for (std::int64_t w = first; w < last; ++w) {
        const std::int64_t k = w / blocks, start = w % blocks * block;
        if (w == first || start == 0) import_arrays(network, stack[static_cast<std::size_t>(k)]);
        network.logits(images + start * data_->shape.size(), std::min(block, count - start),
                       out.data() + (k * count + start) * classes());
      }
    });
  }

  std::vector<std::vector<float>> gradients_of(std::span<const Parameters> stack,
                                               std::span<const std::int64_t> samples) override {
    check(stack);
    const float* images = images_of(samples);
    const auto width = static_cast<std::size_t>(classes());
    AlignedVector<float> targets(samples.size() * width);
    for (std::size_t i = 0; i < samples.size(); ++i)
      targets[i * width + static_cast<std::size_t>(labels_[static_cast<std::size_t>(samples[i])])] = 1;
    std::vector<std::vector<float>> gradients(stack.size());
    in_parallel(static_cast<std::int64_t>(stack.size()),
                [&](TrainableNetwork& network, std::int64_t first, std::int64_t last) {
                  for (std::int64_t k = first; k < last; ++k) {
                    const auto i = static_cast<std::size_t>(k);
                    gradients[i] = gradient(network, stack[i], images, targets, samples.size());
                  }
                });
    return gradients;
  }

  std::vector<double> mean_losses(std::span<const Parameters> stack) override {
    std::vector<double> losses;
    std::vector<float> z(static_cast<std::size_t>(samples() * classes()));
    for (const Parameters& parameters :
         stack) {  // one at a time: the logits of a stack could fill the memory
      logits_of({&parameters, 1}, all_samples(), z);
      LossSum sum;
      add_losses(z.data(), labels_.data(), samples(), classes(), sum);
      losses.push_back(sum.cross_entropy / static_cast<double>(samples()));
    }
    return losses;
  }

  std::vector<float> mean_gradient(Parameters parameters) override {
    return std::move(gradients_of({&parameters, 1}, all_samples())[0]);
  }

  std::span<const float> logit_derivatives() override {
    if (derivatives_.empty()) {
      derivatives_.resize(static_cast<std::size_t>(samples() * classes()));
      logits_.resize(derivatives_.size());  // to the same bits, if they are there
      const std::int64_t blocks = (samples() + block - 1) / block;
      in_parallel(blocks, [&](TrainableNetwork& network, std::int64_t first, std::int64_t last) {
        import_arrays(network, final_);
        for (std::int64_t start = first * block; start < std::min(last * block, samples()); start += block)
          network.logits_and_derivatives(
              data_->train.images.data() + start * data_->shape.size(), std::min(block, samples() - start),
              logits_.data() + start * classes(), derivatives_.data() + start * classes());
      });
    }
    return derivatives_;
  }

 private:
  std::vector<float> gradient(TrainableNetwork& network, Parameters parameters, const float* images,
                              const AlignedVector<float>& targets, std::size_t n) const {
    import_arrays(network, parameters);
    std::vector<double> sum(parameters.size(), 0.0);
    const auto width = static_cast<std::size_t>(classes());
    for (std::size_t start = 0; start < n; start += gradient_block) {
      const std::size_t size = std::min(static_cast<std::size_t>(gradient_block), n - start);
      network.loss_and_gradients(images + start * size_, targets.data() + start * width,
                                 static_cast<std::int64_t>(size),
                                 {.update_statistics = false, .evaluation = true});
      const double share = static_cast<double>(size) / static_cast<double>(n);
      std::size_t offset = 0;
      for (std::size_t i = 0; i < architecture_.arrays().size(); ++i) {
        if (architecture_.arrays()[i].trained) {
          const std::vector<float> g = network.to_row_major(i, network.gradient(i));
          for (std::size_t j = 0; j < g.size(); ++j) sum[offset + j] += share * static_cast<double>(g[j]);
        }
        offset += static_cast<std::size_t>(architecture_.arrays()[i].size());
      }
    }
    return {sum.begin(), sum.end()};
  }

  void check(std::span<const Parameters> stack) const {
    for (const Parameters& parameters : stack)
      if (parameters.size() != final_.size())
        throw InternalError("a probe was given " + std::to_string(parameters.size()) +
                            " parameters for a network of " + std::to_string(final_.size()));
  }

  std::span<const std::int64_t> all_samples() {
    if (all_.empty()) {
      all_.resize(static_cast<std::size_t>(samples()));
      std::iota(all_.begin(), all_.end(), std::int64_t{0});
    }
    return all_;
  }

  // Images of the samples one after the other: where they lie, or a copy of them.
  const float* images_of(std::span<const std::int64_t> samples) {
    const float* all = data_->train.images.data();
    bool in_order = true;
    for (std::size_t i = 0; i < samples.size(); ++i) {
      if (samples[i] < 0 || samples[i] >= data_->train.count)
        throw InternalError("a probe was asked for sample " + std::to_string(samples[i]));
      in_order = in_order && samples[i] == samples[0] + static_cast<std::int64_t>(i);
    }
    if (samples.empty() || in_order)
      return all + (samples.empty() ? 0 : static_cast<std::size_t>(samples[0]) * size_);
    gathered_.resize(samples.size() * size_);
    for (std::size_t i = 0; i < samples.size(); ++i)
      std::memcpy(gathered_.data() + i * size_, all + static_cast<std::size_t>(samples[i]) * size_,
                  size_ * sizeof(float));
    return gathered_.data();
  }

  // Shares items 0 .. work - 1 out in runs of neighbours: f(network, first, last).
  void in_parallel(std::int64_t work,
                   const std::function<void(TrainableNetwork&, std::int64_t, std::int64_t)>& f) {
    const auto threads = std::min(static_cast<std::int64_t>(networks_.size()), work);
    std::exception_ptr error;
    std::mutex mutex;
    const auto run = [&](std::int64_t t) {
      try {
        at::set_num_threads(1);
        f(*networks_[static_cast<std::size_t>(t)], work * t / threads, work * (t + 1) / threads);
      } catch (...) {
        const std::lock_guard lock(mutex);
        error = std::current_exception();
      }
    };
    std::vector<std::thread> others;
    for (std::int64_t t = 1; t < threads; ++t) others.emplace_back(run, t);
    if (threads > 0) run(0);
    for (std::thread& t : others) t.join();
    if (error) std::rethrow_exception(error);
  }

  const Architecture& architecture_;
  std::shared_ptr<const TrainingData> data_;
  std::vector<std::int64_t> labels_, all_;
  std::size_t size_;  // floats of one image
  bool with_derivatives_;
  std::vector<float> final_, logits_, derivatives_;
  std::vector<std::unique_ptr<TrainableNetwork>> networks_;  // one a thread
  AlignedVector<float> gathered_;
};

}  // namespace

std::unique_ptr<Probe> make_network_probe(const Architecture& architecture,
                                          std::shared_ptr<const TrainingData> data,
                                          std::vector<std::int64_t> labels,
                                          std::span<const std::span<const float>> arrays, int threads,
                                          ExecutorChoice choice, bool with_derivatives) {
  return std::make_unique<NetworkProbe>(architecture, std::move(data), std::move(labels), arrays, threads,
                                        choice, with_derivatives);
}

}  // namespace gapbench
