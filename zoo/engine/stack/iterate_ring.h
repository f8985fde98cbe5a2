// The last iterates of all members of a stack, projected as zoo/training/iterate_log.h says, on the stack's device.
#pragma once

#include <ATen/core/Tensor.h>

#include "zoo/engine/stack/layout.h"
#include "zoo/training/iterate_log.h"

namespace gapbench::stack {

class IterateRing {
 public:
  IterateRing(const LogIterates& log, const Layout& layout, std::int64_t members, const at::Device& device);
  /// The slot's member began at the row `initial` [1, Layout::trained_size()] and has done `steps` steps, of which
  /// `iterates` are kept.
  void load(std::int64_t slot, const at::Tensor& initial, const Iterates& iterates, std::int64_t steps);
  /// Rows of trained values [K, Layout::trained_size()] after step[k] (int64 [K]) steps. The same work on the same memory
  /// each time.
  void add(const at::Tensor& trained, const at::Tensor& step);
  /// The iterates from step `first` to step `last`, of which there are no more than are kept.
  Iterates download(std::int64_t slot, std::int64_t first, std::int64_t last) const;

 private:
  at::Tensor project(const at::Tensor& trained) const;  // [K, P] to double [K, dimension]

  LogIterates log_;
  at::Tensor index_[projection_entries],
      sign_[projection_entries];  // [rows of a quarter, most entries of a row]
  at::Tensor initial_;            // double [K, dimension]
  at::Tensor ring_;               // float [K, last, dimension]; step t is row t modulo `last`
};

}  // namespace gapbench::stack
