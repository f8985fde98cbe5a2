// The output margin and what is said where it is not positive.
#include <cmath>
#include <limits>
#include <string>
#include <tuple>

#include "measures/api/registry.h"
#include "measures/output/margin.h"
#include "tests/measures/random_snapshot.h"
#include "tests/support/catch.h"

using namespace gapbench;

namespace {

// Two classes, label 0, logits (margin, 0): a probe of given margins.
class MarginProbe final : public Probe {
 public:
  explicit MarginProbe(const std::vector<float>& margins) : labels_(margins.size(), 0) {
    for (const float m : margins) logits_.insert(logits_.end(), {m, 0.0f});
  }
  std::int64_t samples() const override { return static_cast<std::int64_t>(labels_.size()); }
  std::int64_t classes() const override { return 2; }
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
  std::span<const float> logit_derivatives() override { throw std::logic_error("not asked for"); }

 private:
  std::vector<std::int64_t> labels_;
  std::vector<float> logits_;
};

Outcome outcome(const char* id, const std::vector<float>& margins) {
  MarginProbe probe(margins);
  return all_measures().at(id).compute(testing::random_fcn({4, 3, 2}, 1).snapshot(), &probe);
}

// 1, 2, ..., n in an order that is not sorted.
std::vector<float> shuffled(int n) {
  std::vector<float> values;
  for (int i = 0; i < n; ++i) values.push_back(static_cast<float>(i * 7 % n + 1));
  return values;
}

}  // namespace

TEST_CASE("the margin is the floor(n / 10)-th smallest, and the smallest of fewer than ten") {
  CHECK(*outcome("margin-p10", shuffled(100)).value() == 10);
  CHECK(*outcome("margin-p10", shuffled(99)).value() == 9);
  CHECK(*outcome("margin-p10", shuffled(10)).value() == 1);
  CHECK(*outcome("margin-p10", shuffled(5)).value() == 1);
  CHECK(*outcome("inverse-margin", shuffled(20)).value() == Approx(0.25).epsilon(1e-14));
  const double without = *all_measures()
                              .at("log-prod-fro")
                              .compute(testing::random_fcn({4, 3, 2}, 1).snapshot(), nullptr)
                              .value();
  CHECK(*outcome("log-prod-fro-over-margin", shuffled(20)).value() ==
        Approx(without - 2 * std::log(2.0)).epsilon(1e-14));
}

TEST_CASE("other percentiles are other order statistics, and what divides by the margin follows") {
  for (const auto& [n, fifth, half] :
       {std::tuple{100, 5, 50}, {99, 4, 49}, {20, 1, 10}, {9, 1, 4}, {1, 1, 1}}) {
    CAPTURE(n);
    CHECK(*outcome("margin-p05", shuffled(n)).value() == fifth);
    CHECK(*outcome("margin-p50", shuffled(n)).value() == half);
  }
  const std::vector<float> margins = shuffled(100);  // 5, 10 and 50
  for (const std::string id : {"log-prod-spec-over-margin", "log-prod-fro-over-margin",
                               "path-norm-over-margin", "log-spec-init-main", "log-spec-orig-main"}) {
    CAPTURE(id);
    const double tenth = *outcome(id.c_str(), margins).value();
    CHECK(*outcome((id + "-p05").c_str(), margins).value() ==
          Approx(tenth + 2 * std::log(2.0)).epsilon(1e-13));
    CHECK(*outcome((id + "-p50").c_str(), margins).value() ==
          Approx(tenth - 2 * std::log(5.0)).epsilon(1e-13));
  }
  for (const std::string id : {"log-sum-spec-over-margin", "log-sum-fro-over-margin"}) {  // of two layers
    const double tenth = *outcome(id.c_str(), margins).value();
    CHECK(*outcome((id + "-p05").c_str(), margins).value() == Approx(tenth + std::log(2.0)).epsilon(1e-13));
    CHECK(*outcome((id + "-p50").c_str(), margins).value() == Approx(tenth - std::log(5.0)).epsilon(1e-13));
  }
  CHECK(*outcome("inverse-margin-p05", margins).value() == Approx(1.0 / 25).epsilon(1e-13));
  CHECK(*outcome("inverse-margin-p50", margins).value() == Approx(1.0 / 2500).epsilon(1e-13));
  // one in five is wrong: the tenth percentile is censored, the median has a value
  std::vector<float> some_wrong(100, 3.0f);
  for (std::size_t i = 0; i < 100; i += 5) some_wrong[i] = -1;
  CHECK(outcome("path-norm-over-margin", some_wrong).censored());
  CHECK(outcome("path-norm-over-margin-p05", some_wrong).censored());
  CHECK_FALSE(outcome("path-norm-over-margin-p50", some_wrong).censored());
  CHECK(outcome("margin-p50", {}).status() == Outcome::Status::undefined);
}

TEST_CASE("a margin that is not positive stays negative, and censors what divides by it") {
  const std::vector<float> wrong(30, -0.5f);
  CHECK(*outcome("margin-p10", wrong).value() == -0.5);
  CHECK_FALSE(outcome("margin-p10", wrong).censored());
  for (const char* id :
       {"inverse-margin", "log-prod-fro-over-margin", "log-sum-fro-over-margin", "log-prod-spec-over-margin",
        "log-sum-spec-over-margin", "log-spec-orig-main", "log-spec-init-main"}) {
    CAPTURE(id);
    const Outcome o = outcome(id, wrong);
    REQUIRE(o.ok());
    CHECK(o.censored());
    CHECK(o.reason().find("-0.5") != std::string::npos);
    CHECK(*o.value() == *outcome(id, std::vector<float>(30, -7.0f)).value());  // tied with the next
    CHECK_FALSE(outcome(id, shuffled(30)).censored());
  }
}

TEST_CASE("a logit that is not finite gives no margin") {
  std::vector<float> broken = shuffled(30);
  broken[17] = std::numeric_limits<float>::quiet_NaN();
  CHECK(outcome("margin-p10", broken).status() == Outcome::Status::undefined);
  CHECK(outcome("log-prod-fro-over-margin", broken).status() == Outcome::Status::undefined);
  CHECK(outcome("margin-p10", {}).status() == Outcome::Status::undefined);
}

TEST_CASE("confident outputs have entropy near 0, equal ones ln 2") {
  CHECK(*outcome("neg-entropy", std::vector<float>(12, 0.0f)).value() ==
        Approx(-std::log(2.0)).epsilon(1e-14));
  CHECK(*outcome("neg-entropy", std::vector<float>(12, 2000.0f)).value() == 0);
}
