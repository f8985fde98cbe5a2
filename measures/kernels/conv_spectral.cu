// CUDA version of circular_conv_norm: see conv_spectral.h for the contract. One of each pair of conjugate frequencies, as many at a
// time as the device holds: their blocks are built from the taps in float32, rows as in the CPU version; then Lanczos iterations
// on A^H A, in step with each other, so that a frequency stops early where it cannot exceed the best of the others. Products of
// matrices and vectors are float32, as devices convert to float64 slowly; vectors and coefficients are float64.
//
// A team of thread blocks does a frequency, each of them a tile of A's rows, which it keeps in shared memory. A step is A_tile v and
// A_tile^H of that; the shares of a team are exchanged in device memory, and each of it adds them up in their order and does the
// rest of the step alone. Teams have one member for small matrices or many frequencies (plan_of).
#include <cooperative_groups.h>
#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

#include "measures/kernels/conv_spectral.h"
#include "measures/kernels/cuda_lanczos.h"
#include "measures/kernels/cuda_launch.h"
#include "measures/kernels/ritz_bound.h"

namespace gapbench {
namespace kernels {
namespace {

constexpr int threads = 256, most_steps = 400, publish_every = 8, most_group = 8;
constexpr std::int64_t most_taps = 3072;  // times frequencies of a group, in 48 KiB of shared memory
constexpr double tolerance = 2e-7;        // of residuals, relative to s^2
constexpr double missed = 1e-6;           // probability that a frequency is given up wrongly, at most
constexpr std::int64_t most_memory = std::int64_t{256} << 20;
constexpr std::int64_t worth_a_team =
    1 << 14;  // entries of a matrix, in a step about what a barrier of the grid takes
constexpr std::int64_t static_shared = 7 * 1024;  // an upper bound

struct Plan {
  CircularConv shape;
  std::int64_t height, width;          // of the coarse grid
  std::int64_t phases_y, phases_x;     // of the input grid that the kernel reaches
  std::int64_t rows, columns, taps;    // of a block
  std::int64_t frequencies, together;  // all; in one group
  std::int64_t team, tile;             // thread blocks a frequency, rows of one of them
  std::int64_t shared_bytes;
  bool outputs_are_rows, kept, vectors_shared;  // kept: the tile, in shared memory
};

struct State {
  unsigned largest;       // bits of the largest |w|
  double best, residual;  // s^2 of w 2^-exponent, and the residual of its Ritz pair
  std::int64_t steps;
  bool converged;
};
struct Found {
  double value, residual;
  int steps;
  bool converged;  // or cannot exceed the best
  bool done;
};

// Whether there is a norm to look for; then the power of two that brings w near 1.
__device__ bool exponent_of(const State& s, int& exponent) {
  const float largest = __uint_as_float(s.largest);
  if (s.largest == 0 || s.largest >= 0x7f800000u) return false;
  exponent = ilogb(static_cast<double>(largest));
  return true;
}

__global__ void __launch_bounds__(threads) scan(const float* w, std::int64_t n, State* state) {
  unsigned largest = 0;  // absolute values of floats are ordered as their bits, infinities and NaNs last
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * threads + threadIdx.x; i < n;
       i += static_cast<std::int64_t>(gridDim.x) * threads)
    largest = max(largest, __float_as_uint(w[i]) & 0x7fffffffu);
  for (int step = 16; step > 0; step /= 2)
    largest = max(largest, __shfl_xor_sync(0xffffffffu, largest, step));
  if (threadIdx.x % 32 == 0 && largest > 0) atomicMax(&state->largest, largest);
}

// The f-th of the frequencies (u, v): row 0, then the rows that have a mirror image, then the middle one.
__device__ void frequency_of(const Plan& p, std::int64_t f, std::int64_t& u, std::int64_t& v) {
  const std::int64_t half = p.width / 2 + 1, whole = (p.height - 1) / 2 * p.width;
  u = f < half ? 0 : f < half + whole ? 1 + (f - half) / p.width : p.height / 2;
  v = f < half ? f : f < half + whole ? (f - half) % p.width : f - half - whole;
}

// float64 of x, which is not below 2^-126 or as good as zero: zero becomes 2^-127. The conversion of the language is slow.
__device__ inline double widened(float x) {
  const int bits = static_cast<int>(__float_as_uint(x));
  return __hiloint2double((bits >> 3 & static_cast<int>(0x8fffffffu)) + 0x38000000,
                          static_cast<int>(static_cast<unsigned>(bits) << 29));
}

// blocks[f][rows][columns] of `count` frequencies; a thread does an entry of up to `group` of them, `tiles` thread blocks a group.
__global__ void __launch_bounds__(threads) build(const float* w, Plan p, std::int64_t first, int count,
                                                 int group, int tiles, const State* state, float2* blocks) {
  double2* const turns = dynamic_shared<double2>();  // [frequencies of the group][taps]
  const CircularConv& c = p.shape;
  int exponent;
  if (!exponent_of(*state, exponent)) return;
  const int start = static_cast<int>(blockIdx.x) / tiles * group, many = min(group, count - start);
  const int taps = static_cast<int>(p.taps);
  for (int i = threadIdx.x; i < many * taps; i += threads) {
    std::int64_t u, v;
    frequency_of(p, first + start + i / taps, u, v);
    const std::int64_t a = i % taps / c.kernel_width / c.stride, b = i % taps % c.kernel_width / c.stride;
    const double angle = static_cast<double>(u * a % p.height) / static_cast<double>(p.height) +
                         static_cast<double>(v * b % p.width) / static_cast<double>(p.width);
    sincospi(-2 * angle, &turns[i].y, &turns[i].x);
  }
  __syncthreads();
  // two factors: one may leave float32's range
  const float half = static_cast<float>(ldexp(1.0, -exponent / 2)),
              rest = static_cast<float>(ldexp(1.0, -exponent - -exponent / 2));
  const int inputs = static_cast<int>(c.inputs), columns = static_cast<int>(p.columns),
            stride = static_cast<int>(c.stride), kernel_height = static_cast<int>(c.kernel_height),
            kernel_width = static_cast<int>(c.kernel_width), phases_x = static_cast<int>(p.phases_x);
  const std::int64_t entries = p.rows * p.columns;
  for (std::int64_t e = static_cast<std::int64_t>(blockIdx.x) % tiles * threads + threadIdx.x; e < entries;
       e += static_cast<std::int64_t>(tiles) * threads) {
    const int row = static_cast<int>(e / columns), column = static_cast<int>(e - std::int64_t{row} * columns);
    const int phase = p.outputs_are_rows ? 0 : row / inputs;
    const std::int64_t o = p.outputs_are_rows ? row : column, i = p.outputs_are_rows ? column : row % inputs;
    const float* const tap = w + (o * inputs + i) * taps;
    double2 sums[most_group] = {};
    for (int a = phase / phases_x; a < kernel_height; a += stride)
      for (int b = phase % phases_x; b < kernel_width; b += stride) {
        const int t = a * kernel_width + b;
        const double x = widened(tap[t] * half * rest);
#pragma unroll
        for (int g = 0; g < most_group; ++g)
          if (g < many) {
            sums[g].x += x * turns[g * taps + t].x;
            sums[g].y += x * turns[g * taps + t].y;
          }
      }
#pragma unroll
    for (int g = 0; g < most_group; ++g)
      if (g < many)
        blocks[(start + g) * entries + e] =
            make_float2(static_cast<float>(sums[g].x), static_cast<float>(sums[g].y));
  }
}

// Rows row .. row + Rows of columns first + lane + 32 k, zero beyond the matrix.
template <int Columns, int Rows>
struct Entries {
  float2 entry[Rows][Columns];
  __device__ Entries(const float2* a, int row, int rows, int first, int columns) {
#pragma unroll
    for (int i = 0; i < Rows; ++i)
#pragma unroll
      for (int k = 0; k < Columns; ++k) {
        const int c = first + static_cast<int>(threadIdx.x) % 32 + 32 * k;
        entry[i][k] = row + i < rows && c < columns ? a[static_cast<std::int64_t>(row + i) * columns + c]
                                                    : make_float2(0.0f, 0.0f);
      }
  }
  __device__ void multiply(const float2 (&v)[Columns], float2 (&y)[Rows]) const {
#pragma unroll
    for (int k = 0; k < Columns; ++k)
#pragma unroll
      for (int i = 0; i < Rows; ++i) {
        y[i].x += entry[i][k].x * v[k].x;
        y[i].x -= entry[i][k].y * v[k].y;
        y[i].y += entry[i][k].x * v[k].y;
        y[i].y += entry[i][k].y * v[k].x;
      }
  }
  __device__ void add_adjoint(const float2 (&y)[Rows], float2 (&z)[Columns]) const {
#pragma unroll
    for (int i = 0; i < Rows; ++i)
#pragma unroll
      for (int k = 0; k < Columns; ++k) {
        z[k].x += entry[i][k].x * y[i].x;
        z[k].x += entry[i][k].y * y[i].y;
        z[k].y += entry[i][k].x * y[i].y;
        z[k].y -= entry[i][k].y * y[i].x;
      }
  }
};

// v's entries at the columns of Entries.
template <int Columns>
__device__ void take(const float2* v, int first, int columns, float2 (&mine)[Columns]) {
#pragma unroll
  for (int k = 0; k < Columns; ++k) {
    const int c = first + static_cast<int>(threadIdx.x) % 32 + 32 * k;
    mine[k] = c < columns ? v[c] : make_float2(0.0f, 0.0f);
  }
}

// The sums over all lanes, on all of them.
template <int Rows>
__device__ void add_lanes(float2 (&sums)[Rows]) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2)
#pragma unroll
    for (int i = 0; i < Rows; ++i) {
      sums[i].x += __shfl_xor_sync(0xffffffffu, sums[i].x, step);
      sums[i].y += __shfl_xor_sync(0xffffffffu, sums[i].y, step);
    }
}

// Of float2: a column set for each warp; or the Ritz value's scratch.
template <int Columns, int Threads>
constexpr int part_size =
    Threads * Columns > ritz_scratch<most_steps> ? Threads* Columns : ritz_scratch<most_steps>;

// store(column, value of A^H A v) of a tile's rows; a warp takes Rows of them at a time. `part`: see part_size.
template <int Columns, int Rows, int Threads, class Store>
__device__ void gram(const float2* a, int rows, int columns, const float2* v, float2* y, float2* part,
                     const Store& store) {
  constexpr int warps = Threads / 32, width = 32 * Columns;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const bool whole = columns <= width;
  float2 mine[Columns];
  if (!whole)
    for (int row = warp * Rows; row < rows; row += warps * Rows) {
      float2 sums[Rows] = {};
      for (int first = 0; first < columns; first += width) {
        take<Columns>(v, first, columns, mine);
        Entries<Columns, Rows>(a, row, rows, first, columns).multiply(mine, sums);
      }
      add_lanes<Rows>(sums);
      for (int i = 0; i < Rows && row + i < rows; ++i)
        if (lane == 0) y[row + i] = sums[i];
    }
  __syncwarp();
  if (whole) take<Columns>(v, 0, columns, mine);
  for (int first = 0; first < columns; first += width) {
    float2 z[Columns] = {};
    for (int row = warp * Rows; row < rows; row += warps * Rows) {
      const Entries<Columns, Rows> entries(a, row, rows, first, columns);
      float2 sums[Rows] = {};
      if (whole) {
        entries.multiply(mine, sums);
        add_lanes<Rows>(sums);
      } else {
#pragma unroll
        for (int i = 0; i < Rows; ++i)
          if (row + i < rows) sums[i] = y[row + i];
      }
      entries.add_adjoint(sums, z);
    }
    __syncthreads();  // those who still read the parts of other columns, or a Ritz value's scratch
#pragma unroll
    for (int k = 0; k < Columns; ++k) part[warp * width + lane + 32 * k] = z[k];
    __syncthreads();
    for (int c = thread; c < width && first + c < columns; c += Threads) {
      float2 sum = part[c];
#pragma unroll
      for (int w = 1; w < warps; ++w) {
        sum.x += part[w * width + c].x;
        sum.y += part[w * width + c].y;
      }
      store(first + c, sum);
    }
  }
}

// Lanczos on A^H A without re-orthogonalisation: copies of converged values may appear, the largest stays right to rounding.
// `published`: two sets of what is found so far, written and read in turn; `exchange`: two of the teams' shares.
template <int Columns, int Rows, int Threads, int Residents>
__global__ void __launch_bounds__(Threads, Residents)
    solve(Plan p, const float2* blocks, double2* memory, float2* exchange, const State* state,
          Found* published, Found* found) {
  __shared__ double diagonal[most_steps], off_diagonal[most_steps];
  __shared__ double best_of_warp[Threads / 32];
  int exponent;
  if (!exponent_of(*state, exponent)) return;
  const cooperative_groups::grid_group grid = cooperative_groups::this_grid();
  const int columns = static_cast<int>(p.columns), tile = static_cast<int>(p.tile),
            team = static_cast<int>(p.team);
  const int thread = static_cast<int>(threadIdx.x);
  const int count = static_cast<int>(gridDim.x) / team, f = static_cast<int>(blockIdx.x) / team,
            member = static_cast<int>(blockIdx.x) % team;
  const int rows = max(0, min(tile, static_cast<int>(p.rows) - member * tile));
  float2* const part = dynamic_shared<float2>();
  float2* const behind = part + part_size<Columns, Threads>;
  double2* v = p.vectors_shared ? reinterpret_cast<double2*>(behind)
                                : memory + static_cast<std::int64_t>(blockIdx.x) * (4 * columns + tile);
  double2 *before = v + columns, *z = before + columns;
  float2 *const rounded = reinterpret_cast<float2*>(z + columns), *const y = rounded + columns;
  const float2* a = blocks + (f * p.rows + member * tile) * columns;
  if (p.kept) {
    float2* const here = y + (columns > 512 ? tile : 0);  // vectors are shared too
    for (int e = thread; e < rows * columns; e += Threads) here[e] = a[e];
    a = here;
  }

  double squares = 0;
  for (int c = thread; c < columns; c += Threads) {
    v[c] = make_double2(start_entry(2 * c), start_entry(2 * c + 1));
    before[c] = make_double2(0, 0);
    squares += v[c].x * v[c].x + v[c].y * v[c].y;
  }
  const double start = 1 / sqrt(block_total<Threads>(squares));
  const auto scale_to = [&](double2* to, int c, double factor) {
    to[c] = make_double2(to[c].x * factor, to[c].y * factor);
    rounded[c] = make_float2(static_cast<float>(to[c].x), static_cast<float>(to[c].y));
  };
  for (int c = thread; c < columns; c += Threads) scale_to(v, c, start);
  __syncthreads();
  Found mine{0, 0, 0, false, false};
  double beta = 0, best = state->best;
  for (int step = 0; step < most_steps; ++step) {
    float2* const shares = exchange + (step % 2 * count + f) * static_cast<std::int64_t>(team) * columns;
    if (!mine.done)
      gram<Columns, Rows, Threads>(a, rows, columns, rounded, y, part, [&](int c, float2 value) {
        if (team > 1)
          shares[member * columns + c] = value;
        else
          z[c] = make_double2(static_cast<double>(value.x), static_cast<double>(value.y));
      });
    if (team > 1) grid.sync();
    if (!mine.done) {
      double alpha = 0;
      for (int c = thread; c < columns; c += Threads) {
        if (team > 1) {
          float2 sum = shares[c];
#pragma unroll 4
          for (int m = 1; m < team; ++m) {
            const float2 share = shares[m * columns + c];
            sum.x += share.x;
            sum.y += share.y;
          }
          z[c] = make_double2(static_cast<double>(sum.x), static_cast<double>(sum.y));
        }
        alpha += v[c].x * z[c].x + v[c].y * z[c].y;
      }
      alpha = block_total<Threads>(alpha);
      double rest = 0;
      for (int c = thread; c < columns; c += Threads) {
        z[c].x -= alpha * v[c].x + beta * before[c].x;
        z[c].y -= alpha * v[c].y + beta * before[c].y;
        rest += z[c].x * z[c].x + z[c].y * z[c].y;
      }
      beta = sqrt(block_total<Threads>(rest));
      if (thread == 0) {
        diagonal[step] = alpha;
        off_diagonal[step] = beta;
      }
      __syncthreads();
      const bool invariant = beta <= 1e-14 * diagonal[0] || beta == 0;
      if (invariant || looks(step) || step + 1 == most_steps) {
        const RitzValue top = top_ritz_value<Threads>(
            diagonal, off_diagonal, step + 1, mine.value * (1 - 1e-12), reinterpret_cast<double*>(part));
        mine = {top.value, beta * top.last, step + 1, false, false};
        mine.converged = invariant || mine.residual <= tolerance * mine.value ||
                         stays_below(best, mine.value, step + 1, 2 * columns, missed);
        mine.done = mine.converged;
      }
      const double inverse = 1 / beta;
      for (int c = thread; c < columns; c += Threads) scale_to(z, c, inverse);
      double2* const free = before;
      before = v;
      v = z;
      z = free;
      __syncthreads();
    }
    if (step % publish_every != publish_every - 1) continue;
    Found* const all = published + step / publish_every % 2 * count;
    if (thread == 0 && member == 0) all[f] = mine;
    grid.sync();
    bool ended = true;
    double largest = 0;  // Ritz values are lower bounds
    for (int other = thread; other < count; other += Threads) {
      ended = ended && all[other].done;
      largest = fmax(largest, all[other].value);
    }
    for (int lanes = 16; lanes > 0; lanes /= 2)
      largest = fmax(largest, __shfl_xor_sync(0xffffffffu, largest, lanes));
    if (thread % 32 == 0) best_of_warp[thread / 32] = largest;
    if (__syncthreads_and(ended)) break;
    for (int w = 0; w < Threads / 32; ++w) best = fmax(best, best_of_warp[w]);
    if (stays_below(best, mine.value, mine.steps, 2 * columns, missed)) mine.converged = mine.done = true;
  }
  if (thread == 0 && member == 0) found[f] = mine;
}

// Takes in the group's results: one warp. Of equal values the first counts.
__global__ void merge(const Found* found, int count, State* state, OperatorNorm* out) {
  int exponent = 0;
  const bool any = exponent_of(*state, exponent);
  double value = 0, residual = 0;
  int steps = 0;
  bool converged = true;
  for (int f = threadIdx.x; any && f < count; f += 32) {
    steps += found[f].steps;
    converged = converged && found[f].converged;
    if (found[f].value > value) value = found[f].value, residual = found[f].residual;
  }
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    const double others = __shfl_xor_sync(0xffffffffu, value, lanes),
                 residual_of_others = __shfl_xor_sync(0xffffffffu, residual, lanes);
    if (others > value || (others == value && residual_of_others > residual))
      value = others, residual = residual_of_others;
    steps += __shfl_xor_sync(0xffffffffu, steps, lanes);
  }
  converged = __all_sync(0xffffffffu, converged);
  if (threadIdx.x != 0) return;
  OperatorNorm norm{0, 0, 0, state->largest < 0x7f800000u};
  if (any && count > 0) {
    state->converged = converged && (state->steps == 0 || state->converged);
    state->steps += steps;
    if (value > state->best) state->best = value, state->residual = residual;
    norm = {ldexp(sqrt(state->best), exponent), state->best > 0 ? state->residual / state->best : 0,
            state->steps, state->converged};
  }
  *out = norm;
}

constexpr std::int64_t aligned(std::int64_t bytes) {
  return (bytes + 255) / 256 * 256;
}

using Solver = void (*)(Plan, const float2*, double2*, float2*, const State*, Found*, Found*);
struct Variant {
  Solver kernel;
  unsigned threads;
  std::int64_t part_bytes;
};
template <int Columns, int Rows, int Threads, int Residents>
Variant variant() {
  return {solve<Columns, Rows, Threads, Residents>, Threads, 8 * std::int64_t{part_size<Columns, Threads>}};
}
Variant variant_of(std::int64_t columns) {
  return columns <= 32    ? variant<1, 4, 128, 4>()
         : columns <= 64  ? variant<2, 4, 128, 4>()
         : columns <= 128 ? variant<4, 4, 256, 2>()
         : columns <= 256 ? variant<8, 2, 512, 1>()
                          : variant<16, 2, 256, 1>();
}

// Members of a team: 1 where there are as many frequencies as multiprocessors, or matrices are small; else as many as there are
// multiprocessors for, up to sqrt(0.6 rows), beyond which their shares are more work than their rows. But so many that a tile
// fits into shared memory, where that is possible.
Plan plan_of(const CircularConv& c) {
  Plan p{};
  p.shape = c;
  p.height = (c.height + c.stride - 1) / c.stride;
  p.width = (c.width + c.stride - 1) / c.stride;
  p.phases_y = c.stride < c.kernel_height ? c.stride : c.kernel_height;
  p.phases_x = c.stride < c.kernel_width ? c.stride : c.kernel_width;
  p.taps = c.kernel_height * c.kernel_width;
  p.outputs_are_rows = c.stride == 1 && c.outputs >= c.inputs;
  p.rows = p.outputs_are_rows ? c.outputs : p.phases_y * p.phases_x * c.inputs;
  p.columns = p.outputs_are_rows ? c.inputs : c.outputs;
  p.team = p.together = 1;
  p.tile = p.rows;
  if (p.rows * p.columns == 0 || p.height * p.width == 0) return p;
  p.frequencies =
      p.taps == 1 ? 1 : (p.height % 2 == 0 ? 2 : 1) * (p.width / 2 + 1) + (p.height - 1) / 2 * p.width;

  const Variant variant = variant_of(p.columns);
  const std::int64_t device = multiprocessors(), part = variant.part_bytes,
                     most = static_cast<std::int64_t>(most_shared_bytes()) - static_shared;
  const auto tile_of = [&](std::int64_t team) { return (p.rows + team - 1) / team; };
  const auto vectors = [&](std::int64_t tile) { return 56 * p.columns + 8 * (p.columns > 512 ? tile : 0); };
  const auto all = [&](std::int64_t tile) { return part + vectors(tile) + 8 * tile * p.columns; };
  if (p.frequencies < device && p.rows * p.columns >= worth_a_team) {
    p.team = static_cast<std::int64_t>(std::sqrt(0.6 * static_cast<double>(p.rows)));
    if (p.team > device / p.frequencies) p.team = device / p.frequencies;
  }
  std::int64_t fitting = p.team;
  while (fitting < device && fitting < p.rows && all(tile_of(fitting)) > most) ++fitting;
  p.kept = all(tile_of(fitting)) <= most;
  if (p.kept) p.team = fitting;
  p.tile = tile_of(p.team);
  p.team = (p.rows + p.tile - 1) / p.tile;
  p.vectors_shared = p.kept || part + vectors(p.tile) <= most;
  p.shared_bytes = p.kept ? all(p.tile) : part + (p.vectors_shared ? vectors(p.tile) : 0);
  cudaFuncSetAttribute(variant.kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(most));
  p.together =
      most_together(variant.kernel, variant.threads, static_cast<std::size_t>(p.shared_bytes)) / p.team;
  const std::int64_t in_memory = most_memory / (8 * p.rows * p.columns);
  if (p.together > in_memory) p.together = in_memory;
  if (p.together > p.frequencies) p.together = p.frequencies;
  if (p.together < 1) p.together = 1;
  return p;
}

struct Layout {
  std::size_t found, published, exchange, blocks, vectors, end;
  explicit Layout(const Plan& p) {
    std::size_t at = aligned(sizeof(State));
    const auto take = [&at](std::int64_t bytes) {
      const std::size_t here = at;
      at += static_cast<std::size_t>(aligned(bytes));
      return here;
    };
    const auto each = static_cast<std::int64_t>(sizeof(Found));
    found = take(p.together * each);
    published = take(2 * p.together * each);
    exchange = take(p.team > 1 ? 2 * p.together * p.team * p.columns * 8 : 0);
    blocks = take(p.together * p.rows * p.columns * 8);
    vectors = take(p.vectors_shared ? 0 : p.together * p.team * (4 * p.columns + p.tile) * 16);
    end = at;
  }
};

}  // namespace

std::size_t circular_conv_norm_cuda_workspace(const CircularConv& shape) {
  return Layout(plan_of(shape)).end;
}

int circular_conv_norm_cuda(const float* w, const CircularConv& shape, OperatorNorm* out, void* workspace,
                            void* stream) {
  const Plan plan = plan_of(shape);
  const Layout layout(plan);
  const auto s = static_cast<cudaStream_t>(stream);
  char* const memory = static_cast<char*>(workspace);
  State* const state = static_cast<State*>(workspace);
  const auto part = [&](std::size_t offset) { return static_cast<void*>(memory + offset); };
  Found* const found = static_cast<Found*>(part(layout.found));
  float2* const blocks = static_cast<float2*>(part(layout.blocks));
  cudaMemsetAsync(state, 0, sizeof(State), s);
  const std::int64_t n = shape.outputs * shape.inputs * plan.taps, scans = (n + threads - 1) / threads;
  if (n > 0) launch({static_cast<unsigned>(scans < 1024 ? scans : 1024), threads, s}, scan, w, n, state);
  if (plan.frequencies == 0) launch({1, 32, s}, merge, found, 0, state, out);
  const Variant variant = variant_of(plan.columns);
  const std::int64_t wanted = (plan.rows * plan.columns + threads - 1) / threads;
  const int tiles = static_cast<int>(wanted < 1 ? 1 : wanted < 1024 ? wanted : 1024);
  const int group = plan.taps * most_group <= most_taps ? most_group : plan.taps * 2 <= most_taps ? 2 : 1;
  for (std::int64_t first = 0; first < plan.frequencies; first += plan.together) {
    const std::int64_t left = plan.frequencies - first;
    const auto count = static_cast<unsigned>(left < plan.together ? left : plan.together);
    launch({(count + static_cast<unsigned>(group) - 1) / static_cast<unsigned>(group) *
                static_cast<unsigned>(tiles),
            threads, s, static_cast<std::size_t>(plan.taps * group) * sizeof(double2)},
           build, w, plan, first, static_cast<int>(count), group, tiles, state, blocks);
    launch({count * static_cast<unsigned>(plan.team), variant.threads, s,
            static_cast<std::size_t>(plan.shared_bytes), 1, 1, true},
           variant.kernel, plan, blocks, static_cast<double2*>(part(layout.vectors)),
           static_cast<float2*>(part(layout.exchange)), state, static_cast<Found*>(part(layout.published)),
           found);
    launch({1, 32, s}, merge, found, static_cast<int>(count), state, out);
  }
  return cudaGetLastError();
}

}  // namespace kernels
}  // namespace gapbench
