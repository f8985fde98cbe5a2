// The barrier of the grid of a cooperative launch, emulated: see cuda_runtime.h.
#pragma once

#include "cuda_runtime.h"

namespace cooperative_groups {

struct grid_group {
  void sync(CudaHostWhere where = CudaHostWhere::current()) const { cuda_host::grid_barrier(where); }
};
inline grid_group this_grid() {
  return {};
}

}  // namespace cooperative_groups
