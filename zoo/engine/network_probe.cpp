#include "zoo/engine/network_probe.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include "zoo/engine/loss.h"
#include "zoo/engine/probe_base.h"
#include "zoo/engine/stack/device.h"
#include "zoo/engine/stack/layout.h"
#include "zoo/engine/stack/stack_probe.h"

namespace gapbench {
namespace {

// Samples of one piece of work. Fixed, so that no result depends on the number of threads; small enough to share out a
// single pass, large enough that loading a parameter set does not show.
constexpr std::int64_t block = 250;
// Samples of one backward pass: bounds the memory of networks that keep a whole batch.
constexpr std::int64_t gradient_block = 100;

class NetworkProbe final : public ProbeBase {
 public:
  NetworkProbe(const Architecture& architecture, std::shared_ptr<const TrainingData> data,
               std::vector<std::int64_t> labels, std::span<const std::span<const float>> arrays, int threads,
               ExecutorChoice choice, bool with_derivatives)
      : ProbeBase(architecture, std::move(data), std::move(labels), arrays, with_derivatives),
        size_(static_cast<std::size_t>(this->data().shape.size())) {
    for (int t = 0; t < std::max(1, threads); ++t)
      networks_.push_back(make_network(architecture, this->data().shape, choice));
  }

  std::string execution() const override { return networks_.front()->execution(); }

  void logits_of(std::span<const Parameters> stack, std::span<const std::int64_t> samples,
                 std::span<float> out) override {
    check(stack);
    const auto count = static_cast<std::int64_t>(samples.size());
    check_room(stack, samples, out);
    const float* images = images_of(samples);
    const std::int64_t blocks = (count + block - 1) / block,
                       work = blocks * static_cast<std::int64_t>(stack.size());
    in_parallel(work, [&](TrainableNetwork& network, std::int64_t first, std::int64_t last) {
      for (std::int64_t w = first; w < last; ++w) {
        const std::int64_t k = w / blocks, start = w % blocks * block;
        if (w == first || start == 0) import_arrays(network, stack[static_cast<std::size_t>(k)]);
        network.logits(images + start * data().shape.size(), std::min(block, count - start),
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
      targets[i * width + static_cast<std::size_t>(labels()[static_cast<std::size_t>(samples[i])])] = 1;
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
      add_losses(z.data(), labels().data(), samples(), classes(), sum);
      losses.push_back(sum.cross_entropy / static_cast<double>(samples()));
    }
    return losses;
  }

 private:
  void fill_logits_and_derivatives(std::span<float> logits, std::span<float> derivatives) override {
    const std::int64_t blocks = (samples() + block - 1) / block;
    in_parallel(blocks, [&](TrainableNetwork& network, std::int64_t first, std::int64_t last) {
      import_arrays(network, final_parameters());
      for (std::int64_t start = first * block; start < std::min(last * block, samples()); start += block)
        network.logits_and_derivatives(data().train.images.data() + start * data().shape.size(),
                                       std::min(block, samples() - start), logits.data() + start * classes(),
                                       derivatives.data() + start * classes());
    });
  }

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
      for (std::size_t i = 0; i < architecture().arrays().size(); ++i) {
        if (architecture().arrays()[i].trained) {
          const std::vector<float> g = network.to_row_major(i, network.gradient(i));
          for (std::size_t j = 0; j < g.size(); ++j) sum[offset + j] += share * static_cast<double>(g[j]);
        }
        offset += static_cast<std::size_t>(architecture().arrays()[i].size());
      }
    }
    return {sum.begin(), sum.end()};
  }

  // Images of the samples one after the other: where they lie, or a copy of them.
  const float* images_of(std::span<const std::int64_t> samples) {
    const float* all = data().train.images.data();
    if (in_order(samples)) return all + (samples.empty() ? 0 : static_cast<std::size_t>(samples[0]) * size_);
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

  std::size_t size_;                                         // floats of one image
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

struct Probes::Impl {
  stack::ProbeDevice device;
};

Probes::Probes(ExecutorChoice choice, DeviceChoice device, int models) : choice_(choice) {
  const StackPlace place = stack_place(choice, device);
  if (place.stacks) impl_.reset(new Impl{{stack::device_of(place.cuda), models}});
}
Probes::~Probes() = default;

std::string Probes::device() const {
  return impl_ && impl_->device.device().is_cuda() ? stack::device_name(impl_->device.device()) : "";
}

std::unique_ptr<Probe> Probes::make(const Architecture& architecture,
                                    std::shared_ptr<const TrainingData> data,
                                    std::vector<std::int64_t> labels,
                                    std::span<const std::span<const float>> arrays, int threads,
                                    bool with_derivatives) const {
  if (impl_ && stack::serves(architecture))
    return stack::make_stack_probe(architecture, std::move(data), std::move(labels), arrays, impl_->device,
                                   with_derivatives);
  if (choice_ == ExecutorChoice::stack)
    throw InputError("stacks do not serve network " + architecture.network() + "; run without --executor");
  return make_network_probe(architecture, std::move(data), std::move(labels), arrays, threads, choice_,
                            with_derivatives);
}

}  // namespace gapbench
