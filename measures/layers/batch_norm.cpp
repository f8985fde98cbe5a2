#include "measures/layers/batch_norm.h"

#include <cmath>

namespace gapbench::measures {

namespace {

bool is_layer(OpKind kind) {
  return kind == OpKind::dense || kind == OpKind::conv;
}

// Whether the operation gives c f(x) for c x with c > 0 on each channel.
bool commutes_with_scale(const Op& op) {
  switch (op.kind) {
    case OpKind::activation:
      return op.activation == Activation::relu || op.activation == Activation::leaky_relu;
    case OpKind::max_pool:
    case OpKind::mean_pool:
    case OpKind::dropout:
    case OpKind::flatten:
    case OpKind::mean_positions:
      return true;
    default:
      return false;
  }
}

class Folding {
 public:
  Folding(const Plan& plan, std::vector<std::span<const float>> arrays) : plan_(plan) {
    result_.arrays = std::move(arrays);
    result_.changed.resize(result_.arrays.size());
    readers_.resize(plan.ops.size() + 1);
    for (std::size_t i = 0; i < plan.ops.size(); ++i) {
      readers_[plan.ops[i].input].push_back(i);
      if (plan.ops[i].reads_other()) readers_[plan.ops[i].other].push_back(i);
    }
  }

  FoldedArrays fold() {
    for (std::size_t i = 0; i < plan_.ops.size(); ++i)
      if (plan_.ops[i].kind == OpKind::batch_norm) fold(i);
    return std::move(result_);
  }

 private:
  // The entries of an array, to be changed.
  std::vector<float>& edit(std::size_t array) {
    std::vector<float>& values = result_.changed[array];
    if (values.empty()) values.assign(result_.arrays[array].begin(), result_.arrays[array].end());
    result_.arrays[array] = values;
    return values;
  }

  void fold(std::size_t index) {
    const Op& norm = plan_.ops[index];
    const auto channels = static_cast<std::size_t>(norm.in.channels);
    const std::size_t first = norm.weight;  // weight, bias, running_mean, running_var
    std::vector<double> scale(channels), shift(channels);
    for (std::size_t c = 0; c < channels; ++c) {
      const auto at = [&](std::size_t k) { return static_cast<double>(result_.arrays[first + k][c]); };
      scale[c] = at(0) / std::sqrt(at(3) + batch_norm_epsilon);
      shift[c] = at(1) - scale[c] * at(2);
    }
    const bool first_rule =
        norm.input > 0 && is_layer(plan_.ops[norm.input - 1].kind) && readers_[norm.input].size() == 1;
    if (first_rule)
      fold_into_layer_before(plan_.ops[norm.input - 1], scale, shift);
    else
      fold_into_layer_after(index, scale, shift);
    for (std::size_t c = 0; c < channels; ++c) {
      edit(first)[c] = static_cast<float>(scale[c]);
      edit(first + 1)[c] = static_cast<float>(shift[c]);
      edit(first + 2)[c] = 0;
      edit(first + 3)[c] = static_cast<float>(1 - batch_norm_epsilon);
    }
  }

  // Leaves in scale and shift what batch norm keeps.
  void fold_into_layer_before(const Op& layer, std::vector<double>& scale, std::vector<double>& shift) {
    std::vector<float>& w = edit(layer.weight);
    const std::size_t row = w.size() / scale.size();
    for (std::size_t i = 0; i < w.size(); ++i)
      w[i] = static_cast<float>(scale[i / row] * static_cast<double>(w[i]));
    if (layer.bias) {
      std::vector<float>& b = edit(*layer.bias);
      for (std::size_t c = 0; c < b.size(); ++c) {
        b[c] = static_cast<float>(scale[c] * static_cast<double>(b[c]) + shift[c]);
        shift[c] = 0;
      }
    }
    scale.assign(scale.size(), 1);
  }

  void fold_into_layer_after(std::size_t index, std::vector<double>& scale, std::vector<double>& shift) {
    std::size_t next = index;
    do {
      const auto& readers = readers_[next + 1];
      if (readers.size() != 1) return;
      next = readers[0];
    } while (commutes_with_scale(plan_.ops[next]));
    const Op& layer = plan_.ops[next];
    if (!is_layer(layer.kind)) return;
    std::vector<float>& w = edit(layer.weight);
    // a flattened channel has one input for each of its positions, a convolution's input kernel^2 entries
    const auto inputs = static_cast<std::size_t>(layer.in.channels);
    const std::size_t positions = inputs / scale.size(),
                      taps = static_cast<std::size_t>(layer.kernel * layer.kernel);
    std::vector<double> factor(scale.size(), 1);
    for (std::size_t c = 0; c < scale.size(); ++c) {
      const double magnitude = std::abs(scale[c]);
      if (magnitude == 0 || !std::isfinite(static_cast<float>(shift[c] / magnitude))) continue;
      factor[c] = magnitude;
      scale[c] /= magnitude;
      shift[c] /= magnitude;
    }
    for (std::size_t i = 0; i < w.size(); ++i)
      w[i] = static_cast<float>(factor[i / taps % inputs / positions] * static_cast<double>(w[i]));
  }

  const Plan& plan_;
  FoldedArrays result_;
  std::vector<std::vector<std::size_t>> readers_;  // of each value, operations
};

FoldedArrays fold(const Snapshot& snapshot, std::span<const float> Array::* values) {
  std::vector<std::span<const float>> arrays;
  for (const Array& a : snapshot.arrays()) arrays.push_back(a.*values);
  if (!snapshot.plan()) return {std::vector<std::vector<float>>(arrays.size()), std::move(arrays)};
  return fold_batch_norm(*snapshot.plan(), std::move(arrays));
}

}  // namespace

FoldedArrays fold_batch_norm(const Plan& plan, std::vector<std::span<const float>> arrays) {
  return Folding(plan, std::move(arrays)).fold();
}

const FoldedArrays& folded_final(const Snapshot& snapshot) {
  return snapshot.memo().get("folded_final", [&] { return fold(snapshot, &Array::final); });
}

const FoldedArrays& folded_init(const Snapshot& snapshot) {
  return snapshot.memo().get("folded_init", [&] { return fold(snapshot, &Array::init); });
}

}  // namespace gapbench::measures
