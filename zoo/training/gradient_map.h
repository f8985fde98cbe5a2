// What training does to the gradients of weight layers between the backward pass and the optimiser: the collision
// of the KO optimiser and weight-correlation descent. Both compare the units of one layer. Torch-free.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace gapbench {

/// One layer's weights or gradients, row-major [outputs, inputs, positions].
struct LayerShape {
  std::int64_t outputs = 0, inputs = 0, positions = 1;
  std::int64_t row_length() const { return inputs * positions; }
};

// The collision of the KO optimiser, applied to a layer's gradient before any base optimiser.
//
// Formula   rows w_i, g_i; cos(., .) the N x N cosines of rows, 0 for a zero row.
//           soft-matmul:   g += c (-cos(w, w) cos(g, g) g)
//           soft-hadamard: g += c (-(cos(w, w) o cos(g, g)) g)
//           hard:          floor(c N / 2 + u) disjoint pairs of rows, u ~ U(0, 1), drawn uniformly; a pair of relative
//           speed v = |g_i - g_j| collides with probability v / (largest v among the pairs drawn): with G their mean and
//           n a uniform unit vector, g_i = G + (v / 2) n, g_j = G - (v / 2) n.
// Inputs    w, g [outputs, row_length] float32; c >= 0 the collision coefficient;
//           random_key and step select the random numbers of hard.
// Returns   g in place. A layer of one unit is left as it is.
// Source    Feng et al. 2025, arXiv 2505.14777 (KO). Its text writes the two cosine matrices side by side, which the two
//           soft forms read in the two possible ways. Its hard collision is not published in detail: this is the
//           textbook direct-simulation step, conserving each pair's sum and sum of squared norms. `mask_diagonal`
//           leaves out a row's interaction with itself, which the source does not.
// Error     float32 products, about 1e-6 relative.
// Cost      O(N^2 row_length) soft, O(N row_length) hard.
enum class Collision { off, soft_matmul, soft_hadamard, hard };
void collide(Collision kind, double coefficient, bool mask_diagonal, const LayerShape& layer, const float* w,
             float* g, std::uint64_t random_key, std::uint64_t step);
/// "off", "soft-matmul", "soft-hadamard", "hard". Throws InternalError on another name.
Collision parse_collision(std::string_view name);

// The gradient of weight-correlation descent (WCD), added to a layer's gradient.
//
// Formula   units w_i (dense: rows; convolution: for each input channel its slices of positions values), u_i = w_i / |w_i|,
//           S_i = 1 / (N - 1) sum_{j != i} sign(u_i . u_j) (u_j - (u_i . u_j) u_i) / |w_i|.
//           released: g += coefficient m S, m = 1 for a convolution; for a dense layer m is
//             c0 = inputs (N - 1) (1 / (1 - q) + 1 / (1 + (N - 1) q)), q the mean signed cosine of pairs, multiplied or
//             divided by 10 until it lies in [0.5, 5].
//           rho: g += coefficient d rho / dw, rho the paper's weight correlation (mean |cos| over pairs, for a convolution
//             over input channels too): d rho / dw_i = 2 S_i / N, divided by the input channels.
//           g: g += coefficient (d g / d rho) (d rho / dw), g = -(N - 1) M ln(1 - rho) - M ln(1 + (N - 1) rho), M the
//             fan-in: d g / d rho = M N (N - 1) rho / ((1 - rho) (1 + (N - 1) rho)).
// Inputs    w, g [outputs, inputs, positions] float32. Zero units take no part. sign(0) = 0.
// Returns   g in place; each unit's added part is orthogonal to the unit.
// Source    Jin et al. 2020, arXiv 2010.05983; `released` is their code's form (coefficient 0.1), the others are the
//           gradients it stands for.
// Error     float32 products, about 1e-6 relative to |S|.
// Cost      O(N^2 row_length).
enum class DescentForm { released, rho, g };
void add_weight_correlation_gradient(DescentForm form, double coefficient, const LayerShape& layer,
                                     const float* w, float* g);
/// "released", "rho", "g". Throws InternalError on another name.
DescentForm parse_descent_form(std::string_view name);

/// Which of `layers` weight layers the descent covers. "all": every one; "hidden": all but the first and the last;
/// "released": what the released code covers: the first 5, 10 or 12 convolutions of VGG-11, 16 or 19 (network "vgg11",
/// ...), else as "hidden". Throws InternalError on another choice.
bool descent_covers(std::string_view choice, std::string_view network, std::size_t layer, std::size_t layers);

}  // namespace gapbench
