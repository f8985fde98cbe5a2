// Batch norm folded into the weight layers beside it, which every measure of norms and distances counts.
#pragma once

#include <span>
#include <vector>

#include "measures/api/snapshot.h"

namespace gapbench::measures {

/// All arrays of a network with its batch norm folded. The same plan with these arrays computes the same logits in
/// evaluation mode.
struct FoldedArrays {
  std::vector<std::vector<float>>
      changed;  ///< what folding has changed, by array; empty where it left one alone
  std::vector<std::span<const float>> arrays;  ///< in Snapshot::arrays() order
};

// Batch-norm folding in evaluation mode.
//
// Formula   batch norm is x -> s x + t on each channel, s = weight / sqrt(running_var + 1e-5), t = bias - s running_mean.
//           Right after a dense layer or a convolution that nothing else reads: W <- s W by output channel, and the
//           layer's bias b <- s b + t; a layer without a bias leaves s b + t = t with the batch norm. The batch norm
//           becomes the identity: weight 1, running_mean 0, running_var 1 - 1e-5.
//           Elsewhere (before an activation and a layer, after an activation, on joined channels): if only (leaky) ReLU,
//           pooling, flattening and dropout stand between it and the one layer that reads it, |s| goes into that layer's
//           input channels, and batch norm keeps x -> sign(s) x + t / |s|. These operations commute with positive
//           factors. Channels with s = 0 stay as they are.
//           Batch norm that neither rule reaches keeps x -> s x + t.
// Inputs    the snapshot's plan and its final or initial arrays. Without a plan nothing is folded.
// Returns   arrays of a network with the same logits; each network with its own running statistics.
// Source    the usual folding, as in the released codes of Neyshabur et al. and Dziugaite et al. 2020, which know the
//           first rule only, need a bias, and leave a factor 1 / sqrt(1 + 1e-5) for each batch norm; the second rule is ours.
// Error     each entry rounded to float32 once.
// Cost      O(parameters); computed once per model.
const FoldedArrays& folded_final(const Snapshot& snapshot);
/// Of the initial arrays, which must be known (Snapshot::has_init).
const FoldedArrays& folded_init(const Snapshot& snapshot);

/// The same for any arrays of that plan; `arrays` must outlive the result.
FoldedArrays fold_batch_norm(const Plan& plan, std::vector<std::span<const float>> arrays);

}  // namespace gapbench::measures
