#include "measures/paths/path_sum.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "measures/layers/batch_norm.h"
#include "measures/numerics/sum.h"

namespace gapbench::measures {

namespace {

constexpr double minus_infinity = -std::numeric_limits<double>::infinity();

// Numbers v[i] exp(log_scale) >= 0, row-major [channels, height, width].
struct Scaled {
  std::vector<double> v;
  double log_scale = 0;

  double log_largest() const { return std::log(*std::max_element(v.begin(), v.end())) + log_scale; }
  // The same numbers relative to exp(target), which is at least the largest of them.
  void rescale(double target) {
    const double factor = std::exp(log_scale - target);
    for (double& x : v) x *= factor;
    log_scale = target;
  }
  void normalise() {
    const double largest = log_largest();
    if (std::isfinite(largest)) rescale(largest);
  }
};

double squared(float x) {
  return static_cast<double>(x) * static_cast<double>(x);
}

// y += b^2 for each channel.
void add_squared_bias(Scaled& y, std::span<const float> bias) {
  double largest = 0;
  for (const float b : bias) largest = std::max(largest, squared(b));
  if (largest == 0) return;
  y.normalise();
  const double target = std::max(y.log_largest(), std::log(largest));
  y.rescale(target);
  const std::size_t positions = y.v.size() / bias.size();
  for (std::size_t i = 0; i < y.v.size(); ++i) y.v[i] += squared(bias[i / positions]) * std::exp(-target);
}

Scaled dense(const Op& op, const Scaled& x, std::span<const float> w) {
  Scaled y{std::vector<double>(static_cast<std::size_t>(op.out.channels)), x.log_scale};
  const float* row = w.data();
  for (double& out : y.v)
    for (const double in : x.v) out += squared(*row++) * in;
  return y;
}

Scaled token_dense(const Op& op, const Scaled& x, std::span<const float> w, std::span<const float> bias) {
  const auto inputs = static_cast<std::size_t>(op.in.positions()),
             outputs = static_cast<std::size_t>(op.out.positions());
  Scaled y{{}, x.log_scale};
  for (std::size_t c = 0; c < static_cast<std::size_t>(op.in.channels); ++c)
    for (std::size_t o = 0; o < outputs; ++o) {
      double sum = 0;
      for (std::size_t i = 0; i < inputs; ++i) sum += squared(w[o * inputs + i]) * x.v[c * inputs + i];
      y.v.push_back(sum);
    }
  std::vector<float> repeated;  // one bias a position, the same for every channel
  for (std::int64_t c = 0; c < op.in.channels; ++c) repeated.insert(repeated.end(), bias.begin(), bias.end());
  add_squared_bias(y, repeated);
  return y;
}

Scaled conv(const Op& op, const Scaled& x, std::span<const float> w) {
  Scaled y{std::vector<double>(static_cast<std::size_t>(op.out.size())), x.log_scale};
  const float* tap = w.data();
  for (std::int64_t o = 0; o < op.out.channels; ++o)
    for (std::int64_t c = 0; c < op.in.channels; ++c)
      for (std::int64_t ky = 0; ky < op.kernel; ++ky)
        for (std::int64_t kx = 0; kx < op.kernel; ++kx) {
          const double factor = squared(*tap++);
          for (std::int64_t row = 0; row < op.out.height; ++row) {
            const std::int64_t in_row = row * op.stride + ky - op.padding;
            if (in_row < 0 || in_row >= op.in.height) continue;
            double* out = y.v.data() + (o * op.out.height + row) * op.out.width;
            const double* in = x.v.data() + (c * op.in.height + in_row) * op.in.width;
            const std::int64_t shift = kx - op.padding;
            const std::int64_t first = shift < 0 ? (-shift + op.stride - 1) / op.stride : 0,
                               last =
                                   std::min(op.out.width, (op.in.width - shift + op.stride - 1) / op.stride);
            for (std::int64_t column = first; column < last; ++column)
              out[column] += factor * in[column * op.stride + shift];
          }
        }
  return y;
}

Scaled pool(const Op& op, const Scaled& x) {
  Scaled y{{}, x.log_scale};
  for (std::int64_t c = 0; c < op.out.channels; ++c)
    for (std::int64_t row = 0; row < op.out.height; ++row)
      for (std::int64_t column = 0; column < op.out.width; ++column) {
        const double* a = x.v.data() + (c * op.in.height + 2 * row) * op.in.width + 2 * column;
        const double* b = a + op.in.width;
        y.v.push_back(op.kind == OpKind::max_pool ? std::max({a[0], a[1], b[0], b[1]})
                                                  : (a[0] + a[1] + b[0] + b[1]) / 4);
      }
  return y;
}

Scaled mean_positions(const Op& op, const Scaled& x) {
  Scaled y{{}, x.log_scale};
  const std::int64_t positions = op.in.positions();
  for (auto channel = x.v.begin(); channel != x.v.end(); channel += positions) {
    double sum = 0;
    for (auto value = channel; value != channel + positions; ++value) sum += *value;
    y.v.push_back(sum / static_cast<double>(positions));
  }
  return y;
}

Scaled join(OpKind kind, Scaled a, Scaled b) {
  a.normalise();
  b.normalise();
  const double target = std::max(a.log_largest(), b.log_largest());
  if (target != minus_infinity) {
    a.rescale(target);
    b.rescale(target);
  }
  if (kind == OpKind::concat)
    a.v.insert(a.v.end(), b.v.begin(), b.v.end());
  else
    for (std::size_t i = 0; i < a.v.size(); ++i) a.v[i] += b.v[i];
  return a;
}

Outcome compute(const Snapshot& snapshot) {
  if (!snapshot.plan()) return Outcome::not_applicable("how the arrays form a network is not known");
  const std::vector<Op>& ops = snapshot.plan()->ops;
  for (const Op& op : ops)
    if (op.kind == OpKind::layer_norm)
      return Outcome::not_applicable(
          "a network with layer norm has no paths: it is no linear map even in evaluation mode");
  const auto& arrays = folded_final(snapshot).arrays;
  for (std::size_t a = 0; a < arrays.size(); ++a)
    for (const float x : arrays[a])
      if (!std::isfinite(x))
        return Outcome::undefined("an entry of " + snapshot.arrays()[a].name + " is not finite");
  std::vector<std::size_t> last_reader(ops.size() + 1, ops.size());
  for (std::size_t i = 0; i < ops.size(); ++i) {
    last_reader[ops[i].input] = i;
    if (ops[i].reads_other()) last_reader[ops[i].other] = i;
  }
  std::vector<Scaled> values = {{std::vector<double>(static_cast<std::size_t>(ops[0].in.size()), 1.0)}};
  for (std::size_t i = 0; i < ops.size(); ++i) {
    const Op& op = ops[i];
    const Scaled& x = values[op.input];
    Scaled y;
    switch (op.kind) {
      case OpKind::dense:
        y = dense(op, x, arrays[op.weight]);
        break;
      case OpKind::conv:
        y = conv(op, x, arrays[op.weight]);
        break;
      case OpKind::token_dense:
        y = token_dense(op, x, arrays[op.weight], arrays[*op.bias]);
        break;
      case OpKind::batch_norm: {
        y = x;
        const auto positions = static_cast<std::size_t>(op.in.positions());
        for (std::size_t k = 0; k < y.v.size(); ++k) y.v[k] *= squared(arrays[op.weight][k / positions]);
        break;
      }
      case OpKind::max_pool:
      case OpKind::mean_pool:
        y = pool(op, x);
        break;
      case OpKind::mean_positions:
        y = mean_positions(op, x);
        break;
      case OpKind::add:
      case OpKind::concat:
        y = join(op.kind, x, values[op.other]);
        break;
      case OpKind::activation:
      case OpKind::dropout:
      case OpKind::flatten:
        y = x;
        break;
      case OpKind::layer_norm:
        break;
    }
    if (op.bias && op.kind != OpKind::token_dense) add_squared_bias(y, arrays[*op.bias]);
    y.normalise();
    values.push_back(std::move(y));
    for (const std::size_t read : {op.input, op.reads_other() ? op.other : op.input})
      if (last_reader[read] == i) values[read] = {};
  }
  CompensatedSum sum;
  for (const double v : values.back().v) sum.add(v);
  if (sum.value() == 0) return Outcome::undefined("no path has a weight other than 0");
  return Outcome::value(std::log(sum.value()) + values.back().log_scale);
}

}  // namespace

const Outcome& log_path_sum(const Snapshot& snapshot) {
  return snapshot.memo().get("log_path_sum", [&] { return compute(snapshot); });
}

}  // namespace gapbench::measures
