// Where the arrays of one network lie in the flat buffers of a stack, and in which element order. Torch-free.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "zoo/networks/architecture.h"

namespace gapbench::stack {

/// Place of one array in a flat row. Its values are row-major [outputs, inputs, positions] in files and
/// [positions, inputs, outputs] here, so that a layer is the product of its units and its weights. Arrays of one
/// dimension have one position and one input.
struct Place {
  std::int64_t offset = 0;
  std::int64_t outputs = 1, inputs = 1, positions = 1;
  bool trained = true;
  std::int64_t size() const { return outputs * inputs * positions; }
};

/// Each member of a stack has one row of trained values and one of running statistics. Arrays begin at multiples
/// of 32 values; what lies between is 0 and stays 0.
class Layout {
 public:
  explicit Layout(const Architecture& architecture);
  const Place& operator[](std::size_t array) const { return places_[array]; }
  std::int64_t trained_size() const { return trained_size_; }  ///< of a row, at least 32
  std::int64_t buffer_size() const { return buffer_size_; }    ///< of a row, at least 32
  std::int64_t parameters() const { return parameters_; }      ///< trained values without the padding
  /// For each trained value, arrays one after the other and row-major, where it lies in a row.
  std::vector<std::int64_t> trained_places() const;

  /// Row-major arrays in Architecture::arrays() order to a row of trained values and one of statistics.
  void pack(const std::vector<std::vector<float>>& arrays, float* trained, float* buffers) const;
  std::vector<std::vector<float>> unpack(const float* trained, const float* buffers) const;
  /// The optimiser's moving averages as TrainState has them, sets of one buffer per trained array, to one row of
  /// trained_size() a set, and back. Throws InternalError on another number of buffers.
  void pack_state(const std::vector<std::vector<float>>& state, int sets, float* rows) const;
  std::vector<std::vector<float>> unpack_state(const float* rows, int sets) const;

 private:
  std::vector<Place> places_;
  std::int64_t trained_size_ = 0, buffer_size_ = 0, parameters_ = 0;
};

/// Whether the stack has every operation of the network: dense, conv, batch_norm, activation, max_pool, mean_pool,
/// dropout, flatten, mean_positions, add and concat, with batch norm nowhere between a flatten and the next dense
/// layer.
bool serves(const Architecture& architecture);

/// Equal for networks that differ in their dropout probabilities at most.
std::string shape_key(const Architecture& architecture);

}  // namespace gapbench::stack
