// Batch-norm folding keeps every network's logits in evaluation mode.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>

#include <cmath>

#include "measures/layers/batch_norm.h"
#include "measures/numerics/philox.h"
#include "tests/support/catch.h"
#include "zoo/networks/forward.h"

using namespace gapbench;

namespace {

using Values = std::vector<std::vector<float>>;

// Weights, statistics and scales of every sign; each batch norm has one channel whose scale is 0.
Values random_values(const Architecture& architecture) {
  Values values;
  for (std::size_t i = 0; i < architecture.arrays().size(); ++i) {
    const ArraySpec& a = architecture.arrays()[i];
    RandomStream random(random_key("folding", a.name), i);
    std::vector<float> v;
    for (std::int64_t k = 0; k < a.size(); ++k) {
      const double x = random.normal();
      if (a.fan_in > 0)
        v.push_back(static_cast<float>(x * std::sqrt(2.0 / static_cast<double>(a.fan_in))));
      else if (a.name.ends_with("running_var"))
        v.push_back(static_cast<float>(0.2 + x * x));
      else
        v.push_back(static_cast<float>(x));
    }
    if (a.fan_in == 0 && a.initial == 1 && a.trained && a.size() > 1) v[1] = 0;
    values.push_back(std::move(v));
  }
  return values;
}

at::Tensor logits(const Architecture& architecture, std::span<const std::span<const float>> arrays,
                  const at::Tensor& images) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> tensors = to_tensors(architecture, arrays);
  for (at::Tensor& t : tensors) t = t.to(at::kDouble);
  return forward(architecture, tensors, images, {});
}

struct Case {
  std::unique_ptr<Architecture> architecture;
  Values values;
  std::vector<std::span<const float>> arrays;
  measures::FoldedArrays folded;
};

Case fold(const nlohmann::json& hp, const InputShape& input) {
  Case c;
  c.architecture = make_architecture(HyperParameters::from_json(hp, "test"), input);
  c.values = random_values(*c.architecture);
  for (const auto& v : c.values) c.arrays.emplace_back(v);
  c.folded = measures::fold_batch_norm(c.architecture->plan(), c.arrays);
  return c;
}

}  // namespace

TEST_CASE("a folded network has the same logits") {
  for (const char* text :
       {R"({"network": "fcn", "depth": 3, "width": 9, "batch_norm": "on"})",
        R"({"network": "nin", "depth": 2, "width": 6, "batch_norm": "on"})",
        R"({"network": "cnn", "depth": 2, "width": 5, "batch_norm": "on", "activation": "gelu"})",
        R"({"network": "vgg11", "width_multiplier": 0.05, "batch_norm": "on"})",
        R"({"network": "vgg16-reduced"})", R"({"network": "vgg16-reduced", "activation": "tanh"})",
        R"({"network": "resnet18", "width_multiplier": 0.05})",
        R"({"network": "resnet50", "width_multiplier": 0.05, "activation": "leaky_relu"})",
        R"({"network": "densenet40", "width_multiplier": 0.2})",
        R"({"network": "densenet121", "width_multiplier": 0.06})",
        R"({"network": "mixer", "depth": 1, "width": 8})"}) {
    CAPTURE(text);
    const InputShape input{2, 16, 16, 5};
    const Case c = fold(nlohmann::json::parse(text), input);
    std::vector<double> pixels;
    RandomStream random(random_key("folding", "pixels"));
    for (std::int64_t i = 0; i < 3 * input.size(); ++i) pixels.push_back(random.normal());
    const at::Tensor images =
        at::from_blob(pixels.data(), {3, 2, 16, 16}, at::TensorOptions().dtype(at::kDouble));
    const at::Tensor before = logits(*c.architecture, c.arrays, images),
                     after = logits(*c.architecture, c.folded.arrays, images);
    const double largest = before.abs().max().item<double>();
    CHECK(largest > 0);
    CHECK(before.sub(after).abs().max().item<double>() < 1e-5 * largest);

    // and batch norm is left with no scale of its own, but for a channel whose scale was 0 in front of a layer and
    // batch norm that no rule reaches: here in front of tanh
    std::size_t norms = 0;
    for (const Op& op : c.architecture->plan().ops) {
      if (op.kind != OpKind::batch_norm) continue;
      ++norms;
      for (std::int64_t k = 0; k < op.in.channels; ++k) {
        const auto at = [&](std::size_t array) {
          return c.folded.arrays[op.weight + array][static_cast<std::size_t>(k)];
        };
        CHECK((std::abs(at(0)) == 1 || at(0) == 0));
        CHECK(at(2) == 0);
        CHECK(std::abs(static_cast<double>(at(3)) + batch_norm_epsilon - 1) < 1e-7);
      }
    }
    CHECK((norms > 0) == (c.architecture->network() != "mixer"));
  }
}

TEST_CASE("folding by hand") {
  // conv without bias, then batch norm; batch norm, ReLU, dense
  NetworkBuilder net("hand", {1, 1, 1, 1});
  net.conv("c", 2, 1, 1, 0, false)
      .batch_norm("n")
      .activation(Activation::relu)
      .flatten()
      .batch_norm("m")
      .activation(Activation::relu)
      .dense("d", 1);
  const auto architecture = net.finish();
  const auto e = static_cast<float>(batch_norm_epsilon);
  const Values values = {{2, 3},                                    // c
                         {2, -1},  {5, 7}, {1, 2}, {4 - e, 1 - e},  // n: scales 1, -1; shifts 4, 9
                         {-3, 0},  {6, 8}, {0, 0}, {1 - e, 1 - e},  // m: scales -3, 0; shifts 6, 8
                         {10, 20}, {30}};
  std::vector<std::span<const float>> arrays(values.begin(), values.end());
  const auto folded = measures::fold_batch_norm(architecture->plan(), arrays);
  const Values expected = {{2, -3}, {1, 1},         {4, 9},   {0, 0}, {1 - e, 1 - e}, {-1, 0}, {2, 8},
                           {0, 0},  {1 - e, 1 - e}, {30, 20}, {30}};
  for (std::size_t i = 0; i < values.size(); ++i)
    for (std::size_t k = 0; k < values[i].size(); ++k) {
      CAPTURE(i, k);
      CHECK(folded.arrays[i][k] == Approx(expected[i][k]).epsilon(1e-6));
    }
  CHECK(folded.changed.back().empty());  // the head's bias is the caller's own memory
}
