// CPU version. At stride s the block of a coarse frequency is built from the s x s phases of the input grid,
// [sum over taps of phase p, p = 1 .. s^2]: the folded blocks of the contract times a unitary matrix, at the
// cost of each tap once. Frequencies are visited by falling Frobenius norm, which bounds the operator norm
// and costs a quadratic form in the taps' Gram matrix; the first whose bound is below the largest norm found
// ends the search. The rest run Lanczos on A^H A in float32 until they either surely fall behind or converge, and
// what converges near the top is finished in float64 from its Ritz vector. The block of a frequency that is its own conjugate
// is real: half of the memory, a quarter of the work.
#include <Eigen/Dense>
#include <algorithm>
#include <bit>
#include <cmath>
#include <complex>
#include <numbers>
#include <numeric>

#include "measures/kernels/conv_spectral.h"
#include "measures/kernels/ritz_bound.h"
#include "measures/numerics/instruction_set.h"
#include "measures/numerics/parallel_for.h"
#include "measures/numerics/philox.h"

namespace gapbench::kernels {

namespace {

template <class Real>
struct Loops {
  void (*gather_row)(const float* from, std::int64_t column_step, const std::int64_t* positions,
                     std::int64_t count, std::int64_t columns, std::int64_t stride, float factor, float* to);
  // of one plane, of two
  void (*build_row[2])(const float* taps, const double* phase, std::int64_t count, std::int64_t stride,
                       Real* out);
  void (*apply_gram[2])(const Real* a, std::int64_t rows, std::int64_t stride, const Real* x, Real* z);
  double (*dot)(const Real* x, const Real* y, std::int64_t n);
  void (*add_scaled)(Real* x, const Real* y, double factor, std::int64_t n);
  void (*scale)(const Real* x, double factor, Real* out, std::int64_t n);
};

#if defined(__x86_64__)
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512dq,fma,prefer-vector-width=512")
#define REAL float
#define VECTOR 16
#define NAME avx512_float
#include "measures/kernels/conv_spectral_block.inc"
#define REAL double
#define VECTOR 8
#define NAME avx512_double
#include "measures/kernels/conv_spectral_block.inc"
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define REAL float
#define VECTOR 8
#define NAME avx2_float
#include "measures/kernels/conv_spectral_block.inc"
#define REAL double
#define VECTOR 4
#define NAME avx2_double
#include "measures/kernels/conv_spectral_block.inc"
#pragma GCC pop_options
#endif
#define REAL float
#define VECTOR 4
#define NAME generic_float
#include "measures/kernels/conv_spectral_block.inc"
#define REAL double
#define VECTOR 2
#define NAME generic_double
#include "measures/kernels/conv_spectral_block.inc"

struct Variant {
  const Loops<float>& single;
  const Loops<double>& full;
  template <class Real>
  const Loops<Real>& loops() const {
    if constexpr (sizeof(Real) == 4)
      return single;
    else
      return full;
  }
};

Variant variant() {
#if defined(__x86_64__)
  if (instruction_set() == InstructionSet::avx512) return {avx512_float::loops, avx512_double::loops};
  if (instruction_set() == InstructionSet::avx2) return {avx2_float::loops, avx2_double::loops};
#endif
  return {generic_float::loops, generic_double::loops};
}

constexpr std::int64_t direct_limit = 8;         // columns up to which the Gram matrix is diagonalised
constexpr int first_check = 8, check_every = 4;  // Lanczos steps
constexpr int single_steps = 200, full_steps = 1000;
constexpr double single_tolerance = 2e-5, tolerance = 2e-7;  // of residuals, relative to s^2
constexpr double missed = 1e-3;        // probability that a search is given up wrongly, at most
constexpr double single_error = 1e-5;  // of float32 values of s^2, relative

// The kernel as rows of taps, scaled by a power of two. Row r of the block at a frequency is the sum of
// counts[g] taps of `stride` floats each, g the row's phase of the input grid.
struct Taps {
  std::int64_t rows = 0, columns = 0, stride = 0;
  struct Phase {
    std::int64_t first_row, rows;
    std::vector<std::pair<std::int64_t, std::int64_t>> shifts;  // of each tap, on the coarse grid
    std::vector<float> values;                                  // [rows][taps][stride]
    Eigen::MatrixXd gram;                                       // of the taps, for the Frobenius norm
  };
  std::vector<Phase> phases;
};

Taps gather_taps(std::span<const float> w, const CircularConv& c, float scale, int threads) {
  const Loops<float>& loops = variant().single;
  Taps taps;
  const bool strided = c.stride > 1, outputs_are_rows = !strided && c.outputs >= c.inputs;
  taps.columns = outputs_are_rows ? c.inputs : c.outputs;
  taps.stride = (taps.columns + 15) / 16 * 16;
  const std::int64_t group_rows = outputs_are_rows ? c.outputs : c.inputs;
  const std::int64_t positions = c.kernel_height * c.kernel_width;
  for (std::int64_t p = 0; p < std::min(c.stride, c.kernel_height); ++p)
    for (std::int64_t q = 0; q < std::min(c.stride, c.kernel_width); ++q) {
      Taps::Phase phase{taps.rows, group_rows, {}, {}, {}};
      std::vector<std::int64_t> positions_of_taps;
      for (std::int64_t a = p; a < c.kernel_height; a += c.stride)
        for (std::int64_t b = q; b < c.kernel_width; b += c.stride) {
          phase.shifts.emplace_back(a / c.stride, b / c.stride);
          positions_of_taps.push_back(a * c.kernel_width + b);
        }
      const auto count = static_cast<std::int64_t>(phase.shifts.size());
      phase.values.assign(static_cast<std::size_t>(group_rows * count * taps.stride), 0.0f);
      phase.gram = Eigen::MatrixXd::Zero(count, count);
      const std::int64_t row_step = outputs_are_rows ? c.inputs * positions : positions;
      const std::int64_t column_step = outputs_are_rows ? positions : c.inputs * positions;
      // blocks of rows, whatever the threads: their sums are added in order
      const std::int64_t blocks = (group_rows + 31) / 32;
      std::vector<Eigen::MatrixXd> grams(static_cast<std::size_t>(blocks), phase.gram);
      parallel_for(blocks, threads, [&](std::int64_t block, int) {
        Eigen::MatrixXd& gram = grams[static_cast<std::size_t>(block)];
        for (std::int64_t r = block * 32; r < std::min(group_rows, (block + 1) * 32); ++r) {
          float* row = phase.values.data() + r * count * taps.stride;
          loops.gather_row(w.data() + r * row_step, column_step, positions_of_taps.data(), count,
                           taps.columns, taps.stride, scale, row);
          for (std::int64_t t = 0; t < count; ++t)
            for (std::int64_t k = 0; k <= t; ++k)
              gram(t, k) += loops.dot(row + t * taps.stride, row + k * taps.stride, taps.stride);
        }
      });
      for (const Eigen::MatrixXd& gram : grams) phase.gram += gram;
      phase.gram = phase.gram.selfadjointView<Eigen::Lower>();
      taps.rows += group_rows;
      taps.phases.push_back(std::move(phase));
    }
  return taps;
}

struct Frequency {
  std::int64_t u, v;
  std::int64_t
      planes;    // of the block: 1 where it is real, which it is where the frequency is its own conjugate
  double bound;  // squared Frobenius norm of the block, with room for its rounding
};

std::complex<double> turn(const Frequency& f, std::pair<std::int64_t, std::int64_t> shift,
                          std::int64_t height, std::int64_t width) {
  const double turns = static_cast<double>(f.u * shift.first % height) / static_cast<double>(height) +
                       static_cast<double>(f.v * shift.second % width) / static_cast<double>(width);
  return std::polar(1.0, -2 * std::numbers::pi * turns);
}

// One of each pair of conjugate frequencies, by falling bound.
std::vector<Frequency> frequencies(const Taps& taps, std::int64_t height, std::int64_t width) {
  std::vector<Frequency> all;
  for (std::int64_t u = 0; u < height; ++u)
    for (std::int64_t v = 0; v < width; ++v) {
      const std::int64_t mirror = (height - u) % height * width + (width - v) % width;
      if (mirror < u * width + v) continue;
      Frequency f{u, v, mirror == u * width + v ? 1 : 2, 0};
      for (const Taps::Phase& phase : taps.phases) {
        Eigen::VectorXcd turns(static_cast<Eigen::Index>(phase.shifts.size()));
        for (Eigen::Index t = 0; t < turns.size(); ++t)
          turns[t] = turn(f, phase.shifts[static_cast<std::size_t>(t)], height, width);
        // the Gram matrix's rounding is relative to its diagonal, not to the possibly small sum
        f.bound += (turns.adjoint() * phase.gram * turns)(0).real() +
                   single_error * static_cast<double>(turns.size()) * phase.gram.trace();
      }
      all.push_back(f);
    }
  std::stable_sort(all.begin(), all.end(),
                   [](const Frequency& a, const Frequency& b) { return a.bound > b.bound; });
  return all;
}

// The block at one frequency: rows, each its real parts and then, of two planes, its imaginary parts; rows up to a multiple of
// 4, the added ones zero.
template <class Real>
void build_block(const Taps& taps, const Frequency& f, std::int64_t height, std::int64_t width,
                 std::vector<Real>& block) {
  const std::int64_t row = f.planes * taps.stride;
  block.resize(static_cast<std::size_t>((taps.rows + 3) / 4 * 4 * row));
  std::fill(block.begin() + taps.rows * row, block.end(), Real{0});
  std::vector<double> turns;
  for (const Taps::Phase& phase : taps.phases) {
    turns.clear();
    for (const auto& shift : phase.shifts) {
      const std::complex<double> z = turn(f, shift, height, width);
      turns.insert(turns.end(), {z.real(), z.imag()});
    }
    const auto count = static_cast<std::int64_t>(phase.shifts.size());
    for (std::int64_t r = 0; r < phase.rows; ++r)
      variant().loops<Real>().build_row[f.planes - 1](phase.values.data() + r * count * taps.stride,
                                                      turns.data(), count, taps.stride,
                                                      block.data() + (phase.first_row + r) * row);
  }
}

// Largest eigenvalue of the symmetric tridiagonal matrix, at least `lower`, by Newton's iteration on the last
// pivot of x - T, kept inside a bracket.
double top_eigenvalue(const std::vector<double>& diagonal, const std::vector<double>& off_diagonal,
                      double lower) {
  const std::size_t n = diagonal.size();
  double upper = 0;
  for (std::size_t i = 0; i < n; ++i)
    upper =
        std::max(upper, diagonal[i] + (i > 0 ? off_diagonal[i - 1] : 0) + (i + 1 < n ? off_diagonal[i] : 0));
  double x = upper;
  for (int iteration = 0; iteration < 200 && upper - lower > 1e-14 * upper; ++iteration) {
    double pivot = x - diagonal[0], slope = 1;
    bool below = false;  // an earlier pivot is negative: x is below the largest eigenvalue
    for (std::size_t i = 1; i < n && !below; ++i) {
      below = pivot <= 0;
      const double ratio = off_diagonal[i - 1] / pivot;
      slope = 1 + ratio * ratio * slope;
      pivot = x - diagonal[i] - ratio * off_diagonal[i - 1];
    }
    (below || pivot < 0 ? lower : upper) = x;
    const double next = x - pivot / slope;
    const double middle = 0.5 * (lower + upper);
    if (below || !(next > lower && next < upper)) {
      x = middle;
    } else {
      if (std::abs(next - x) <= 1e-13 * x) return next;
      x = next;
    }
  }
  return x;
}

// Unit eigenvector of the top eigenvalue, from its last entry upwards, where it grows.
std::vector<double> top_eigenvector(const std::vector<double>& diagonal,
                                    const std::vector<double>& off_diagonal, double eigenvalue) {
  const std::size_t n = diagonal.size();
  std::vector<double> s(n, 0.0);
  s[n - 1] = 1;
  for (std::size_t i = n - 1; i > 0; --i) {
    const double next = i + 1 < n ? off_diagonal[i] * s[i + 1] : 0;
    s[i - 1] = ((eigenvalue - diagonal[i]) * s[i] - next) / off_diagonal[i - 1];
    if (std::abs(s[i - 1]) > 1e100)
      for (double& entry : s) entry *= 1e-100;
  }
  double norm = 0;
  for (const double entry : s) norm += entry * entry;
  for (double& entry : s) entry /= std::sqrt(norm);
  return s;
}

struct Search {
  double value = 0, residual = 0;  // s^2 and the residual of its Ritz pair
  int steps = 0;
  bool converged = false;
};

// Lanczos on A^H A without re-orthogonalisation: copies of converged values may appear, the largest stays
// right to rounding (Paige). Ends when the residual is `relative` or the value cannot reach `to_beat`.
// `start`, of which a real block takes the real parts, is overwritten by the Ritz vector where the search converges and by
// nothing else.
template <class Real>
Search lanczos(const std::vector<Real>& block, std::int64_t planes, const Taps& taps, int limit,
               double relative, double to_beat, std::vector<Real>& start) {
  const Loops<Real>& loops = variant().loops<Real>();
  const std::int64_t n = planes * taps.stride, rows = (taps.rows + 3) / 4 * 4;
  const auto size = static_cast<std::size_t>(n);
  std::vector<Real> basis(size), w(size);
  std::vector<double> diagonal, off_diagonal, s;
  loops.scale(start.data(), 1 / std::sqrt(loops.dot(start.data(), start.data(), n)), basis.data(), n);
  Search search;
  double lower = 0;
  for (int step = 0; step < limit; ++step) {
    const Real* v = basis.data() + static_cast<std::size_t>(step) * size;
    loops.apply_gram[planes - 1](block.data(), rows, taps.stride, v, w.data());
    diagonal.push_back(loops.dot(v, w.data(), n));
    loops.add_scaled(w.data(), v, -diagonal.back(), n);
    if (step > 0) loops.add_scaled(w.data(), v - n, -off_diagonal.back(), n);
    const double beta = std::sqrt(loops.dot(w.data(), w.data(), n));
    search.steps = step + 1;
    const bool invariant = beta <= 1e-30 || beta <= 1e-14 * diagonal.front();
    if (invariant || step + 1 == limit ||
        (step + 1 >= first_check && (step + 1 - first_check) % check_every == 0)) {
      search.value = top_eigenvalue(diagonal, off_diagonal, lower);
      lower = search.value * (1 - 1e-12);
      s = top_eigenvector(diagonal, off_diagonal, search.value);
      search.residual = beta * std::abs(s.back());
      search.converged = invariant || search.residual <= relative * search.value;
      if (search.converged) break;
      if (stays_below(to_beat, search.value, search.steps, planes * taps.columns, missed)) return search;
    }
    off_diagonal.push_back(beta);
    basis.resize(basis.size() + size);
    loops.scale(w.data(), 1 / beta, basis.data() + basis.size() - size, n);
  }
  if (!search.converged && search.steps < limit) return search;
  std::fill(start.begin(), start.end(), Real{0});
  for (std::size_t i = 0; i < s.size(); ++i) loops.add_scaled(start.data(), basis.data() + i * size, s[i], n);
  return search;
}

// Up to direct_limit columns: the largest eigenvalue of A^H A.
double direct(const std::vector<double>& block, std::int64_t planes, const Taps& taps) {
  Eigen::MatrixXcd a(taps.rows, taps.columns);
  for (std::int64_t r = 0; r < taps.rows; ++r)
    for (std::int64_t j = 0; j < taps.columns; ++j) {
      const double* row = block.data() + r * planes * taps.stride;
      a(r, j) = {row[j], planes == 2 ? row[taps.stride + j] : 0};
    }
  const Eigen::MatrixXcd gram = a.adjoint() * a;
  return Eigen::SelfAdjointEigenSolver<Eigen::MatrixXcd>(gram, Eigen::EigenvaluesOnly)
      .eigenvalues()
      .maxCoeff();
}

}  // namespace

OperatorNorm circular_conv_norm(std::span<const float> w, const CircularConv& c, int threads) {
  OperatorNorm result;
  if (w.empty()) return result;
  std::uint32_t largest = 0;  // absolute values of floats are ordered as their bits, infinities and NaNs last
  for (const float x : w) largest = std::max(largest, std::bit_cast<std::uint32_t>(x) & 0x7fffffffu);
  if (largest == 0) return result;
  if (largest >= 0x7f800000u) {
    result.converged = false;
    return result;
  }
  const int exponent = std::ilogb(std::bit_cast<float>(largest));
  // two steps: 2^-exponent itself may leave float32's range
  std::vector<float> lifted;
  if (exponent < -100) {
    lifted.reserve(w.size());
    for (const float x : w) lifted.push_back(std::ldexp(x, 40));
    w = lifted;
  }
  const Taps taps =
      gather_taps(w, c, std::ldexp(1.0f, -(exponent < -100 ? exponent + 40 : exponent)), threads);
  const std::int64_t height = (c.height + c.stride - 1) / c.stride,
                     width = (c.width + c.stride - 1) / c.stride;
  const std::vector<Frequency> all = c.kernel_height * c.kernel_width == 1
                                         ? std::vector<Frequency>{{0, 0, 1, HUGE_VAL}}
                                         : frequencies(taps, height, width);

  RandomStream random(random_key("circular convolution norm", "start"));
  std::vector<float> start(static_cast<std::size_t>(2 * taps.stride));
  for (std::int64_t j = 0; j < taps.columns; ++j) {
    start[static_cast<std::size_t>(j)] = static_cast<float>(random.normal());
    start[static_cast<std::size_t>(taps.stride + j)] = static_cast<float>(random.normal());
  }

  Search best;
  best.converged = true;
  struct Candidate {
    Search search;
    std::vector<float> vector;
  };
  // Groups that grow: all of a group's searches see the best of the groups before, so that what they do does
  // not depend on the number of threads.
  std::size_t group = 1;
  for (std::size_t first = 0; first < all.size(); first += group, group *= 4) {
    if (first > 0) group = std::min(group, all.size() - first);
    if (all[first].bound < best.value) break;
    const std::size_t count = std::min(group, all.size() - first);
    std::vector<Candidate> candidates(count);
    parallel_for(static_cast<std::int64_t>(count), threads, [&](std::int64_t index, int) {
      const auto i = static_cast<std::size_t>(index);
      const Frequency& f = all[first + i];
      Search& search = candidates[i].search;
      if (f.bound < best.value) return;
      if (taps.columns <= direct_limit) {
        thread_local std::vector<double> block;
        build_block(taps, f, height, width, block);
        search.value = direct(block, f.planes, taps);
        search.converged = true;
        return;
      }
      thread_local std::vector<float> block;
      build_block(taps, f, height, width, block);
      std::vector<float> vector = start;
      search = lanczos(block, f.planes, taps, single_steps, single_tolerance, best.value * (1 - single_error),
                       vector);
      if (search.converged || search.steps == single_steps) candidates[i].vector = std::move(vector);
    });
    std::vector<std::size_t> order(count);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return candidates[a].search.value > candidates[b].search.value;
    });
    for (const std::size_t i : order) {
      Search search = candidates[i].search;
      result.iterations += search.steps;
      if (taps.columns > direct_limit) {
        if (candidates[i].vector.empty() ||
            search.value * (1 + single_error) + search.residual * search.residual / best.value < best.value)
          continue;
        std::vector<double> block, vector(candidates[i].vector.begin(), candidates[i].vector.end());
        build_block(taps, all[first + i], height, width, block);
        search = lanczos(block, all[first + i].planes, taps, full_steps, tolerance, 0.0, vector);
        result.iterations += search.steps;
      }
      if (search.value > best.value) best = search;
    }
  }
  result.value = std::ldexp(std::sqrt(best.value), exponent);
  result.residual = best.value > 0 ? best.residual / best.value : 0;
  result.converged = best.converged;
  return result;
}

}  // namespace gapbench::kernels
