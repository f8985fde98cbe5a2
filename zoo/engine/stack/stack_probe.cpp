#include "zoo/engine/stack/stack_probe.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstring>

#include "zoo/engine/probe_base.h"
#include "zoo/engine/stack/device.h"
#include "zoo/engine/stack/network.h"
#include "zoo/engine/stack/operations.h"

namespace gapbench::stack {
namespace {

// Floats of the values of one pass, all members together: enough for a device to be busy, few enough for many probes at a time.
constexpr std::int64_t most_floats_cuda = std::int64_t{1} << 27, most_floats_cpu = 1 << 22,
                       least_floats = 1 << 12;
// Bytes that a pass takes at most for each of these floats: the values themselves, their derivatives, the parameter sets beside
// them, and what the allocator rounds up.
constexpr std::int64_t bytes_a_float = 16;

at::Tensor copied(const void* values, at::IntArrayRef shape, at::ScalarType type, const at::Device& device) {
  // from_blob only reads: the copy owns its memory
  return at::from_blob(const_cast<void*>(values), shape, at::TensorOptions().dtype(type))
      .to(device, type, false, true);
}

class StackProbe final : public ProbeBase {
 public:
  StackProbe(const Architecture& architecture, std::shared_ptr<const TrainingData> data,
             std::vector<std::int64_t> labels, std::span<const std::span<const float>> arrays,
             ProbeDevice& device, bool with_derivatives, std::function<void(std::int64_t floats)> before_pass)
      : ProbeBase(architecture, data, std::move(labels), arrays, with_derivatives),
        network_(architecture),
        device_(device.device()),
        before_pass_(std::move(before_pass)) {
    const StreamScope scope(device_);
    const at::NoGradGuard no_grad;
    images_ = device.images(data);
    floats_ = device.floats_of_a_pass();
    labels_ = copied(this->labels().data(), {1, samples()}, at::kLong, device_);
    synchronise(device_);
  }
  ~StackProbe() override {
    // before another thread's stream may get the memory
    const StreamScope scope(device_);
    synchronise(device_);
  }

  std::string execution() const override {
    return "stack/" + device_name(device_) + "/LibTorch " GAPBENCH_TORCH_VERSION;
  }

  void logits_of(std::span<const Parameters> stack, std::span<const std::int64_t> samples,
                 std::span<float> out) override {
    check(stack);
    check_room(stack, samples, out);
    const Chosen chosen = choose(samples);
    const std::int64_t row = chosen.count * classes();
    for_each_part(stack, network_.widest(), chosen.count,
                  [&](const Arrays& arrays, std::int64_t first, std::int64_t members, std::int64_t block) {
                    const at::Tensor z =
                        at::empty({members, chosen.count, classes()}, arrays.trained.options());
                    for_each_block(chosen.count, block, [&](std::int64_t start, std::int64_t n) {
                      z.narrow(1, start, n).copy_(network_.evaluate(arrays, images(chosen, start, n)));
                    });
                    download(z, out.data() + first * row);
                  });
  }

  std::vector<std::vector<float>> gradients_of(std::span<const Parameters> stack,
                                               std::span<const std::int64_t> samples) override {
    check(stack);
    const Chosen chosen = choose(samples);
    std::vector<std::vector<float>> gradients(stack.size());
    const std::int64_t total = parameters();
    for_each_part(stack, network_.traced(), chosen.count,
                  [&](const Arrays& arrays, std::int64_t first, std::int64_t members, std::int64_t block) {
                    const at::Tensor gradient = at::zeros_like(arrays.trained),
                                     sum = at::zeros(gradient.sizes(), gradient.options().dtype(at::kDouble)),
                                     nothing = at::zeros({members}, gradient.options()),
                                     one = at::ones({members}, gradient.options());
                    for_each_block(chosen.count, block, [&](std::int64_t start, std::int64_t n) {
                      Trace trace;
                      const at::Tensor logits = network_.evaluate(arrays, images(chosen, start, n), &trace);
                      const Loss loss = softmax_loss(
                          logits, target_rows(labels(chosen, start, n, members), classes(), nothing, one));
                      network_.backward(arrays, loss.gradient, trace, gradient);
                      sum.add_(gradient, static_cast<double>(n) / static_cast<double>(chosen.count));
                    });
                    const at::Tensor rows = at::zeros({members, total}, gradient.options());
                    for_each_array(
                        [&](std::size_t i, const at::Tensor& row_major, const at::Tensor& own) {
                          if (architecture().arrays()[i].trained) row_major.copy_(own);
                        },
                        rows, sum, at::Tensor());
                    const at::Tensor host = rows.cpu();
                    for (std::int64_t k = 0; k < members; ++k) {
                      const float* const from = host.const_data_ptr<float>() + k * total;
                      gradients[static_cast<std::size_t>(first + k)].assign(from, from + total);
                    }
                  });
    return gradients;
  }

  std::vector<double> mean_losses(std::span<const Parameters> stack) override {
    check(stack);
    std::vector<double> losses(stack.size());
    const Chosen chosen = choose(all_samples());
    for_each_part(stack, network_.widest(), chosen.count,
                  [&](const Arrays& arrays, std::int64_t first, std::int64_t members, std::int64_t block) {
                    const at::Tensor sum = at::zeros({members}, arrays.trained.options().dtype(at::kDouble));
                    for_each_block(chosen.count, block, [&](std::int64_t start, std::int64_t n) {
                      sum.add_(losses_of(network_.evaluate(arrays, images(chosen, start, n)),
                                         labels(chosen, start, n, members)));
                    });
                    const at::Tensor host = sum.cpu();
                    for (std::int64_t k = 0; k < members; ++k)
                      losses[static_cast<std::size_t>(first + k)] =
                          host.const_data_ptr<double>()[k] / static_cast<double>(chosen.count);
                  });
    return losses;
  }

 private:
  // The samples of a call: neighbours in the data, or any.
  struct Chosen {
    std::int64_t count = 0, first = 0;
    at::Tensor which;  // int64 [count]; undefined: neighbours
  };
  Chosen choose(std::span<const std::int64_t> samples) const {
    Chosen chosen{static_cast<std::int64_t>(samples.size()), 0, {}};
    if (in_order(samples))
      chosen.first = samples.empty() ? 0 : samples[0];
    else
      chosen.which = copied(samples.data(), {chosen.count}, at::kLong, at::Device(at::kCPU));
    return chosen;
  }
  at::Tensor chosen_of(const at::Tensor& all, std::int64_t axis, const Chosen& chosen, std::int64_t start,
                       std::int64_t n) const {
    if (!chosen.which.defined()) return all.narrow(axis, chosen.first + start, n);
    return all.index_select(axis, chosen.which.narrow(0, start, n).to(device_));
  }
  at::Tensor images(const Chosen& chosen, std::int64_t start, std::int64_t n) const {
    return chosen_of(images_, 0, chosen, start, n).unsqueeze(0);
  }
  at::Tensor labels(const Chosen& chosen, std::int64_t start, std::int64_t n, std::int64_t members) const {
    return chosen_of(labels_, 1, chosen, start, n).expand({members, n});
  }
  using ProbeBase::labels;

  std::int64_t parameters() const { return static_cast<std::int64_t>(final_parameters().size()); }

  // Sums over the samples of -ln p of the label, as loss.h has them: beside the largest logit, whose exponential is 1, so that
  // small losses keep their digits. [K] double.
  static at::Tensor losses_of(const at::Tensor& logits, const at::Tensor& labels) {
    const at::Tensor best = logits.argmax(2, true), z = logits.to(at::kDouble), largest = z.gather(2, best),
                     difference = z.sub(largest);
    const at::Tensor others =
        difference.exp().scatter_(2, best, difference.gather(2, best)).sum(2);  // 0 of the largest, or NaN
    return others.log1p_().add_(largest.sub(z.gather(2, labels.unsqueeze(2))).squeeze(2)).sum(1);
  }

  // f(i, part of row_major as [K, outputs, inputs, positions], the same of trained or buffers) for each array.
  template <class F>
  void for_each_array(F f, const at::Tensor& row_major, const at::Tensor& trained,
                      const at::Tensor& buffers) const {
    const std::int64_t members = row_major.size(0);
    std::int64_t offset = 0;
    for (std::size_t i = 0; i < architecture().arrays().size(); ++i) {
      const Place& p = network_.layout()[i];
      const at::Tensor& own = p.trained ? trained : buffers;
      if (own.defined())
        f(i, row_major.narrow(1, offset, p.size()).view({members, p.outputs, p.inputs, p.positions}),
          own.narrow(1, p.offset, p.size())
              .view({members, p.positions, p.inputs, p.outputs})
              .permute({0, 3, 2, 1}));
      offset += p.size();
    }
  }

  Arrays upload(std::span<const Parameters> stack) const {
    const auto members = static_cast<std::int64_t>(stack.size());
    const at::Tensor host = at::empty({members, parameters()}, at::TensorOptions().dtype(at::kFloat));
    for (std::int64_t k = 0; k < members; ++k)
      std::memcpy(host.mutable_data_ptr<float>() + k * parameters(),
                  stack[static_cast<std::size_t>(k)].data(),
                  sizeof(float) * static_cast<std::size_t>(parameters()));
    const at::Tensor rows = host.to(device_);
    const Layout& layout = network_.layout();
    const Arrays arrays = {at::zeros({members, layout.trained_size()}, rows.options()),
                           at::zeros({members, layout.buffer_size()}, rows.options())};
    for_each_array(
        [](std::size_t, const at::Tensor& row_major, const at::Tensor& own) { own.copy_(row_major); }, rows,
        arrays.trained, arrays.buffers);
    return arrays;
  }
  static void download(const at::Tensor& from, float* to) {
    at::from_blob(to, from.sizes(), at::TensorOptions().dtype(at::kFloat)).copy_(from);
  }

  template <class F>
  static void for_each_block(std::int64_t count, std::int64_t block, F f) {
    for (std::int64_t start = 0; start < count; start += block) f(start, std::min(block, count - start));
  }

  // Calls f(arrays of some of the sets, first of them, how many, samples of a block) until all sets are done; `floats` is
  // what one sample of one member takes.
  template <class F>
  void for_each_part(std::span<const Parameters> stack, std::int64_t floats, std::int64_t count, F f) {
    const StreamScope scope(device_);
    const at::NoGradGuard no_grad;
    const auto all = static_cast<std::int64_t>(stack.size());
    for (std::int64_t first = 0; first < all;) {
      // a part's parameters and logits take no more than its values
      const std::int64_t of_a_member = std::max({floats, 4 * parameters(), count * classes()}),
                         members = std::clamp(floats_ / of_a_member, std::int64_t{1}, all - first),
                         block = std::clamp(floats_ / (members * floats), std::int64_t{1},
                                            std::max(count, std::int64_t{1}));
      try {
        if (before_pass_) before_pass_(floats_);
        f(upload(stack.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(members))), first,
          members, block);
        synchronise(device_);
      } catch (const c10::OutOfMemoryError&) {
        if (floats_ <= least_floats) throw;
        floats_ /= 2;
        release_unused_memory(device_);
        continue;
      }
      first += members;
    }
  }

  void fill_logits_and_derivatives(std::span<float> logits, std::span<float> derivatives) override {
    const Parameters final = final_parameters();
    const Chosen chosen = choose(all_samples());
    // in the blocks of logits_of(): the logits have the same bits
    for_each_part({&final, 1}, network_.widest(), chosen.count,
                  [&](const Arrays& arrays, std::int64_t, std::int64_t, std::int64_t block) {
                    const at::Tensor both = at::empty({2, chosen.count, classes()}, arrays.trained.options());
                    for_each_block(chosen.count, block, [&](std::int64_t start, std::int64_t n) {
                      const auto [z, dz] = network_.derivatives(arrays, images(chosen, start, n));
                      both[0].narrow(0, start, n).copy_(z[0]);
                      both[1].narrow(0, start, n).copy_(dz[0]);
                    });
                    download(both[0], logits.data());
                    download(both[1], derivatives.data());
                  });
  }

  Network network_;
  at::Device device_;
  std::function<void(std::int64_t)> before_pass_;
  at::Tensor images_, labels_;  // [n, size], int64 [1, n]
  std::int64_t floats_ = 0;
};

}  // namespace

at::Tensor ProbeDevice::images(const std::shared_ptr<const TrainingData>& data) {
  const std::lock_guard lock(mutex_);
  Images& entry = images_[data.get()];
  if (!entry.images.defined()) {
    std::erase_if(images_,
                  [&](const auto& e) { return e.first != data.get() && e.second.images.use_count() == 1; });
    entry = {data,
             copied(data->train.images.data(), {data->train.count, data->shape.size()}, at::kFloat, device_)};
    synchronise(device_);  // other threads' streams read it
  }
  if (floats_ == 0) {
    floats_ = most_floats_cpu;
    if (device_.is_cuda()) {
      const std::int64_t share = free_memory(device_) / 4 * 3 / (std::max(1, probes_) * bytes_a_float);
      for (floats_ = most_floats_cuda; floats_ > share && floats_ > least_floats;) floats_ /= 2;
    }
  }
  return entry.images;
}

std::unique_ptr<Probe> make_stack_probe(const Architecture& architecture,
                                        std::shared_ptr<const TrainingData> data,
                                        std::vector<std::int64_t> labels,
                                        std::span<const std::span<const float>> arrays, ProbeDevice& device,
                                        bool with_derivatives,
                                        std::function<void(std::int64_t floats)> before_pass) {
  return std::make_unique<StackProbe>(architecture, std::move(data), std::move(labels), arrays, device,
                                      with_derivatives, std::move(before_pass));
}

}  // namespace gapbench::stack
