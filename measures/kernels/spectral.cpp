#include "measures/kernels/spectral.h"

#include <Eigen/Dense>
#include <cmath>
#include <vector>

#include "measures/kernels/segment_norms.h"
#include "measures/numerics/philox.h"

namespace gapbench::kernels {

namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using FloatMap = Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

constexpr std::int64_t direct_limit = 256;
constexpr int largest_steps = 300;
constexpr double tolerance = 1e-8;

// Largest singular value of the map `apply` with adjoint `adjoint`, from R^n.
template <class Apply, class Adjoint>
OperatorNorm lanczos(std::int64_t n, const Apply& apply, const Adjoint& adjoint) {
  OperatorNorm result;
  Eigen::VectorXd v(n);
  RandomStream random(random_key("operator norm", "start"));
  for (std::int64_t i = 0; i < n; ++i) v[i] = random.normal();
  v.normalize();
  const auto limit = static_cast<int>(std::min<std::int64_t>(n, largest_steps));
  Eigen::MatrixXd basis(n, std::min(limit, 32));
  Eigen::VectorXd diagonal(limit), off_diagonal(limit);
  result.converged = false;
  for (int step = 0; step < limit; ++step) {
    if (step == basis.cols()) basis.conservativeResize(n, std::min(limit, 2 * step));
    basis.col(step) = v;
    Eigen::VectorXd w = adjoint(apply(v));
    diagonal[step] = v.dot(w);
    // twice is enough (Kahan): orthogonal to all earlier vectors up to rounding
    for (int pass = 0; pass < 2; ++pass)
      w -= basis.leftCols(step + 1) * (basis.leftCols(step + 1).transpose() * w);
    off_diagonal[step] = w.norm();
    result.iterations = step + 1;
    Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> tridiagonal;
    const bool last = step + 1 == limit;
    const bool invariant =
        off_diagonal[step] <= 1e-14 * std::max(std::abs(diagonal[0]), std::abs(diagonal[step]));
    if (step % 5 == 4 || last || invariant || step < 4) {
      tridiagonal.computeFromTridiagonal(diagonal.head(step + 1), off_diagonal.head(step));
      const double theta = tridiagonal.eigenvalues()[step];
      if (!std::isfinite(theta)) return result;
      result.value = std::sqrt(std::max(theta, 0.0));
      result.residual =
          theta > 0 ? off_diagonal[step] * std::abs(tridiagonal.eigenvectors()(step, step)) / theta : 0;
      // a whole basis spans everything; an invariant subspace found from a random start holds the largest
      // eigenvector
      result.converged = result.residual <= tolerance || invariant || step + 1 == n;
      if (result.converged) break;
    }
    v = w / off_diagonal[step];
  }
  return result;
}

}  // namespace

double squared_distance(std::span<const float> a, std::span<const float> b) {
  const Segment segment{a.data(), b.empty() ? nullptr : b.data(), 1, static_cast<std::int64_t>(a.size())};
  SegmentNorms norms;
  segment_norms(&segment, 1, 2, 2, &norms);
  return norms.squares;
}

OperatorNorm dense_operator_norm(std::span<const float> w, std::int64_t outputs, std::int64_t inputs) {
  OperatorNorm result;
  if (outputs == 0 || inputs == 0) return result;
  const Matrix m = FloatMap(w.data(), outputs, inputs).cast<double>();
  if (!m.allFinite()) {
    result.converged = false;
    return result;
  }
  if (std::min(outputs, inputs) > direct_limit)
    return lanczos(
        inputs, [&](const Eigen::VectorXd& x) -> Eigen::VectorXd { return m * x; },
        [&](const Eigen::VectorXd& y) -> Eigen::VectorXd { return m.transpose() * y; });
  const double scale = m.cwiseAbs().maxCoeff();
  if (scale == 0) return result;
  const Matrix unit = m / scale;  // squares of tiny or huge weights must not leave float64's range
  const Eigen::MatrixXd gram =
      outputs < inputs ? Eigen::MatrixXd(unit * unit.transpose()) : Eigen::MatrixXd(unit.transpose() * unit);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(gram, Eigen::EigenvaluesOnly);
  result.value = scale * std::sqrt(std::max(0.0, solver.eigenvalues().maxCoeff()));
  return result;
}

OperatorNorm conv_operator_norm(std::span<const float> w, const ConvShape& s) {
  if (s.kernel_height == 1 && s.kernel_width == 1 && s.stride == 1 && s.padding == 0)
    return dense_operator_norm(w, s.outputs, s.inputs);
  OperatorNorm result;
  const std::int64_t taps = s.kernel_height * s.kernel_width;
  const std::int64_t out_h = (s.height + 2 * s.padding - s.kernel_height) / s.stride + 1;
  const std::int64_t out_w = (s.width + 2 * s.padding - s.kernel_width) / s.stride + 1;
  if (s.outputs == 0 || s.inputs == 0 || out_h <= 0 || out_w <= 0) return result;
  for (const float x : w)
    if (!std::isfinite(x)) {
      result.converged = false;
      return result;
    }
  std::vector<Eigen::MatrixXd> tap(static_cast<std::size_t>(taps), Eigen::MatrixXd(s.outputs, s.inputs));
  for (std::int64_t o = 0; o < s.outputs; ++o)
    for (std::int64_t i = 0; i < s.inputs; ++i)
      for (std::int64_t t = 0; t < taps; ++t)
        tap[static_cast<std::size_t>(t)](o, i) =
            static_cast<double>(w[static_cast<std::size_t>((o * s.inputs + i) * taps + t)]);
  const std::int64_t in_area = s.height * s.width, out_area = out_h * out_w;
  // Images are matrices [channels, positions]. shift(t): where each output position reads its input for tap
  // t, -1 in the padding.
  std::vector<std::vector<std::int64_t>> reads(static_cast<std::size_t>(taps));
  for (std::int64_t t = 0; t < taps; ++t)
    for (std::int64_t y = 0; y < out_h; ++y)
      for (std::int64_t x = 0; x < out_w; ++x) {
        const std::int64_t iy = y * s.stride - s.padding + t / s.kernel_width,
                           ix = x * s.stride - s.padding + t % s.kernel_width;
        reads[static_cast<std::size_t>(t)].push_back(
            iy >= 0 && iy < s.height && ix >= 0 && ix < s.width ? iy * s.width + ix : -1);
      }
  const auto apply = [&](const Eigen::VectorXd& image) -> Eigen::VectorXd {
    const Eigen::Map<const Eigen::MatrixXd> in(image.data(), s.inputs, in_area);
    Eigen::MatrixXd out = Eigen::MatrixXd::Zero(s.outputs, out_area), gathered(s.inputs, out_area);
    for (std::size_t t = 0; t < tap.size(); ++t) {
      for (std::int64_t p = 0; p < out_area; ++p) {
        const std::int64_t from = reads[t][static_cast<std::size_t>(p)];
        if (from >= 0)
          gathered.col(p) = in.col(from);
        else
          gathered.col(p).setZero();
      }
      out.noalias() += tap[t] * gathered;
    }
    return Eigen::Map<const Eigen::VectorXd>(out.data(), out.size());
  };
  const auto adjoint = [&](const Eigen::VectorXd& image) -> Eigen::VectorXd {
    const Eigen::Map<const Eigen::MatrixXd> out(image.data(), s.outputs, out_area);
    Eigen::MatrixXd in = Eigen::MatrixXd::Zero(s.inputs, in_area), spread(s.inputs, out_area);
    for (std::size_t t = 0; t < tap.size(); ++t) {
      spread.noalias() = tap[t].transpose() * out;
      for (std::int64_t p = 0; p < out_area; ++p)
        if (const std::int64_t to = reads[t][static_cast<std::size_t>(p)]; to >= 0)
          in.col(to) += spread.col(p);
    }
    return Eigen::Map<const Eigen::VectorXd>(in.data(), in.size());
  };
  // the norm of A is that of its transpose: iterate on the shorter vectors
  if (s.outputs * out_area < s.inputs * in_area) return lanczos(s.outputs * out_area, adjoint, apply);
  return lanczos(s.inputs * in_area, apply, adjoint);
}

namespace {
double largest_row_sum(const Eigen::MatrixXd& m) {
  return m.cwiseAbs().rowwise().sum().maxCoeff();
}
}  // namespace

double notebook_spectral_proxy_dense(std::span<const float> w, std::int64_t outputs, std::int64_t inputs) {
  if (outputs == 0 || inputs == 0) return 0;
  const Matrix m = FloatMap(w.data(), outputs, inputs).cast<double>();
  return std::sqrt(largest_row_sum(outputs < inputs ? Eigen::MatrixXd(m * m.transpose())
                                                    : Eigen::MatrixXd(m.transpose() * m)));
}

double notebook_spectral_proxy_conv(std::span<const float> w, std::int64_t outputs, std::int64_t inputs,
                                    std::int64_t positions) {
  if (outputs == 0 || inputs == 0) return 0;
  double sum = 0;
  Eigen::MatrixXd k(inputs, outputs);
  for (std::int64_t p = 0; p < positions; ++p) {
    for (std::int64_t o = 0; o < outputs; ++o)
      for (std::int64_t i = 0; i < inputs; ++i)
        k(i, o) = static_cast<double>(w[static_cast<std::size_t>((o * inputs + i) * positions + p)]);
    sum += largest_row_sum(k * k.transpose());
  }
  return std::sqrt(sum);
}

}  // namespace gapbench::kernels
