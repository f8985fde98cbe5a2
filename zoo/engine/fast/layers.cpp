#include "zoo/engine/fast/layers.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "measures/api/error.h"
#include "zoo/engine/fast/elementwise.h"
#include "zoo/engine/fast/product.h"

namespace gapbench::fast {

namespace {

using Offsets = std::vector<std::int32_t>;

void resize(Buffer& buffer, std::int64_t n) {
  buffer.assign(static_cast<std::size_t>(n), 0.0f);
}

// Products find rows by 32-bit offsets.
void check_offsets(std::int64_t floats) {
  if (floats > std::numeric_limits<std::int32_t>::max())
    throw InputError(
        "a batch whose hidden units of one layer are more than 2^31 floats does not fit; take a smaller "
        "batch_size");
}

// Copies images [n, height, width * channels] into the middle of zero-bordered ones.
void copy_into_border(const float* from, std::int64_t n, std::int64_t height, std::int64_t row, float* to,
                      std::int64_t to_height, std::int64_t to_row, std::int64_t top, std::int64_t left) {
  for (std::int64_t s = 0; s < n; ++s)
    for (std::int64_t i = 0; i < height; ++i)
      std::memcpy(to + (s * to_height + top + i) * to_row + left, from + (s * height + i) * row,
                  static_cast<std::size_t>(row) * sizeof(float));
}

void add(const float* x, float* to, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) to[i] += x[i];
}

class Affine final : public Layer {
 public:
  Affine(const Op& op, bool relu, const Arrays& arrays)
      : in_(op.in),
        out_(op.out),
        kernel_(op.kernel),
        stride_(op.stride),
        padding_(op.padding),
        relu_(relu),
        arrays_(arrays) {
    const std::int64_t width = in_.width + 2 * padding_;
    for (std::int64_t k = 0; k < kernel_; ++k)
      taps_.push_back(static_cast<std::int32_t>(k * width * in_.channels));
    for (std::int64_t a = 0; a < stride_; ++a)
      for (std::int64_t b = 0; b < stride_; ++b) add_phase(a, b);
  }

  void reserve(std::int64_t n) override {
    const std::int64_t height = in_.height + 2 * padding_, width = in_.width + 2 * padding_;
    check_offsets(n * std::max({height * width * in_.channels, out_.size(), padded_size()}));
    resize(output_, n * out_.size());
    if (padding_ > 0) resize(padded_input_, n * height * width * in_.channels);
    if (bordered()) resize(padded_gradient_, n * padded_size());
    input_rows_.clear();
    output_rows_.clear();
    for (std::int64_t s = 0; s < n; ++s)
      for (std::int64_t i = 0; i < out_.height; ++i)
        for (std::int64_t j = 0; j < out_.width; ++j) {
          input_rows_.push_back(
              static_cast<std::int32_t>(((s * height + i * stride_) * width + j * stride_) * in_.channels));
          output_rows_.push_back(
              static_cast<std::int32_t>(((s * out_.height + i) * out_.width + j) * out_.channels));
        }
    for (Phase& phase : phases_) fill_rows(phase, n);
  }

  void arrays_changed() override {
    for (Phase& phase : phases_) {
      float* to = phase.weights.data();
      for (std::int64_t t = phase.rows - 1; t >= 0; --t)
        for (std::int64_t u = phase.columns - 1; u >= 0; --u, to += in_.channels * out_.channels) {
          const std::int64_t row = phase.a + stride_ * t, column = phase.b + stride_ * u;
          elementwise().transpose(arrays_.weight + (row * kernel_ + column) * in_.channels * out_.channels,
                                  in_.channels, out_.channels, out_.channels, to, in_.channels);
        }
    }
  }

  bool finds_rows(std::int64_t most) const override {
    // products find rows by 32-bit offsets
    return padding_ > 0 ||
           (out_.positions() == 1 && (most + 1) * in_.size() <= std::numeric_limits<std::int32_t>::max());
  }

  float* forward(float* x, bool, const Pass& pass) override {
    find_rows(pass);
    return product(x, pass, relu_);
  }

  float* forward_along_arrays(float* x, const Pass& pass) override {
    float* y = product(x, twice(pass), false);  // W x + b, then its derivative W x + b + W dx
    const std::int64_t n = pass.n * out_.size();
    if (relu_)
      elementwise().activate_along(Activation::relu, y, y + n, n);
    else
      add(y, y + n, n);
    return y;
  }

  float* backward(const float* x, float* g, float* other, bool want, const Pass& pass) override {
    const std::int64_t m = pass.n * out_.positions(), strip = kernel_ * in_.channels;
    const bool accumulate = pass.first > 0;
    if (relu_) elementwise().activate_backward(Activation::relu, output_.data(), g, m * out_.channels);
    if (arrays_.bias_gradient != nullptr)
      elementwise().column_sums(g, m, out_.channels, arrays_.bias_gradient, accumulate);
    const float* input = padding_ > 0 ? padded_input_.data() : x;
    for (std::int64_t k = 0; k < kernel_; ++k)
      multiply_transposed(input + taps_[static_cast<std::size_t>(k)], from(pass), m, strip, g, out_.channels,
                          out_.channels, arrays_.weight_gradient + k * strip * out_.channels, accumulate);
    if (!want) return other;
    const float* gradient = g;
    if (bordered()) {
      copy_into_border(g, pass.n, out_.height, out_.width * out_.channels, padded_gradient_.data(),
                       padded_height(), padded_width() * out_.channels, top_, left_ * out_.channels);
      gradient = padded_gradient_.data();
    }
    if (gaps_) std::fill(other, other + pass.n * in_.size(), 0.0f);
    for (const Phase& phase : phases_)
      multiply(gradient, phase.from.data(), pass.n * phase.positions, phase.taps.data(), phase.rows,
               phase.columns * out_.channels, phase.weights.data(), in_.channels, in_.channels, other,
               phase.to.data(), {});
    return other;
  }

  bool needs_input() const override { return padding_ == 0; }

 private:
  // Input positions whose row and column (counted from the padding) leave remainders a and b modulo the stride:
  // they see the same `rows` x `columns` entries of the kernel. Their gradient is a convolution of the output's
  // gradient, with the entries in reverse order.
  struct Phase {
    std::int64_t a, b, rows, columns, positions;
    Offsets taps, from, to;
    Buffer weights;  // [rows, columns, outputs, inputs]
  };

  std::int64_t padded_height() const { return out_.height + top_ + bottom_; }
  std::int64_t padded_width() const { return out_.width + left_ + right_; }
  std::int64_t padded_size() const { return padded_height() * padded_width() * out_.channels; }
  bool bordered() const { return top_ + bottom_ + left_ + right_ > 0; }

  // Calls f(i, first output row of its window, j, first output column) for each input position of a phase.
  template <class F>
  void for_each_position(const Phase& phase, F f) const {
    for (std::int64_t i = 0; i < in_.height; ++i)
      for (std::int64_t j = 0; j < in_.width; ++j)
        if ((i + padding_) % stride_ == phase.a && (j + padding_) % stride_ == phase.b)
          f(i, (i + padding_ - phase.a) / stride_ - (phase.rows - 1), j,
            (j + padding_ - phase.b) / stride_ - (phase.columns - 1));
  }

  void add_phase(std::int64_t a, std::int64_t b) {
    Phase phase;
    phase.a = a;
    phase.b = b;
    phase.rows = a < kernel_ ? (kernel_ - a - 1) / stride_ + 1 : 0;
    phase.columns = b < kernel_ ? (kernel_ - b - 1) / stride_ + 1 : 0;
    phase.positions = 0;
    if (phase.rows == 0 || phase.columns == 0) {
      gaps_ = true;
      return;
    }
    for_each_position(phase, [&](std::int64_t, std::int64_t row, std::int64_t, std::int64_t column) {
      ++phase.positions;
      top_ = std::max(top_, -row);
      left_ = std::max(left_, -column);
      bottom_ = std::max(bottom_, row + phase.rows - out_.height);
      right_ = std::max(right_, column + phase.columns - out_.width);
    });
    resize(phase.weights, phase.rows * phase.columns * in_.channels * out_.channels);
    phases_.push_back(std::move(phase));
  }

  void fill_rows(Phase& phase, std::int64_t n) const {
    const std::int64_t height = padded_height(), width = padded_width();
    phase.taps.clear();
    for (std::int64_t t = 0; t < phase.rows; ++t)
      phase.taps.push_back(static_cast<std::int32_t>(t * width * out_.channels));
    phase.from.clear();
    phase.to.clear();
    for (std::int64_t s = 0; s < n; ++s)
      for_each_position(phase, [&](std::int64_t i, std::int64_t row, std::int64_t j, std::int64_t column) {
        phase.from.push_back(
            static_cast<std::int32_t>(((s * height + top_ + row) * width + left_ + column) * out_.channels));
        phase.to.push_back(static_cast<std::int32_t>(((s * in_.height + i) * in_.width + j) * in_.channels));
      });
  }

  float* product(const float* x, const Pass& pass, bool relu) {
    multiply(padded(x, pass), from(pass), pass.n * out_.positions(), taps_.data(), kernel_,
             kernel_ * in_.channels, arrays_.weight, out_.channels, out_.channels, output_.data(),
             output_rows_.data(), {.bias = arrays_.bias, .accumulate = false, .relu = relu});
    return output_.data();
  }

  // Offsets of the samples of this pass in x, where there is one row a sample and it is not copied.
  void find_rows(const Pass& pass) {
    if (pass.rows == nullptr || padding_ > 0) return;
    found_rows_.resize(static_cast<std::size_t>(pass.n));
    for (std::int64_t s = 0; s < pass.n; ++s)
      found_rows_[static_cast<std::size_t>(s)] =
          static_cast<std::int32_t>(static_cast<std::int64_t>(pass.rows[pass.first + s]) * in_.size());
  }
  const std::int32_t* from(const Pass& pass) const {
    return pass.rows != nullptr && padding_ == 0 ? found_rows_.data() : input_rows_.data();
  }

  const float* padded(const float* x, const Pass& pass) {
    if (padding_ == 0) return x;
    if (pass.rows != nullptr) {
      for (std::int64_t s = 0; s < pass.n; ++s)
        copy_into_border(x + pass.rows[pass.first + s] * in_.size(), 1, in_.height, in_.width * in_.channels,
                         padded_input_.data() +
                             s * (in_.height + 2 * padding_) * (in_.width + 2 * padding_) * in_.channels,
                         in_.height + 2 * padding_, (in_.width + 2 * padding_) * in_.channels, padding_,
                         padding_ * in_.channels);
      return padded_input_.data();
    }
    copy_into_border(x, pass.n, in_.height, in_.width * in_.channels, padded_input_.data(),
                     in_.height + 2 * padding_, (in_.width + 2 * padding_) * in_.channels, padding_,
                     padding_ * in_.channels);
    return padded_input_.data();
  }

  Extent in_, out_;
  std::int64_t kernel_, stride_, padding_;
  bool relu_;
  Arrays arrays_;
  bool gaps_ = false;                                         // input positions that no output sees
  std::int64_t top_ = 0, bottom_ = 0, left_ = 0, right_ = 0;  // zeros around the output's gradient
  Offsets taps_, input_rows_, output_rows_, found_rows_;
  std::vector<Phase> phases_;
  Buffer output_, padded_input_, padded_gradient_;
};

class ActivationLayer final : public Layer {
 public:
  explicit ActivationLayer(const Op& op) : kind_(op.activation), size_(op.in.size()) {}
  void reserve(std::int64_t n) override { resize(output_, n * size_); }
  float* forward(float* x, bool keep_input, const Pass& pass) override {
    float* y = keep_input || needs_input() ? output_.data() : x;
    elementwise().activate(kind_, x, y, pass.n * size_);
    values_ = needs_input() ? x : y;
    return y;
  }
  float* forward_along_arrays(float* x, const Pass& pass) override {
    const std::int64_t n = pass.n * size_;
    for (std::int64_t i = 0; i < n; ++i) x[n + i] -= x[i];
    elementwise().activate_along(kind_, x, x + n, n);
    return x;
  }
  float* backward(const float*, float* g, float*, bool, const Pass& pass) override {
    elementwise().activate_backward(kind_, values_, g, pass.n * size_);
    return g;
  }
  bool needs_input() const override { return kind_ == Activation::gelu; }

 private:
  Activation kind_;
  std::int64_t size_;
  Buffer output_;
  const float* values_ = nullptr;
};

class BatchNorm final : public Layer {
 public:
  BatchNorm(const Op& op, const Arrays& arrays) : extent_(op.in), arrays_(arrays) {
    for (Buffer* b : {&mean_, &scale_, &shift_, &slope_}) resize(*b, extent_.channels);
    sum_.resize(static_cast<std::size_t>(extent_.channels));
    squares_ = inverse_deviation_ = sum_;
  }
  void reserve(std::int64_t n) override { resize(output_, n * extent_.size()); }

  float* forward(float* x, bool, const Pass& pass) override {
    const std::int64_t m = pass.n * extent_.positions(), channels = extent_.channels;
    const auto count = static_cast<double>(m);
    if (pass.training) {
      std::fill(mean_.begin(), mean_.end(), 0.0f);
      elementwise().moments(x, m, channels, mean_.data(), sum_.data(), squares_.data());
      for (std::size_t c = 0; c < sum_.size(); ++c) mean_[c] = static_cast<float>(sum_[c] / count);
      elementwise().moments(x, m, channels, mean_.data(), sum_.data(), squares_.data());
    }
    for (std::size_t c = 0; c < sum_.size(); ++c) {
      double mean = static_cast<double>(arrays_.running_mean[c]),
             variance = static_cast<double>(arrays_.running_variance[c]);
      if (pass.training) {
        const double off = sum_[c] / count;  // what rounding left of the mean
        mean = static_cast<double>(mean_[c]) + off;
        variance = std::max(0.0, squares_[c] / count - off * off);
        if (pass.update_statistics && m > 1) {  // a single value has no unbiased variance
          const auto move = [](float& running, double value) {
            running = static_cast<float>((1 - batch_norm_momentum) * static_cast<double>(running) +
                                         batch_norm_momentum * value);
          };
          move(arrays_.running_mean[c], mean);
          move(arrays_.running_variance[c], variance * count / (count - 1));
        }
      }
      mean_[c] = static_cast<float>(mean);
      inverse_deviation_[c] = 1 / std::sqrt(variance + batch_norm_epsilon);
      scale_[c] = static_cast<float>(static_cast<double>(arrays_.weight[c]) * inverse_deviation_[c]);
    }
    elementwise().normalise(x, m, channels, mean_.data(), scale_.data(), arrays_.bias, output_.data());
    return output_.data();
  }
  float* forward_along_arrays(float* x, const Pass& pass) override {  // as of any layer linear in both
    float* y = forward(x, false, twice(pass));
    const std::int64_t n = pass.n * extent_.size();
    add(y, y + n, n);
    return y;
  }

  float* backward(const float* x, float* g, float*, bool want, const Pass& pass) override {
    const std::int64_t m = pass.n * extent_.positions(), channels = extent_.channels;
    const auto count = static_cast<double>(m);
    elementwise().batch_norm_sums(x, g, m, channels, mean_.data(), sum_.data(), squares_.data());
    for (std::size_t c = 0; c < sum_.size(); ++c) {
      const double inverse = inverse_deviation_[c], by_weight = squares_[c] * inverse;
      arrays_.bias_gradient[c] = static_cast<float>(sum_[c]);
      arrays_.weight_gradient[c] = static_cast<float>(by_weight);
      // running statistics are constants: nothing passes through them
      const double scale = pass.training ? static_cast<double>(arrays_.weight[c]) * inverse : 0;
      slope_[c] = static_cast<float>(-scale * inverse * by_weight / count);
      shift_[c] = static_cast<float>(-scale * sum_[c] / count);
    }
    if (want)
      elementwise().batch_norm_backward(x, g, m, channels, mean_.data(), scale_.data(), slope_.data(),
                                        shift_.data());
    return g;
  }
  bool needs_input() const override { return true; }

 private:
  Extent extent_;
  Arrays arrays_;
  Buffer output_, mean_, scale_, shift_, slope_;
  std::vector<double> sum_, squares_, inverse_deviation_;
};

class MaxPool final : public Layer {
 public:
  explicit MaxPool(const Op& op) : in_(op.in), out_(op.out) {}
  void reserve(std::int64_t n) override { resize(output_, n * out_.size()); }
  float* forward(float* x, bool, const Pass& pass) override {
    elementwise().max_pool(x, pass.n, in_.height, in_.width, in_.channels, output_.data());
    return output_.data();
  }
  float* forward_along_arrays(float* x, const Pass& pass) override {  // both of the first largest input
    const float* along = x + pass.n * in_.size();
    float *y = output_.data(), *y_along = y + pass.n * out_.size();
    const std::int64_t c = in_.channels, row = in_.width * c;
    for (std::int64_t s = 0; s < pass.n; ++s)
      for (std::int64_t i = 0; i < out_.height; ++i)
        for (std::int64_t j = 0; j < out_.width; ++j) {
          const std::int64_t corner = s * in_.size() + 2 * i * row + 2 * j * c;
          for (std::int64_t k = corner; k < corner + c; ++k) {
            std::int64_t largest = k;
            for (const std::int64_t other : {k + c, k + row, k + row + c})
              if (x[other] > x[largest]) largest = other;
            *y++ = x[largest];
            *y_along++ = along[largest];
          }
        }
    return output_.data();
  }
  float* backward(const float* x, float* g, float* other, bool want, const Pass& pass) override {
    if (want)
      elementwise().max_pool_backward(x, output_.data(), g, pass.n, in_.height, in_.width, in_.channels,
                                      other);
    return other;
  }
  bool needs_input() const override { return true; }

 private:
  Extent in_, out_;
  Buffer output_;
};

class DropoutLayer final : public Layer {
 public:
  DropoutLayer(const Op& op, const Extent& extent, bool flattened, std::int64_t words_before)
      : extent_(extent),
        flattened_(flattened && extent.positions() > 1 && extent.channels > 1),
        words_before_(words_before),
        threshold_(static_cast<std::uint32_t>(op.probability * 0x1p32)),
        scale_(static_cast<float>(1 / (1 - op.probability))) {}
  void reserve(std::int64_t n) override {
    resize(output_, n * extent_.size());
    resize(mask_, n * extent_.size());
    if (flattened_) resize(drawn_, extent_.size());
  }
  float* forward(float* x, bool, const Pass& pass) override {
    if (!pass.training) return x;
    const std::int64_t size = extent_.size(), n = pass.n * size;
    const auto first = static_cast<std::uint64_t>(words_before_ * pass.batch + pass.first * size);
    if (flattened_) {
      for (std::int64_t s = 0; s < pass.n; ++s) {
        elementwise().dropout_mask(pass.dropout_key, pass.step, first + static_cast<std::uint64_t>(s * size),
                                   size, threshold_, scale_, drawn_.data());
        elementwise().transpose(drawn_.data(), extent_.channels, extent_.positions(), extent_.positions(),
                                mask_.data() + s * size, extent_.channels);
      }
    } else {
      elementwise().dropout_mask(pass.dropout_key, pass.step, first, n, threshold_, scale_, mask_.data());
    }
    elementwise().multiply_by(x, mask_.data(), output_.data(), n);
    return output_.data();
  }
  float* backward(const float*, float* g, float*, bool, const Pass& pass) override {
    if (pass.training) elementwise().multiply_by(g, mask_.data(), g, pass.n * extent_.size());
    return g;
  }
  bool needs_input() const override { return false; }

 private:
  Extent extent_;
  bool flattened_;
  std::int64_t words_before_;
  std::uint32_t threshold_;
  float scale_;
  Buffer output_, mask_, drawn_;
};

class MeanPositions final : public Layer {
 public:
  explicit MeanPositions(const Op& op) : in_(op.in) {}
  void reserve(std::int64_t n) override { resize(output_, n * in_.channels); }
  float* forward(float* x, bool, const Pass& pass) override {
    const auto share = 1 / static_cast<float>(in_.positions());
    for (std::int64_t s = 0; s < pass.n; ++s) {
      float* y = output_.data() + s * in_.channels;
      elementwise().column_sums(x + s * in_.size(), in_.positions(), in_.channels, y, false);
      for (std::int64_t c = 0; c < in_.channels; ++c) y[c] *= share;
    }
    return output_.data();
  }
  float* backward(const float*, float* g, float* other, bool, const Pass& pass) override {
    const auto share = 1 / static_cast<float>(in_.positions());
    float* to = other;
    for (std::int64_t s = 0; s < pass.n; ++s, g += in_.channels)
      for (std::int64_t p = 0; p < in_.positions(); ++p, to += in_.channels)
        for (std::int64_t c = 0; c < in_.channels; ++c) to[c] = g[c] * share;
    return other;
  }
  bool needs_input() const override { return false; }

 private:
  Extent in_;
  Buffer output_;
};

}  // namespace

std::unique_ptr<Layer> make_affine(const Op& op, bool relu, const Arrays& arrays) {
  return std::make_unique<Affine>(op, relu, arrays);
}
std::unique_ptr<Layer> make_activation(const Op& op) {
  return std::make_unique<ActivationLayer>(op);
}
std::unique_ptr<Layer> make_batch_norm(const Op& op, const Arrays& arrays) {
  return std::make_unique<BatchNorm>(op, arrays);
}
std::unique_ptr<Layer> make_max_pool(const Op& op) {
  return std::make_unique<MaxPool>(op);
}
std::unique_ptr<Layer> make_dropout(const Op& op, const Extent& extent, bool flattened,
                                    std::int64_t words_before) {
  return std::make_unique<DropoutLayer>(op, extent, flattened, words_before);
}
std::unique_ptr<Layer> make_mean_positions(const Op& op) {
  return std::make_unique<MeanPositions>(op);
}

}  // namespace gapbench::fast
