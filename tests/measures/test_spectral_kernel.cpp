// Operator norms against singular values of the dense matrix, built by brute force.
#include <cmath>
#include <vector>

#include "tests/measures/spectral_cases.h"

using namespace gapbench;
using namespace gapbench::kernels;

TEST_CASE("conv operator norm is the largest singular value of the dense matrix") {
  for (const ConvShape& s : padded_convolutions) {
    const auto w = random_values(s.outputs * s.inputs * s.kernel_height * s.kernel_width,
                                 static_cast<std::uint64_t>(s.outputs * 100 + s.height));
    CAPTURE(s.outputs, s.inputs, s.kernel_height, s.height, s.width, s.stride, s.padding);
    const OperatorNorm norm = conv_operator_norm(w, s);
    CHECK(norm.converged);
    CHECK(norm.residual <= 1e-8);
    CHECK(norm.value == Approx(largest_singular_value(dense_matrix(w, s))).epsilon(1e-8));
  }
}

TEST_CASE("dense operator norm is the largest singular value") {
  for (const auto& [outputs, inputs] : {std::pair{1, 1}, std::pair{1, 9}, std::pair{9, 1}, std::pair{20, 33},
                                        std::pair{300, 10}, std::pair{270, 290}}) {
    const auto w = random_values(std::int64_t{outputs} * inputs, 5);
    const Eigen::MatrixXd m =
        Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(
            w.data(), outputs, inputs)
            .cast<double>();
    const OperatorNorm norm = dense_operator_norm(w, outputs, inputs);
    CHECK(norm.converged);
    CHECK(norm.value == Approx(largest_singular_value(m)).epsilon(1e-8));
  }
}

TEST_CASE("operator norms of special matrices") {
  CHECK(dense_operator_norm(std::vector<float>(12, 0.0f), 3, 4).value == 0);
  CHECK(dense_operator_norm({}, 0, 4).value == 0);
  CHECK(dense_operator_norm(std::vector<float>{3, 0, 0, -5}, 2, 2).value == Approx(5).epsilon(1e-14));
  CHECK(dense_operator_norm(std::vector<float>{3e30f, 0, 0, -5e30f}, 2, 2).value ==
        Approx(5e30).epsilon(1e-6));
  CHECK_FALSE(dense_operator_norm(std::vector<float>{1, NAN}, 1, 2).converged);
  CHECK_FALSE(conv_operator_norm(std::vector<float>(9, INFINITY), {1, 1, 3, 3, 4, 4, 1, 1}).converged);
  CHECK(conv_operator_norm(std::vector<float>(9, 0.0f), {1, 1, 3, 3, 4, 4, 1, 1}).value == 0);
  // one tap in the middle: the identity
  std::vector<float> identity(9, 0.0f);
  identity[4] = 2;
  CHECK(conv_operator_norm(identity, {1, 1, 3, 3, 6, 6, 1, 1}).value == Approx(2).epsilon(1e-8));
}

TEST_CASE("the released code's proxies") {
  // |G|_inf of [[1,2],[3,4]]: G = W W^T = [[5,11],[11,25]] and W^T W = [[10,14],[14,20]]; square matrices take W^T W
  const std::vector<float> w = {1, 2, 3, 4};
  CHECK(notebook_spectral_proxy_dense(w, 2, 2) == Approx(std::sqrt(34.0)));
  CHECK(notebook_spectral_proxy_dense(w, 1, 4) == Approx(std::sqrt(30.0)));
  // two positions: K_0 = [in, out] of W[o, i, 0], K_1 of W[o, i, 1]; with one input K K^T is a number
  CHECK(notebook_spectral_proxy_conv(w, 2, 1, 2) == Approx(std::sqrt((1.0 + 9) + (4.0 + 16))));
  for (std::uint64_t seed = 0; seed < 5; ++seed) {  // an upper bound for dense layers
    const auto v = random_values(6 * 9, seed);
    CHECK(notebook_spectral_proxy_dense(v, 6, 9) >= dense_operator_norm(v, 6, 9).value);
  }
}

TEST_CASE("squared distance") {
  const std::vector<float> a = {3, 4}, b = {1, 1};
  CHECK(squared_distance(a, {}) == 25);
  CHECK(squared_distance(a, b) == 13);
  CHECK(squared_distance({}, {}) == 0);
}
