// CPU version. Many small matrices: eight side by side, element (r, c) of all of them in one register. Larger ones, or one alone: a
// register holds eight columns of a row. Each step of the bidiagonalisation reads the rest of the matrix twice: for the products of
// its column's reflection, and to apply both reflections.
#include "measures/kernels/singular_values.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "measures/kernels/dense_svd.h"
#include "measures/numerics/clones.h"
#include "measures/numerics/parallel_for.h"

namespace gapbench::kernels {

namespace {

constexpr int lanes = 8;
using Doubles = double __attribute__((vector_size(lanes * 8)));
using Words = std::int64_t __attribute__((vector_size(lanes * 8)));

inline void root(double x, double& out) {
  out = std::sqrt(x);
}
inline __attribute__((always_inline)) void root(const Doubles& x, Doubles& out) {
  double of[lanes];
  for (int l = 0; l < lanes; ++l) of[l] = std::sqrt(x[l]);
  for (int l = 0; l < lanes; ++l) out[l] = of[l];
}

// For x = (alpha, rest) with |rest|^2 = squares: the reflection I - tau v v^T, v = (1, rest / (alpha - beta)), takes x to
// (beta, 0). tau = 0 where rest is 0. Of one vector, or of one in each lane.
template <class T>
struct Reflection {
  T beta, tau, inverse;  // inverse = 1 / (alpha - beta)
};
template <class T>
inline __attribute__((always_inline)) void reflect(const T& alpha, const T& squares, Reflection<T>& out) {
  const T all = alpha * alpha + squares, one = T{} + 1.0;
  T n;
  root(all, n);
  const auto none = squares == 0;
  out.beta = none ? alpha : alpha > 0 ? -n : n;
  out.tau = none ? T{} : (out.beta - alpha) / (none ? one : out.beta);
  out.inverse = none ? T{} : one / (none ? one : alpha - out.beta);
}

// a[m][n], m >= n >= 1, becomes what it becomes; diagonal[n] and above[n] (the last is 0) are of the bidiagonal matrix.
// `work` has room for m + 2 n.
GAPBENCH_CLONES void bidiagonalise(Doubles* a, std::int64_t m, std::int64_t n, Doubles* diagonal,
                                   Doubles* above, Doubles* work) {
  Doubles *const v = work, *const products = v + m, *const u = products + n;
  for (std::int64_t k = 0; k < n; ++k) {
    Doubles squares = {};
    for (std::int64_t r = k + 1; r < m; ++r) squares += a[r * n + k] * a[r * n + k];
    Reflection<Doubles> left, right;
    reflect(a[k * n + k], squares, left);
    diagonal[k] = left.beta;
    above[k] = Doubles{};
    if (k + 1 == n) break;
    Doubles* const own = a + k * n;
    for (std::int64_t c = k + 1; c < n; ++c) products[c] = own[c];
    for (std::int64_t r = k + 1; r < m; ++r) {
      const Doubles* const row = a + r * n;
      v[r] = row[k] * left.inverse;
      for (std::int64_t c = k + 1; c < n; ++c) products[c] += v[r] * row[c];
    }
    squares = Doubles{};
    for (std::int64_t c = k + 1; c < n; ++c) {
      products[c] *= left.tau;
      own[c] -= products[c];
      if (c > k + 1) squares += own[c] * own[c];
    }
    reflect(own[k + 1], squares, right);
    above[k] = right.beta;
    u[k + 1] = Doubles{} + 1.0;
    for (std::int64_t c = k + 2; c < n; ++c) u[c] = own[c] * right.inverse;
    for (std::int64_t r = k + 1; r < m; ++r) {
      Doubles* const row = a + r * n;
      Doubles dot = {};
      for (std::int64_t c = k + 1; c < n; ++c) {
        row[c] -= v[r] * products[c];
        dot += row[c] * u[c];
      }
      dot *= right.tau;
      for (std::int64_t c = k + 1; c < n; ++c) row[c] -= dot * u[c];
    }
  }
}

inline __attribute__((always_inline)) double total(const Doubles& x) {
  return ((x[0] + x[4]) + (x[1] + x[5])) + ((x[2] + x[6]) + (x[3] + x[7]));
}

// The same of one matrix: a row is n / 8 registers, rounded up and filled with zeros. Columns that are done with are zeros too, so
// that a step may begin at the register that holds its own. `work` has room for 2 rows and m doubles.
GAPBENCH_CLONES void bidiagonalise_one(Doubles* a, std::int64_t m, std::int64_t n, double* diagonal,
                                       double* above, Doubles* work) {
  const std::int64_t width = (n + lanes - 1) / lanes;
  Doubles *const products = work, *const u = products + width;
  double* const v = reinterpret_cast<double*>(u + width);
  const auto element = [&](std::int64_t r, std::int64_t c) -> double& {
    return reinterpret_cast<double*>(a + r * width)[c];
  };
  for (std::int64_t k = 0; k < n; ++k) {
    Reflection<double> left, right;
    double squares = 0;
    for (std::int64_t r = k + 1; r < m; ++r) squares += element(r, k) * element(r, k);
    reflect(element(k, k), squares, left);
    diagonal[k] = left.beta;
    above[k] = 0;
    if (k + 1 == n) break;
    for (std::int64_t r = k + 1; r < m; ++r) {
      v[r] = element(r, k) * left.inverse;
      element(r, k) = 0;
    }
    element(k, k) = 0;
    Doubles* const own = a + k * width;
    const std::int64_t first = (k + 1) / lanes;
    for (std::int64_t c = first; c < width; ++c) products[c] = own[c];
    std::int64_t r = k + 1;
    for (; r + 4 <= m; r += 4) {  // four rows for each time that the products are read and written
      const Doubles* const row = a + r * width;
      for (std::int64_t c = first; c < width; ++c)
        products[c] += (v[r] * row[c] + v[r + 1] * row[width + c]) +
                       (v[r + 2] * row[2 * width + c] + v[r + 3] * row[3 * width + c]);
    }
    for (; r < m; ++r)
      for (std::int64_t c = first; c < width; ++c) products[c] += v[r] * a[r * width + c];
    Doubles sum = {};
    for (std::int64_t c = first; c < width; ++c) {
      products[c] *= left.tau;
      own[c] -= products[c];
    }
    const double next = element(k, k + 1);
    element(k, k + 1) = 0;
    for (std::int64_t c = first; c < width; ++c) sum += own[c] * own[c];
    reflect(next, total(sum), right);
    above[k] = right.beta;
    for (std::int64_t c = first; c < width; ++c) u[c] = own[c] * right.inverse;
    reinterpret_cast<double*>(u)[k + 1] = 1;
    for (r = k + 1; r < m; ++r) {
      Doubles* const row = a + r * width;
      Doubles even = {}, odd = {};
      std::int64_t c = first;
      for (; c + 2 <= width; c += 2) {
        row[c] -= v[r] * products[c];
        row[c + 1] -= v[r] * products[c + 1];
        even += row[c] * u[c];
        odd += row[c + 1] * u[c + 1];
      }
      if (c < width) {
        row[c] -= v[r] * products[c];
        even += row[c] * u[c];
      }
      const double dot = total(even + odd) * right.tau;
      for (c = first; c < width; ++c) row[c] -= dot * u[c];
    }
  }
}

// Singular values of upper bidiagonal matrices by the differential quotient-difference algorithm with shifts (Fernando and
// Parlett, Numer. Math. 67 (1994)): one division a step where a QR step takes two roots and four divisions. q and e are the
// squares of the diagonal and of what stands above it; a transform with shift s gives those of a matrix whose squared
// singular values are smaller by s, and fails where s is more than the smallest.
class QuotientDifference {
 public:
  /// d[n] and e[n - 1] become q and e, scaled; the squares' roots in d on return, unordered. False where it does not converge.
  bool values(double* d, const double* e, std::int64_t n) {
    double largest = 0;
    for (std::int64_t i = 0; i < n; ++i)
      largest = std::max({largest, std::abs(d[i]), i + 1 < n ? std::abs(e[i]) : 0.0});
    if (largest == 0) return true;
    q_.resize(static_cast<std::size_t>(n));
    e_.assign(static_cast<std::size_t>(n), 0.0);
    new_q_.resize(static_cast<std::size_t>(n));
    new_e_.assign(static_cast<std::size_t>(n), 0.0);
    for (std::int64_t i = 0; i < n; ++i) {
      q_[at(i)] = d[i] / largest * (d[i] / largest);
      if (i + 1 < n) e_[at(i)] = e[i] / largest * (e[i] / largest);
    }
    found_ = d;
    sweeps_ = 40 * n + 100;
    blocks_.assign(1, {0, n - 1, 0.0});
    while (!blocks_.empty()) {
      const Block block = blocks_.back();
      blocks_.pop_back();
      if (!solve(block)) return false;
    }
    for (std::int64_t i = 0; i < n; ++i) d[i] = std::sqrt(d[i]) * largest;
    return true;
  }

 private:
  struct Block {
    std::int64_t low, high;
    double shifted;  // what the transforms have taken off
  };
  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

  // An e that changes no singular value by more than rounding: relative to the square beside it, or to the largest, 1.
  static bool negligible(double e, double square) { return e <= 0x1p-104 * square || e <= 0x1p-108; }

  bool solve(Block b) {
    flip_if_growing(b);
    double smallest = 0;     // d of the last transform: the smallest squared value is at most this
    double boldness = 0.25;  // the share of it that is tried as a shift where nothing better is known
    while (true) {
      while (b.high > b.low && negligible(e_[at(b.high - 1)], b.shifted + q_[at(b.high)])) {
        *found_++ = b.shifted + q_[at(b.high)];
        --b.high;
      }
      if (b.high == b.low) {
        *found_++ = b.shifted + q_[at(b.high)];
        return true;
      }
      for (std::int64_t i = b.high - 2; i >= b.low; --i)
        if (negligible(e_[at(i)], b.shifted + q_[at(i)])) {
          blocks_.push_back({b.low, i, b.shifted});
          b.low = i + 1;
          flip_if_growing(b);
          smallest = 0;
          break;
        }
      if (b.high - b.low == 1) {
        two(b);
        return true;
      }
      double shift = next_shift(b, smallest, boldness);
      for (int tries = 0; true; ++tries) {
        if (sweeps_-- == 0) return false;
        const auto [others, last] = transform(b, shift);
        smallest = std::min(others, last);
        if (smallest >= 0) break;
        boldness = 0.25;
        if (tries > 4 || std::isnan(smallest)) return false;
        // where only the last d is negative, what it lacks makes an excellent shift
        shift = tries >= 3 ? 0 : others > 0 && tries == 0 ? (shift + last) * (1 - 0x1p-50) : shift / 4;
        shift = std::max(shift, 0.0);
      }
      boldness += (1 - boldness) / 3;
      for (std::int64_t i = b.low; i <= b.high; ++i) {
        q_[at(i)] = new_q_[at(i)];
        e_[at(i)] = i < b.high ? new_e_[at(i)] : 0.0;
      }
      b.shifted += shift;
    }
  }

  // Small values settle at the end; reversed, a matrix has the same ones.
  void flip_if_growing(const Block& b) {
    if (1.5 * q_[at(b.low)] >= q_[at(b.high)]) return;
    std::reverse(q_.begin() + b.low, q_.begin() + b.high + 1);
    std::reverse(e_.begin() + b.low, e_.begin() + b.high);
  }

  // z = B^-1 e_n, up to its length, has the Rayleigh quotient q_n / |z|^2 and the residual q_n sqrt(|z|^2 - 1) / |z|^2: their
  // difference is a lower bound of the value that settles at the end.
  double next_shift(const Block& b, double smallest, double boldness) const {
    double rest = 0, term = 1;  // |z|^2 - 1
    for (std::int64_t i = b.high - 1; i >= b.low && term > 1e-3 * rest; --i) {
      term *= e_[at(i)] / q_[at(i)];
      rest += term;
      if (!(rest < 1)) return smallest * boldness;
    }
    rest *= 1.01;
    return rest < 1 ? q_[at(b.high)] * (1 - std::sqrt(rest)) / (1 + rest) : smallest * boldness;
  }

  // Into new_q_, new_e_; the smallest d but for the last, and the last. A negative one: the shift was too large.
  std::pair<double, double> transform(const Block& b, double shift) {
    double d = q_[at(b.low)] - shift, least = d;
    for (std::int64_t i = b.low; i < b.high; ++i) {
      const double q = d + e_[at(i)], ratio = q_[at(i + 1)] / q;
      new_q_[at(i)] = q;
      new_e_[at(i)] = e_[at(i)] * ratio;
      least = d < least ? d : least;
      d = d * ratio - shift;
    }
    new_q_[at(b.high)] = d;
    return {least, d};
  }

  // The two squared values of B^T B = [[q0, sqrt(q0 e0)], [., q1 + e0]].
  void two(const Block& b) {
    const double q0 = q_[at(b.low)], e0 = e_[at(b.low)], q1 = q_[at(b.high)];
    const double half = ((q0 - q1) + e0) / 2,  // of the trace, less q1
        root = std::sqrt(half * half + q1 * e0), larger = q1 + (half + root);
    *found_++ = b.shifted + larger;
    *found_++ = b.shifted + (larger > 0 ? q0 * (q1 / larger) : 0.0);
  }

  std::vector<double> q_, e_, new_q_, new_e_;
  std::vector<Block> blocks_;
  double* found_ = nullptr;
  std::int64_t sweeps_ = 0;
};

void with_eigen(const MatrixBatch& in, std::int64_t b, double* values) {
  Eigen::MatrixXd a(std::max(in.rows, in.columns), std::min(in.rows, in.columns));
  const bool turned = in.rows < in.columns;
  for (std::int64_t r = 0; r < in.rows; ++r)
    for (std::int64_t c = 0; c < in.columns; ++c)
      a(turned ? c : r, turned ? r : c) =
          static_cast<double>(in.data[b * in.batch_stride + r * in.row_stride + c * in.column_stride]);
  if (a.allFinite())
    std::ranges::copy(dense_singular_values(a.data(), a.rows(), a.cols()), values);
  else
    std::fill_n(values, a.cols(), std::numeric_limits<double>::quiet_NaN());
}

struct Scratch {
  QuotientDifference values;
  std::unique_ptr<Doubles[]> a, rest;
};

// The values of matrix b, from its bidiagonal form.
void put_values(const MatrixBatch& in, std::int64_t b, Scratch& scratch, std::vector<double>& diagonal,
                const std::vector<double>& above, double* values) {
  if (!scratch.values.values(diagonal.data(), above.data(), static_cast<std::int64_t>(diagonal.size()))) {
    with_eigen(in, b, values);
    return;
  }
  std::sort(diagonal.begin(), diagonal.end(), std::greater<>());
  std::copy(diagonal.begin(), diagonal.end(), values);
}

void one(const MatrixBatch& in, std::int64_t b, Scratch& scratch, double* values) {
  const std::int64_t m = std::max(in.rows, in.columns), n = std::min(in.rows, in.columns),
                     width = (n + lanes - 1) / lanes;
  if (!scratch.a) {
    scratch.a.reset(new Doubles[static_cast<std::size_t>(m * width)]);
    scratch.rest.reset(new Doubles[static_cast<std::size_t>(2 * width + (m + lanes - 1) / lanes)]);
  }
  std::fill_n(scratch.a.get(), m * width, Doubles{});
  double* const a = reinterpret_cast<double*>(scratch.a.get());
  const std::int64_t row_stride = in.rows < in.columns ? in.column_stride : in.row_stride,
                     column_stride = in.rows < in.columns ? in.row_stride : in.column_stride;
  double odd = 0;  // not 0 once a value is not finite
  for (std::int64_t r = 0; r < m; ++r)
    for (std::int64_t c = 0; c < n; ++c) {
      const auto x = static_cast<double>(in.data[b * in.batch_stride + r * row_stride + c * column_stride]);
      a[r * width * lanes + c] = x;
      odd += x - x;
    }
  if (odd != 0) {
    std::fill_n(values, n, std::numeric_limits<double>::quiet_NaN());
    return;
  }
  std::vector<double> d(static_cast<std::size_t>(n)), e(static_cast<std::size_t>(n));
  bidiagonalise_one(scratch.a.get(), m, n, d.data(), e.data(), scratch.rest.get());
  put_values(in, b, scratch, d, e, values);
}

// Matrices [first, first + lanes), as far as there are so many.
void interleaved(const MatrixBatch& in, std::int64_t first, Scratch& scratch, double* values) {
  const std::int64_t m = std::max(in.rows, in.columns), n = std::min(in.rows, in.columns);
  if (!scratch.a) {
    scratch.a.reset(new Doubles[static_cast<std::size_t>(m * n)]);
    scratch.rest.reset(new Doubles[static_cast<std::size_t>(m + 4 * n)]);
  }
  Doubles *const a = scratch.a.get(), *const diagonal = scratch.rest.get(), *const above = diagonal + n;
  const std::int64_t count = std::min<std::int64_t>(lanes, in.batches - first);
  const bool turned = in.rows < in.columns;
  Doubles odd = {};  // not 0 once a value is not finite
  for (std::int64_t r = 0; r < m; ++r)
    for (std::int64_t c = 0; c < n; ++c) {
      const float* const from =
          in.data + (turned ? c : r) * in.row_stride + (turned ? r : c) * in.column_stride;
      Doubles x = {};
      for (std::int64_t l = 0; l < count; ++l)
        x[l] = static_cast<double>(from[(first + l) * in.batch_stride]);
      a[r * n + c] = x;
      odd += x - x;
    }
  bidiagonalise(a, m, n, diagonal, above, above + n);
  std::vector<double> d(static_cast<std::size_t>(n)), e(static_cast<std::size_t>(n));
  for (std::int64_t l = 0; l < count; ++l) {
    double* const out = values + (first + l) * n;
    if (odd[l] != 0) {
      std::fill(out, out + n, std::numeric_limits<double>::quiet_NaN());
      continue;
    }
    for (std::int64_t i = 0; i < n; ++i) {
      d[static_cast<std::size_t>(i)] = diagonal[i][l];
      e[static_cast<std::size_t>(i)] = above[i][l];
    }
    put_values(in, first + l, scratch, d, e, out);
  }
}

}  // namespace

void singular_values(const MatrixBatch& in, double* values, int threads) {
  const std::int64_t n = std::min(in.rows, in.columns);
  if (n == 0) return;
  constexpr std::int64_t least_alone = 16;  // columns
  std::vector<Scratch> scratch(static_cast<std::size_t>(std::max(threads, 1)));
  if (n > largest_interleaved || (in.batches == 1 && n >= least_alone)) {
    parallel_for(in.batches, threads, [&](std::int64_t b, int t) {
      one(in, b, scratch[static_cast<std::size_t>(t)], values + b * n);
    });
    return;
  }
  parallel_for((in.batches + lanes - 1) / lanes, threads, [&](std::int64_t group, int t) {
    interleaved(in, group * lanes, scratch[static_cast<std::size_t>(t)], values);
  });
}

}  // namespace gapbench::kernels
