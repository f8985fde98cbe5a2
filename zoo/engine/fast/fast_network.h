// A network that is a plan, trained with hand-written passes over preallocated buffers: images and hidden units
// as [n, height, width, channels], weights as [kernel rows, kernel columns, inputs, outputs], so that every layer
// with weights is a product of product.h. Torch-free, one thread.
//
// Without batch norm a batch passes through in chunks whose buffers stay in the cache; gradients add up over the
// chunks in a fixed order, so the bits depend on the network, the batch and the instruction set alone.
#pragma once

#include <memory>

#include "zoo/training/trainable_network.h"

namespace gapbench {

/// Null where the plan is no chain of dense, conv, batch_norm, activation, max_pool, dropout, flatten and
/// mean_positions, or has batch norm between flatten and the next dense layer. `architecture` must outlive the network.
std::unique_ptr<TrainableNetwork> make_fast_network(const Architecture& architecture,
                                                    const InputShape& shape);

}  // namespace gapbench
