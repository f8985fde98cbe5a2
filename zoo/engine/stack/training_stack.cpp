#include "zoo/engine/stack/training_stack.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <thread>

#include "measures/api/error.h"
#include "measures/numerics/philox.h"
#include "zoo/engine/loss.h"
#include "zoo/engine/stack/operations.h"
#include "zoo/training/gradient_noise.h"

namespace gapbench::stack {
namespace {

// Floats of a forward pass over evaluated samples, all members together: bounds memory.
constexpr std::int64_t evaluated_floats_cuda = std::int64_t{1} << 29, evaluated_floats_cpu = 1 << 24;

// Floating-point operations of a step from which a device has enough to do, and where more members no longer help.
constexpr double work_of_a_step_cuda = 4e10, work_of_a_step_cpu = 2e8;
constexpr std::int64_t most_members_cuda = 512, most_members_cpu = 8;

// Bytes of the device that one member takes at most: weights, gradients, moving averages and what a step makes of them; two
// graphs, each with memory of its own; the iterates that are kept, and what a projection makes of the weights.
double member_bytes(const Network& network, const HyperParameters& hp, std::int64_t batch,
                    const TrainingData& data, const LogIterates& log) {
  const Layout& layout = network.layout();
  // what these add to gradients has memory in both graphs
  double rules = hp.sam_radius > 0 ? 4 * static_cast<double>(layout.trained_size()) : 0;
  for (const std::size_t array : GradientRules(hp, network.architecture()).covered)
    rules += 2 * (8 * static_cast<double>(layout[array].size()) +
                  4 * static_cast<double>(descent_floats(network.architecture(), layout, array)));
  // turned and mixed images, where they come from, and which turns and partners
  const auto augmented = hp.augmentation == "none" ? 0
                                                   : 2 * 24 * static_cast<double>(batch * data.shape.size()) +
                                                         8 * 2 * static_cast<double>(data.train.count);
  const double projected = log.last > 0 ? static_cast<double>((log.last + 8) * log.dimension) : 0;
  return 4 * ((log.last > 0 ? 20 : 14) * static_cast<double>(layout.trained_size()) + projected + rules +
              2 * static_cast<double>(batch * (network.traced() + data.shape.size()))) +
         8 * 3 * static_cast<double>(data.train.count) + augmented;
}

at::Tensor on_device(const void* values, at::IntArrayRef shape, at::ScalarType type,
                     const at::Device& device) {
  // from_blob only reads: the copy owns its memory
  return at::from_blob(const_cast<void*>(values), shape, at::TensorOptions().dtype(type)).clone().to(device);
}

}  // namespace

bool serves(const HyperParameters& hp, const Architecture& architecture) {
  return serves(architecture) && hp.collision == "off";
}

std::string group_key(const HyperParameters& hp, const Architecture& architecture) {
  return shape_key(architecture) + std::to_string(hp.batch_size) + " " + std::to_string(hp.train_size) + " " +
         std::to_string(static_cast<int>(rule_of(hp))) + (hp.standardise ? " standardised" : "") +
         (hp.augmentation == "none" ? "" : " " + hp.augmentation) + GradientRules(hp, architecture).key();
}

std::int64_t members_of_a_stack(const Architecture& architecture, const ModelSpec& model,
                                const TrainingData& data, const at::Device& device, std::int64_t memory,
                                const LogIterates& log_iterates) {
  const bool cuda = device.is_cuda();
  const std::int64_t batch = std::min(model.hp.batch_size, data.train.count);
  const double step = 3 * architecture.flops() * static_cast<double>(batch);
  const std::int64_t wanted =
      std::clamp(static_cast<std::int64_t>((cuda ? work_of_a_step_cuda : work_of_a_step_cpu) / step),
                 std::int64_t{4}, cuda ? most_members_cuda : most_members_cpu);
  // what evaluation takes is bounded apart from the members; it counts as 4 GB
  const double room = 0.75 * static_cast<double>(memory) - (cuda ? 4e9 : 0);
  const auto fit = static_cast<std::int64_t>(
      room / member_bytes(Network(architecture), model.hp, batch, data, log_iterates));
  return std::min(wanted, std::max(std::int64_t{1}, fit));
}

int streams_of(const at::Device& device) {
  constexpr std::int64_t memory_of_a_stream = 16'000'000'000, most = 4;
  if (!device.is_cuda()) return 1;
  return static_cast<int>(std::clamp(free_memory(device) / memory_of_a_stream, std::int64_t{1}, most));
}

std::int64_t members_in_waves(std::int64_t most, std::int64_t models) {
  const std::int64_t waves = (models + most - 1) / most;
  return (models + waves - 1) / waves;
}

StackBytes bytes_of_a_stack(const Architecture& architecture, const HyperParameters& hp,
                            const TrainingData& data, const at::Device& device,
                            const LogIterates& log_iterates, std::int64_t members) {
  const Network network(architecture);
  const std::int64_t batch = std::min(hp.batch_size, data.train.count);
  const auto k = static_cast<double>(members), n = static_cast<double>(data.train.count),
             all = n + static_cast<double>(data.test.count),
             evaluated = std::min(
                 static_cast<double>(device.is_cuda() ? evaluated_floats_cuda : evaluated_floats_cpu),
                 all * static_cast<double>(network.widest()) * (device.is_cuda() ? k : 1));
  StackBytes bytes;
  // a forward pass holds the input and the output of an operation, and what lies between them
  bytes.device = k * member_bytes(network, hp, batch, data, log_iterates) +
                 4 * all * static_cast<double>(data.shape.size()) + 4 * 4 * evaluated;
  // per member its arrays and moving averages, packed and not, and the file that is written; labels, order, coefficients
  bytes.host =
      k * (4 * 20 * static_cast<double>(network.layout().trained_size()) + 8 * 4 * n) +
      (log_iterates.last > 0 ? 3.0 * 4 * static_cast<double>(log_iterates.last * log_iterates.dimension) : 0);
  if (!device.is_cuda()) bytes.host += bytes.device;
  return bytes;
}

DeviceData::DeviceData(std::shared_ptr<const TrainingData> data, const at::Device& device)
    : host(std::move(data)) {
  const std::int64_t size = host->shape.size();
  train_images = on_device(host->train.images.data(), {host->train.count, size}, at::kFloat, device);
  test_images = on_device(host->test.images.data(), {host->test.count, size}, at::kFloat, device);
  test_labels = on_device(host->test.labels.data(), {host->test.count}, at::kLong, device);
}

std::shared_ptr<const DeviceData> DeviceDataCache::get(const std::shared_ptr<const TrainingData>& data,
                                                       const at::Device& device) {
  const std::lock_guard lock(mutex_);
  auto set = sets_[data.get()].lock();  // one that is held holds its data too: the address is no other's
  if (!set) {
    set = std::make_shared<const DeviceData>(data, device);
    synchronise(device);  // other threads' streams read it
    sets_[data.get()] = set;
  }
  return set;
}

template <class F>
void TrainingStack::for_each_slot(F f) const {
  std::atomic<std::int64_t> next{0};
  const auto work = [&] {
    for (std::int64_t k = next++; k < size_; k = next++)
      if (occupied(k)) f(k);
  };
  std::vector<std::jthread> helpers;
  for (std::int64_t t = 1; t < std::min<std::int64_t>(threads_, size_); ++t) helpers.emplace_back(work);
  work();
}

TrainingStack::TrainingStack(const Architecture& architecture, std::shared_ptr<const DeviceData> data,
                             const ModelSpec& first, std::int64_t size, const at::Device& device, int threads,
                             const LogIterates& log_iterates)
    : network_(architecture),
      data_(std::move(data)),
      device_(device),
      rule_(rule_of(first.hp)),
      rules_(first.hp, architecture),
      log_iterates_(log_iterates),
      size_(size),
      batch_size_(std::min(first.hp.batch_size, data_->host->train.count)),
      threads_(threads),
      members_(static_cast<std::size_t>(size)),
      layout_{data_->host->shape.channels, data_->host->shape.height, data_->host->shape.width,
              data_->host->channels_last},
      plan_(first.hp, layout_, data_->host->train.count, batch_size_, size, device) {
  const at::NoGradGuard no_grad;
  const auto floats = at::TensorOptions().dtype(at::kFloat).device(device);
  const auto integers = floats.dtype(at::kLong);
  const Layout& layout = network_.layout();
  arrays_ = {at::zeros({size, layout.trained_size()}, floats),
             at::zeros({size, layout.buffer_size()}, floats)};
  gradients_ = at::zeros_like(arrays_.trained);
  state_ = at::zeros({state_sets(rule_), size, layout.trained_size()}, floats);
  if (log_iterates.last > 0) iterates_.emplace(log_iterates, layout, size, device);
  const std::int64_t n = data_->host->train.count, tail = n % batch_size_;
  labels_ = at::zeros({size, n}, integers);
  everywhere_ = at::zeros({size}, floats);
  added_ = at::ones({size}, floats);
  clip_norm_ = at::zeros({size}, floats.dtype(at::kDouble));
  descent_ = at::zeros_like(clip_norm_);
  radius_ = at::zeros_like(clip_norm_);
  const auto places = static_cast<std::int64_t>(network_.dropouts());
  randomness_ = {at::zeros({size}, integers), at::zeros({size}, integers),
                 at::zeros({places, size}, integers), at::ones({places, size}, floats)};
  loss_sum_ = at::zeros({size}, floats.dtype(at::kDouble));
  alive_ = at::zeros({size}, floats.dtype(at::kBool));
  batch_ = at::zeros({1}, integers);
  tail_batch_ = at::zeros({1}, integers);
  if (flips_and_crops(first.hp)) {
    const std::int64_t positions = layout_.height * layout_.width;
    std::vector<std::int64_t> sources;
    for (std::int64_t t = 0; t < Turn::count(layout_); ++t)
      for (const std::int64_t from : Turn::of_number(t, layout_).sources(layout_))
        sources.push_back(from >= 0 ? from : positions);
    sources_ = on_device(sources.data(), {Turn::count(layout_), positions}, at::kLong, device);
  }
  full_step_ = std::make_unique<RepeatedStep>(device, [this] { step(batch_size_, plan_.full(), batch_); });
  if (tail > 0)
    tail_step_ =
        std::make_unique<RepeatedStep>(device, [this, tail] { step(tail, plan_.tail(), tail_batch_); });
}

void TrainingStack::load(std::int64_t slot, const ModelSpec& model, const Architecture& architecture,
                         const TrainState& state) {
  const at::NoGradGuard no_grad;
  const Layout& layout = network_.layout();
  const int sets = state_sets(rule_);
  std::vector<float> trained(static_cast<std::size_t>(layout.trained_size())),
      buffers(static_cast<std::size_t>(layout.buffer_size())),
      averages(trained.size() * static_cast<std::size_t>(sets));
  const auto initial = [&] { return initial_values(architecture, model.id, model.hp.init_scale); };
  if (iterates_) {
    if (state.steps > 0 &&
        !complete(state.iterates, log_iterates_, model.hp, data_->host->train.count, state.steps))
      throw InternalError("checkpoint without the iterates that are to be kept");
    layout.pack(initial(), trained.data(), buffers.data());
    iterates_->load(slot, at::from_blob(trained.data(), {1, layout.trained_size()}, at::kFloat),
                    state.iterates, state.steps);
  }
  layout.pack(state.arrays.empty() ? initial() : state.arrays, trained.data(), buffers.data());
  if (!state.optimizer_state.empty()) layout.pack_state(state.optimizer_state, sets, averages.data());
  const auto set = [&](const at::Tensor& to, const void* values) {
    to.copy_(
        at::from_blob(const_cast<void*>(values), to.sizes(), at::TensorOptions().dtype(to.scalar_type())));
  };
  set(arrays_.trained[slot], trained.data());
  set(arrays_.buffers[slot], buffers.data());
  set(state_.select(1, slot), averages.data());

  Member member{model, training_labels(model, *data_->host), static_cast<std::int64_t>(state.history.size()),
                state.steps};
  set(labels_[slot], member.labels.data());
  const TargetValues target = target_values(model.hp, data_->host->shape.classes);
  everywhere_[slot].fill_(target.everywhere);
  added_[slot].fill_(target.added_to_label);
  clip_norm_[slot].fill_(model.hp.clip_norm);
  descent_[slot].fill_(model.hp.wcd);
  radius_[slot].fill_(model.hp.sam_radius);
  randomness_.key[slot].fill_(static_cast<std::int64_t>(random_key(model.id, "dropout")));
  std::int64_t place = 0;
  for (const Op& op : architecture.plan().ops) {
    if (op.kind != OpKind::dropout) continue;
    randomness_.threshold[place][slot].fill_(
        static_cast<std::int64_t>(static_cast<std::uint32_t>(op.probability * 0x1p32)));
    randomness_.scale[place][slot].fill_(static_cast<float>(1 / (1 - op.probability)));
    ++place;
  }
  members_[static_cast<std::size_t>(slot)] = std::move(member);
}

void TrainingStack::clear(std::int64_t slot) {
  members_[static_cast<std::size_t>(slot)].reset();
}

at::Tensor TrainingStack::gather(const at::Tensor& indices) const {
  return data_->train_images.index_select(0, indices.reshape({-1}))
      .view({indices.size(0), indices.size(1), data_->train_images.size(1)});
}

void TrainingStack::step(std::int64_t n, const BatchInputs& inputs, const at::Tensor& batch) {
  const at::NoGradGuard no_grad;
  const at::Tensor indices = inputs.order.index_select(0, batch).view({size_, n});
  randomness_.step.add_(alive_);
  const auto of_batch = [&](const at::Tensor& all) { return all.index_select(0, batch).squeeze(0); };
  at::Tensor images = gather(indices), targets = target_rows(labels_.gather(1, indices),
                                                             data_->host->shape.classes, everywhere_, added_);
  if (sources_.defined()) images = turned(images, of_batch(inputs.turns), sources_, layout_);
  if (inputs.partners.size(2) > 0) {
    const at::Tensor partners = of_batch(inputs.partners), keep = of_batch(inputs.keep);
    images = mixed(images, partners, keep);
    targets = mixed(targets, partners, keep);
  }
  const auto loss_and_gradients = [&](const Arrays& arrays, const at::Tensor& moving) {
    Trace trace;
    const at::Tensor logits = network_.train(arrays, images, randomness_, moving, trace);
    const Loss loss = softmax_loss(logits, targets);
    network_.backward(arrays, loss.gradient, trace, gradients_);
    return loss.value.to(at::kDouble);
  };
  loss_sum_.add_(loss_and_gradients(arrays_, alive_).mul_(static_cast<double>(n)));
  alive_.logical_and_(loss_sum_.isfinite());  // further steps would only spread the NaN
  if (rules_.climbs) {
    // the masks of the same step; running statistics moved once
    const Arrays uphill = {climbed(arrays_.trained, gradients_, radius_), arrays_.buffers};
    loss_sum_.add_(loss_and_gradients(uphill, at::zeros_like(alive_)).mul_(0));  // NaN where it is not finite
    alive_.logical_and_(loss_sum_.isfinite());
  }
  if (rules_.clips) clip(gradients_, clip_norm_);
  for (const std::size_t array : rules_.covered)
    add_weight_correlation_gradient(*rules_.descent, descent_, network_.architecture(), network_.layout(),
                                    array, arrays_.trained, gradients_);
  update(rule_, arrays_.trained, gradients_, state_, of_batch(inputs.coefficients), alive_);
  if (iterates_) iterates_->add(arrays_.trained, randomness_.step);
  batch.add_(1);
}

std::vector<EpochResult> TrainingStack::train_epoch() {
  const at::NoGradGuard no_grad;
  const std::int64_t n = data_->host->train.count, full = n / batch_size_, tail = n % batch_size_;
  const auto host = at::TensorOptions();
  const at::Tensor steps = at::zeros({size_}, host.dtype(at::kLong)),
                   alive = at::zeros({size_}, host.dtype(at::kBool));
  for_each_slot([&](std::int64_t k) {
    const Member& m = *members_[static_cast<std::size_t>(k)];
    plan_.prepare(k, m.model, m.epochs + 1, m.steps);
    steps.mutable_data_ptr<std::int64_t>()[k] = m.steps;
    alive.mutable_data_ptr<bool>()[k] = true;
  });
  plan_.send(true);
  randomness_.step.copy_(steps);
  alive_.copy_(alive);
  loss_sum_.zero_();
  batch_.zero_();
  tail_batch_.zero_();
  for (std::int64_t b = 0; b < full; ++b) full_step_->run();
  if (tail > 0) tail_step_->run();
  // while the device works: the next epoch of those that may have one
  for_each_slot([&](std::int64_t k) {
    const Member& m = *members_[static_cast<std::size_t>(k)];
    if (m.epochs + 2 <= m.model.hp.max_epochs)
      plan_.prepare(k, m.model, m.epochs + 2, m.steps + plan_.batches());
  });
  plan_.send(false);

  const at::Tensor sums = loss_sum_.cpu(), done = randomness_.step.cpu();
  std::vector<EpochResult> results;
  for (std::int64_t k = 0; k < size_; ++k) {
    results.push_back({sums.const_data_ptr<double>()[k], done.const_data_ptr<std::int64_t>()[k]});
    if (!occupied(k)) continue;
    Member& m = *members_[static_cast<std::size_t>(k)];
    ++m.epochs;
    m.steps = results.back().steps;
  }
  return results;
}

double TrainingStack::time_step() {
  using Clock = std::chrono::steady_clock;
  const at::NoGradGuard no_grad;
  constexpr double enough = 0.06;
  const auto run = [&](int steps) {
    synchronise(device_);
    const Clock::time_point start = Clock::now();
    for (int i = 0; i < steps; ++i) {
      batch_.zero_();
      full_step_->run();
    }
    synchronise(device_);
    return std::chrono::duration<double>(Clock::now() - start).count() / steps;
  };
  run(1);  // fills caches; the second may be recorded
  double seconds = run(1);
  if (const auto more = static_cast<int>(enough / seconds); more > 0) seconds = run(more);
  return seconds;
}

std::vector<Metrics> TrainingStack::metrics(const at::Tensor& images, const at::Tensor& labels) {
  // on the CPU member by member, so that the rounding does not depend on the stack's size
  const std::int64_t n = images.size(0), width = device_.is_cuda() ? size_ : 1,
                     floats = device_.is_cuda() ? evaluated_floats_cuda : evaluated_floats_cpu,
                     chunk = std::clamp(floats / (width * network_.widest()), std::int64_t{1}, n);
  const auto doubles = at::TensorOptions().dtype(at::kDouble).device(device_);
  const at::Tensor losses = at::zeros({size_}, doubles), wrong = at::zeros({2, size_}, doubles);
  for (std::int64_t k = 0; k < size_; k += width) {
    const Arrays arrays = {arrays_.trained.narrow(0, k, width), arrays_.buffers.narrow(0, k, width)};
    const at::Tensor of_members = labels.size(0) == 1 ? labels : labels.narrow(0, k, width);
    for (std::int64_t start = 0; start < n; start += chunk) {
      const std::int64_t m = std::min(chunk, n - start);
      const at::Tensor logits = network_.evaluate(arrays, images.narrow(0, start, m).unsqueeze(0)),
                       own = of_members.narrow(1, start, m).expand({width, m}).unsqueeze(2);
      losses.narrow(0, k, width).sub_(at::log_softmax(logits, 2, at::kDouble).gather(2, own).sum({1, 2}));
      const at::Tensor missed = logits.argmax(2).ne(own.squeeze(2));
      for (std::int64_t odd = 0; odd < std::min<std::int64_t>(2, m); ++odd)
        wrong.select(0, (start + odd) % 2).narrow(0, k, width).add_(missed.slice(1, odd, m, 2).sum(1));
    }
  }
  const at::Tensor l = losses.cpu(), w = wrong.cpu();
  std::vector<Metrics> result;
  for (std::int64_t k = 0; k < size_; ++k)
    result.push_back(LossSum{l.const_data_ptr<double>()[k],
                             n,
                             {static_cast<std::int64_t>(w.const_data_ptr<double>()[k]),
                              static_cast<std::int64_t>(w.const_data_ptr<double>()[size_ + k])}}
                         .means());
  return result;
}

TrainingStack::Evaluation TrainingStack::evaluate() {
  const at::NoGradGuard no_grad;
  return {metrics(data_->train_images, labels_),
          metrics(data_->test_images, data_->test_labels.unsqueeze(0))};
}

std::vector<std::optional<double>> TrainingStack::gradient_noise(const std::vector<std::int64_t>& slots) {
  const at::NoGradGuard no_grad;
  const auto members = static_cast<std::int64_t>(slots.size());
  std::vector<std::optional<double>> result(slots.size());
  const ModelSpec& any = members_[static_cast<std::size_t>(slots.front())]->model;
  const NoiseBatches draw = noise_batches(data_->host->train.count, any.dataset);
  if (draw.count < 2) return result;
  const at::Tensor which = on_device(slots.data(), {members}, at::kLong, device_);
  const Arrays arrays = {arrays_.trained.index_select(0, which), arrays_.buffers.index_select(0, which)};
  const at::Tensor labels = labels_.index_select(0, which);
  const at::Tensor everywhere = at::zeros({members}, arrays.trained.options()),
                   added = at::ones({members}, arrays.trained.options());
  const std::vector<std::int64_t> order(draw.order.begin(), draw.order.end());
  const at::Tensor samples =
      on_device(order.data(), {static_cast<std::int64_t>(order.size())}, at::kLong, device_);
  const at::Tensor gradients = at::zeros_like(arrays.trained);
  const at::Tensor sum = at::zeros(gradients.sizes(), gradients.options().dtype(at::kDouble)),
                   squares = at::zeros({members}, sum.options());
  for (std::int64_t b = 0; b < draw.count; ++b) {
    const at::Tensor indices = samples.narrow(0, b * draw.size, draw.size);
    Trace trace;
    const at::Tensor logits =
        network_.evaluate(arrays, data_->train_images.index_select(0, indices).unsqueeze(0), &trace);
    const Loss loss = softmax_loss(
        logits, target_rows(labels.index_select(1, indices), data_->host->shape.classes, everywhere, added));
    network_.backward(arrays, loss.gradient, trace, gradients);
    const at::Tensor g = gradients.to(at::kDouble);
    sum.add_(g);
    squares.add_(g.mul(g).sum(1));
  }
  const at::Tensor s = squares.cpu(), of_sum = sum.mul(sum).sum(1).cpu();
  for (std::size_t k = 0; k < slots.size(); ++k)
    result[k] = noise_of_sums(draw, s.const_data_ptr<double>()[k], of_sum.const_data_ptr<double>()[k],
                              network_.layout().parameters());
  return result;
}

void TrainingStack::download(std::int64_t slot, TrainState& state) const {
  const at::NoGradGuard no_grad;
  const at::Tensor trained = arrays_.trained[slot].cpu(), buffers = arrays_.buffers[slot].cpu(),
                   averages = state_.select(1, slot).contiguous().cpu();
  state.arrays = network_.layout().unpack(trained.const_data_ptr<float>(), buffers.const_data_ptr<float>());
  state.optimizer_state = network_.layout().unpack_state(averages.const_data_ptr<float>(), state_sets(rule_));
  state.iterates = {};
  if (iterates_) {
    const Member& m = *members_[static_cast<std::size_t>(slot)];
    state.iterates = iterates_->download(
        slot, first_kept_iterate(log_iterates_, m.model.hp, data_->host->train.count, m.steps), m.steps);
  }
}

}  // namespace gapbench::stack
