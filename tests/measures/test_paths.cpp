// Path norms by enumeration of paths, the Fisher-Rao norm by Euler's identity, capacity by hand.
#include <cmath>

#include "measures/api/registry.h"
#include "tests/measures/random_snapshot.h"
#include "tests/support/catch.h"

using namespace gapbench;
using testing::Model;
using testing::random_conv;
using testing::random_fcn;

namespace {

double value(const std::string& id, const Model& model, Probe* probe = nullptr) {
  const Outcome o = all_measures().at(id).compute(model.snapshot(), probe);
  INFO(id << ": " << o.reason());
  REQUIRE(o.ok());
  return *o.value();
}

double square(float x) {
  return static_cast<double>(x) * static_cast<double>(x);
}

// Sum over paths that end in unit `unit` of layer `layer`, one path after the other.
double paths_into(Model& m, std::size_t layer, std::size_t unit, double product) {
  const auto inputs = static_cast<std::size_t>(m.weight(layer).shape[1]);
  double sum = product * square(m.bias(layer).final[unit]);  // the path that begins in the bias
  for (std::size_t i = 0; i < inputs; ++i) {
    const double longer = product * square(m.weight(layer).final[unit * inputs + i]);
    sum += layer == 0 ? longer : paths_into(m, layer - 1, i, longer);
  }
  return sum;
}

// Logits that were given, and their derivatives.
class FixedProbe final : public Probe {
 public:
  FixedProbe(std::vector<float> logits, std::vector<float> derivatives, std::vector<std::int64_t> labels)
      : logits_(std::move(logits)), derivatives_(std::move(derivatives)), labels_(std::move(labels)) {}
  std::int64_t samples() const override { return static_cast<std::int64_t>(labels_.size()); }
  std::int64_t classes() const override { return static_cast<std::int64_t>(logits_.size() / labels_.size()); }
  std::span<const std::int64_t> labels() const override { return labels_; }
  std::span<const float> logits() override { return logits_; }
  void logits_of(std::span<const Parameters>, std::span<const std::int64_t>, std::span<float>) override {
    throw std::logic_error("not asked for");
  }
  std::vector<std::vector<float>> gradients_of(std::span<const Parameters>,
                                               std::span<const std::int64_t>) override {
    throw std::logic_error("not asked for");
  }
  std::vector<double> mean_losses(std::span<const Parameters>) override {
    throw std::logic_error("not asked for");
  }
  std::vector<float> mean_gradient(Parameters) override { throw std::logic_error("not asked for"); }
  std::span<const float> logit_derivatives() override { return derivatives_; }

 private:
  std::vector<float> logits_, derivatives_;
  std::vector<std::int64_t> labels_;
};

}  // namespace

TEST_CASE("path norm is the sum over paths") {
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    Model m = random_fcn({4, 3, 5, 2}, seed);
    const double sum = paths_into(m, 2, 0, 1) + paths_into(m, 2, 1, 1);
    CHECK(value("path-norm", m) == Approx(std::log(sum)).epsilon(1e-13));
  }
}

TEST_CASE("path norm of a convolutional network, by following every output position back") {
  Model m = random_conv(5);
  const Plan plan = m.plan();
  std::vector<double> x(static_cast<std::size_t>(plan.ops[0].in.size()), 1.0);
  for (const Op& op : plan.ops) {
    if (op.kind != OpKind::conv) continue;
    const auto& w = m.arrays[op.weight].final;
    const auto& b = m.arrays[*op.bias].final;
    std::vector<double> y;
    for (std::int64_t o = 0; o < op.out.channels; ++o)
      for (std::int64_t r = 0; r < op.out.height; ++r)
        for (std::int64_t c = 0; c < op.out.width; ++c) {
          double sum = square(b[static_cast<std::size_t>(o)]);
          for (std::int64_t i = 0; i < op.in.channels; ++i)
            for (std::int64_t k = 0; k < op.kernel * op.kernel; ++k) {
              const std::int64_t row = r * op.stride - op.padding + k / op.kernel,
                                 column = c * op.stride - op.padding + k % op.kernel;
              if (row < 0 || column < 0 || row >= op.in.height || column >= op.in.width) continue;
              sum +=
                  square(w[static_cast<std::size_t>((o * op.in.channels + i) * op.kernel * op.kernel + k)]) *
                  x[static_cast<std::size_t>((i * op.in.height + row) * op.in.width + column)];
            }
          y.push_back(sum);
        }
    x = y;
  }
  double sum = 0;
  for (const double v : x) sum += v;
  const Extent last = plan.ops.back().in;
  CHECK(value("path-norm", m) ==
        Approx(std::log(sum / static_cast<double>(last.positions()))).epsilon(1e-12));
}

TEST_CASE("path norm of a deep network neither overflows nor vanishes") {
  for (const float w : {1e20f, 1e-20f}) {
    Model m = random_fcn(std::vector<std::int64_t>(201, 2),
                         0);  // 200 layers, each doubles: (2 w^2)^200 times two inputs
    for (Model::Entry& e : m.arrays)
      std::fill(e.final.begin(), e.final.end(), e.shape.size() == 2 ? w : 0.0f);
    CHECK(value("path-norm", m) == Approx(200 * std::log(2 * square(w)) + std::log(2)).epsilon(1e-13));
    m.bias(199).final = {3, 4};  // beside 1e-8000 a bias is all there is, beside 1e8000 it is nothing
    CHECK(value("path-norm", m) ==
          Approx(w < 1 ? std::log(25) : 200 * std::log(2 * square(w)) + std::log(2)).epsilon(1e-13));
  }
}

TEST_CASE("path norm where there is none") {
  Model m = random_fcn({3, 3, 2}, 1);
  const auto outcome = [&] { return all_measures().at("path-norm").compute(m.snapshot(), nullptr); };
  m.with_plan = false;
  CHECK(outcome().status() == Outcome::Status::not_applicable);
  m.with_plan = true;
  for (Model::Entry& e : m.arrays) std::fill(e.final.begin(), e.final.end(), 0.0f);
  CHECK(outcome().status() == Outcome::Status::undefined);
}

TEST_CASE("path norm over margin") {
  const Model m = random_fcn({3, 2}, 1);
  FixedProbe probe({3, 1, 0, 5}, {}, {0, 1});  // margins 2 and 5
  CHECK(value("path-norm-over-margin", m, &probe) == Approx(value("path-norm", m) - 2 * std::log(2)));
  FixedProbe wrong({1, 3, 0, 5}, {}, {0, 1});  // a margin of -2 is no margin of 2
  const Outcome o = all_measures().at("path-norm-over-margin").compute(m.snapshot(), &wrong);
  CHECK(o.censored());
}

TEST_CASE("Fisher-Rao norm of two samples by hand") {
  const Model m = random_fcn({3, 4, 2}, 1);
  // p = (1/2, 1/2) and (1/4, 3/4); along w, dz = (1, 2) and (5, -3); labels 0 and 1
  const auto ln3 = static_cast<float>(std::log(3.0));
  FixedProbe probe({7, 7, 0, ln3}, {1, 2, 5, -3}, {0, 1});
  const double first = 0.5 * 1 + 0.5 * 2 - 1, second = 0.25 * 5 + 0.75 * -3 + 3;
  const double expected = (first * first + second * second) / 2;
  CHECK(value("fisher-rao", m, &probe) == Approx(expected).epsilon(1e-6));
  CHECK(value("fisher-rao-jiang", m, &probe) == Approx(9 * expected).epsilon(1e-6));
  const double closed_first = 0, closed_second = 0.75 * std::log(3.0) - std::log(3.0);
  CHECK(value("fisher-rao-closed", m, &probe) ==
        Approx(4 * (closed_first * closed_first + closed_second * closed_second) / 2).epsilon(1e-6));
}

TEST_CASE("capacity by hand") {
  const Model conv = random_conv(1);  // 6x3x3x3, 5x6x3x3, 4x5x1x1 on 9x8 images
  const double weights = 162 + 270 + 20;
  CHECK(value("num-params", conv) == weights);
  CHECK(value("num-params-biases", conv) == weights + 15);
  CHECK(value("num-params-jiang", conv) == 27 * 7 + 54 * 6 + 5 * 5);
  const double root =
      4000 * std::sqrt(3 * std::pow(std::log2(6.0 * 3 * 9), 3) * weights) + std::sqrt(std::log(20.0));
  CHECK(value("vc-dim", conv) == Approx(root * root).epsilon(1e-14));
  Model unknown = conv;
  unknown.with_plan = false;  // the first layer's geometry says as much
  CHECK(value("vc-dim", unknown) == value("vc-dim", conv));
}
