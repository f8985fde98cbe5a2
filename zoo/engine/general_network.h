// The reference network: any architecture, LibTorch's autograd, channels-last where the architecture asks.
#pragma once

#include <memory>

#include "zoo/training/trainable_network.h"

namespace gapbench {

/// `architecture` must outlive the network. Runs on the calling thread alone once the caller has set LibTorch's
/// thread count to 1.
std::unique_ptr<TrainableNetwork> make_general_network(const Architecture& architecture,
                                                       const InputShape& shape);

}  // namespace gapbench
