#include "zoo/engine/stack/epoch_plan.h"

#include <ATen/ops/zeros.h>

#include <algorithm>

#include "zoo/training/schedule.h"
#include "zoo/training/trainer.h"

namespace gapbench::stack {
namespace {

// Each tensor with the axis of its members.
template <class F>
void for_each_tensor(BatchInputs& to, BatchInputs& from, F f) {
  f(to.order, from.order, 1);
  f(to.turns, from.turns, 1);
  f(to.partners, from.partners, 1);
  f(to.keep, from.keep, 1);
  f(to.coefficients, from.coefficients, 2);
}

}  // namespace

EpochPlan::EpochPlan(const HyperParameters& hp, const ImageLayout& layout, std::int64_t samples,
                     std::int64_t batch_size, std::int64_t members, const at::Device& device)
    : rule_(rule_of(hp)),
      turns_(flips_and_crops(hp)),
      mixes_(mixes_up(hp)),
      layout_(layout),
      samples_(samples),
      batch_size_(batch_size),
      members_(members),
      full_(samples / batch_size),
      tail_(samples % batch_size),
      prepared_(static_cast<std::size_t>(members)),
      unsent_(static_cast<std::size_t>(members)) {
  for (const bool tail : {false, true}) {
    const std::int64_t batches = tail ? 1 : full_, n = tail ? tail_ : batch_size;
    // memory that a device copies from without the host's help
    const auto host = at::TensorOptions().pinned_memory(device.is_cuda());
    const auto make = [&](const at::TensorOptions& options) {
      const auto integers = options.dtype(at::kLong), floats = options.dtype(at::kFloat);
      return BatchInputs{
          at::zeros({batches, members, n}, integers), at::zeros({batches, members, turns_ ? n : 0}, integers),
          at::zeros({batches, members, mixes_ ? n : 0}, integers), at::zeros({batches, members}, floats),
          at::zeros({batches, coefficient_count, members}, floats)};
    };
    host_[tail] = make(host);
    device_[tail] = make(at::TensorOptions().device(device));
  }
}

void EpochPlan::prepare(std::int64_t slot, const ModelSpec& model, std::int64_t epoch, std::int64_t steps) {
  const auto s = static_cast<std::size_t>(slot);
  Prepared wanted{model.id, epoch, steps};
  if (prepared_[s] == wanted) return;
  std::vector<std::uint32_t> samples(static_cast<std::size_t>(samples_));
  fill_epoch_order(model.id, epoch, samples);
  for (std::int64_t b = 0; b < batches(); ++b) {
    const bool tail = b == full_;
    const std::int64_t place = tail ? 0 : b, n = tail ? tail_ : batch_size_;
    const BatchInputs& to = host_[tail];
    std::copy_n(samples.begin() + b * batch_size_, n,
                to.order.mutable_data_ptr<std::int64_t>() + (place * members_ + slot) * n);
    if (turns_ || mixes_) {  // one stream a step: the turns, then the mixture
      RandomStream random = augmentation_stream(model.id, steps + b + 1);
      std::int64_t* const turns = to.turns.mutable_data_ptr<std::int64_t>() + (place * members_ + slot) * n;
      for (std::int64_t i = 0; turns_ && i < n; ++i) turns[i] = draw_turn(layout_, random).number(layout_);
      if (mixes_) {
        const Mix mix = draw_mix(n, model.hp.mixup_alpha, random);
        std::copy(mix.partner.begin(), mix.partner.end(),
                  to.partners.mutable_data_ptr<std::int64_t>() + (place * members_ + slot) * n);
        to.keep.mutable_data_ptr<float>()[place * members_ + slot] = mix.keep;
      }
    }
    float of_step[coefficient_count];
    fill_coefficients(rule_, model.hp, steps + b + 1, learning_rate(model.hp, epoch, b, batches()), of_step);
    for (std::int64_t i = 0; i < coefficient_count; ++i)
      to.coefficients.mutable_data_ptr<float>()[(place * coefficient_count + i) * members_ + slot] =
          of_step[i];
  }
  prepared_[s] = std::move(wanted);
  unsent_[s] = 1;
}

void EpochPlan::send(bool wait) {
  const std::int64_t count = std::count(unsent_.begin(), unsent_.end(), 1);
  if (count == 0) return;
  for (const bool tail : {false, true})
    for_each_tensor(device_[tail], host_[tail], [&](const at::Tensor& to, const at::Tensor& from, int axis) {
      if (count > members_ / 8) {
        to.copy_(from, !wait);
        return;
      }
      for (std::int64_t k = 0; k < members_; ++k)
        if (unsent_[static_cast<std::size_t>(k)] != 0) to.select(axis, k).copy_(from.select(axis, k));
    });
  std::fill(unsent_.begin(), unsent_.end(), 0);
}

}  // namespace gapbench::stack
