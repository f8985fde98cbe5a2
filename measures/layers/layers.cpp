#include "measures/layers/layers.h"

#include <cmath>
#include <exception>
#include <limits>

#include "measures/kernels/conv_spectral.h"
#include "measures/kernels/spectral.h"
#include "measures/layers/batch_norm.h"
#include "measures/numerics/parallel_for.h"
#include "measures/numerics/sum.h"

namespace gapbench::measures {

namespace {

std::vector<float> difference(std::span<const float> a, std::span<const float> b) {
  std::vector<float> d(a.size());
  for (std::size_t i = 0; i < d.size(); ++i)
    d[i] = static_cast<float>(static_cast<double>(a[i]) - static_cast<double>(b[i]));
  return d;
}

// Weights as the kernel's batches: a conv layer with a real kernel is one matrix per input channel, anything
// else one matrix.
kernels::RowBatches batches(const LayerShape& s, const float* w) {
  if (s.positions() == 1) return {w, 1, s.outputs, s.inputs, s.inputs, 0};
  return {w, s.inputs, s.outputs, s.positions(), s.fan_in(), s.positions()};
}

kernels::OperatorNorm operator_norm(std::span<const float> w, const LayerShape& s, const Layer& layer,
                                    NormKind kind) {
  if (layer.kind == LayerKind::dense || kind == NormKind::reshaped)
    return kernels::dense_operator_norm(w, s.outputs, s.fan_in());
  if (kind == NormKind::padded)
    return kernels::conv_operator_norm(
        w, {s.outputs, s.inputs, s.kernel_height, s.kernel_width, layer.input_height, layer.input_width,
            layer.stride, layer.padding});
  kernels::CircularConv circular{s.outputs,          s.inputs,          s.kernel_height, s.kernel_width,
                                 layer.input_height, layer.input_width, layer.stride};
  if (kind != NormKind::circular) circular.stride = 1;
  if (kind == NormKind::fft32) circular.height = circular.width = 32;
  return kernels::circular_conv_norm(w, circular);
}

OperatorNorms compute_operator_norms(const Snapshot& snapshot, bool of_change, NormKind kind) {
  const std::vector<Layer>& layers = snapshot.layers();
  const auto& final = folded_final(snapshot).arrays;  // both before the threads share them
  const auto* init = of_change ? &folded_init(snapshot).arrays : nullptr;
  std::vector<kernels::OperatorNorm> norms(layers.size());
  std::vector<std::exception_ptr> errors(layers.size());
  parallel_for(static_cast<std::int64_t>(layers.size()), snapshot.threads(), [&](std::int64_t l, int) {
    const auto i = static_cast<std::size_t>(l);
    try {
      std::span<const float> values = final[layers[i].weight];
      std::vector<float> change;
      if (init != nullptr) values = change = difference(values, (*init)[layers[i].weight]);
      norms[i] = operator_norm(values, shape_of(snapshot, layers[i]), layers[i], kind);
    } catch (...) {
      errors[i] = std::current_exception();
    }
  });
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
  OperatorNorms result;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (!norms[i].converged) {
      result.problem = "the operator norm of " + snapshot.weight(layers[i]).name +
                       " did not converge (residual " + std::to_string(norms[i].residual) + " after " +
                       std::to_string(norms[i].iterations) + " steps)";
      return result;
    }
    result.values.push_back(norms[i].value);
  }
  return result;
}

std::vector<double> compute_proxies(const Snapshot& snapshot, bool of_change) {
  std::vector<double> proxies;
  for (const Layer& layer : snapshot.layers()) {
    const Array& w = snapshot.weight(layer);
    const std::vector<float> change = of_change ? difference(w.final, w.init) : std::vector<float>();
    const std::span<const float> values = of_change ? std::span<const float>(change) : w.final;
    const LayerShape s = shape_of(snapshot, layer);
    proxies.push_back(
        layer.kind == LayerKind::dense
            ? kernels::notebook_spectral_proxy_dense(values, s.outputs, s.inputs)
            : kernels::notebook_spectral_proxy_conv(values, s.outputs, s.inputs, s.positions()));
  }
  return proxies;
}

}  // namespace

LayerShape shape_of(const Snapshot& snapshot, const Layer& layer) {
  const auto& shape = snapshot.weight(layer).shape;
  LayerShape s{shape[0], shape[1], 1, 1};
  if (shape.size() == 4) {
    s.kernel_height = shape[2];
    s.kernel_width = shape[3];
  }
  return s;
}

const std::vector<LayerCorrelation>& paper_correlations(const Snapshot& snapshot) {
  return snapshot.memo().get("paper_correlations", [&] {
    std::vector<LayerCorrelation> all;
    for (const Layer& layer : snapshot.layers()) {
      const LayerShape s = shape_of(snapshot, layer);
      const kernels::RowBatches in = batches(s, snapshot.weight(layer).final.data());
      std::vector<kernels::CosineSum> sums(static_cast<std::size_t>(in.batches));
      kernels::absolute_cosine_sums(in, sums.data(), snapshot.threads());
      CompensatedSum sum;
      std::int64_t pairs = 0;
      for (const kernels::CosineSum& c : sums) {
        sum.add(c.sum);
        pairs += c.pairs;
      }
      // rounding may carry a mean of ones past 1
      if (pairs > 0) {
        const double rho = sum.value() / static_cast<double>(pairs);
        all.push_back({s, in.length, rho > 1 ? 1.0 : rho});
      }
    }
    return all;
  });
}

std::vector<double> notebook_means(const Snapshot& snapshot, const Layer& layer, std::int64_t columns) {
  const LayerShape s = shape_of(snapshot, layer);
  kernels::RowBatches in = batches(s, snapshot.weight(layer).final.data());
  if (columns > 0 && in.length > columns) in.length = columns;
  std::vector<double> means(static_cast<std::size_t>(in.batches));
  kernels::smoothed_cosine_means(in, 1e-5, means.data(), snapshot.threads());
  return means;
}

double correlation_g(double rho, std::int64_t n, std::int64_t m) {
  const auto units = static_cast<double>(n - 1), inputs = static_cast<double>(m);
  if (rho >= 1) return std::numeric_limits<double>::infinity();
  return -units * inputs * std::log1p(-rho) - inputs * std::log1p(units * rho);
}

double correlation_g(const LayerCorrelation& layer) {
  const double nearly_one = 1 - kernels::cosine_error(layer.vector_length);
  return correlation_g(layer.rho >= nearly_one ? 1.0 : layer.rho, layer.shape.outputs, layer.shape.fan_in());
}

const std::vector<double>& frobenius_norms(const Snapshot& snapshot) {
  return snapshot.memo().get("frobenius_norms", [&] {
    std::vector<double> norms;
    for (const Layer& layer : snapshot.layers())
      norms.push_back(std::sqrt(kernels::squared_distance(folded_final(snapshot).arrays[layer.weight], {})));
    return norms;
  });
}

const std::vector<double>& frobenius_norms_of_saved(const Snapshot& snapshot) {
  return snapshot.memo().get("frobenius_norms_of_saved", [&] {
    std::vector<double> norms;
    for (const Layer& layer : snapshot.layers())
      norms.push_back(std::sqrt(kernels::squared_distance(snapshot.weight(layer).final, {})));
    return norms;
  });
}

const std::vector<double>& frobenius_norms_of_change(const Snapshot& snapshot) {
  return snapshot.memo().get("frobenius_norms_of_change", [&] {
    std::vector<double> norms;
    for (const Layer& layer : snapshot.layers())
      norms.push_back(std::sqrt(kernels::squared_distance(folded_final(snapshot).arrays[layer.weight],
                                                          folded_init(snapshot).arrays[layer.weight])));
    return norms;
  });
}

const OperatorNorms& operator_norms(const Snapshot& snapshot, NormKind kind) {
  return snapshot.memo().get("operator_norms " + std::to_string(static_cast<int>(kind)),
                             [&] { return compute_operator_norms(snapshot, false, kind); });
}

const OperatorNorms& operator_norms_of_change(const Snapshot& snapshot, NormKind kind) {
  return snapshot.memo().get("operator_norms_of_change " + std::to_string(static_cast<int>(kind)),
                             [&] { return compute_operator_norms(snapshot, true, kind); });
}

const std::vector<double>& spectral_proxies(const Snapshot& snapshot) {
  return snapshot.memo().get("spectral_proxies", [&] { return compute_proxies(snapshot, false); });
}

const std::vector<double>& spectral_proxies_of_change(const Snapshot& snapshot) {
  return snapshot.memo().get("spectral_proxies_of_change", [&] { return compute_proxies(snapshot, true); });
}

double weight_count(const Snapshot& snapshot) {
  double count = 0;
  for (const Layer& layer : snapshot.layers())
    count += static_cast<double>(snapshot.weight(layer).final.size());
  return count;
}

double half_squared_change(const Snapshot& snapshot, bool weights_only) {
  CompensatedSum sum;
  if (weights_only) {
    for (const Layer& layer : snapshot.layers())
      sum.add(kernels::squared_distance(snapshot.weight(layer).final, snapshot.weight(layer).init));
  } else {
    for (const Array& a : snapshot.arrays()) sum.add(kernels::squared_distance(a.final, a.init));
  }
  return 0.5 * sum.value();
}

Outcome sum_of_logs(const Snapshot& snapshot, const std::vector<double>& factors, const char* what,
                    double power) {
  CompensatedSum sum;
  for (std::size_t i = 0; i < factors.size(); ++i) {
    if (factors[i] == 0)
      return Outcome::undefined(std::string(what) + " of " + snapshot.weight(snapshot.layers()[i]).name +
                                " is 0, its logarithm has no value");
    sum.add(std::log(factors[i]));
  }
  return Outcome::value(power * sum.value());
}

Outcome log_product_of_operator_norms(const Snapshot& snapshot, NormKind kind) {
  const OperatorNorms& norms = operator_norms(snapshot, kind);
  if (!norms.problem.empty()) return Outcome::not_converged(norms.problem);
  return sum_of_logs(snapshot, norms.values, "the operator norm", 2);
}

Outcome log_product_of_frobenius_norms(const Snapshot& snapshot) {
  return sum_of_logs(snapshot, frobenius_norms(snapshot), "the Frobenius norm", 2);
}

Outcome geometric_mean_form(const Outcome& log_product, const Snapshot& snapshot) {
  const auto depth = static_cast<double>(snapshot.layers().size());
  return log_product.map([depth](double log_value) { return std::log(depth) + log_value / depth; });
}

Outcome sum_of_squares(const std::vector<double>& values) {
  CompensatedSum sum;
  for (const double v : values) sum.add(v * v);
  return Outcome::value(sum.value());
}

Outcome sum_of_squared_ratios(const Snapshot& snapshot, const std::vector<double>& norms, NormKind kind) {
  const Outcome product = log_product_of_operator_norms(snapshot, kind);  // says which layer is zero
  if (!product.ok()) return product;
  std::vector<double> ratios;
  for (std::size_t l = 0; l < norms.size(); ++l)
    ratios.push_back(norms[l] / operator_norms(snapshot, kind).values[l]);
  return sum_of_squares(ratios);
}

Outcome log_spectral_main_term(const Snapshot& snapshot, const std::vector<double>& norms, NormKind kind) {
  const Outcome sum = sum_of_squared_ratios(snapshot, norms, kind);
  if (!sum.ok()) return sum;
  if (*sum.value() == 0) return Outcome::undefined("no weight has moved from its initial value");
  return Outcome::value(*log_product_of_operator_norms(snapshot, kind).value() + std::log(*sum.value()));
}

std::optional<Outcome> without_init(const Snapshot& snapshot) {
  if (snapshot.has_init()) return std::nullopt;
  return Outcome::not_applicable("the initial weights are not known");
}

}  // namespace gapbench::measures
