// The measure contract: one number per model with a declared sign. One measure = one file that returns a
// Measure.
#pragma once

#include <string_view>

#include "measures/api/outcome.h"
#include "measures/api/probe.h"
#include "measures/api/snapshot.h"

namespace gapbench {

/// What the source predicts: plus = a larger value goes with a larger generalisation gap.
enum class Sign { plus, minus, none };

/// What a measure reads. The registry sweep test proves it: a measure must give a value when just these are
/// at hand and `not-applicable` when one of them is missing.
enum Needs : unsigned {
  needs_weights = 1u << 0,
  needs_init = 1u << 1,
  needs_data = 1u << 2,    ///< training inputs, through the probe
  needs_labels = 1u << 3,  ///< training labels, through the probe
  needs_gradients = 1u << 4,
  needs_hessian = 1u << 5,
  needs_history = 1u << 6,
};

/// Transformations of the weights that leave the value unchanged; the sweep test applies each of them.
enum Invariance : unsigned {
  invariant_none = 0,
  invariant_unit_permutation =
      1u << 0,                      ///< permuting hidden units, with the next layer's inputs permuted alike
  invariant_layer_scale = 1u << 1,  ///< multiplying each whole weight array by its own positive constant
  invariant_unit_scale =
      1u << 2,  ///< multiplying each output unit's weight vector by its own positive constant
  invariant_relu_rescaling = 1u << 3,  ///< scaling one layer by c > 0 and the next by 1/c (biases along)
  invariant_bias = 1u << 4,            ///< any change of the biases
};

struct MeasureInfo {
  std::string_view id;       ///< kebab-case and stable
  std::string_view name;     ///< a few words
  std::string_view formula;  ///< one line of plain text
  std::string_view latex;    ///< the same, for the docs
  std::string_view source;   ///< paper or code it comes from
  std::string_view family;   ///< correlation, norms, spectral, pacbayes, output, capacity, ...
  Sign sign = Sign::plus;
  unsigned needs = needs_weights;
  unsigned invariances = invariant_none;
  bool stochastic = false;
  int revision = 1;         ///< raise it when values change: stored cells of an older revision are recomputed
  bool on_request = false;  ///< left out where no pattern names it
  std::string_view searches =
      {};                       ///< names of the searches it reads, separated by blanks: their cost is shared
  std::string_view notes = {};  ///< pitfalls, one or two sentences
};

struct Measure {
  MeasureInfo info;
  /// `probe` is null when the model's data are not at hand. Deterministic given the model.
  Outcome (*compute)(const Snapshot& snapshot, Probe* probe) = nullptr;
};

}  // namespace gapbench
