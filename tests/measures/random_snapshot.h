// Small networks with random weights, as measures see them, and transformations of them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "measures/api/snapshot.h"
#include "measures/numerics/philox.h"

namespace gapbench::testing {

/// Weights that can be changed and turned into a snapshot any number of times.
struct Model {
  struct Entry {
    std::string name;
    std::vector<std::int64_t> shape;
    std::vector<float> final, init;
  };
  std::vector<Entry> arrays;
  std::vector<Layer> layers;
  std::int64_t classes = 0;
  bool with_init = true, with_plan = true;
  std::optional<TrainingRecord> training = TrainingRecord{900, 120, 700, 0.25, 0.0625};

  Entry& weight(std::size_t layer) { return arrays[layers[layer].weight]; }
  Entry& bias(std::size_t layer) { return arrays[*layers[layer].bias]; }

  Snapshot snapshot() const {
    auto copy = std::make_shared<const Model>(*this);
    std::vector<Array> list;
    for (const Entry& e : copy->arrays)
      list.push_back({e.name, e.shape, e.final,
                      copy->with_init ? std::span<const float>(e.init) : std::span<const float>()});
    Snapshot snapshot("test", std::move(list), layers, 100, classes, copy);
    if (training) snapshot.set_training(*training);
    if (with_plan) snapshot.set_plan(plan());
    return snapshot;
  }

  /// The layers in a chain with ReLU between them; a convolutional network ends in the mean over positions.
  Plan plan() const {
    Plan plan;
    const auto append = [&](OpKind kind, const Extent& in, const Extent& out) -> Op& {
      Op op;
      op.kind = kind;
      op.in = in;
      op.out = out;
      op.input = plan.ops.size();
      plan.ops.push_back(op);
      return plan.ops.back();
    };
    for (const Layer& layer : layers) {
      const auto& shape = arrays[layer.weight].shape;
      const bool conv = layer.kind == LayerKind::conv;
      const std::int64_t kernel = conv ? shape[2] : 1;
      const auto side = [&](std::int64_t n) { return (n + 2 * layer.padding - kernel) / layer.stride + 1; };
      const Extent in{shape[1], layer.input_height, layer.input_width},
          out{shape[0], side(in.height), side(in.width)};
      if (!plan.ops.empty()) append(OpKind::activation, in, in);
      Op& op = append(conv ? OpKind::conv : OpKind::dense, in, out);
      op.weight = layer.weight;
      op.bias = layer.bias;
      op.kernel = kernel;
      op.stride = layer.stride;
      op.padding = layer.padding;
    }
    const Extent out = plan.ops.back().out;
    if (layers.back().kind == LayerKind::conv) append(OpKind::mean_positions, out, {out.channels, 1, 1});
    return plan;
  }

  void add(LayerKind kind, std::vector<std::int64_t> shape, Layer geometry, RandomStream& random) {
    geometry.kind = kind;
    geometry.weight = arrays.size();
    geometry.bias = arrays.size() + 1;
    layers.push_back(geometry);
    const std::string name = "layers." + std::to_string(layers.size() - 1);
    const std::int64_t outputs = shape[0];
    for (const auto& [suffix, extents] :
         {std::pair{".weight", shape}, std::pair{".bias", std::vector<std::int64_t>{outputs}}}) {
      Entry e{name + suffix, extents, {}, {}};
      std::int64_t n = 1;
      for (const std::int64_t extent : extents) n *= extent;
      for (std::int64_t i = 0; i < n; ++i) {
        e.init.push_back(static_cast<float>(0.4 * random.normal()));
        e.final.push_back(e.init.back() + static_cast<float>(0.2 * random.normal()));
      }
      arrays.push_back(std::move(e));
    }
  }
};

inline Model random_fcn(std::vector<std::int64_t> widths, std::uint64_t seed) {
  RandomStream random(random_key("random_fcn", "weights"), seed);
  Model m;
  for (std::size_t i = 0; i + 1 < widths.size(); ++i)
    m.add(LayerKind::dense, {widths[i + 1], widths[i]}, {}, random);
  m.classes = widths.back();
  return m;
}

/// 3x3 stride 2 with padding, 3x3, 1x1 to the classes, on 3 x 9 x 8 images.
inline Model random_conv(std::uint64_t seed) {
  RandomStream random(random_key("random_conv", "weights"), seed);
  Model m;
  Layer g;
  g.input_height = 9;
  g.input_width = 8;
  g.stride = 2;
  g.padding = 1;
  m.add(LayerKind::conv, {6, 3, 3, 3}, g, random);
  g.input_height = 5;
  g.input_width = 4;
  g.stride = 1;
  m.add(LayerKind::conv, {5, 6, 3, 3}, g, random);
  g.padding = 0;
  m.add(LayerKind::conv, {4, 5, 1, 1}, g, random);
  m.classes = 4;
  return m;
}

/// Applies `change` to every weight array's rows of both the final and the initial values, or to the final ones alone.
inline void for_each_value(Model::Entry& e, bool init_too,
                           const std::function<float(std::size_t, float)>& change) {
  for (std::size_t i = 0; i < e.final.size(); ++i) {
    e.final[i] = change(i, e.final[i]);
    if (init_too) e.init[i] = change(i, e.init[i]);
  }
}

}  // namespace gapbench::testing
