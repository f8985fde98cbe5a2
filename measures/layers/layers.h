// Per-layer quantities that several measures share: computed once per model, kept in the snapshot's memo.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "measures/api/outcome.h"
#include "measures/api/snapshot.h"
#include "measures/kernels/weight_correlation.h"

namespace gapbench::measures {

/// Sizes of one weight layer.
struct LayerShape {
  std::int64_t outputs = 0, inputs = 0;
  std::int64_t kernel_height = 1, kernel_width = 1;
  std::int64_t positions() const { return kernel_height * kernel_width; }
  std::int64_t fan_in() const { return inputs * positions(); }
};
LayerShape shape_of(const Snapshot& snapshot, const Layer& layer);

/// Weight correlation of one layer in the paper's reading.
struct LayerCorrelation {
  LayerShape shape;
  std::int64_t vector_length =
      0;           ///< of the vectors compared: fan-in of a dense layer or a 1x1 convolution, else kh kw
  double rho = 0;  ///< in [0, 1], mean over pairs of |cos|; NaN where the weights are not finite
};

// Weight correlation of each layer, paper's reading.
//
// Formula   dense: rho = mean over pairs i != j of |cos(w_i, w_j)|, w_i the incoming weights of unit i;
//           conv: the same over the kh kw slices of each input channel, averaged over input channels; pairs with a
//           zero vector are left out, channels weigh by their pairs.
// Inputs    final weights of every layer.
// Returns   layers with at least one pair; a layer of one unit is left out.
// Source    Jin et al. 2020, definitions 3.1 and 3.2 as recalled in the literature notes. A 1x1 convolution is taken
//           as the dense layer it is: slices of one number would have |cos| = 1 whatever the weights.
// Error     each rho within kernels::cosine_error(vector_length).
// Cost      O(fan_in outputs^2) a layer.
const std::vector<LayerCorrelation>& paper_correlations(const Snapshot& snapshot);

/// One layer's g of the released code; see wc_g.cpp.
const std::vector<double>& notebook_g(const Snapshot& snapshot);

/// g of the equicorrelated posterior, -(N - 1) m ln(1 - rho) - m ln(1 + (N - 1) rho), through log1p; +infinity at
/// rho = 1.
double correlation_g(double rho, std::int64_t n, std::int64_t m);
/// The same for a layer, m its fan-in. A rho that the kernel's error cannot tell from 1 counts as 1.
double correlation_g(const LayerCorrelation& layer);

/// Smoothed mean cosine of the released code, diagonal included, for each input channel of a convolution or,
/// with one entry, for the first `columns` inputs of a dense layer (all for 0).
std::vector<double> notebook_means(const Snapshot& snapshot, const Layer& layer, std::int64_t columns);

/// Frobenius norm of each layer's weights, batch norm folded (batch_norm.h), or of folded final minus folded initial
/// weights; the last one of the weights as they are saved.
const std::vector<double>& frobenius_norms(const Snapshot& snapshot);
const std::vector<double>& frobenius_norms_of_saved(const Snapshot& snapshot);
const std::vector<double>& frobenius_norms_of_change(const Snapshot& snapshot);

/// True operator norms of each layer (conv: real stride, zero padding and input size), batch norm folded, of the final
/// weights or of final minus initial. `problem` says why there are none.
struct OperatorNorms {
  std::vector<double> values;
  std::string problem;
};
/// What stands for a convolution's operator; a dense layer is its matrix in all of them.
enum class NormKind {
  padded,     ///< the map with its stride and zero padding at its own input size
  circular,   ///< wrap-around in place of zero padding, stride and input size kept (kernels/conv_spectral.h)
  unstrided,  ///< wrap-around at stride 1 on the layer's own input size
  fft32,      ///< wrap-around at stride 1 on a grid of 32 x 32 for every layer
  reshaped,   ///< the kernel as a matrix [outputs, inputs kernel_height kernel_width]
};
const OperatorNorms& operator_norms(const Snapshot& snapshot, NormKind kind = NormKind::padded);
const OperatorNorms& operator_norms_of_change(const Snapshot& snapshot, NormKind kind = NormKind::padded);

/// The released code's spectral proxies of each layer, of the saved final weights or of final minus initial: that
/// code does not fold batch norm.
const std::vector<double>& spectral_proxies(const Snapshot& snapshot);
const std::vector<double>& spectral_proxies_of_change(const Snapshot& snapshot);

/// Number of entries of all layers' weights: no biases.
double weight_count(const Snapshot& snapshot);

/// 1/2 sum of squared changes over all arrays, or over the layers' weights alone.
double half_squared_change(const Snapshot& snapshot, bool weights_only);

/// Sum of logs; `undefined` when a factor is 0, naming the layer.
Outcome sum_of_logs(const Snapshot& snapshot, const std::vector<double>& factors, const char* what,
                    double power);

/// 2 sum over layers of ln s_l, s_l the operator norm or the Frobenius norm; `undefined` when a layer is zero,
/// `not_converged` when an operator norm is not known.
Outcome log_product_of_operator_norms(const Snapshot& snapshot, NormKind kind = NormKind::padded);
Outcome log_product_of_frobenius_norms(const Snapshot& snapshot);

/// ln(L p^(1/L)) of a product over L layers given as ln p; keeps what is censored or not ok.
Outcome geometric_mean_form(const Outcome& log_product, const Snapshot& snapshot);

Outcome sum_of_squares(const std::vector<double>& values);
/// Sum over layers of (norm_l / s_l)^2, s_l the operator norm.
Outcome sum_of_squared_ratios(const Snapshot& snapshot, const std::vector<double>& norms,
                              NormKind kind = NormKind::padded);
/// ln of the product of squared operator norms times the sum of (norm_l / s_l)^2: the spectral bound's main
/// term but for the margin.
Outcome log_spectral_main_term(const Snapshot& snapshot, const std::vector<double>& norms,
                               NormKind kind = NormKind::padded);

/// The outcome of measures that need initial weights and have none.
std::optional<Outcome> without_init(const Snapshot& snapshot);

}  // namespace gapbench::measures
