#include "zoo/engine/stack/layout.h"

#include <algorithm>

#include "measures/api/error.h"

namespace gapbench::stack {
namespace {

constexpr std::int64_t alignment = 32;

std::int64_t aligned(std::int64_t n) {
  return (n + alignment - 1) / alignment * alignment;
}

template <class F>
void for_each_element(const Place& p, F f) {
  for (std::int64_t o = 0; o < p.outputs; ++o)
    for (std::int64_t c = 0; c < p.inputs; ++c)
      for (std::int64_t q = 0; q < p.positions; ++q)
        f((o * p.inputs + c) * p.positions + q, (q * p.inputs + c) * p.outputs + o);
}

void to_row(const Place& p, const std::vector<float>& values, float* row) {
  if (static_cast<std::int64_t>(values.size()) != p.size())
    throw InternalError("an array of a stack was given another array's values");
  for_each_element(p, [&](std::int64_t row_major, std::int64_t own) {
    row[p.offset + own] = values[static_cast<std::size_t>(row_major)];
  });
}

std::vector<float> from_row(const Place& p, const float* row) {
  std::vector<float> values(static_cast<std::size_t>(p.size()));
  for_each_element(p, [&](std::int64_t row_major, std::int64_t own) {
    values[static_cast<std::size_t>(row_major)] = row[p.offset + own];
  });
  return values;
}

// The map that a flatten before this operation took in, where units still are in the order of its positions.
std::vector<std::optional<Extent>> flattened_from(const Architecture& a) {
  const std::vector<Op>& ops = a.plan().ops;
  std::vector<std::optional<Extent>> of_value(ops.size() + 1);
  for (std::size_t i = 0; i < ops.size(); ++i) {
    const Op& op = ops[i];
    if (op.kind == OpKind::flatten && !of_value[op.input]) {
      // without convolutions images are in the order that flatten asks for
      if (a.channels_last() && op.in.positions() > 1) of_value[i + 1] = op.in;
    } else if (op.kind != OpKind::dense) {
      of_value[i + 1] = of_value[op.input];
    }
  }
  return of_value;
}

}  // namespace

Layout::Layout(const Architecture& architecture) {
  for (const ArraySpec& spec : architecture.arrays()) {
    Place place;
    place.outputs = spec.size();
    place.trained = spec.trained;
    places_.push_back(place);
  }
  const auto flattened = flattened_from(architecture);
  for (const Op& op : architecture.plan().ops) {
    if (op.kind != OpKind::dense && op.kind != OpKind::conv) continue;
    Place& place = places_[op.weight];
    place.outputs = op.out.channels;
    const Extent source = op.kind == OpKind::dense && flattened[op.input] ? *flattened[op.input] : op.in;
    place.inputs = source.channels;
    place.positions = op.kind == OpKind::conv ? op.kernel * op.kernel : source.positions();
  }
  for (Place& place : places_) {
    std::int64_t& end = place.trained ? trained_size_ : buffer_size_;
    place.offset = end;
    end += aligned(place.size());
    if (place.trained) parameters_ += place.size();
  }
  trained_size_ = std::max(trained_size_, alignment);
  buffer_size_ = std::max(buffer_size_, alignment);
}

void Layout::pack(const std::vector<std::vector<float>>& arrays, float* trained, float* buffers) const {
  if (arrays.size() != places_.size()) throw InternalError("a stack was given another network's arrays");
  for (std::size_t i = 0; i < places_.size(); ++i)
    to_row(places_[i], arrays[i], places_[i].trained ? trained : buffers);
}

std::vector<std::vector<float>> Layout::unpack(const float* trained, const float* buffers) const {
  std::vector<std::vector<float>> arrays;
  for (const Place& place : places_) arrays.push_back(from_row(place, place.trained ? trained : buffers));
  return arrays;
}

std::vector<std::int64_t> Layout::trained_places() const {
  std::vector<std::int64_t> places(static_cast<std::size_t>(parameters_));
  std::int64_t before = 0;
  for (const Place& place : places_) {
    if (!place.trained) continue;
    for_each_element(place, [&](std::int64_t row_major, std::int64_t own) {
      places[static_cast<std::size_t>(before + row_major)] = place.offset + own;
    });
    before += place.size();
  }
  return places;
}

void Layout::pack_state(const std::vector<std::vector<float>>& state, int sets, float* rows) const {
  std::size_t next = 0;
  for (int s = 0; s < sets; ++s)
    for (const Place& place : places_) {
      if (!place.trained) continue;
      if (next == state.size()) throw InternalError("checkpoint with another optimizer's state");
      to_row(place, state[next++], rows + s * trained_size_);
    }
  if (next != state.size()) throw InternalError("checkpoint with another optimizer's state");
}

std::vector<std::vector<float>> Layout::unpack_state(const float* rows, int sets) const {
  std::vector<std::vector<float>> state;
  for (int s = 0; s < sets; ++s)
    for (const Place& place : places_)
      if (place.trained) state.push_back(from_row(place, rows + s * trained_size_));
  return state;
}

bool serves(const Architecture& architecture) {
  const auto flattened = flattened_from(architecture);
  for (const Op& op : architecture.plan().ops) switch (op.kind) {
      case OpKind::layer_norm:
      case OpKind::token_dense:
        return false;
      case OpKind::batch_norm:
        if (flattened[op.input]) return false;  // its channels are in another order
        break;
      default:
        break;
    }
  return true;
}

std::string shape_key(const Architecture& architecture) {
  std::string key;
  const auto add = [&key](std::int64_t n) { key += std::to_string(n) + " "; };
  for (const ArraySpec& a : architecture.arrays()) {
    for (const std::int64_t extent : a.shape) add(extent);
    key += "/";
  }
  for (const Op& op : architecture.plan().ops) {
    for (const std::int64_t n : {static_cast<std::int64_t>(op.kind), static_cast<std::int64_t>(op.activation),
                                 op.in.channels, op.in.height, op.in.width, op.out.channels, op.out.height,
                                 op.out.width, op.kernel, op.stride, op.padding})
      add(n);
    for (const std::size_t n : {op.input, op.other, op.weight, op.bias ? *op.bias + 1 : 0})
      add(static_cast<std::int64_t>(n));
    key += "/";
  }
  return key;
}

}  // namespace gapbench::stack
