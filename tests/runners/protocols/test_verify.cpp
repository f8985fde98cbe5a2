// `gapbench verify` recomputes published numbers; PGDL files are read as a ledger.
#include <cmath>
#include <fstream>
#include <map>

#include "measures/api/error.h"
#include "runners/ledger/pgdl.h"
#include "runners/ranking/rank.h"
#include "runners/ranking/verify.h"
#include "tests/runners/protocols/pgdl_task1.h"
#include "tests/support/catch.h"
#include "tests/support/temporary.h"

using namespace gapbench;

TEST_CASE("every published number comes out") {
  const auto rows = verify_published();
  CHECK(rows.size() == 18 + 8 + 24 + 12);
  for (const VerifyRow& r : rows) {
    INFO(r.what << ": published " << r.published << ", computed " << r.computed);
    CHECK(r.passed);
    CHECK(std::abs(r.computed - r.published) <= r.tolerance);
  }
}

TEST_CASE("a ledger that is not the published one fails the check by name, not by crashing") {
  std::string csv =
      "experiment_id,repeat_id,is.converged,is.high_train_accuracy,hp.lr,hp.width,gen.gap,complexity."
      "params\n";
  for (int c = 0; c < 4; ++c)
    for (int s = 0; s < 10; ++s)
      csv += "c" + std::to_string(c) + "," + std::to_string(s) + ",True,True," +
             (c % 2 ? "0.01000001" : "0.1") + "," + std::to_string(8 << c / 2) + "," +
             std::to_string(0.1 * c + 0.001 * s) + "," + std::to_string(c) + "\n";
  const auto rows = verify_dziugaite(Table::parse_csv(csv, "ledger"));
  CHECK(rows.front().what == "environments, all axes");
  CHECK(rows.front().computed == 8);  // four undirected
  CHECK_FALSE(rows.front().passed);
  for (const VerifyRow& r : rows) CHECK_FALSE(r.passed);
  CHECK_THROWS_AS(verify_dziugaite(Table::parse_csv("a\n1\n", "x")), InputError);
}

TEST_CASE("a ledger with the published header is read as the published code reads it") {
  // five axes of two levels, 10 seeds, gaps that rise along every axis: all 80 pairs of configurations that differ in one
  // axis count. The size of the training set is the column without a prefix; its hp. twin says something else. One run has
  // a learning rate off by rounding and an experiment_id of its own; one lacks an accuracy and would spoil a sign.
  std::string csv =
      "experiment_id,repeat_id,is.converged,is.high_train_accuracy,hp.lr,hp.model_depth,hp.model_width,hp."
      "dataset,"
      "hp.train_dataset_size,train_dataset_size,gen.train_acc,gen.val_acc,gen.gap,complexity.pacbayes_orig,"
      "complexity.params,"
      "complexity.log_prod_of_spec,complexity.log_prod_of_spec_fft\n";
  for (int c = 0; c < 32; ++c)
    for (int s = 0; s < 10; ++s) {
      const auto bit = [&](int b) { return (c >> b) & 1; };
      const double gap =
          0.05 + 0.05 * bit(0) + 0.1 * bit(1) + 0.15 * bit(2) + 0.2 * bit(3) + 0.25 * bit(4) + 0.0001 * s;
      const bool off = c == 3 && s == 3, spoiled = c == 5 && s == 5;
      csv += std::to_string(off ? 999 : c) + "," + std::to_string(s) + ",True,True," +
             (bit(0) ? (off ? "0.01000001" : "0.01") : "0.1") + "," + (bit(1) ? "2" : "4") + "," +
             (bit(2) ? "16" : "8") + "," + (bit(3) ? "svhn" : "cifar10") + "," + std::to_string(40000 + s) +
             "," + (bit(4) ? "6250" : "25000") + ",1," + (spoiled ? "nan" : "0.9") + "," +
             std::to_string(gap) + "," + std::to_string(spoiled ? -1e9 : gap) + "," +
             (bit(2) ? "2000" : "1000") + "," + std::to_string(-gap) + "," + std::to_string(gap) + "\n";
    }
  std::map<std::string, double> computed;
  for (const VerifyRow& r : verify_dziugaite(Table::parse_csv(csv, "ledger"))) computed[r.what] = r.computed;
  CHECK(computed.at("environments, all axes") == 160);
  for (const char* axis : {"lr", "model_depth", "model_width", "dataset", "train_size"})
    CHECK(computed.at(std::string("environments along ") + axis) == 32);
  CHECK(computed.at("mean sign error, pacbayes_orig") == 0);
  CHECK(computed.at("mean sign error, params") ==
        Approx(0.4));  // right along the width, tied along four axes
  CHECK(computed.at("mean sign error, log_prod_of_spec_fft") == 0);
}

TEST_CASE("PGDL files give the ranking of the same numbers in a CSV") {
  const auto task = testing::pgdl_task1();
  const gapbench::testing::TemporaryDir folder;
  nlohmann::json configs, predictions;
  for (std::size_t i = 0; i < task.gap.size(); ++i) {
    nlohmann::json hparams;
    for (const DesignAxis& a : task.design.axes)
      hparams[a.name] = {{"current_value", a.level[i]}, {"possible_values", {0, 1}}};
    hparams["dense_width"] = {{"current_value", 128.0}, {"possible_values", {128.0}}};
    configs[std::to_string(i)] = {{"hparams", hparams},
                                  {"metrics", {{"train_acc", 1.0}, {"test_acc", 1 - task.gap[i]}}}};
    predictions["model_" + std::to_string(i)] = task.measures.at("WCV")[i];
  }
  const auto write = [&](const char* name, const nlohmann::json& v) {
    std::ofstream(folder.path() / name) << v;
    return folder.path() / name;
  };
  const auto config_file = write("model_configs.json", configs),
             prediction_file = write("wcv.predict", predictions);
  RankOptions options;
  options.resamples = options.permutations = 0;
  options.single_level_axes = true;
  const auto document = rank(read_pgdl(config_file, {prediction_file}), options);
  for (const auto& m : document["measures"])
    if (m["id"] == "wcv")
      CHECK(m["results"][0]["statistics"]["pgdl"]["value"].get<double>() ==
            Approx(0.277451042877).margin(6e-13));
  predictions.erase("model_5");
  std::string message;
  try {
    read_pgdl(config_file, {write("short.predict", predictions)});
  } catch (const InputError& e) {
    message = e.what();
  }
  CHECK(message.find("short.predict") != std::string::npos);
  CHECK(message.find("'5' is missing") != std::string::npos);
  CHECK_THROWS_AS(read_pgdl(config_file, {}), InputError);
}
