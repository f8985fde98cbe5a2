// The path norm, which two measures share.
#pragma once

#include "measures/api/outcome.h"
#include "measures/api/snapshot.h"

namespace gapbench::measures {

// Squared l2 path norm, as a logarithm.
//
// Formula   ln of the sum over all paths from an input or a bias to an output of the product of the squared parameters
//           on the path: one forward pass of the network with every parameter squared, on an all-ones input of the
//           network's input shape, its outputs summed. Activations act as on positive numbers under ReLU, as the identity.
//           Max pooling takes the largest of its four values, mean pooling and the mean over positions average.
// Inputs    plan and final arrays, batch norm folded (batch_norm.h); batch norm that cannot be folded counts with its
//           squared scale and shift.
// Returns   a logarithm; undefined where no path has a weight other than 0 or a parameter is not finite; not applicable
//           without a plan and with layer norm, which is no linear map in evaluation mode.
// Source    Neyshabur et al. 2015; Jiang et al. 2019, equation 44; the forward pass as in the released codes of Neyshabur
//           et al. and Dziugaite et al. 2020, which report the sum itself or a root of it: the order is the same.
// Error     float64; every intermediate value is kept relative to its largest entry, so nothing overflows.
// Cost      one forward pass of one sample in float64; computed once per model.
const Outcome& log_path_sum(const Snapshot& snapshot);

}  // namespace gapbench::measures
