// The fast network against LibTorch's autograd, one step at a time, and against finite differences.
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "measures/numerics/philox.h"
#include "tests/support/catch.h"
#include "zoo/data/aligned_vector.h"
#include "zoo/engine/fast/fast_network.h"
#include "zoo/engine/general_network.h"

using namespace gapbench;

namespace {

struct Case {
  InputShape input;
  std::function<void(NetworkBuilder&)> build;
};

std::map<std::string, Case> cases() {
  const InputShape digits{1, 8, 8, 10}, colour{3, 16, 16, 10}, odd{3, 11, 9, 7};
  std::map<std::string, Case> all;
  all["fcn"] = {
      digits, [](NetworkBuilder& n) {
        n.flatten().dense("a", 33).activation(Activation::relu).dense("b", 17).activation(Activation::relu);
        n.dense("head", 10);
      }};
  all["linear"] = {digits, [](NetworkBuilder& n) { n.flatten().dense("head", 10); }};
  all["wide fcn"] = {{3, 32, 32, 100}, [](NetworkBuilder& n) {
                       n.flatten().dense("a", 130).activation(Activation::relu).dense("head", 100);
                     }};
  all["fcn with dropout"] = {digits, [](NetworkBuilder& n) {
                               for (const char* name : {"a", "b"})
                                 n.flatten().dense(name, 50).activation(Activation::relu).dropout(0.3);
                               n.dense("head", 10);
                             }};
  for (const auto& [name, kind] : {std::pair{"leaky", Activation::leaky_relu},
                                   {"gelu", Activation::gelu},
                                   {"tanh", Activation::tanh},
                                   {"relu", Activation::relu}})
    all[std::string(name) + " with batch norm and dropout"] = {
        digits, [kind](NetworkBuilder& n) {
          n.flatten().dense("a", 20).batch_norm("na").activation(kind).dropout(0.2);
          n.dense("b", 21).activation(kind).dense("head", 10);
        }};
  const auto nin = [](std::int64_t width, double dropout) {
    return [width, dropout](NetworkBuilder& n) {
      for (const std::string b : {"0", "1"}) {
        n.conv(b + ".0", width, 3, 2, 1).activation(Activation::relu);
        n.conv(b + ".1", width, 1, 1, 0).activation(Activation::relu);
        n.conv(b + ".2", width, 1, 1, 0).activation(Activation::relu).dropout(dropout);
      }
      n.conv("head", n.extent().height > 0 ? 10 : 0, 1, 1, 0).mean_positions();
    };
  };
  all["nin"] = {colour, nin(50, 0)};
  all["nin with dropout, odd sizes"] = {{2, 13, 9, 10}, nin(11, 0.25)};
  all["nin of one channel"] = {{1, 5, 6, 10}, nin(1, 0)};
  all["vgg"] = {colour, [](NetworkBuilder& n) {
                  for (const std::string b : {"0", "1", "2"}) {
                    const std::int64_t width = b == "0" ? 16 : 24;
                    n.conv(b + ".0", width, 3, 1, 1).batch_norm(b + ".n").activation(Activation::relu);
                    n.conv(b + ".1", width, 3, 1, 1, false).batch_norm(b + ".m").activation(Activation::relu);
                    n.max_pool();
                  }
                  n.flatten().dropout(0.5).dense("d", 40).activation(Activation::relu).dense("head", 10);
                }};
  all["pools of odd sizes, gelu, flatten"] = {
      odd, [](NetworkBuilder& n) {
        n.conv("a", 9, 3, 1, 1).activation(Activation::gelu).max_pool();
        n.conv("b", 13, 3, 1, 0).activation(Activation::tanh).dropout(0.4).flatten();
        n.dense("head", 7);
      }};
  all["kernel 5, stride 3"] = {odd, [](NetworkBuilder& n) {
                                 n.conv("a", 6, 5, 1, 2).activation(Activation::leaky_relu);
                                 n.conv("b", 8, 5, 3, 1).activation(Activation::relu);
                                 n.conv("c", 5, 1, 2, 0).flatten().dense("head", 7);
                               }};
  all["pool then activation"] = {
      colour, [](NetworkBuilder& n) {
        n.conv("a", 8, 3, 1, 1).max_pool().activation(Activation::tanh).batch_norm("n").mean_positions();
        n.dense("head", 10);
      }};
  return all;
}

std::unique_ptr<Architecture> build(const Case& c) {
  NetworkBuilder net("test", c.input);
  c.build(net);
  return net.finish();
}

bool has_batch_norm(const Architecture& a) {
  return std::any_of(a.arrays().begin(), a.arrays().end(), [](const ArraySpec& s) { return !s.trained; });
}

struct Batch {
  AlignedVector<float> images, targets;
  std::vector<std::int64_t> labels;
  Batch(const InputShape& shape, std::int64_t n, bool soft, std::uint64_t seed = 1) {
    RandomStream random(seed);
    for (std::int64_t i = 0; i < n * shape.size(); ++i) images.push_back(static_cast<float>(random.normal()));
    for (std::int64_t i = 0; i < n; ++i) {
      labels.push_back(random.below(static_cast<std::uint32_t>(shape.classes)));
      for (std::int64_t k = 0; k < shape.classes; ++k) {
        const float rest = soft ? 0.2f / static_cast<float>(shape.classes) : 0.0f;
        targets.push_back(rest + (k == labels.back() ? (soft ? 0.8f : 1.0f) : 0.0f));
      }
    }
  }
};

// Random values for all arrays, biases too, so that no gradient hides behind a zero.
std::vector<std::vector<float>> random_arrays(const Architecture& a) {
  std::vector<std::vector<float>> values = initial_values(a, "model", 1);
  RandomStream random(3);
  for (std::size_t i = 0; i < values.size(); ++i)
    if (a.arrays()[i].fan_in == 0)
      for (float& v : values[i]) v += static_cast<float>(0.2 * random.uniform());
  return values;
}

double distance(std::span<const float> a, std::span<const float> b) {
  REQUIRE(a.size() == b.size());
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    sum += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
  return std::sqrt(sum);
}
double norm(std::span<const float> a) {
  return distance(a, std::vector<float>(a.size()));
}

std::vector<float> row_major_gradient(TrainableNetwork& network, std::size_t i) {
  return network.to_row_major(i, network.gradient(i));
}

}  // namespace

TEST_CASE("the fast network agrees with autograd in losses, gradients and running statistics") {
  at::set_num_threads(1);
  for (const auto& [name, c] : cases())
    for (const std::int64_t n : {1, 7, 32, 150}) {
      CAPTURE(name, n);
      const auto architecture = build(c);
      // the variance of one value is 0: batch norm then multiplies what rounding left by 316
      if (n == 1 && has_batch_norm(*architecture)) continue;
      const auto fast = make_fast_network(*architecture, c.input),
                 general = make_general_network(*architecture, c.input);
      REQUIRE(fast);
      const auto values = random_arrays(*architecture);
      const Batch batch(c.input, n, n == 7);
      double total = 0;
      for (TrainableNetwork* network : {fast.get(), general.get()}) import_arrays(*network, values);
      CHECK(export_arrays(*fast) == values);
      const StepContext context{.dropout_key = 99, .step = 5};
      const double loss = fast->loss_and_gradients(batch.images.data(), batch.targets.data(), n, context),
                   wanted =
                       general->loss_and_gradients(batch.images.data(), batch.targets.data(), n, context);
      CHECK(loss == Approx(wanted).epsilon(2e-6));
      for (std::size_t i = 0; i < values.size(); ++i) total = std::max(total, norm(general->gradient(i)));
      for (std::size_t i = 0; i < values.size(); ++i) {
        CAPTURE(architecture->arrays()[i].name);
        if (!architecture->arrays()[i].trained) {
          CHECK(distance(fast->array(i), general->array(i)) <= 1e-6 * (1 + norm(general->array(i))));
          CHECK(fast->gradient(i).empty());
          continue;
        }
        const auto g = row_major_gradient(*general, i);
        // a bias before batch norm has gradient 0: there only rounding is left, relative to the others
        CHECK(distance(row_major_gradient(*fast, i), g) <= 5e-5 * norm(g) + 5e-6 * total);
      }
      const Metrics ours = fast->evaluate(batch.images.data(), batch.labels.data(), n),
                    theirs = general->evaluate(batch.images.data(), batch.labels.data(), n);
      CHECK(ours.cross_entropy == Approx(theirs.cross_entropy).epsilon(2e-6));
      CHECK(ours.error == theirs.error);
    }
}
